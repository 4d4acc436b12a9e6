"""Where a benchmark works: in memory, where making a file costs the same each time.

On a disk it does not. Without a journal ext4 passes over each inode that was freed in the last
minutes: a log costs 20 µs there, and 700 where thousands were removed before, as tests do.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ENOUGH = 1 << 30  # bytes; a container has 64 MiB of it


@contextmanager
def in_memory(prefix: str, wanted: str | None) -> Iterator[Path]:
    """A directory in memory while the block lasts; in `wanted` if somebody wants it elsewhere.

    It is in the temporary directory where memory has no room for it, or runs no programs.
    """
    place = wanted or (str(_MEMORY) if _is_fit() else None)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place) as name:
        yield Path(name)


@contextmanager
def on_disk(prefix: str, wanted: str | None) -> Iterator[Path]:
    """A directory where logs are as a rule: the temporary directory, or `wanted`."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=wanted) as name:
        yield Path(name)


def file_system(directory: Path) -> str:
    """What kind of file system it is on, for the report: "tmpfs"."""
    mounts: dict[Path, str] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split(" ")
        mounts[Path(point)] = kind
    directory = directory.resolve()
    return next((mounts[one] for one in [directory, *directory.parents] if one in mounts), "")


def _is_fit() -> bool:
    with suppress(OSError):
        can_run = not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
        free = shutil.disk_usage(_MEMORY).free
        return can_run and free >= _ENOUGH and os.access(_MEMORY, os.W_OK)
    return False
