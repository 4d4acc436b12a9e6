"""Who is to be spawned next, when more are than one turn of the loop can make."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice

from opsvisor.core.enums import HashedById
from opsvisor.core.spec import ProcessId, ProcessSpec


class Line(HashedById):
    """What went before: a run that lasted for a while, one that did not, or none."""

    SETTLED = "settled"
    AGAIN = "again"
    FIRST = "first"


Place = tuple[Line, ProcessSpec]


class SpawnQueue:
    """Processes that wait to be made: in lines, and there in the order they were asked for.

    Those that have run for a while before go first: a program that dies while 1,000 others are
    started, or crash all the time, does not wait for any of them. The places that are left are
    divided between those that are started for the first time and those that are soon over, so
    that neither waits for the last of the others.
    """

    def __init__(self) -> None:
        self._lines: dict[Line, dict[ProcessId, ProcessSpec]] = {line: {} for line in Line}
        self._places: dict[ProcessId, Line] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._places)

    def __contains__(self, process_id: ProcessId) -> bool:
        """Whether this one waits."""
        return process_id in self._places

    def add(self, spec: ProcessSpec, line: Line) -> None:
        """Ask for a process of this spec, or ask again with another spec."""
        self.discard(spec.id)
        self._places[spec.id] = line
        self._lines[line][spec.id] = spec

    def discard(self, process_id: ProcessId) -> bool:
        """Ask for it no more; whether that had been done."""
        line = self._places.pop(process_id, None)
        if line is None:
            return False
        waiting = self._lines[line]
        del waiting[process_id]
        for one in (waiting, self._places):
            if not one:
                one.clear()  # gives back the room of the thousand that waited once
        return True

    def take_settled(self, count: int, *, may_be_made: Callable[[ProcessId], bool]) -> list[Place]:
        """So many at most of those that ran for a while and may be made now. They wait no more."""
        return self._taken(islice(self._ready(self._lines[Line.SETTLED], may_be_made), count))

    def take(
        self, count: int, lines: Collection[Line], *, may_be_made: Callable[[ProcessId], bool]
    ) -> list[Place]:
        """The same of all the others that are in these lines."""
        again, first = (
            self._ready(self._lines[line] if line in lines else {}, may_be_made)
            for line in (Line.AGAIN, Line.FIRST)
        )
        taken = list(islice(again, count // 2))
        taken += islice(first, count - len(taken))
        taken += islice(again, count - len(taken))
        return self._taken(taken)

    def _taken(self, specs: Iterable[ProcessSpec]) -> list[Place]:
        taken = [(self._places[spec.id], spec) for spec in specs]
        for _, spec in taken:
            self.discard(spec.id)
        return taken

    @staticmethod
    def _ready(
        line: dict[ProcessId, ProcessSpec], may_be_made: Callable[[ProcessId], bool]
    ) -> Iterator[ProcessSpec]:
        return (spec for process_id, spec in line.items() if may_be_made(process_id))
