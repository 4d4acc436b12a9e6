"""Takes longer to stop than it is given: eight seconds after TERM."""

import signal
import sys
import time
from types import FrameType


def linger(_signum: int, _frame: FrameType | None) -> None:
    """Pretend to finish some work first."""
    for left in range(8, 0, -1):
        print(f"still busy for {left} seconds")
        time.sleep(1)
    sys.exit(0)


signal.signal(signal.SIGTERM, linger)
print("working")
while True:
    signal.pause()
