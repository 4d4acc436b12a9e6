"""Writes a record to the file given every other second, down to the disk, and reads it back."""

import os
import sys
import time

RECORD = 64 << 10  # bytes
RECORDS = 16  # then it begins anew

file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
while True:
    for number in range(RECORDS):
        os.pwrite(file, os.urandom(RECORD), number * RECORD)
        os.fsync(file)
        # Out of the cache with it, so that reading it is reading from the disk.
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.pread(file, RECORD, number * RECORD)
        time.sleep(2)
    print(f"{RECORDS} records written and read")
