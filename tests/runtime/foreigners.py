"""Processes that are not our children: their parent does as it is told, and no more."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import IO

from opsvisor.core.spec import Pid
from opsvisor.runtime.pidfd import birth_of, status_of_reaped

# Starts a child of a shell's script in a group of its own; does what lines on its input say.
_PARENT = """
import os, subprocess, sys
child = subprocess.Popen(["sh", "-c", sys.argv[1]], stdin=subprocess.PIPE, process_group=0)
print(child.pid, flush=True)
for line in sys.stdin:
    if line == "end\\n":
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    if line == "reap\\n":
        child.wait()
    print("done", flush=True)
"""


class Foreigner:
    """A shell that waits for its parent's word and then does `script`. Nobody reaps it unasked."""

    def __init__(self, script: str) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PARENT, f"read line; {script}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = Pid(int(_pipe(self._parent.stdout).readline()))
        born = birth_of(self.pid)
        assert born is not None
        self.born = born

    def end(self) -> None:
        """Let it end; it is a zombie now."""
        self._tell("end")

    def reap(self) -> None:
        """Let its parent take its status; no trace of it is left."""
        self._tell("reap")

    def abandon(self) -> None:
        """End its parent, so that it goes to the next subreaper or to init."""
        self._parent.kill()
        self._parent.wait()

    def _tell(self, order: str) -> None:
        to_parent = _pipe(self._parent.stdin)
        to_parent.write(f"{order}\n")
        to_parent.flush()
        assert _pipe(self._parent.stdout).readline() == "done\n"

    def leave_nothing(self) -> None:
        """End what is left of both."""
        with suppress(ProcessLookupError):
            if birth_of(self.pid) == self.born:
                os.kill(self.pid, signal.SIGKILL)
        self.abandon()
        with suppress(ChildProcessError):  # unless it is our child by now
            os.waitpid(self.pid, 0)
        with _pipe(self._parent.stdin), _pipe(self._parent.stdout):
            pass


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def kernel_tells() -> bool:
    """Whether this kernel remembers how a process ended that somebody else has reaped."""
    child = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(child.pid)
    child.wait()
    try:
        return status_of_reaped(pidfd) is not None
    finally:
        os.close(pidfd)


async def turns(count: int = 3) -> None:
    """Let the loop turn a few times."""
    for _ in range(count):
        ready = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(ready.set_result, None)
        await ready
