"""Copies output into logs by processes that are killed, each one followed by a successor.

A script, so that there is one thread and a fork is cheap. It holds the reading ends, as a keeper
would, and forks the copiers. What it is to do it reads from its standard input, as JSON.
"""

import asyncio
import ctypes
import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs import StreamCapture
from opsvisor.runtime.logs.capture import Surroundings
from opsvisor.runtime.logs.pipes import open_pipe
from opsvisor.runtime.logs.plumbing import Plumbing, Scratch

_PR_SET_PDEATHSIG = 1

# Prints numbered lines until it is told to end; then it tells how many.
WRITER = """
import os, select, sys
mark, burst, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
outputs, report = int(sys.argv[4]), int(sys.argv[5])
counts = [0] * outputs
while True:
    for output in range(outputs):
        start = counts[output]
        counts[output] = start + burst
        lines = [b"%08d %s\\n" % (n, b"x" * (n % 71)) for n in range(start, start + burst)]
        text = b"".join(lines)
        if output:
            text = bytes(byte | 0x80 for byte in text)  # to be told apart in one file
        while text:
            text = text[os.write(output + 1, text):]
    if select.select([0], [], [], pause)[0]:  # its line, or that nobody is there any more
        break
os.write(report, mark.encode() + b" " + b" ".join(b"%d" % count for count in counts) + b"\\n")
"""


def line(number: int) -> bytes:
    """What a writer prints."""
    return b"%08d %s\n" % (number, b"x" * (number % 71))


@dataclass(frozen=True, kw_only=True)
class Output:
    """A pipe, and where it goes. `path`: of the writer's end, which a successor opens."""

    reader: int
    path: str
    log: LogSpec

    def opened(self) -> int:
        """The pipe for a copier: through the program if it lives, otherwise what was kept."""
        kept = os.fstat(self.reader).st_ino
        try:
            reader = os.open(self.path, os.O_RDONLY)
        except OSError:
            return os.dup(self.reader)
        assert os.fstat(reader).st_ino == kept
        return reader


def forked(copy: Callable[[], None]) -> int:
    """A process that copies and then ends with 0."""
    pid = os.fork()
    if pid:
        return pid
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        copy()
    except BaseException as error:  # noqa: BLE001  # whatever it is, it must not go on as parent
        sys.stderr.write(f"copier: {error!r}\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def capture_of(log: LogSpec, plumbing: Plumbing) -> StreamCapture:
    """A capture as a daemon has it."""
    return StreamCapture(
        log,
        Surroundings(ring_size=4096, loop=asyncio.get_running_loop(), plumbing=plumbing),
    )


async def copy_for_ever(outputs: list[Output]) -> Never:
    """What a daemon does until it is killed."""
    plumbing = Plumbing()
    for output in outputs:
        capture_of(output.log, plumbing).adopt(output.opened())
    while True:
        await asyncio.Event().wait()


async def copy_to_the_end(outputs: list[Output]) -> None:
    """All that is in the pipes, which have no writers any more."""
    plumbing = Plumbing()
    captures = [capture_of(output.log, plumbing) for output in outputs]
    for capture, output in zip(captures, outputs, strict=True):
        capture.adopt(os.dup(output.reader))
    while any(capture.pipes for capture in captures):
        for capture in captures:
            capture.drain()


def without_tee() -> None:
    """As it was before, and as it is where tee(2) can't be had: read, then write."""

    def refuse(_scratch: Scratch, _pipe: int, _limit: int) -> int:
        raise PermissionError

    Scratch._fill = refuse  # type: ignore[method-assign, assignment]  # in this process only


def without_splice() -> None:
    """As on a file system that lacks it: write, then take out of the pipe."""

    def refuse(*_args: object, **_named: object) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    os.splice = refuse


# -- at random ---------------------------------------------------------------------------------


def at_random(job: dict[str, Any]) -> dict[str, Any]:
    """Writers go on while their copiers are killed, one after the other."""
    chance = random.Random(job["seed"])
    report, told = os.pipe()
    writers: list[subprocess.Popen[bytes]] = []
    outputs: list[Output] = []
    for mark, burst, pause, logs in job["writers"]:
        pipes = [open_pipe() for _ in logs]
        argv = [sys.executable, "-I", "-S", "-c", WRITER, mark, str(burst), str(pause)]
        ends: dict[str, int] = dict(zip(("stdout", "stderr"), (end for _, end in pipes)))  # noqa: B905  # one or two
        writer = subprocess.Popen(
            [*argv, str(len(logs)), str(told)],
            stdin=subprocess.PIPE,
            pass_fds=[told],
            stdout=ends["stdout"],
            stderr=ends.get("stderr"),
        )
        writers.append(writer)
        for number, ((reader, end), log) in enumerate(zip(pipes, logs, strict=True), start=1):
            os.close(end)
            path = f"/proc/{writer.pid}/fd/{number}"
            outputs.append(Output(reader=reader, path=path, log=LogSpec(**log)))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    for _ in range(job["kills"]):
        copier = forked(lambda: asyncio.run(copy_for_ever(outputs)))
        assert not signal.sigtimedwait([signal.SIGCHLD], chance.uniform(0, job["longest"]))
        os.kill(copier, signal.SIGKILL)
        signal.sigwait([signal.SIGCHLD])
        os.waitpid(copier, 0)
    copier = forked(lambda: asyncio.run(copy_for_ever(outputs)))
    while not all(map(os.path.exists, job["until"])):  # where none lived for long enough
        time.sleep(0.01)  # noqa: TID251 - a process of its own
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.wait() == 0
    os.kill(copier, signal.SIGKILL)
    os.waitpid(copier, 0)
    _, status = os.waitpid(forked(lambda: asyncio.run(copy_to_the_end(outputs))), 0)
    assert status == 0, status
    counts = [text.split() for text in os.read(report, 4096).decode().splitlines()]
    return {mark: [int(number) for number in numbers] for mark, *numbers in counts}


# -- at every system call ----------------------------------------------------------------------


class Trap:
    """Kills this process before its n-th system call, as far as those of a log are concerned."""

    OS = (
        "open", "close", "read", "write", "splice", "lseek", "stat", "fstat", "lstat", "rename",
        "unlink", "ftruncate", "pipe", "readlink",
    )  # fmt: skip

    def __init__(self, kill_before: int) -> None:
        self._left = kill_before
        for name in self.OS:
            setattr(os, name, self._trapped(getattr(os, name)))
        fcntl.fcntl = self._trapped(fcntl.fcntl)
        Scratch._fill = self._trapped(Scratch._fill)  # type: ignore[method-assign]  # only here

    def _trapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def trapped(*args: Any, **named: Any) -> Any:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **named)

        return trapped


def at_every_call(job: dict[str, Any]) -> list[str]:
    """One directory for each call before which copiers are killed, until none is any more."""
    directories = []
    for number in range(1, 1000):
        directory = Path(job["directory"]) / str(number)
        directory.mkdir()
        killed = killed_before(number, directory, job)
        directories.append(str(directory))
        if not killed:
            return directories
    raise AssertionError("no end of system calls")


def killed_before(number: int, directory: Path, job: dict[str, Any]) -> int:
    """Copy all inputs, by processes that are killed before so many calls; how many were."""
    outputs = []
    for text, log in zip(job["inputs"], job["logs"], strict=True):
        reader, end = open_pipe()
        os.write(end, text.encode("latin-1"))
        os.close(end)
        spec = LogSpec(**{**log, "path": str(directory / log["path"])})
        outputs.append(Output(reader=reader, path="", log=spec))
    killed = 0
    for attempt in range(job["attempts"] + 1):

        def copy(*, trap: bool = attempt < job["attempts"]) -> None:
            if trap:
                Trap(number)
            asyncio.run(copy_to_the_end(outputs))

        _, status = os.waitpid(forked(copy), 0)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        killed += 1
    for output in outputs:
        assert os.read(output.reader, 1) == b""
        os.close(output.reader)
    return killed


def main() -> None:
    """Do the job."""
    job = json.load(sys.stdin)
    for way in job.get("without", ()):
        {"tee": without_tee, "splice": without_splice}[way]()
    answer = json.dumps(at_random(job) if "seed" in job else at_every_call(job))
    sys.stdout.write(answer)


if __name__ == "__main__":
    main()
