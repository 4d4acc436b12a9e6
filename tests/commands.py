"""Our two programs run as a user runs them, and what is left of them afterwards."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

BIN = Path(sys.executable).parent
_LIMIT = 180.0  # seconds; only a failure takes as long
# Every process of a daemon inherits this variable, so what it leaves behind can be found.
_MARK = "OPSVISOR_TEST_DAEMON"


class Ran(NamedTuple):
    """What a program that ended left behind."""

    status: int
    out: str
    err: str


class Following:
    """A program that prints as things happen. A context manager: Ctrl-C at the end."""

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str]
    ) -> None:
        self._child = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.text = ""
        self.status: int | None = None

    def until(self, text: str) -> str:
        """All it has printed, as soon as this is in it."""
        assert self._child.stdout is not None
        output = self._child.stdout.fileno()
        while text not in self.text:
            readable, _, _ = select.select([output], [], [], _LIMIT)
            piece = os.read(output, 65536) if readable else b""
            assert piece, f"{text!r} does not come after {self.text!r}"
            self.text += piece.decode()
        return self.text

    def __enter__(self) -> Self:
        """The program itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Press Ctrl-C, and keep its exit status."""
        assert self._child.stdout is not None
        self._child.send_signal(signal.SIGINT)
        self.text += self._child.stdout.read().decode()
        self._child.stdout.close()
        self.status = self._child.wait(_LIMIT)


def environment(mark: str) -> dict[str, str]:
    """The environment of our programs in a test: nothing of the caller's that they listen to."""
    theirs = {"OPSVISOR_URL", "PYTHONUNBUFFERED"}
    ours = {name: value for name, value in os.environ.items() if name not in theirs}
    return {**ours, _MARK: mark, "PYTHONWARNINGS": "error::RuntimeWarning", "TZ": "UTC"}


def marked(mark: str) -> dict[int, str]:
    """All live processes with this mark, and their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if f"{_MARK}={mark}".encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = os.fsdecode((entry / "cmdline").read_bytes()).replace(
                    "\0", " "
                )
        except OSError:
            continue  # it has ended meanwhile, or is not ours to look into
    return found


def kill_marked(mark: str) -> None:
    """SIGKILL to all of them."""
    for pid in marked(mark):
        with suppress(ProcessLookupError):  # it was quicker
            os.kill(pid, signal.SIGKILL)


def run_program(
    program: str,
    *words: str,
    directory: Path,
    mark: str = "",
    stdout: int = subprocess.PIPE,
    **variables: str,
) -> Ran:
    """Run one of our programs to its end, without a terminal."""
    done = subprocess.run(
        [BIN / program, *words],
        cwd=directory,
        env={**environment(mark), "XDG_STATE_HOME": str(directory / "state"), **variables},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=_LIMIT,
        check=False,
    )
    return Ran(done.returncode, done.stdout or "", done.stderr)
