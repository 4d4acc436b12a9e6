"""Following a log file as it grows.

The ring is too small for a reader who wants everything: a program can print more in one go than it
holds. The file has it all, and the ring says when there is something new, so nothing is polled and
a slow reader costs nobody memory.

Only output wakes the reader. A file that somebody else cuts short is noticed with the next output.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator
from typing import BinaryIO

from opsvisor.control.logs import NoLogError, open_file
from opsvisor.runtime.logs.capture import StreamCapture

_PIECE = 64 * 1024


class Truncated:
    """The file is shorter than it was: what follows is from its beginning."""


class FollowedFile:
    """A log file, `back` bytes before its end at first. `read` may block for a while.

    Whoever waits for `read` in a thread can be cancelled, and closes the file in the middle of it.
    `close` doesn't wait for the thread then: the file is closed when that is done with it.
    """

    def __init__(self, path: str, file: BinaryIO, *, back: int) -> None:
        self._path = path
        self._file = file
        found = os.fstat(file.fileno())
        self.modified_at = found.st_mtime
        self._position = max(0, found.st_size - back)
        self._lock = threading.Lock()
        self._is_over = False

    def read(self) -> bytes | Truncated:
        """What is new, at most a piece of it; b"" if there is nothing, for now."""
        with self._lock:
            text = b"" if self._file.closed else self._read()
        if self._is_over:
            self.close()
        return text

    def close(self) -> None:
        """Let go of the file, at the latest when a `read` under way has ended."""
        self._is_over = True
        if self._lock.acquire(blocking=False):
            self._file.close()
            self._lock.release()

    def _read(self) -> bytes | Truncated:
        size = os.fstat(self._file.fileno()).st_size
        if size < self._position:
            self._position = 0
            return Truncated()
        # Looked at first: once another file has the name, nothing is added to this one.
        has_name = self._has_its_name()
        text = os.pread(self._file.fileno(), _PIECE, self._position)
        self._position += len(text)
        if text or has_name or not self._take_successor():
            return text
        return self._read()

    def _has_its_name(self) -> bool:
        """Whether no other file is at the path."""
        try:
            now = os.stat(self._path)  # noqa: PTH116 - as fstat
        except OSError:
            return True
        return os.path.samestat(now, os.fstat(self._file.fileno()))

    def _take_successor(self) -> bool:
        """Go on with the file that has the name now, after this one was read to its end.

        Between two looks there is at most one rotation that matters: the files between the one we
        have and the newest can't be found by a name.
        """
        try:
            successor = open_file(self._path)
        except NoLogError:
            return False  # in the middle of a rotation, or gone
        if successor is None:
            return False
        self._file.close()
        self._file = successor
        self._position = 0
        return True


async def follow_file(
    capture: StreamCapture, file: FollowedFile
) -> AsyncGenerator[bytes | Truncated]:
    """What is in the file from where it stands, and what is added to it; until the stream ends."""
    while True:
        # What comes while we read wakes us at once, and what was written last is read once more.
        seen, is_over = capture.ring.end, capture.closed
        while piece := await asyncio.to_thread(file.read):
            yield piece
        if is_over:
            return
        await capture.wait_beyond(seen)
