"""Writes two hundred lines a second, some of them in colour, some of them errors."""

import itertools
import sys
import time

for number in itertools.count(1):
    print(f"\x1b[32mINFO\x1b[0m request {number} took {number * 7 % 90} ms")
    if number % 50 == 0:
        print(f"\x1b[31mERROR\x1b[0m request {number} failed", file=sys.stderr)
    time.sleep(0.005)
