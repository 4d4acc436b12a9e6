"""Programs that escape from their supervisor, by name: `python -I -S escapes.py TOKEN daemon`.

Every process of theirs has the token in its command line, whatever else it sheds. Each says "out"
on its standard output when all that it makes is where it wants to be.
"""

import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

_MANY = 60
_LIFE = 0.1  # seconds


def main() -> None:
    """Do what is asked for, then wait to be ended."""
    _ESCAPES[sys.argv[2]]()
    os.write(1, b"out\n")
    rest()


def rest() -> None:
    """Wait to be ended."""
    while True:
        signal.pause()


def reborn() -> None:
    """Run on as a program that has no variables and no streams, and that ignores SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    words = [sys.executable, "-I", "-S", sys.argv[0], sys.argv[1], "rest"]
    os.execve(sys.executable, words, {})


def forked(*steps: Callable[[], object], ends: bool = False) -> None:
    """Have a child that takes these steps, and wait until it has, or has handed on doing so."""
    still_held, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(still_held)
        for step in steps:
            step()
        os.closerange(3, 64)  # what those above it wait for as well
        if ends:
            os._exit(0)
        rest()
    os.close(held)
    os.read(
        still_held, 1
    )  # gives nothing as soon as all have closed it, or become another program
    os.close(still_held)
    if ends:
        os.waitpid(child, 0)


def daemon() -> None:
    """Two forks and a session, then nothing is left that tells where it comes from."""
    forked(os.setsid, lambda: forked(reborn), ends=True)


def session() -> None:
    """A child in a session of its own."""
    forked(os.setsid)


def regroup() -> None:
    """It leaves its own group for that of a child, which leaves the session besides."""
    forked(lambda: os.setpgid(0, 0), lambda: forked(os.setsid, reborn))
    group = next(iter(_children()))
    os.setpgid(0, group)


def zombies() -> None:
    """A child in a session of its own that never waits for its children."""
    forked(os.setsid, *[lambda: forked(lambda: os._exit(0))] * 20)


def deaf() -> None:
    """Itself, a child and an orphaned grandchild in the same group ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    forked(lambda: forked(lambda: None), ends=True)
    forked(lambda: None)


def bomb() -> None:
    """Its processes fork without end, each into a session of its own; the oldest end to make room.

    A pipe of so many tokens bounds how many there are at a time.
    """
    tokens, back = os.pipe()
    os.write(back, b"t" * _MANY)
    os.set_blocking(tokens, False)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    def breed() -> None:
        ends = math.inf  # but for the first, which goes with the group
        while (left := ends - time.monotonic()) > 0:
            select.select([tokens], [], [], min(left, _LIFE))
            with suppress(BlockingIOError):
                os.read(tokens, 1)
                if os.fork() == 0:
                    os.setsid()
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    ends = time.monotonic() + _LIFE
        os.write(back, b"t")
        os._exit(0)

    if os.fork() == 0:
        breed()


def busy() -> None:
    """Nothing but a tenth of a second of CPU time, in ticks that the kernel has counted."""
    while os.times().user < 0.1:
        pass


def early() -> None:
    """It has a daemon, and ends before it came up."""
    daemon()
    os.write(1, b"out\n")
    os._exit(3)


def _children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123 - as small as it gets
        return [int(word) for word in file.read().split()]


_ESCAPES: dict[str, Callable[[], None]] = {
    "rest": rest,
    "daemon": daemon,
    "session": session,
    "regroup": regroup,
    "zombies": zombies,
    "deaf": deaf,
    "bomb": bomb,
    "busy": busy,
    "early": early,
}


if __name__ == "__main__":
    main()
