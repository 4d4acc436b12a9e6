"""What newborn.c and flood.c do, where there is no compiler. They need a Python's start.

Usage: stand_ins.py newborn FIFO [CHILDREN] | stand_ins.py crasher FIFO
| stand_ins.py flood FIFO BLOCK TOTAL [PERIOD].
"""

import os
import signal
import struct
import sys
import time

_LINE = b"x" * 99 + b"\n"


def _tell(fifo: str, at: int) -> None:
    descriptor = os.open(fifo, os.O_WRONLY)
    os.write(descriptor, struct.pack("=qq", at, os.getpid()))
    os.close(descriptor)


def _flood(block: int, left: int, period: int = 0) -> None:
    text = (_LINE * (block // len(_LINE) + 1))[:block]
    due = time.monotonic_ns()
    while left > 0:
        due += period
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9 if period else 0)
        left -= os.write(1, text[:left])


def _have_children(count: int) -> None:
    parent = os.getpid()
    for _ in range(count):
        if os.fork() == 0:
            while os.getppid() == parent:  # Python knows no PR_SET_PDEATHSIG
                time.sleep(1)
            os._exit(0)


def main() -> None:
    began = time.monotonic_ns()
    role, fifo, *sizes = sys.argv[1:]
    if role == "newborn":
        _have_children(*map(int, sizes or ["0"]))
    if role == "flood":
        time.sleep(0.5)  # as flood.c
        began = time.monotonic_ns()
    _tell(fifo, began)
    if role == "crasher":
        sys.exit(1)
    if role == "flood":
        _flood(*map(int, sizes))
        _tell(fifo, time.monotonic_ns())
    while True:
        signal.pause()


main()
