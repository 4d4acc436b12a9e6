"""Says a word every second, whoever hears it."""

import itertools
import time

for number in itertools.count(1):
    print(f"measurement {number} is {number * 37 % 101}")
    time.sleep(1)
