"""The pipe between a program and its log: large, and safe for the program if we die."""

import fcntl
import os
import select
from pathlib import Path

PIPE_SIZE = 1024 * 1024  # the most an unprivileged user may ask for (fs.pipe-max-size)
_SMALLEST = 8 * 1024  # what a user gets who has too many pages already (pipe(7))
_PAGE = 4096
_STATUS, _USERS = Path("/proc/self/status"), Path("/proc/self/uid_map")
_ADMINISTRATOR = 1 << 21 | 1 << 24  # CAP_SYS_ADMIN, CAP_SYS_RESOURCE: linux/capability.h
_ALL_USERS = ["0", "0", "4294967295"]  # of the first user namespace, where they count
_PAGES_OF_A_USER = Path("/proc/sys/fs/pipe-user-pages-soft")


def fair_size(count: int) -> int:
    """How large each of so many pipes should be.

    Who has the capabilities of an administrator has as many pages as it likes. Others share a few
    with all pipes of that user: who has used them up gets pipes of two pages, for whatever it
    does. Half of them is for programs.
    """
    if _is_unbounded():
        return PIPE_SIZE
    try:
        pages = int(_PAGES_OF_A_USER.read_text())
    except (OSError, ValueError):
        return PIPE_SIZE
    size = PIPE_SIZE
    while pages and size > _SMALLEST and size * count > pages * _PAGE // 2:
        size //= 2
    return size


def _is_unbounded() -> bool:
    """Whether the kernel does not count our pipes: pipe_is_unprivileged_user of fs/pipe.c."""
    try:
        status = _STATUS.read_text()
        mapped = _USERS.read_text().split()
    except OSError:
        return os.geteuid() == 0
    effective = int(status.partition("\nCapEff:")[2].split()[0], 16)
    return bool(effective & _ADMINISTRATOR) and mapped == _ALL_USERS


def open_pipe(size: int = PIPE_SIZE) -> tuple[int, int]:
    """Our end, for reading without waiting, and the program's end; both close on exec.

    It holds `size` bytes, a power of two, or as many as may be had.

    The program's end is open for reading as well. That makes the program its own reader: if the
    daemon dies, writes go to the pipe's buffer instead of raising SIGPIPE, and the next daemon
    reads them through /proc/PID/fd. End of file still arrives when the last holder is gone.
    Raises OSError when descriptors run out.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _resize(reader, size)
        return reader, _opened_both_ways(writer)
    except BaseException:
        os.close(reader)
        os.close(writer)
        raise


def _opened_both_ways(writer: int) -> int:
    try:
        both = os.open(f"/proc/self/fd/{writer}", os.O_RDWR)
    except (FileNotFoundError, PermissionError):  # no /proc here: output must flow all the same
        os.set_blocking(writer, True)
        return writer
    os.close(writer)
    return both


def _resize(reader: int, size: int) -> None:
    while size >= _SMALLEST:
        try:
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, size)
        except OSError:
            size //= 2
        else:
            return


def capacity(reader: int) -> int:
    """How many bytes can be in the pipe at most, as of now: its holders may change that."""
    try:
        return fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ)
    except OSError:  # not a pipe
        return PIPE_SIZE


def is_at_end(reader: int) -> bool:
    """Whether nothing is in the pipe and nobody can write into it any more.

    Asked twice, as the kernel looks for what is in it first, and then for writers: the last of
    them may write in between, and leave. Once there is none, nothing can come.
    """
    asked = select.poll()
    asked.register(reader, select.POLLIN)
    its_end = [(reader, select.POLLHUP)]
    return asked.poll(0) == its_end and asked.poll(0) == its_end
