"""Wrong passwords and tokens: how many of them one source may try, and all together.

Theory of operation
-------------------
Each source (an address, a /64 of IPv6, a user at a unix socket) has a bucket of wrong attempts
that fills up again with time. While it is empty, what the source shows is not looked at: it is
answered 429, right or wrong, so that trying on tells it nothing. A right one empties nothing and
fills nothing: otherwise who knows one password could try others for ever by showing it between.

All sources together have a bucket too. While that is empty, a source that has been wrong at all
is not looked at. One that has not gets its attempt as ever: nobody is shut out by what others do.

Showing the same wrong thing again is no further attempt: it can't find anything out, and it is
what a scraper does whose token has changed. It must not shut out the operator beside it.

Memory: at most SOURCES_MAX sources of about 300 bytes; who was heard of longest ago is forgotten
first. Those with more addresses than that have an attempt of each.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from opsvisor.core.struct import Struct, field

SOURCES_MAX = 4096
# All together may be wrong as often as so many sources.
TOTAL_FACTOR = 20
_PERIOD = 60.0  # seconds in which a bucket fills up again
_KNOWN_MAX = 4  # wrong things shown that are recognised when they come again


class _Bucket(Struct):
    """Attempts that are left at one moment."""

    left: float
    at: float

    def refill(self, size: int, now: float) -> None:
        self.left = min(float(size), self.left + (now - self.at) * size / _PERIOD)
        self.at = now

    def next_in(self, size: int) -> int:
        """Whole seconds until there is one again."""
        return max(1, ceil((1.0 - self.left) * _PERIOD / size))


class _Source(Struct):
    bucket: _Bucket
    shown: list[bytes] = field(default_factory=list)


class Attempts:
    """Wrong attempts at one listener. `size` per minute and source; 0 counts nothing."""

    def __init__(self, size: int, now: Callable[[], float]) -> None:
        self._size = size
        self._now = now
        self._total = _Bucket(size * TOTAL_FACTOR, now())
        self._sources: OrderedDict[str, _Source] = OrderedDict()
        self._salt = secrets.token_bytes(16)

    def __len__(self) -> int:
        """How many sources are remembered."""
        return len(self._sources)

    def wait(self, source: str, shown: str) -> int:
        """Seconds until something of this source is looked at again; 0 for: at once."""
        known = self._sources.get(source)
        if known is None or not self._size:
            return 0
        now = self._now()
        known.bucket.refill(self._size, now)
        self._total.refill(self._size * TOTAL_FACTOR, now)
        if self._digest(shown) in known.shown:
            return 0  # it will be wrong once more
        if known.bucket.left < 1:
            return known.bucket.next_in(self._size)
        if self._total.left < 1 and known.bucket.left < self._size:
            return self._total.next_in(self._size * TOTAL_FACTOR)
        return 0

    def failed(self, source: str, shown: str) -> None:
        """This source has shown something wrong."""
        if not self._size:
            return
        now = self._now()
        known = self._sources.get(source)
        if known is None:
            known = self._sources[source] = _Source(_Bucket(self._size, now))
            if len(self._sources) > SOURCES_MAX:
                self._sources.popitem(last=False)
        self._sources.move_to_end(source)
        digest = self._digest(shown)
        if digest in known.shown:
            return
        known.shown = [*known.shown, digest][-_KNOWN_MAX:]
        known.bucket.refill(self._size, now)
        known.bucket.left = max(0.0, known.bucket.left - 1)
        self._total.refill(self._size * TOTAL_FACTOR, now)
        self._total.left = max(0.0, self._total.left - 1)

    def _digest(self, shown: str) -> bytes:
        """What was shown, as nobody could read it from our memory."""
        secret = shown.encode(errors="surrogateescape")
        return hashlib.blake2b(secret, key=self._salt, digest_size=16).digest()
