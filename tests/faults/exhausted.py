"""Disks without room."""

import contextlib
import os
from pathlib import Path


def fill(file: Path) -> None:
    """Let this file take all the room that is left."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (4096, 1):
            with contextlib.suppress(OSError):  # no space left on device
                while True:
                    os.write(descriptor, b"x" * size)
    finally:
        os.close(descriptor)
