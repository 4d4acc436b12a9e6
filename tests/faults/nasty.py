"""Programs as nobody wants them, by name: `python -I -S nasty.py flood 1073741824`.

Each says on its standard output when it has done its worst, if it still has one.
"""

import os
import signal
import sys
from collections.abc import Callable


def say(text: str) -> None:
    """Print a line, unbuffered."""
    os.write(1, f"{text}\n".encode())


def flood(size: str) -> None:
    """Write so many bytes as fast as they are taken, in lines of 100, then end."""
    block = (b"x" * 99 + b"\n") * 1024
    left = int(size)
    while left:
        left -= os.write(1, block[:left])


def one_line(size: str) -> None:
    """Write a single line of so many bytes, then end."""
    left = int(size)
    while left > 1:
        left -= os.write(1, b"y" * min(left - 1, 1 << 20))
    os.write(1, b"\n")


def bytes_of_all_kinds(_: str) -> None:
    """Write every byte there is, in an order that is no text, then end."""
    os.write(1, bytes(range(256)) * 64 + b"\xc3\x28\xed\xa0\x80\xf4\x90\x80\x80\0\0\n")


def close_output(_: str) -> None:
    """Close all three standard streams, and live on."""
    for stream in (0, 1, 2):
        os.close(stream)
    rest("")


def zombie_parent(count: str) -> None:
    """Have children that end, and never wait for any of them."""
    for _ in range(int(count)):
        if os.fork() == 0:
            os._exit(0)
    say("has zombies")
    rest("")


def new_group(_: str) -> None:
    """Move to the process group of a child, which waits to be killed."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        rest("")
    os.setpgid(child, child)
    os.setpgid(0, child)
    say(f"in the group of {child}")
    rest("")


def deaf(_: str) -> None:
    """Ignore every signal that can be ignored."""
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(signum, signal.SIG_IGN)
    say("deaf")
    rest("")


def many_children(count: str) -> None:
    """Have so many children that all end at the same instant, orphaned before that."""
    still_held, held = os.pipe()
    for _ in range(int(count)):
        if os.fork() == 0:
            os.close(held)
            os.read(still_held, 1)  # gives nothing, as soon as the parent has ended
            os._exit(0)
    say("has children")
    sys.stdin.readline()


def rest(_: str) -> None:
    """Wait to be killed."""
    while True:
        signal.pause()


DEEDS: dict[str, Callable[[str], None]] = {
    "flood": flood,
    "one-line": one_line,
    "bytes": bytes_of_all_kinds,
    "close-output": close_output,
    "zombie-parent": zombie_parent,
    "new-group": new_group,
    "deaf": deaf,
    "many-children": many_children,
}


if __name__ == "__main__":
    DEEDS[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else "")
