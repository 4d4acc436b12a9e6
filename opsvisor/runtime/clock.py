"""Both clocks, read at once, and how a thread lets time pass.

The only place where time enters the daemon's decisions.
"""

import select
import time

from opsvisor.core.instant import Instant


def now() -> Instant:
    """This moment; `mono` is the clock asyncio's loop uses, too."""
    return Instant(mono=time.monotonic(), wall=time.time())


def stand_still(seconds: float) -> None:
    """Let this thread do nothing for a moment, for the sake of somebody else.

    As time.sleep(), but that waits for a point in time, which fails under libfaketime (EINVAL).
    """
    select.select((), (), (), seconds)
