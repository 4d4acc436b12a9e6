"""What is about to be made and that nobody has decided yet: one line beside the memory.

A process that is made before the end of the last one is handled (runtime/early.py) has to be
known to the next daemon before it is there, as any other. But a commit to the memory takes nearly
as long as to make it, where nothing was done for a while, and somebody waits. So this one fact has
a file of its own, in which it is written over the last one by a single write(2):

    314 918273 4711 4712 ["web","web_0"]

The pid that the last run had, the tick after boot that this one is not born before, the inodes of
the pipes that it prints to, and which process it is. Once it is in the memory, the line is crossed
out. It counts beside a memory that has that last run, and never without one.
"""

import contextlib
import json
import os
import re
import stat

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct
from opsvisor.runtime.memory.directory import StateDirectory
from opsvisor.runtime.memory.records import id_in_json

NAME = "foretold"
_LONGEST = 4096  # bytes; one page is written whole or not at all
_CROSSED_OUT = b"-"
_LINE = re.compile(rb'(\d{1,18}(?: \d{1,18}){2,3}) (\["[^\n]*"\])')
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class ForetoldRun(Struct, frozen=True):
    """A run of this process that may have been made, after that of pid `last` had ended.

    Not before the tick `since` after boot. `pipes`: of its outputs, by inode, one or two.
    """

    id: ProcessId
    last: Pid
    since: int
    pipes: tuple[int, ...]


class Foretold:
    """The line of this daemon. Raises nothing. Without a directory there is no next daemon."""

    def __init__(self, directory: StateDirectory | None) -> None:
        self._directory = directory
        self._file = -1

    def open(self) -> None:
        """Begin a line, in place of that of an earlier daemon."""
        if self._directory is not None:
            forget(self._directory)  # it is not ours, perhaps, nor a file
            with contextlib.suppress(OSError):
                self._file = os.open(NAME, _MAKE, 0o600, dir_fd=self._directory.descriptor)

    def tell(self, run: ForetoldRun) -> bool:
        """Have this known from now on; whether that was possible, or nobody needs to."""
        if self._directory is None:
            return True
        inodes = " ".join(map(str, run.pipes))
        line = f"{run.last} {run.since} {inodes} {id_in_json(run.id)}\n".encode("ascii")
        try:
            return len(line) <= _LONGEST and os.pwrite(self._file, line, 0) == len(line)
        except OSError:
            return False

    def fulfil(self) -> None:
        """All that came of it is known."""
        with contextlib.suppress(OSError):
            os.pwrite(self._file, _CROSSED_OUT, 0)

    def close(self) -> None:
        """Tell nothing any more. What was told stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_foretold(directory: StateDirectory) -> ForetoldRun | None:
    """What an earlier daemon was about to make, None if nothing, or if nobody can tell."""
    try:
        file = os.open(NAME, _READ, dir_fd=directory.descriptor)
    except OSError:
        return None
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in directory.owners:
            return None
        line, newline, _ = os.pread(file, _LONGEST, 0).partition(b"\n")
    except OSError:
        return None
    finally:
        os.close(file)
    return _run_of(line) if newline else None


def forget(directory: StateDirectory) -> None:
    """Remove the line: there is nothing that a next daemon should know."""
    with contextlib.suppress(OSError):
        os.unlink(NAME, dir_fd=directory.descriptor)


def _run_of(line: bytes) -> ForetoldRun | None:
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    last, since, *pipes = (int(number) for number in found[1].split())
    try:
        group, name = json.loads(found[2])
    except ValueError:  # not in JSON, or not as many
        return None
    if not (isinstance(group, str) and isinstance(name, str)):
        return None
    return ForetoldRun(ProcessId(group, name), Pid(last), since, tuple(pipes))
