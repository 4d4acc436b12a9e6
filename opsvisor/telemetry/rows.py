"""One process as a scrape sees it, and how the lines of a family are written for many of them.

`prometheus_client` makes an object of each sample; for 1,000 processes that is a quarter of a
second at each scrape. Here a family is written straight to text, and everything in a line that
stays the same is made once: `Counts.head` holds the escaped labels of the process, still open for
one more label.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from opsvisor.core.instant import Instant
from opsvisor.core.outcome import ExitCause, Outcome
from opsvisor.core.spec import ProcessId
from opsvisor.core.view import ProcessView
from opsvisor.runtime.logs.capture import StreamStats
from opsvisor.runtime.proctree import Spent
from opsvisor.runtime.sampler import TreeSample
from opsvisor.telemetry.families import Family, escape

# What a run that was replaced can have ended by. What is stopped with the daemon is replaced by
# another daemon's, which counts from zero.
REASONS = tuple(cause for cause in ExitCause if cause is not ExitCause.SHUTDOWN)


@dataclass(slots=True)
class Counts:
    """What the events said of one process since it entered the plan: zero for everything first.

    A counter that first appears at 3 shows no increase, so all restart reasons are there from the
    beginning.
    """

    head: str
    starts: int = 0
    spawn_failures: int = 0
    restarts: dict[ExitCause, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    exited_at: float = 0.0
    last_outcome: Outcome | None = None

    @staticmethod
    def of(process_id: ProcessId) -> "Counts":
        """A process of which nothing has been heard."""
        group, name = escape(process_id.group), escape(process_id.name)
        return Counts(head=f'{{group="{group}",process="{name}"')


class Row(NamedTuple):
    """All that is known of one process at this scrape.

    A named tuple, unlike our other records: 1,000 of them are made for each scrape, and it costs a
    quarter of a frozen dataclass.
    """

    now: Instant
    view: ProcessView
    counts: Counts
    tree: TreeSample | None
    spent: Spent
    streams: Mapping[str, StreamStats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Single(Family):
    """One sample per process; `read` gives None where there is none."""

    read: Callable[[Row], float | None]

    def samples(self, rows: Iterable[Row]) -> str:
        """The lines of these processes."""
        name, read = self.name, self.read
        return "".join(
            f"{name}{row.counts.head}}} {value!r}\n"
            for row in rows
            if (value := read(row)) is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Several(Family):
    """Some samples per process; `read` gives what follows the labels of the process in each."""

    read: Callable[[Row], Iterable[str]]

    def samples(self, rows: Iterable[Row]) -> str:
        """The lines of these processes."""
        name, read = self.name, self.read
        return "".join(f"{name}{row.counts.head}".join(("", *read(row))) for row in rows)
