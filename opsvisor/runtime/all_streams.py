"""The standard streams of all processes: made when they are needed, and kept across runs."""

import asyncio
import functools
from collections.abc import Callable, Iterable

from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.runtime.inheritance import StreamMemento
from opsvisor.runtime.keeper import names
from opsvisor.runtime.keeper.names import NameOfPipe
from opsvisor.runtime.logs.arrivals import Arrivals
from opsvisor.runtime.logs.capture import Surroundings
from opsvisor.runtime.logs.plumbing import Plumbing
from opsvisor.runtime.logs.spares import NewPipe, SparePipes
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.logs.syslog import Syslog
from opsvisor.runtime.output import OutputListeners
from opsvisor.runtime.streams import Common, ProcessStreams


class AllStreams:
    """Whose streams are which; see `Common` for whom they tell what.

    `on_spares` is called when `on_pipe` was told of pipes that no stream has asked for;
    `before_ends` see Arrivals.
    """

    def __init__(
        self,
        *,
        ring_size: int,
        loop: asyncio.AbstractEventLoop,
        syslog: Syslog | None,
        output: OutputListeners,
        on_problem: Callable[[ProcessId, Stream, str], None],
        on_unheard: Callable[[ProcessId, Stream, int], None],
        on_pipe: Callable[[NameOfPipe, int, int, bool], None],
        on_spares: Callable[[], None] = lambda: None,
        before_ends: Callable[[], object] = lambda: None,
    ) -> None:
        self._spares = SparePipes(
            loop, tell=functools.partial(on_pipe, names.of_output), told=on_spares
        )
        self._common = Common(
            surroundings=Surroundings(
                ring_size=ring_size,
                loop=loop,
                syslog=syslog or Syslog(),
                plumbing=Plumbing(arrivals=Arrivals(before_ends=before_ends), spares=self._spares),
            ),
            output=output,
            on_problem=on_problem,
            on_unheard=on_unheard,
            on_pipe=on_pipe,
        )
        self._streams: dict[ProcessId, ProcessStreams] = {}
        self._past: dict[ProcessId, list[StreamMemento]] = {}

    def get(self, process_id: ProcessId) -> ProcessStreams | None:
        """Those of this process, None if there was no need of them yet."""
        return self._streams.get(process_id)

    def of(self, spec: ProcessSpec) -> ProcessStreams:
        """Those of this process, made if there was no need of them yet."""
        if spec.id not in self._streams:
            self._streams[spec.id] = ProcessStreams(spec, self._common)
        return self._streams[spec.id]

    def forget(self, process_id: ProcessId) -> None:
        """The process is gone for good."""
        streams = self._streams.pop(process_id, None)
        if streams is not None:
            streams.close()

    def be_for(self, specs: Iterable[ProcessSpec]) -> None:
        """From now on there are these processes, of which each is to have its share."""
        self._spares.be_for(sum(1 if spec.stderr is None else 2 for spec in specs))

    def make_ready(self) -> None:
        """Have as many pipes ready as before some were taken, in a moment."""
        self._spares.make_some_soon()

    def give_back(self, pipes: Iterable[NewPipe]) -> None:
        """Have pipes ready again that nobody was given after all."""
        self._spares.give_back(pipes)

    def let_go(self, pipes: Iterable[NewPipe]) -> None:
        """Close pipes that were ready, and that no stream reads from."""
        self._spares.let_go(pipes)

    def close(self) -> None:
        """Release everything."""
        for streams in self._streams.values():
            streams.close()
        self._streams.clear()
        self._spares.close()

    def reopen(self) -> None:
        """Open every log file again by name."""
        for streams in self._streams.values():
            streams.reopen()

    def flush(self) -> None:
        """Write what only memory holds of logs, as far as it is taken."""
        for streams in self._streams.values():
            for capture in streams.captures.values():
                capture.flush()

    @property
    def is_empty(self) -> bool:
        """Whether there are none yet."""
        return not self._streams

    @property
    def count(self) -> int:
        """How many streams are captured."""
        return sum(len(streams.captures) for streams in self._streams.values())

    @property
    def pipes(self) -> dict[int, ProcessId]:
        """Whose output comes out of which pipe, by inode."""
        return {
            pipe: process_id
            for process_id, streams in self._streams.items()
            for pipe in streams.pipes
        }

    @property
    def descriptors(self) -> dict[str, int]:
        """Our ends of all pipes, by the names that a keeper has for them."""
        found: dict[str, int] = {}
        for streams in self._streams.values():
            found.update(streams.descriptors)
        return found

    @property
    def spare_descriptors(self) -> dict[str, int]:
        """Our ends of pipes that were told of, too, and that no run has which is to be known."""
        found = {names.of_output(pipe.inode): pipe.reader for pipe in self._spares.ready}
        for streams in self._streams.values():
            found.update(streams.leaving_descriptors)
        return found

    # -- from one daemon to another -----------------------------------------------------------

    def remember(self, *, output_limit: int) -> tuple[StreamMemento, ...]:
        """What is to be known of each, with so many bytes of its output."""
        return tuple(
            StreamMemento(
                id=process_id,
                stream=stream,
                capture=capture.remember(output_limit=output_limit),
            )
            for process_id, streams in self._streams.items()
            for stream, capture in streams.captures.items()
        )

    def expect(self, past: Iterable[StreamMemento]) -> None:
        """Streams that are about to be taken back were so; forget of all others how they were."""
        self._past.clear()
        for one in past:
            self._past.setdefault(one.id, []).append(one)

    @property
    def expected(self) -> list[ProcessId]:
        """Whose streams have not been taken back yet."""
        return list(self._past)

    def recall(self, process_id: ProcessId, streams: ProcessStreams) -> None:
        """Go on with what is remembered of them, before anything is read from them."""
        for past in self._past.pop(process_id, ()):
            capture = streams.capture(past.stream)
            if capture is not None:
                capture.recall(past.capture)
