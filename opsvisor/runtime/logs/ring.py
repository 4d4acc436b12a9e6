"""The newest output of a stream, in memory, addressed by how many bytes came before it."""

from collections import deque

PIECE_SIZE = 4096  # smaller chunks are gathered up to this, or objects would outweigh their bytes


class RingBuffer:
    """The last `capacity` bytes of a stream.

    Offsets count from the first byte ever appended and never go back, so a reader that falls
    behind can tell how much it missed. Big chunks are kept as they come, without a copy; memory
    stays below twice the capacity.
    """

    __slots__ = ("_first", "_pieces", "capacity", "cleared", "end", "start")

    def __init__(self, capacity: int) -> None:
        assert capacity >= 0
        self.capacity = capacity
        self.start = 0  # offset of the oldest byte still held
        self.end = 0  # bytes ever appended
        self.cleared = 0  # what lies below was thrown away on purpose: nobody has lost it
        self._pieces: deque[bytes | bytearray] = deque()
        self._first = 0  # offset of the first piece, which may begin before `start`

    def append(self, chunk: bytes) -> None:
        """Take the newest bytes in and let the oldest go. Costs the same however much is held."""
        self.end += len(chunk)
        if len(chunk) >= self.capacity:
            self._pieces.clear()
            self._first = self.end - self.capacity
            chunk = chunk[len(chunk) - self.capacity :]
        self._keep(chunk)
        self.start = max(self.start, self.end - self.capacity)
        while self._pieces and self._first + len(self._pieces[0]) <= self.start:
            self._first += len(self._pieces.popleft())

    def _keep(self, chunk: bytes) -> None:
        if len(chunk) >= PIECE_SIZE:
            self._pieces.append(chunk)
            return
        last = self._pieces[-1] if self._pieces else b""
        if isinstance(last, bytearray) and len(last) + len(chunk) <= PIECE_SIZE:
            last += chunk
        elif chunk:
            self._pieces.append(bytearray(chunk))

    def read(self, offset: int) -> tuple[int, bytes]:
        """Everything from `offset` on, and the offset at which that really begins.

        It begins later than asked for when those bytes are gone, and earlier (at `end`, with
        nothing) when `offset` lies in the future. Costs as much as it returns.
        """
        offset = min(max(offset, self.start), self.end)
        wanted: list[bytes | bytearray] = []
        position = self.end
        for piece in reversed(self._pieces):
            if position <= offset:
                break
            position -= len(piece)
            wanted.append(piece)
        if not wanted:
            return offset, b""
        wanted[-1] = wanted[-1][offset - position :]
        return offset, b"".join(reversed(wanted))

    def recall(self, end: int, text: bytes) -> None:
        """Be what another ring was when `end` bytes had been appended, and `text` came last."""
        self.clear()
        self.start = self._first = self.end = end - len(text)
        self.cleared = 0
        self.append(text)

    def clear(self) -> None:
        """Forget every byte; offsets go on from where they were."""
        self._pieces.clear()
        self.start = self._first = self.cleared = self.end
