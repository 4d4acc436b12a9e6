"""One output stream of one process, from the pipe to the ring and the file.

Bytes take the shortest way: one look, one count, one move, one append per chunk, and no work per
line. Everything happens in the event loop's thread, in the callback of a readable pipe.

**What a SIGKILL of the daemon costs**, at any moment, when the next one reads on from the pipe.
Of output to a regular file nothing: each byte is in the file or still in the pipe. That holds for
every chunk that a filter leaves as it is, with `strip_ansi` for those without escape sequences.
Any other chunk stays in the pipe until all targets have it, so that it may get there twice but
isn't lost: what a program said last is what is looked for after a crash, and a reader can tell a
repetition but not a hole. Lost is only what has to be held back: the beginning of an escape
sequence (4 KiB) or a message without its end (`message_limit`), the beginning of a line and up to
256 KiB of lines that syslog does not take, up to 1 MiB that a device does not take. Where tee(2)
is not allowed or descriptors have run out, the chunk in hand is lost.

A stream outlives the runs of its process. Each run gets its own pipe, and a pipe is read until
end of file: a grandchild that holds it after its parent is gone is still heard. Reading never
stops for a target that is full, slow or broken, so no program ever waits for its log.
"""

import asyncio
import functools
import os
import time
from collections.abc import Callable

from opsvisor.core.spec import LogSpec
from opsvisor.core.struct import Struct, field
from opsvisor.runtime.logs.audience import Audience
from opsvisor.runtime.logs.devices import DeviceTarget, is_device
from opsvisor.runtime.logs.files import FileTarget
from opsvisor.runtime.logs.line_count import LineCounter
from opsvisor.runtime.logs.lines import AnsiStripper
from opsvisor.runtime.logs.messages import BEGIN, END, MessageSplitter, Piece, SplitterMemento
from opsvisor.runtime.logs.pacing import LONGEST_BEAT, LONGEST_BEAT_FOLLOWED, Pace
from opsvisor.runtime.logs.pipes import capacity, is_at_end
from opsvisor.runtime.logs.plumbing import Plumbing, discard
from opsvisor.runtime.logs.resting import are_scarce
from opsvisor.runtime.logs.ring import RingBuffer
from opsvisor.runtime.logs.spares import NewPipe
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.logs.syslog import Syslog, SyslogTarget
from opsvisor.runtime.logs.targets import Tally, Target, TargetMemento
from opsvisor.runtime.logs.times import INTERVAL, NOWHERE, Place, TimeMark, TimeMarks

# One read per turn of the loop, half a millisecond: a flood can't keep others waiting. Half of a
# pipe: while one half is looked at and moved, the program fills the other.
READ_SIZE = 512 * 1024
DEVICE_READ_SIZE = 256 * 1024  # a quarter of what is kept for a device that is slow
LINES_READ_SIZE = 4 * 1024  # where each line costs a system call: 3 ms if all of them are empty
MARKS_HANDED_OVER = 50  # of each stream: an upgrade must be quick with thousands of them
_FULL = 0.9  # of a pipe, as its last pages may be filled in part: its program may be waiting
LEFT_OVER_PIPES = 16  # of earlier runs, held open by grandchildren
_CLOSED = -1
_NOBODY = Audience()


class StreamStats(Struct, frozen=True, kw_only=True):
    """What a stream has been through since it exists.

    `bytes` and `lines` are counted at the pipe, before anything is removed or dropped.
    `last_output_at`: Unix seconds, 0.0 = never. `file_size`: of the main file, in bytes.
    """

    bytes: int
    lines: int
    dropped_lines: int
    rotations: int
    write_errors: int
    last_output_at: float
    file_size: int


class PipeMemento(Struct, frozen=True, kw_only=True):
    """What the filters of a pipe (by its inode) hold back."""

    inode: int
    splitter: SplitterMemento | None = None
    stripper: bytes = b""


class CaptureMemento(Struct, frozen=True, kw_only=True):
    """A stream at one instant: its counts, the end of what it was, and what is on its way.

    `output` is what came last, as much as is worth it, of `end` bytes since the stream exists.
    `target` is of the file or device, None between two lines.
    """

    stats: StreamStats
    end: int
    output: bytes = b""
    pipes: tuple[PipeMemento, ...] = ()
    marks: tuple[TimeMark, ...] = ()
    target: TargetMemento | None = None


class Surroundings(Struct, frozen=True, kw_only=True):
    """What many captures have in common.

    `ring_size`: so many bytes of each are kept in memory. The `loop` must not be closed before
    they are. `wall` tells Unix seconds. `syslog` is where lines go if a spec sends them there.
    Captures that write to the same file must have the same `plumbing`, as all of a daemon do.
    """

    ring_size: int
    loop: asyncio.AbstractEventLoop
    wall: Callable[[], float] = time.time
    syslog: Syslog = Syslog()
    plumbing: Plumbing = field(default_factory=Plumbing)


class _Pipe(Struct, eq=False, gc=False):  # nothing in it knows of it, so it is in no cycle
    """The reading end of one run's pipe. What it filters may be split, so each has its filters.

    `fd` is _CLOSED once it is. `inode`: by which others know it. Asked for once, as it is needed
    five times in each run. `ahead`: the chunk that is being dealt with, while it is still in the
    pipe. `has_more`: as much was read as had been asked for, the last time.
    """

    fd: int
    inode: int
    ahead: bytes = b""
    has_more: bool = False
    pace: Pace | None = None  # from the first output on
    splitter: MessageSplitter | None = None
    stripper: AnsiStripper | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is read."""
        return self.fd != _CLOSED


class _Heard:
    """What there is to be known of a stream once it has said something."""

    __slots__ = ("bytes", "last_output_at", "line_counter", "lines", "marks", "ring")

    def __init__(self, ring_size: int) -> None:
        self.ring = RingBuffer(ring_size)
        self.marks = TimeMarks()
        self.line_counter = LineCounter()
        self.bytes = 0
        self.lines = 0
        self.last_output_at = 0.0


_SILENCE = _Heard(0)  # what is shown of a stream that has said nothing. Only to be read
_NOTHING = Tally()  # likewise


def _room(size: int) -> int:
    """How full a pipe of this size may get between two reads: then its program doesn't wait."""
    return min(READ_SIZE, size // 2)


class StreamCapture:
    """Reads what a process writes to one stream, and keeps it in a ring and in its targets.

    Nothing here raises because of a target: see `problem` and `stats`. The `audience` is told of
    it as of this `stream`.

    There are thousands of them, most of which are silent: no dict for each, and what only output
    or somebody who follows it needs is made with these.
    """

    __slots__ = (
        "_around",
        "_audience",
        "_earlier",
        "_heard",
        "_latest",
        "_spec",
        "_stream",
        "_tally",
        "_target",
        "_to_syslog",
        "_told_problem",
        "_watchers",
        "closed",
    )

    def __init__(
        self,
        spec: LogSpec,
        surroundings: Surroundings,
        *,
        audience: Audience = _NOBODY,
        stream: Stream = Stream.STDOUT,
    ) -> None:
        self._spec = spec
        self._around = surroundings
        self._audience = audience
        self._stream = stream
        self._latest: _Pipe | None = None  # the pipe of the latest run, open or not
        self._earlier: tuple[_Pipe, ...] = ()  # those of earlier runs that are open, oldest first
        self._heard: _Heard | None = None  # from the first output on
        self._tally: Tally | None = None  # from the first target or loss on
        self._target: FileTarget | DeviceTarget | None = None
        self._to_syslog: SyslogTarget | None = None
        self._told_problem = ""
        self._watchers: tuple[Callable[[], None], ...] = ()
        self.closed = False

    @property
    def problem(self) -> str:
        """What is wrong with the targets and why, in one line; "" while all is well."""
        # Asked after each chunk, so nothing is made for the answer.
        one = "" if self._target is None else self._target.problem
        other = "" if self._to_syslog is None else self._to_syslog.problem
        return f"{one}; {other}" if one and other else one or other

    @property
    def failure(self) -> str:
        """Why nothing gets to where the spec has it written, "" while it does."""
        return "" if self._target is None else self._target.failure

    @property
    def ring(self) -> RingBuffer:
        """The end of the stream. Only to be read, and to be asked for again after a while."""
        return _SILENCE.ring if self._heard is None else self._heard.ring

    @property
    def marks(self) -> TimeMarks:
        """When which part of the stream was written. Only to be read."""
        return _SILENCE.marks if self._heard is None else self._heard.marks

    @property
    def pipes(self) -> tuple[int, ...]:
        """Inodes of the pipes that are read: what earlier runs left, and that of the present."""
        latest = self._latest
        if self._earlier:
            return tuple([pipe.inode for pipe in self._pipes])
        return (latest.inode,) if latest is not None and latest.fd != _CLOSED else ()

    @property
    def stats(self) -> StreamStats:
        """All counts as of now."""
        heard, tally = self._heard or _SILENCE, self._tally or _NOTHING
        return StreamStats(
            bytes=heard.bytes,
            lines=heard.lines,
            dropped_lines=tally.dropped_lines,
            rotations=tally.rotations,
            write_errors=tally.write_errors,
            last_output_at=heard.last_output_at,
            file_size=0 if self._target is None else self._target.size,
        )

    @property
    def _pipes(self) -> list[_Pipe]:
        """Those that are open, of the oldest run first."""
        latest = self._latest
        return (
            [*self._earlier, latest] if latest is not None and latest.is_open else [*self._earlier]
        )

    @property
    def _is_read(self) -> bool:
        return bool(self._earlier) or (self._latest is not None and self._latest.is_open)

    @property
    def readers(self) -> dict[int, int]:
        """Our descriptors of the pipes that are read, by inode, the oldest run's first."""
        return {pipe.inode: pipe.fd for pipe in self._pipes}

    def remember(self, *, output_limit: int) -> CaptureMemento:
        """What another process needs to go on, with so many bytes of output at most."""
        ring = self.ring
        _, output = ring.read(max(ring.start, ring.end - output_limit))
        return CaptureMemento(
            stats=self.stats,
            end=ring.end,
            output=output,
            pipes=tuple(
                PipeMemento(
                    inode=pipe.inode,
                    splitter=None if pipe.splitter is None else pipe.splitter.remember(),
                    stripper=b"" if pipe.stripper is None else pipe.stripper.held,
                )
                for pipe in self._pipes
            ),
            marks=self.marks.remember(MARKS_HANDED_OVER),
            target=None if self._target is None else self._target.remember(),
        )

    def recall(self, memento: CaptureMemento) -> None:
        """Go on where another process was; with its pipes adopted, and nothing read from them."""
        stats = memento.stats
        if stats.last_output_at or memento.end:
            heard = self._hearing()
            heard.bytes, heard.lines = stats.bytes, stats.lines
            heard.last_output_at = stats.last_output_at
            heard.ring.recall(memento.end, memento.output)
            heard.marks.recall(memento.marks)
        if stats.dropped_lines or stats.rotations or stats.write_errors:
            tally = self._counting()
            tally.dropped_lines += stats.dropped_lines
            tally.rotations += stats.rotations
            tally.write_errors += stats.write_errors
        if memento.target is not None:
            self._aim()  # not done yet if it does not run
            if self._target is not None:
                self._target.recall(memento.target)
        held = {pipe.inode: pipe for pipe in memento.pipes}
        for pipe in self._pipes:
            before = held.get(pipe.inode)
            if before is None:
                continue
            if pipe.splitter is not None and before.splitter is not None:
                pipe.splitter.recall(before.splitter)
            if pipe.stripper is not None:
                pipe.stripper.recall(before.stripper)

    def flush(self) -> None:
        """Write what only memory holds, as far as it is taken; an exec would lose it.

        The rest is counted as dropped. Files hold nothing back.
        """
        for target in self._targets():
            if not isinstance(target, FileTarget):
                target.close()

    def open_pipe(self, new: NewPipe | None = None) -> int:
        """A pipe for a new run: returns the program's end. The caller closes it after the spawn.

        Reading starts at once, and the target is opened, so that `problem` is known before the
        first output. Raises OSError when descriptors run out; nothing is left open then. `new` is
        one that the run has already, and ours from here on.
        """
        if new is None:
            spares = self._around.plumbing.spares
            new = NewPipe.make() if spares is None else spares.take()
        try:
            self._read_from(new.reader, new.inode, is_told=new.is_told)
        except BaseException:
            os.close(new.program_end)
            raise
        return new.program_end

    def hold_back(self) -> None:
        """Read nothing of the pipe that was just opened, until `go_on`."""
        if self._latest is not None:
            self._around.plumbing.arrivals.hold(self._latest.fd)

    def go_on(self) -> None:
        """Read what has come since `hold_back`, and on."""
        if self._latest is not None:
            self._around.plumbing.arrivals.release(self._latest.fd)

    def adopt(self, reader: int) -> None:
        """Read on from a pipe that exists already, and own its descriptor.

        For runs taken over from an earlier daemon, by /proc/PID/fd or across an exec.
        """
        try:
            os.set_blocking(reader, False)
            inode = os.fstat(reader).st_ino
        except BaseException:
            os.close(reader)
            raise
        self._read_from(reader, inode)

    def _read_from(self, reader: int, inode: int, *, is_told: bool = False) -> None:
        try:
            pipe = _Pipe(
                reader,
                inode,
                splitter=self._new_splitter(),
                stripper=self._new_stripper(),
            )
            self._around.plumbing.arrivals.add(self._around.loop, reader, self)
        except BaseException:
            # Others know of a spare one, and of one that was kept for us.
            self._audience.pipe(inode, reader, is_open=False)
            os.close(reader)
            raise
        was_to_rest = self._around.plumbing.resting.not_yet(self._rest)
        if not was_to_rest and not self._is_read:
            self._around.plumbing.scratch.hold()
        if self._latest is not None and self._latest.is_open:
            self._earlier = (*self._earlier, self._latest)
        self._latest = pipe
        if not is_told:
            self._audience.pipe(inode, reader, is_open=True)
        self._let_go_of_oldest()
        self._open_targets(was_to_rest)
        self._tell_problem()

    def _open_targets(self, was_to_rest: bool) -> None:  # noqa: FBT001 - called once
        """Have them open for a new run, the file as it is called now."""
        target = self._target
        if not isinstance(target, FileTarget) or not target.is_open_by_name():
            if was_to_rest and target is not None:
                target.rest()
            self._aim()
        for one in self._targets():
            one.open()

    def _let_go_of_oldest(self) -> None:
        """Bounds the descriptors that programs can pin by leaving a grandchild behind each time.

        Such a grandchild is no longer read: it blocks when its pipe is full.
        """
        while len(self._earlier) > LEFT_OVER_PIPES:
            oldest = self._earlier[0]
            self._empty(oldest)
            if oldest.is_open:  # it was not at its end
                self._end(oldest)
                self._audience.unheard(self._stream, LEFT_OVER_PIPES)

    def drain(self) -> None:
        """Read what is in the pipes now, to have a run's last words before its exit is handled.

        Pipes that aren't at their end after that go on being read.
        """
        for pipe in self._pipes:
            self._empty(pipe)

    def _empty(self, pipe: _Pipe) -> None:
        """Bounded by what fits in the pipe, or a flooding grandchild would keep us here."""
        if is_at_end(pipe.fd):
            self._end(pipe)  # known without a scratch pipe, for which a restart would wait
            return
        left = capacity(pipe.fd)
        while left > 0 and pipe.is_open:
            count = self._read_chunk(pipe)
            if not count:
                return
            left -= count

    def on_readable(self, descriptor: int) -> None:
        """Read from one of its pipes."""
        if self._latest is not None and self._latest.fd == descriptor:
            self._on_readable(self._latest)
            return
        for pipe in self._earlier:
            if pipe.fd == descriptor:
                self._on_readable(pipe)
                return

    def _on_readable(self, pipe: _Pipe) -> None:
        """Read at once, and see whether that is worth it: see `pacing`."""
        pace = pipe.pace
        if pace is None:
            pace = pipe.pace = Pace()
        if not pace.has_enough(self._read_chunk(pipe)) or not pipe.is_open:
            return
        beat = pace.after_wake_ups(
            self._around.loop.time(), room=_room(capacity(pipe.fd)), longest=self._longest_beat
        )
        if beat:
            self._around.plumbing.arrivals.remove(pipe.fd)
            self._around.plumbing.beats.join(
                self._around.loop, beat, pipe, functools.partial(self._on_beat, pipe)
            )

    def _on_beat(self, pipe: _Pipe, beat: float) -> float:
        """Read what has come into a pipe that isn't waited for; the beat by which to go on."""
        size = capacity(pipe.fd)
        # What comes while we read is left for the next time, or we would go after each line.
        count = self._read_chunk(pipe)
        while pipe.has_more and count < size:
            count += self._read_chunk(pipe)
        if not pipe.is_open:
            return 0.0
        assert pipe.pace is not None  # what has a beat was waited for before
        wanted = pipe.pace.after_beat(
            count,
            self._around.loop.time(),
            beat=beat,
            is_full=count >= size * _FULL,
            room=_room(size),
            longest=self._longest_beat,
        )
        if not wanted:
            try:
                self._around.plumbing.arrivals.add(self._around.loop, pipe.fd, self)
            except OSError:  # nothing left to wait with: it goes on as it is, and tries again then
                return beat
        return wanted

    @property
    def _longest_beat(self) -> float:
        """How long output may wait; 0 where it must not, because more at once does harm.

        Messages are one side of a conversation. A device may be too slow for large chunks only,
        and syslog takes one system call a line.
        """
        spec = self._spec
        if spec.message_limit or spec.syslog or isinstance(self._target, DeviceTarget):
            return 0.0
        is_followed = spec.told or self._audience.overhears or self._watchers
        return LONGEST_BEAT_FOLLOWED if is_followed else LONGEST_BEAT

    def _read_size(self, pipe: _Pipe) -> int:
        if self._spec.syslog:
            return LINES_READ_SIZE
        if isinstance(self._target, DeviceTarget):
            return DEVICE_READ_SIZE
        if self._target is None:
            return READ_SIZE
        size = self._target.in_step(READ_SIZE) if pipe.has_more else READ_SIZE
        return self._target.at_most(size)

    def _read_chunk(self, pipe: _Pipe) -> int:
        """Read once; 0 when there is nothing, for now or (then the pipe is gone) for ever."""
        size = self._read_size(pipe)
        pipe.has_more = False
        try:
            chunk = self._next(pipe, size)
        except BlockingIOError:
            return 0
        except OSError:  # nothing that a pipe does; whatever it is, it can't be read
            chunk = b""
        if not chunk:
            self._end(pipe)
            return 0
        heard = self._heard or self._hearing()
        heard.bytes += len(chunk)
        heard.lines += heard.line_counter.count(chunk)
        heard.last_output_at = self._around.wall()
        try:
            if pipe.splitter is None:
                self._hear(pipe, chunk)
            else:
                self._sort(pipe, pipe.splitter.feed(chunk))
        finally:
            if pipe.ahead:
                discard(pipe.fd, len(pipe.ahead))
                pipe.ahead = b""
        pipe.has_more = len(chunk) == size and pipe.is_open
        return len(chunk)

    def _hearing(self) -> _Heard:
        """What is known of what is heard, begun if this is the first of it."""
        self._heard = heard = self._heard or _Heard(self._around.ring_size)
        return heard

    def _counting(self) -> Tally:
        """What is counted of the targets, begun with the first of them."""
        self._tally = tally = self._tally or Tally()
        return tally

    def _next(self, pipe: _Pipe, limit: int) -> bytes:
        """What comes next in the pipe; as a rule it is still there and `ahead` says so."""
        if self._target is None and self._to_syslog is None:
            return os.read(pipe.fd, limit)  # memory doesn't outlive us
        try:
            pipe.ahead = self._around.plumbing.scratch.peek(pipe.fd, limit)
        except BlockingIOError:
            raise
        except OSError:
            pipe.ahead = b""
        return pipe.ahead or os.read(pipe.fd, limit)

    def _sort(self, pipe: _Pipe, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.lost_lines:
                self._counting().dropped_lines += piece.lost_lines
            if piece.is_message:
                self._hand_over(pipe, piece.text)
            else:
                self._hear(pipe, piece.text)

    def _hand_over(self, pipe: _Pipe, message: bytes) -> None:
        if self._is_present(pipe):
            whole = AnsiStripper() if pipe.stripper is not None else None
            self._audience.message(
                self._stream, whole.feed(message) + whole.flush() if whole else message
            )
        else:
            self._hear(pipe, BEGIN + message + END)  # nobody hears it, so it is in the log

    def _hear(self, pipe: _Pipe, chunk: bytes) -> None:
        self._keep_and_tell(pipe, chunk if pipe.stripper is None else pipe.stripper.feed(chunk))

    def _keep_and_tell(self, pipe: _Pipe, text: bytes) -> None:
        self._keep(text, pipe)
        overhears = self._audience.overhears
        if not text or not (self._spec.told or overhears) or not self._is_present(pipe):
            return
        if overhears:
            self._audience.overheard(self._stream, text)
        if self._spec.told:
            self._audience.told(self._stream, text)

    def _is_present(self, pipe: _Pipe) -> bool:
        """Of the latest run: what a grandchild of an earlier one says is not told."""
        return pipe is self._latest

    def write(self, chunk: bytes) -> None:
        """Keep bytes that came by no pipe: the daemon's own log is one of these streams."""
        if not self._targets():
            self._aim()
        if isinstance(self._target, FileTarget) and not self._target.problem:
            self._target.open()  # before it is noted where this goes
        self._hearing().last_output_at = self._around.wall()
        self._keep(chunk)

    def _keep(self, chunk: bytes, pipe: _Pipe | None = None) -> None:
        if not chunk:
            return
        heard = self._heard or self._hearing()
        self._note_time(heard)
        if self._to_syslog is not None:
            self._to_syslog.write(chunk)
        if pipe is not None and chunk is pipe.ahead and isinstance(self._target, FileTarget):
            pipe.ahead = b""
            self._target.pour(pipe.fd, chunk)
        elif self._target is not None:
            self._target.write(chunk)
        if self._target is not None or self._to_syslog is not None:
            self._tell_problem()
        heard.ring.append(chunk)
        for watcher in self._watchers:
            watcher()

    def _note_time(self, heard: _Heard) -> None:
        """Say when what comes now was written, if that was not said lately."""
        target = self._target if isinstance(self._target, FileTarget) else None
        inode = 0 if target is None else target.inode
        marks = heard.marks
        if heard.last_output_at - marks.latest >= INTERVAL or inode != marks.inode:
            marks.note(heard.last_output_at, heard.ring.end, self.place)

    @property
    def place(self) -> Place:
        """Where in its file what comes next begins; NOWHERE while no regular file is open."""
        return self._target.place if isinstance(self._target, FileTarget) else NOWHERE

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call this whenever something was added, and when the stream is closed; be quick."""
        self._watchers = (*self._watchers, watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """The counterpart of `watch`."""
        self._watchers = tuple(one for one in self._watchers if one != watcher)

    def _end(self, pipe: _Pipe) -> None:
        fd, pipe.fd = pipe.fd, _CLOSED
        self._around.plumbing.arrivals.remove(fd)
        self._around.plumbing.beats.leave(pipe)
        self._audience.pipe(pipe.inode, fd, is_open=False)
        os.close(fd)
        pipe.ahead = b""
        if pipe.splitter is not None:
            self._sort(pipe, pipe.splitter.flush())
        if pipe.stripper is not None:
            self._keep_and_tell(pipe, pipe.stripper.flush())
        if pipe is not self._latest:
            self._earlier = tuple([one for one in self._earlier if one is not pipe])
        if self._is_read:
            return
        if self._to_syslog is not None:
            self._to_syslog.rest()
        if are_scarce(fd):
            self._rest()
        else:
            self._around.plumbing.resting.soon(self._rest, self._around.loop)

    def _rest(self) -> None:
        # A hot pipe is waited for again once it is quiet, when descriptors may have run out.
        if not self._around.plumbing.beats:
            self._around.plumbing.arrivals.rest()
        self._around.plumbing.scratch.let_go()
        if self._target is not None:
            self._target.rest()

    def _tell_problem(self) -> None:
        """Tell of a problem when it begins, when it becomes another one, and when it is over."""
        problem = self.problem
        if problem != self._told_problem:
            self._told_problem = problem
            self._audience.problem(self._stream, problem)

    def _new_splitter(self) -> MessageSplitter | None:
        limit = self._spec.message_limit
        return MessageSplitter(limit) if limit else None

    def _new_stripper(self) -> AnsiStripper | None:
        return AnsiStripper() if self._spec.strip_ansi else None

    def _targets(self) -> list[Target]:
        return [target for target in (self._target, self._to_syslog) if target is not None]

    def _aim(self) -> None:
        """Have the kinds of targets that are wanted, and fit what is at the path now."""
        if self._spec.syslog and self._to_syslog is None:
            around = self._around
            self._to_syslog = SyslogTarget(
                around.syslog,
                self._counting(),
                around.loop,
                around.wall,
                prefix=self._audience.name,
            )
        elif self._to_syslog is not None and not self._spec.syslog:
            self._to_syslog.close()
            self._to_syslog = None
        self._aim_at_path()

    def _aim_at_path(self) -> None:
        path, target = self._spec.path, self._target
        device = path is not None and is_device(path)
        kind = DeviceTarget if device else FileTarget
        if isinstance(target, kind) and target.path == path:
            return
        if target is not None:
            target.close()
        if path is None:
            self._target = None
        elif device:
            self._target = DeviceTarget(path, self._counting(), self._around.loop)
        else:
            # The clock of the loop, without a bound method of it for each.
            self._target = FileTarget(
                self._spec, self._counting(), time.monotonic, self._around.plumbing.files
            )

    def update(self, spec: LogSpec) -> None:
        """Take over a changed configuration, for output from now on."""
        old, self._spec = self._spec, spec
        if old.message_limit != spec.message_limit:
            for pipe in self._pipes:
                self._change_limit(pipe)
        if old.strip_ansi != spec.strip_ansi:
            for pipe in self._pipes:
                if pipe.stripper is not None:
                    self._keep_and_tell(pipe, pipe.stripper.flush())
                pipe.stripper = self._new_stripper()
        if not self._targets() and not self._is_read:
            return  # never ran: creating a file can wait until it does
        self._aim()
        if isinstance(self._target, FileTarget):
            self._target.update(spec)
        for target in self._targets() if self._is_read else ():
            target.open()

    def _change_limit(self, pipe: _Pipe) -> None:
        if pipe.splitter is None:
            pipe.splitter = self._new_splitter()
        elif self._spec.message_limit:
            pipe.splitter.limit = self._spec.message_limit  # a message may be on its way
        else:
            self._sort(pipe, pipe.splitter.flush())
            pipe.splitter = None

    def reopen(self) -> None:
        """Close the file and open it by its name, as after logrotate has renamed it.

        Without a run it is only closed: what is written next opens it by name.
        """
        is_read = self._is_read
        if is_read:
            self._aim()
        for target in self._targets():
            if is_read:
                target.reopen()
            else:
                target.close()
        if is_read:
            self._tell_problem()

    def clear(self) -> None:
        """Empty the main file and the ring, whether or not the process runs. Backups stay."""
        if self._heard is not None:
            self._heard.ring.clear()
        self._aim()
        for target in self._targets():
            target.clear()
            if not self._is_read:
                target.rest()

    async def wait_beyond(self, offset: int) -> None:
        """Return once `ring.end` exceeds `offset`, or the stream is `closed`."""
        grown = asyncio.Event()
        self.watch(grown.set)
        try:
            while self.ring.end <= offset and not self.closed:
                grown.clear()
                await grown.wait()
        finally:
            self.unwatch(grown.set)

    def close(self) -> None:
        """Read what is still in the pipes, release everything, and wake those who wait."""
        self.drain()
        for pipe in self._pipes:
            self._end(pipe)
        if self._around.plumbing.resting.forget(self._rest):
            self._rest()
        for target in self._targets():
            target.close()
        self.closed = True
        for watcher in self._watchers:
            watcher()
