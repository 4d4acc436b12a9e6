"""The programs that are supervised while others are measured: made of C, or of Python."""

import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_RECORD = struct.Struct("=qq")
_FIFO_SIZE = 1024 * 1024
_PATIENCE = 60.0


@dataclass(frozen=True)
class Programs:
    """Command lines, without their arguments, and a word on what they are."""

    newborn: Sequence[str]
    flood: Sequence[str]
    kind: str


def build(directory: Path) -> Programs:
    """Compile the programs into the directory, or stand in for them with Python."""
    compiler = shutil.which("cc")
    newborn, flood = directory / "newborn", directory / "flood"
    if (
        compiler is not None
        and _compiled(
            [
                compiler,
                "-O2",
                "-static",
                "-nostdlib",
                "-fno-stack-protector",
                "-fno-pie",
                "-no-pie",
            ],
            _HERE / "newborn.c",
            newborn,
        )
        and _compiled([compiler, "-O2"], _HERE / "flood.c", flood)
    ):
        return Programs([str(newborn)], [str(flood)], "C, static, no library")
    python = [sys.executable, "-I", "-S", str(_HERE / "stand_ins.py")]
    return Programs(
        [*python, "newborn"], [*python, "flood"], "Python for want of a compiler: +10 ms a start"
    )


def _compiled(compiler: Sequence[str], source: Path, target: Path) -> bool:
    done = subprocess.run([*compiler, "-o", target, source], capture_output=True, check=False)
    return done.returncode == 0


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

    def next(self) -> Birth:
        """The next report. TimeoutError if none comes in a minute."""
        if not select.select([self._fd], [], [], _PATIENCE)[0]:
            raise TimeoutError(f"nothing was reported on {self.path} in {_PATIENCE:g} s")
        return Birth(*_RECORD.unpack(os.read(self._fd, _RECORD.size)))

    def collect(self, count: int) -> list[Birth]:
        """So many reports."""
        return [self.next() for _ in range(count)]

    def close(self) -> None:
        """Remove the FIFO."""
        os.close(self._fd)
        self.path.unlink()


def end_leftovers(directory: Path) -> list[str]:
    """Kill whatever still runs with a path in this directory in its command; their commands."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(directory) in command:
            found.append(command)
            os.kill(int(entry.name), signal.SIGKILL)
    return found
