"""A listener that takes as many events as it is given answers, and writes down each.

Started as `python -I -S scribe.py FILE ANSWER ...`. An answer of `late` means OK as well, but does
not begin to read before it gets SIGUSR1.
"""

import os
import signal
import sys


def take() -> bytes:
    """One event, envelope and payload, as the bytes they are."""
    event = b""
    while not event.endswith(b"\n"):
        event += os.read(0, 1)
    left = int(event.split(b"len:")[1])
    while left:
        piece = os.read(0, left)
        left -= len(piece)
        event += piece
    return event


def main() -> None:
    """Give all answers, then wait for the end of the input."""
    usr1 = {signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_BLOCK, usr1)
    file, *answers = sys.argv[1:]
    for answer in answers:
        os.write(1, b"READY\n")
        if answer == "late":
            signal.sigwait(usr1)
        event = take()
        with open(file, "ab") as book:  # noqa: PTH123 - pathlib takes as long as all the rest
            book.write(event + b"\n")
        text = answer.replace("late", "OK").encode()
        os.write(1, b"RESULT %d\n%s" % (len(text), text))
    os.read(0, 1)


main()
