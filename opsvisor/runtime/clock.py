"""Both clocks, read at once. The only place where time enters the daemon's decisions."""

import time

from opsvisor.core.instant import Instant


def now() -> Instant:
    """This moment; `mono` is the clock asyncio's loop uses, too."""
    return Instant(mono=time.monotonic(), wall=time.time())
