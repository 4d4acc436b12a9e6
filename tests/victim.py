"""The child under test: does as it is told, by its arguments first, then by lines on its stdin.

Started as `python -I -S victim.py ORDER ...`, which takes 6 ms. When there are no orders left it
waits to be killed. Every order that changes what it would do says so on its standard output when
that is in force, so that no test has to guess.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

EATEN: list[bytes] = []


def say(text: str) -> None:
    """Print a line, unbuffered."""
    os.write(1, f"{text}\n".encode())


def complain(text: str) -> None:
    """Print a line to standard error."""
    os.write(2, f"{text}\n".encode())


def count(bounds: str) -> None:
    """`count 1 500`: print these numbers, one to a line of ten bytes."""
    first, last = map(int, bounds.split())
    for number in range(first, last + 1):
        os.write(1, b"%09d\n" % number)


def leave(code: str) -> None:
    """`exit 3`: end with this code, the way sys.exit does."""
    sys.exit(int(code))


def fail(text: str) -> None:
    """`raise oops`: end by an exception that nobody catches."""
    raise RuntimeError(text)


def die(name: str) -> None:
    """`die KILL`: end by this signal."""
    os.kill(os.getpid(), signal.Signals[f"SIG{name}"])


def ignore(name: str) -> None:
    """`ignore TERM`: do not react to this signal any more."""
    signal.signal(signal.Signals[f"SIG{name}"], signal.SIG_IGN)
    say(f"ignoring {name}")


def finish(order: str) -> None:
    """`finish TERM 3`: on this signal, print three more lines and a last one, and end with 0."""
    name, lines = order.split()

    def handler(_signum: int, _frame: FrameType | None) -> None:
        for number in range(int(lines)):
            say(f"finishing {number}")
        say("finished")
        sys.exit(0)

    signal.signal(signal.Signals[f"SIG{name}"], handler)
    say(f"will finish on {name}")


def eat(mebibytes: str) -> None:
    """`eat 100`: have so much memory resident, for good."""
    EATEN.append(b"x" * (int(mebibytes) << 20))
    say(f"ate {mebibytes}")


def fork(_: str) -> None:
    """Have a child in the same process group, which waits to be killed."""
    pid = os.fork()
    if pid == 0:
        rest("")
    say(f"child {pid}")


def escape(_: str) -> None:
    """Have a child in a session of its own, which waits to be killed."""
    if os.fork() == 0:
        os.setsid()
        say(f"escaped {os.getpid()}")  # not before it has
        rest("")


def daemonise(_: str) -> None:
    """Have a grandchild in a session of its own, which waits to be killed."""
    if os.fork() == 0:
        os.setsid()
        grandchild = os.fork()
        if grandchild == 0:
            rest("")
        say(f"daemon {grandchild}")
        os._exit(0)
    os.wait()


def orphan(_: str) -> None:
    """Have a grandchild that loses its parent, sees that, and ends with code 7."""
    still_held, held = os.pipe()
    if os.fork() == 0:
        grandchild = os.fork()
        if grandchild == 0:
            os.close(held)
            os.read(still_held, 1)  # gives nothing, as soon as the parent has ended
            os._exit(7)
        say(f"orphan {grandchild}")
        os._exit(0)
    os.close(held)
    os.close(still_held)
    os.wait()


def rest(_: str) -> None:
    """Wait to be killed, deaf to further orders."""
    while True:
        signal.pause()


ORDERS: dict[str, Callable[[str], None]] = {
    "say": say,
    "complain": complain,
    "count": count,
    "exit": leave,
    "raise": fail,
    "die": die,
    "ignore": ignore,
    "finish": finish,
    "eat": eat,
    "fork": fork,
    "escape": escape,
    "daemonise": daemonise,
    "orphan": orphan,
    "rest": rest,
}


def obey(order: str) -> None:
    """Carry out one order; KeyError, and so an end with code 1, if there is no such order."""
    name, _, rest_of_it = order.strip().partition(" ")
    ORDERS[name](rest_of_it)


def main() -> None:
    """Obey the arguments, then standard input, then wait."""
    for order in sys.argv[1:]:
        obey(order)
    for line in sys.stdin:
        obey(line)
    rest("")


if __name__ == "__main__":
    main()
