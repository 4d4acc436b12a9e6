"""Carries out a Python program as it is, and tells what its memory is made of when it is asked.

weighed.py FIFO FILE PROGRAM WORD...: whenever somebody opens FIFO for writing, bytes by the
line of Python that asked for them are written to FILE, which is there when it is complete.
"""

import gc
import json
import runpy
import sys
import threading
import tracemalloc
from collections import Counter
from pathlib import Path


def _answer(fifo: Path, answer: Path) -> None:
    while True:
        fifo.read_bytes()
        gc.collect()
        # Not statistics(), which makes three objects of each of some 300,000 blocks.
        sizes = Counter[tuple[str, int]]()
        for _domain, size, (place, *_), _count in tracemalloc.take_snapshot().traces._traces:  # type: ignore[attr-defined]  # as above
            sizes[place] += size
        found = [[file, line, size] for (file, line), size in sizes.items()]
        part = answer.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.rename(answer)


def main() -> None:
    """Be the program that is named."""
    fifo, file, program = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    del sys.argv[:3]
    del sys.path[0]  # the folder of this file, which the program knows nothing of
    tracemalloc.start()
    threading.Thread(target=_answer, args=(fifo, file), daemon=True).start()
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
