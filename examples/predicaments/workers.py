"""A parent that forks three workers and starts another for each that ends."""

import os
import random
import time


def work() -> None:
    """What a worker does: a little, then it is done."""
    time.sleep(random.uniform(5, 30))


children = set()
while True:
    while len(children) < 3:
        pid = os.fork()
        if pid == 0:
            work()
            os._exit(0)
        children.add(pid)
        print(f"worker {pid} started, {len(children)} in all")
    ended, _ = os.wait()
    children.discard(ended)
    print(f"worker {ended} is done")
