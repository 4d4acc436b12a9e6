"""What was counted of a program, and where two counts differ."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from counted import RECORD

_TURN = "asyncio/base_events:BaseEventLoop._run_once"
_CALLBACK = "asyncio/events:Handle._run"
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each function of the main thread was called, and how many lines that took."""

    calls: Counter[str]
    lines: Counter[str]

    @classmethod
    def read(cls, path: Path) -> "Tally":
        """What has been counted until now, see counted.py."""
        calls, lines = Counter[str](), Counter[str]()
        for called, carried_out, is_main, name in RECORD.iter_unpack(path.read_bytes()):
            if not name:
                break
            if is_main:
                calls[name.decode()] += called
                lines[name.decode()] += carried_out
        return cls(calls, lines)

    def since(self, before: "Tally") -> "Tally":
        """What has come since then."""
        return Tally(self.calls - before.calls, self.lines - before.lines)

    @property
    def callbacks(self) -> int:
        """How many callbacks the loop has run. None at all would be another kind of loop."""
        assert self.calls[_TURN], "asyncio's loop has another heart now: name it here"
        return self.calls[_CALLBACK]


def total(counts: Mapping[str, int]) -> int:
    """All of them."""
    return sum(counts.values())


def breakdown(counts: Counter[str], *, beside: Counter[str] | None = None, per: int = 1) -> str:
    """The most of it, one name a line; `beside` shows another count, and orders by difference."""
    other = Counter[str]() if beside is None else beside
    names = sorted(counts | other, key=lambda name: other[name] - counts[name])
    shown = [name for name in names if counts[name] > other[name]][:_SHOWN]
    return "\n".join(
        f"{counts[name] / per:12.1f}"
        + ("" if beside is None else f" instead of {beside[name] / per:10.1f}")
        + f"  {name}"
        for name in shown
    )
