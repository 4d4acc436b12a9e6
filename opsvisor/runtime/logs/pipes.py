"""The pipe between a program and its log: large, and safe for the program if we die."""

import fcntl
import os
import select

PIPE_SIZE = 1024 * 1024  # the most an unprivileged user may ask for (fs.pipe-max-size)
_DEFAULT_SIZE = 64 * 1024


def open_pipe() -> tuple[int, int]:
    """Our end, for reading without waiting, and the program's end; both close on exec.

    The program's end is open for reading as well. That makes the program its own reader: if the
    daemon dies, writes go to the pipe's buffer instead of raising SIGPIPE, and the next daemon
    reads them through /proc/PID/fd. End of file still arrives when the last holder is gone.
    Raises OSError when descriptors run out.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _enlarge(reader)
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


def _enlarge(reader: int) -> None:
    """As large as we may: users without privileges share fs.pipe-user-pages-soft."""
    size = PIPE_SIZE
    while size > _DEFAULT_SIZE:
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
