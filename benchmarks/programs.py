"""The programs that are supervised while others are measured: made of C, or of Python."""

import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_RECORD = struct.Struct("=qq")
_FIFO_SIZE = 1024 * 1024
_PATIENCE = 60.0
_BARE = ["-static", "-nostdlib", "-fno-stack-protector", "-fno-pie", "-no-pie"]


@dataclass(frozen=True)
class Programs:
    """Command lines, without their arguments, and a word on what they are."""

    newborn: Sequence[str]
    crasher: Sequence[str]
    flood: Sequence[str]
    kind: str


def build(directory: Path) -> Programs:
    """Compile the programs into the directory, or stand in for them with Python."""
    newborn, crasher, flood = (directory / name for name in ("newborn", "crasher", "flood"))
    if (
        _compiled(_BARE, _HERE / "newborn.c", newborn)
        and _compiled([*_BARE, "-DEXITS"], _HERE / "newborn.c", crasher)
        and _compiled([], _HERE / "flood.c", flood)
    ):
        return Programs(
            [str(newborn)], [str(crasher)], [str(flood)], "C, static, without a C library"
        )
    python = [sys.executable, "-I", "-S", str(_HERE / "stand_ins.py")]
    return Programs(
        [*python, "newborn"],
        [*python, "crasher"],
        [*python, "flood"],
        "Python for want of a compiler: +10 ms a start",
    )


def _compiled(options: Sequence[str], source: Path, target: Path) -> bool:
    compiler = shutil.which("cc")
    if compiler is None:
        return False
    command = [compiler, "-O2", *options, "-o", target, source]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Birth(NamedTuple):
    """When the first instruction of a process ran (CLOCK_MONOTONIC, ns), and which it was."""

    at: int
    pid: int


class Births:
    """The FIFO on which programs report."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        # Open for writing too, so that it never is at its end.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _FIFO_SIZE)

    def next(self, patience: float = _PATIENCE) -> Birth:
        """The next report. TimeoutError if none comes in so many seconds."""
        if not select.select([self._fd], [], [], patience)[0]:
            raise TimeoutError(f"no program has reported for {patience:g} s")
        return Birth(*_RECORD.unpack(os.read(self._fd, _RECORD.size)))

    def collect(self, count: int) -> list[Birth]:
        """So many reports."""
        return [self.next() for _ in range(count)]

    def after_kill(self, pids: list[int], pause: float) -> float:
        """Kill the first of these after a pause; ms until its replacement began, now the last.

        Seconds, the pause. TimeoutError as `next`.
        """
        time.sleep(pause)
        killed = time.monotonic_ns()
        os.kill(pids.pop(0), signal.SIGKILL)
        at, pid = self.next()
        pids.append(pid)
        return (at - killed) / 1e6

    def drain(self) -> int:
        """How many reports have come since the last look; they are gone then."""
        count = 0
        with suppress(BlockingIOError):
            while True:
                count += len(os.read(self._fd, _FIFO_SIZE)) // _RECORD.size
        return count

    def close(self) -> None:
        """Remove the FIFO."""
        os.close(self._fd)
        self.path.unlink()
