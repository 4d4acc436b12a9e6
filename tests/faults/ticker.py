"""Prints its pid and a number, counting from 1, at every tick: none may get lost or come twice.

Started as `python -I -S ticker.py SECONDS NAME`, with a name to be found by. A tick is late rather
than left out, so that its log tells what was lost, whoever held it up.
"""

import os
import select
import sys


def main() -> None:
    """Tick until killed."""
    between = float(sys.argv[1])
    pid, number = os.getpid(), 0
    while True:
        number += 1
        os.write(1, b"%d %d\n" % (pid, number))
        select.select([], [], [], between)


if __name__ == "__main__":
    main()
