"""What a listener was told, as recorder.py noted it."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from daemon import eventually

RECORDER = f"{sys.executable} {Path(__file__).with_name('recorder.py')}"


@dataclass(frozen=True, slots=True)
class Told:
    """One event: its envelope and its payload."""

    headers: dict[str, str]
    payload: str

    @property
    def name(self) -> str:
        """Which kind of event it is."""
        return self.headers["eventname"]

    @property
    def fields(self) -> dict[str, str]:
        """The `key:value` words of the first line."""
        first = self.payload.partition("\n")[0]
        return dict(word.partition(":")[::2] for word in first.split())

    def __str__(self) -> str:
        """Without the numbers."""
        return f"{self.name} {self.payload}"


def told(file: Path) -> list[Told]:
    """Everything so far."""
    if not file.exists():
        return []
    lines = file.read_text().split("\n")[:-1]  # the last one may be half written
    return [Told(*json.loads(line)) for line in lines]


def until_told(file: Path, *wanted: str) -> list[Told]:
    """Everything so far, as soon as an event is among it that has each of these texts in it."""

    def look() -> list[Told] | None:
        found = told(file)
        return found if any(all(w in str(one) for w in wanted) for one in found) else None

    try:
        return eventually(look)
    except AssertionError:
        raise AssertionError(f"{wanted} is not in {[str(one) for one in told(file)]}") from None
