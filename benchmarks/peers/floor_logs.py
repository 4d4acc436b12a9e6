"""The least that a supervisor in Python can do with output: move it into files, and rotate them.

By splice(2); by read and write; or by splice(2) once it has looked at what comes and has counted
its lines.

Started as a script: floor_logs.py splice|copy|look FILE BYTES KEEP PROGRAM [ARGUMENT...].
"""

import ctypes
import errno
import fcntl
import itertools
import os
import signal
import sys
from pathlib import Path

_PIPE = 1 << 20
_LOOK = 512 * 1024
# Large blocks from a heap that is not cut off: or most of the time would go into page faults.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _ENOUGH = -1, -3, 8 << 20


def _open(path: Path) -> int:
    # Not O_APPEND: splice refuses it.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)


def _rotate(path: Path, keep: int) -> None:
    names = [path, *(path.with_suffix(f".{number}") for number in range(1, keep + 1))]
    names[-1].unlink(missing_ok=True)  # renamed over it, ext4 would write to the disk at once
    for newer, older in reversed(list(itertools.pairwise(names))):
        if newer.exists():
            newer.rename(older)


class _Looker:
    """Shows what is in a pipe by way of another one, and counts its lines."""

    def __init__(self) -> None:
        # It keeps the interpreter's lock while it waits, which nobody else here wants.
        library = ctypes.PyDLL(None, use_errno=True)
        for setting in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            library.mallopt(setting, _ENOUGH)
        self.lines = 0
        self._tee = library.tee
        self._reader, self._writer = os.pipe()
        fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, _PIPE)

    def look(self, source: int, limit: int) -> int:
        """How many bytes it has seen, 0 at the end. Waits for some."""
        while (count := self._tee(source, self._writer, min(_LOOK, limit), 0)) < 0:
            code = ctypes.get_errno()
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code))
        seen = os.read(self._reader, count) if count else b""
        # As opsvisor does it, see line_count.py.
        self.lines += len(seen) - len(seen.replace(b"\n", b""))
        return len(seen)


def main() -> None:
    way, file, size, keep, *words = sys.argv[1:]
    path, limit = Path(file), int(size)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
    source, theirs = os.pipe()
    fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, _PIPE)
    outputs = [(os.POSIX_SPAWN_DUP2, theirs, 1), (os.POSIX_SPAWN_DUP2, theirs, 2)]
    pid = os.posix_spawn(words[0], words, os.environ, file_actions=outputs)
    os.close(theirs)
    target, written = _open(path), 0
    looker = _Looker() if way == "look" else None
    while True:
        if looker is not None:
            seen = looker.look(source, limit - written)
            moved = os.splice(source, target, seen) if seen else 0
        elif way == "splice":
            moved = os.splice(source, target, min(_PIPE, limit - written))
        else:
            moved = os.write(target, os.read(source, min(_PIPE, limit - written)))
        if not moved:
            break
        written += moved
        if written >= limit:
            os.close(target)
            _rotate(path, int(keep))
            target, written = _open(path), 0
    os.waitpid(pid, 0)


main()
