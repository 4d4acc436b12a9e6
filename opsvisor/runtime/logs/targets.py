"""What every place for output has in common: it may fail, and then must not hurt anybody."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from opsvisor.core.struct import Struct
from opsvisor.runtime.logs.lines import Gap, GapMemento

RETRY_DELAY = 1.0  # seconds between attempts to write where writing failed


class Tally(Struct, kw_only=True):
    """Counts of one stream that outlive its targets. They never go down."""

    dropped_lines: int = 0
    rotations: int = 0
    write_errors: int = 0


class TargetMemento(Struct, frozen=True, kw_only=True):
    """Where in a line a target is, and what it has lost, if it has not written since."""

    mid_line: bool = False
    gap: GapMemento | None = None


class Target(ABC):
    """Where the bytes of a stream are written.

    No method raises OSError or blocks on a full pipe. While something is wrong, `problem` says
    what and why, output is dropped and counted, and a later write tries again, at most once in
    RETRY_DELAY seconds of `clock`.
    """

    # Of the files of thousands of processes: no dict for each.
    __slots__ = ("_clock", "_failure", "_gap", "_mid_line", "_retry_at", "_tally", "path")

    def __init__(self, path: str, tally: Tally, clock: Callable[[], float]) -> None:
        self.path = path
        self._tally = tally
        self._clock = clock
        self._failure = ""
        self._retry_at = 0.0
        self._gap: Gap | None = None  # from the first loss on
        self._mid_line = False  # the last byte written is not a newline

    @property
    def problem(self) -> str:
        """What is wrong and why, in one line; "" while all is well."""
        return self._failure

    @property
    def failure(self) -> str:
        """What keeps it from writing, and why; "" while nothing does."""
        return self._failure

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes in the file as last known; 0 for what isn't a regular file."""

    @abstractmethod
    def open(self) -> bool:
        """Open the target if it isn't; whether it is open now."""

    @abstractmethod
    def write(self, chunk: bytes) -> None:
        """Write the chunk, or as much of it as can be written."""

    @abstractmethod
    def rest(self) -> None:
        """Nothing comes for a while: give back what can be had again."""

    @abstractmethod
    def clear(self) -> None:
        """Throw away what was written, as far as that is possible."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back. The next write opens the target again."""

    def reopen(self) -> None:
        """Close, and open by name: the file may have been renamed (logrotate)."""
        self.close()
        self.open()

    def remember(self) -> TargetMemento | None:
        """What another process needs to go on here; None between two lines."""
        gap = None if self._gap is None or not self._gap.is_open else self._gap.remember()
        return TargetMemento(mid_line=self._mid_line, gap=gap) if gap or self._mid_line else None

    def recall(self, memento: TargetMemento) -> None:
        """Go on where another process was."""
        self._mid_line = memento.mid_line
        if memento.gap is not None:
            self._gap = Gap()
            self._gap.recall(memento.gap)

    def _may_try(self) -> bool:
        return not self._failure or self._clock() >= self._retry_at

    def _fail(self, attempt: str, error: Exception) -> None:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self._failure = f"cannot {attempt} {self.path}: {reason}"
        self._retry_at = self._clock() + RETRY_DELAY
        self._tally.write_errors += 1

    def _lose(self, lost: bytes) -> None:
        self._gap = self._gap or Gap()
        self._tally.dropped_lines += self._gap.lose(lost, mid_line=self._mid_line)

    def _after_gap(self, chunk: bytes) -> bytes:
        """What of the chunk may be written: after a loss, not the rest of a lost line."""
        if self._gap is None or not self._gap.is_open:
            return chunk
        resumed, lines = self._gap.resume(chunk)
        self._tally.dropped_lines += lines
        return resumed
