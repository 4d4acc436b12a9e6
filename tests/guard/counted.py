"""Carries out a Python program as it is, and counts what it does: counted.py FILE PROGRAM WORD...

In FILE, which must not exist, there is a record for each function: how often it was called or
resumed, how many of its lines were carried out, in whose thread, and its name. Whoever maps the
file reads it at any time, and the program does nothing for that: no request, no signal, no write.

Lines rather than instructions or time: they are the same at each run and on each machine, a loop
counts at every turn, and the dearest of what a supervisor does is done in many of them. What is
done within one call of C is not seen: sorting, copying, encoding. Bytes and system calls tell of
that (strace.py).
"""

import mmap
import os
import runpy
import struct
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

RECORD = struct.Struct("QQ?111p")  # calls, lines, whether the main thread did it, name
RECORDS = 32768
_NUMBERS = RECORD.size // 8  # in a record

_Trace = Callable[[FrameType, str, Any], Any]


class _Counter:
    """Counts into the file."""

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.truncate(descriptor, RECORD.size * RECORDS)
        self._memory = mmap.mmap(descriptor, 0)
        os.close(descriptor)
        self._numbers = memoryview(self._memory).cast("Q")
        self._used = 0
        self._codes: list[CodeType] = []  # whose ids must stay theirs

    def begin(self) -> None:
        """Count from now on, in this thread and in those that are made."""
        threading.settrace(self._tracer_of(is_main=False))
        sys.settrace(self._tracer_of(is_main=True))

    def _tracer_of(self, *, is_main: bool) -> _Trace:
        numbers = self._numbers
        known: dict[int, tuple[int, _Trace]] = {}

        def called(frame: FrameType, _event: str, _argument: Any) -> _Trace:
            code = frame.f_code
            found = known.get(id(code))
            if found is None:
                found = known[id(code)] = self._record_of(code, is_main=is_main)
            place, within = found
            numbers[place] += 1
            return within

        return called

    def _record_of(self, code: CodeType, *, is_main: bool) -> tuple[int, _Trace]:
        numbers = self._numbers
        place, self._used = self._used * _NUMBERS, self._used + 1
        self._codes.append(code)
        module = "/".join(code.co_filename.rsplit("/", 2)[-2:]).removesuffix(".py")
        name = f"{module}:{code.co_qualname}".encode()[-110:]
        RECORD.pack_into(self._memory, place * 8, 0, 0, is_main, name)

        def within(_frame: FrameType, event: str, _argument: Any) -> _Trace:
            if event == "line":
                numbers[place + 1] += 1
            return within

        return place, within


def main() -> None:
    """Be the program that is named."""
    path, program = sys.argv[1:3]
    del sys.argv[:2]
    del sys.path[0]  # the folder of this file, which the program knows nothing of
    _Counter(path).begin()
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
