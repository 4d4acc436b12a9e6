"""Keeps Python's search for cyclic garbage out of the way of restarts.

A full collection looks at every object there is: with 1,000 programs 170,000 of them, for 50 ms
in which nothing is restarted and nobody is answered. It comes when enough is new, hence in the
middle of whatever makes objects: a start of many, a scrape, a crash loop. And it finds next to
nothing, because what supervises goes in no circles that are ever given up.

So what a full collection has found alive is set aside (gc.freeze), and the next one looks only at
what is new since: a few ms. Objects that are set aside end as ever when nobody refers to them.
Only circles that were alive at such a moment and are given up later stay; therefore every once in
a while one looks at all of it. Full collections are counted for that, not objects: counting those
takes 8 ms.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_FULL = 2  # the oldest of the three generations
# Full collections from one that looks at all to the next. There is one for 70,000 new objects at
# the most: with 1,000 programs and a scrape every 15 s, hours lie between.
_ALL_EVERY = 100


class LongLived:
    """What is set aside. One for the process, as there is one collector."""

    def __init__(self) -> None:
        self._full = 0

    def set_aside(self) -> None:
        """Set aside what there is now, unseen: imports and a configuration leave no garbage."""
        gc.freeze()

    @contextmanager
    def kept_aside(self) -> Iterator[None]:
        """Go on setting aside while this lasts. What it leaves behind may be garbage."""
        gc.callbacks.append(self._on_collection)
        try:
            yield
        finally:
            gc.callbacks.remove(self._on_collection)
            gc.unfreeze()

    def _on_collection(self, phase: str, info: Mapping[str, int]) -> None:
        if info["generation"] != _FULL:
            return
        if phase == "stop":
            gc.freeze()
            return
        self._full += 1
        if self._full % _ALL_EVERY == 0:
            gc.unfreeze()
