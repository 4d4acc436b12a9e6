"""How to start a module as a program of its own: without our packages, and as it was compiled."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType


def command_of(module: ModuleType) -> list[str]:
    """The command line for this module, which imports nothing of ours: as it was compiled, if so.

    Compiling it once more would cost the process 0.7 MiB for all its life.
    """
    source = module.__file__
    compiled = module.__spec__.cached if module.__spec__ is not None else None
    assert source is not None
    is_usable = compiled is not None and _is_compiled_from(source, compiled)
    return [sys.executable, "-I", "-S", compiled if compiled and is_usable else source]


def _is_compiled_from(source: str, compiled: str) -> bool:
    """Whether that is what the import system would run for this source, which we must ask."""
    try:
        header = Path(compiled).read_bytes()[:16]
        of_source = os.stat(source)  # noqa: PTH116 - a path from the import system
    except OSError:
        return False
    # PEP 552: magic number, flags (0: by time), the time and the size of the source.
    numbers = (0, int(of_source.st_mtime), of_source.st_size)
    expected = b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers)
    return header == importlib.util.MAGIC_NUMBER + expected
