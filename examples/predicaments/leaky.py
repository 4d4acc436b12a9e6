"""Leaks a megabyte a second; at 48 of them it lets go, and begins again."""

import itertools
import time

MEGABYTE = 1 << 20

leaked: list[bytearray] = []
for second in itertools.count():
    leaked.append(bytearray(b"leak" * (MEGABYTE // 4)))
    if len(leaked) >= 48:
        leaked.clear()
        print("let go of everything")
    elif second % 10 == 9:
        print(f"{len(leaked)} MB so far")
    time.sleep(1)
