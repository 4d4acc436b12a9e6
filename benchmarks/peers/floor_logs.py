"""The least that a supervisor in Python can do with output: move it into files, and rotate them.

Started as a script: floor_logs.py splice|copy FILE BYTES KEEP PROGRAM [ARGUMENT...].
"""

import fcntl
import itertools
import os
import signal
import sys
from pathlib import Path

_PIPE = 1 << 20


def _open(path: Path) -> int:
    # Not O_APPEND: splice refuses it.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)


def _rotate(path: Path, keep: int) -> None:
    names = [path, *(path.with_suffix(f".{number}") for number in range(1, keep + 1))]
    names[-1].unlink(missing_ok=True)  # renamed over it, ext4 would write to the disk at once
    for newer, older in reversed(list(itertools.pairwise(names))):
        if newer.exists():
            newer.rename(older)


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
    while True:
        if way == "splice":
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
