"""Has the C library give memory back to the kernel when it is free.

glibc learns from blocks that are large: after one of 2.6 MB, the text of a scrape of 1,000
programs, it keeps up to twice as much free memory for the next one (mallopt(3), "Note: Nowadays,
glibc uses a dynamic mmap threshold"). For a daemon that makes such a text every 15 s and sleeps
meanwhile, that is 10 MiB of nothing. Where either threshold is set, both stay what they are.
"""

import contextlib
import ctypes

_M_TRIM_THRESHOLD = -1  # malloc.h
_M_MMAP_THRESHOLD = -3
# What is read from the pipe of a flood at once, 512 KiB, is no block of its own.
_LARGE = 1024 * 1024
# Nor is the end of the heap cut off after each of these reads. Two such blocks lie there then, as
# lines are counted in a copy, and what glibc takes in reserve (M_TOP_PAD). With a mebibyte it was:
# 250 page faults for each of them, and a flood took 0.88 s/GB instead of 0.5.
_END_OF_HEAP = 2 * 1024 * 1024


def keep_little() -> None:
    """Have larger blocks by mmap(2), and the end of the heap cut off when it is larger. For good.

    Of another C library nothing is asked.
    """
    with contextlib.suppress(AttributeError):  # musl has neither, and gives back by itself
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _END_OF_HEAP)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Have what is free in the middle of the heap given back, once; it takes 0.3 ms.

    For when something large is over: to read the configuration of 1,000 programs and to remember
    it leaves holes of 1.6 MiB.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
