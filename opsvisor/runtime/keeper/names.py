"""What descriptors are called that outlive a daemon, with a keeper and in a hand-over."""

from collections.abc import Callable

from opsvisor.core.spec import Pid

NameOfPipe = Callable[[int], str]  # by its inode

LISTENER = "listen:"  # of one of our servers; the URL follows, see kept_listeners.py
_PROCESS = "pid:"


def of_output(pipe: int) -> str:
    """Our end of a pipe that a program prints to, by its inode."""
    return f"out:{pipe}"


def of_input(pipe: int) -> str:
    """Our end of the pipe to a standard input, by its inode."""
    return f"in:{pipe}"


def of_process(pid: Pid) -> str:
    """The pidfd of a process."""
    return f"{_PROCESS}{pid}"


def of_socket(url: str) -> str:
    """A socket that programs share."""
    return f"socket:{url}"


def of_kill_file(inode: int) -> str:
    """The cgroup.kill file of a leaf, open for writing."""
    return f"cgroup:{inode}"


def pid_in(name: str) -> Pid | None:
    """Whose pidfd has this name, None if it is that of something else."""
    number = name.removeprefix(_PROCESS)
    return Pid(int(number)) if number != name and number.isdecimal() else None
