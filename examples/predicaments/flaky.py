"""Crashes after a while, each time in another way."""

import os
import random
import signal
import sys
import time

lifetime = random.uniform(2, 12)
print(f"will last for {lifetime:.0f} seconds")
time.sleep(lifetime)
ending = random.choice(["exit", "exception", "signal"])
print(f"going down by {ending}", file=sys.stderr)
if ending == "exit":
    sys.exit(3)
if ending == "signal":
    os.kill(os.getpid(), signal.SIGSEGV)
raise RuntimeError("something went wrong")
