"""One output stream of one process, from the pipe to the ring and the file.

Bytes take the shortest way: one read, one count, one write, one append per chunk, and no work per
line. Everything happens in the event loop's thread, in the callback of a readable pipe.

A stream outlives the runs of its process. Each run gets its own pipe, and a pipe is read until
end of file: a grandchild that holds it after its parent is gone is still heard. Reading never
stops for a target that is full, slow or broken, so no program ever waits for its log.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.devices import DeviceTarget, is_device
from opsvisor.runtime.logs.files import FileTarget
from opsvisor.runtime.logs.lines import AnsiStripper
from opsvisor.runtime.logs.messages import BEGIN, END, MessageSplitter, Piece
from opsvisor.runtime.logs.pipes import capacity, open_pipe
from opsvisor.runtime.logs.ring import RingBuffer
from opsvisor.runtime.logs.syslog import Syslog, SyslogTarget
from opsvisor.runtime.logs.targets import Tally, Target

READ_SIZE = 256 * 1024  # one read per turn of the loop: a flood can't keep others waiting
LINES_READ_SIZE = 4 * 1024  # where each line costs a system call: 3 ms if all of them are empty
LEFT_OVER_PIPES = 4  # of earlier runs, held open by grandchildren


class Stream(Enum):
    """The two outputs of a process."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStats:
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


@dataclass(slots=True, eq=False)
class _Pipe:
    """The reading end of one run's pipe. What it filters may be split, so each has its filters."""

    fd: int
    splitter: MessageSplitter | None = field(default=None, kw_only=True)
    stripper: AnsiStripper | None = field(default=None, kw_only=True)


class StreamCapture:
    """Reads what a process writes to one stream, and keeps it in a ring and in its targets.

    Nothing here raises because of a target: see `problem` and `stats`. The loop must not be
    closed before `close` was called. `syslog` is where lines go if the spec sends them there.
    """

    def __init__(
        self,
        spec: LogSpec,
        *,
        ring_size: int,
        loop: asyncio.AbstractEventLoop,
        wall: Callable[[], float],
        syslog: Syslog | None = None,
        on_problem: Callable[[str], None] = lambda _problem: None,
        on_output: Callable[[bytes], None] = lambda _text: None,
        on_message: Callable[[bytes], None] = lambda _text: None,
        overhear: Callable[[bytes], None] | None = None,
    ) -> None:
        self._overhear = overhear
        self._on_problem = on_problem
        self._on_output = on_output
        self._on_message = on_message
        self._told_problem = ""
        self.ring = RingBuffer(ring_size)
        self.closed = False
        self._spec = spec
        self._loop = loop
        self._wall = wall
        self._tally = Tally()
        self._target: FileTarget | DeviceTarget | None = None
        self._to_syslog: SyslogTarget | None = None
        self._syslog = syslog or Syslog()
        self._pipes: list[_Pipe] = []  # of the oldest run first
        self._latest: _Pipe | None = None  # the pipe of the latest run, open or not
        self._bytes = 0
        self._lines = 0
        self._last_output_at = 0.0
        self._grown = asyncio.Event()  # set for a moment whenever the ring has grown

    @property
    def problem(self) -> str:
        """What is wrong with the targets and why, in one line; "" while all is well."""
        # Asked after each chunk, so nothing is made for the answer.
        one = "" if self._target is None else self._target.problem
        other = "" if self._to_syslog is None else self._to_syslog.problem
        return f"{one}; {other}" if one and other else one or other

    @property
    def pipes(self) -> list[int]:
        """Inodes of the pipes that are read: of the present run, and what earlier ones left."""
        return [os.fstat(pipe.fd).st_ino for pipe in self._pipes]

    @property
    def stats(self) -> StreamStats:
        """All counts as of now."""
        return StreamStats(
            bytes=self._bytes,
            lines=self._lines,
            dropped_lines=self._tally.dropped_lines,
            rotations=self._tally.rotations,
            write_errors=self._tally.write_errors,
            last_output_at=self._last_output_at,
            file_size=0 if self._target is None else self._target.size,
        )

    def open_pipe(self) -> int:
        """A pipe for a new run: returns the program's end. The caller closes it after the spawn.

        Reading starts at once, and the target is opened, so that `problem` is known before the
        first output. Raises OSError when descriptors run out; nothing is left open then.
        """
        reader, program_end = open_pipe()
        try:
            self.adopt(reader)
        except BaseException:
            os.close(program_end)
            raise
        return program_end

    def adopt(self, reader: int) -> None:
        """Read on from a pipe that exists already, and own its descriptor.

        For runs taken over from an earlier daemon, by /proc/PID/fd or across an exec.
        """
        try:
            os.set_blocking(reader, False)
            pipe = _Pipe(reader, splitter=self._new_splitter(), stripper=self._new_stripper())
            self._loop.add_reader(reader, self._read_chunk, pipe)
        except BaseException:
            os.close(reader)
            raise
        self._pipes.append(pipe)
        self._latest = pipe
        self._let_go_of_oldest()
        self._aim()
        for target in self._targets():
            target.open()
        self._tell_problem()

    def _let_go_of_oldest(self) -> None:
        """Bounds the descriptors that programs can pin by leaving a grandchild behind each time.

        Such a grandchild is no longer read: it blocks when its pipe is full.
        """
        while len(self._pipes) > LEFT_OVER_PIPES + 1:
            self._empty(self._pipes[0])
            self._end(self._pipes[0])

    def drain(self) -> None:
        """Read what is in the pipes now, to have a run's last words before its exit is handled.

        Pipes that aren't at their end after that go on being read.
        """
        for pipe in tuple(self._pipes):
            self._empty(pipe)

    def _empty(self, pipe: _Pipe) -> None:
        """Bounded by what fits in the pipe, or a flooding grandchild would keep us here."""
        left = capacity(pipe.fd)
        while left > 0 and pipe in self._pipes:
            count = self._read_chunk(pipe)
            if not count:
                return
            left -= count

    def _read_chunk(self, pipe: _Pipe) -> int:
        """Read once; 0 when there is nothing, for now or (then the pipe is gone) for ever."""
        try:
            chunk = os.read(pipe.fd, LINES_READ_SIZE if self._spec.syslog else READ_SIZE)
        except BlockingIOError:
            return 0
        except OSError:  # nothing that a pipe does; whatever it is, it can't be read
            chunk = b""
        if not chunk:
            self._end(pipe)
            return 0
        self._bytes += len(chunk)
        self._lines += chunk.count(b"\n")
        self._last_output_at = self._wall()
        if pipe.splitter is None:
            self._hear(pipe, chunk)
        else:
            self._sort(pipe, pipe.splitter.feed(chunk))
        return len(chunk)

    def _sort(self, pipe: _Pipe, pieces: list[Piece]) -> None:
        for piece in pieces:
            self._tally.dropped_lines += piece.lost_lines
            if piece.is_message:
                self._hand_over(pipe, piece.text)
            else:
                self._hear(pipe, piece.text)

    def _hand_over(self, pipe: _Pipe, message: bytes) -> None:
        if self._is_present(pipe):
            whole = AnsiStripper() if pipe.stripper is not None else None
            self._on_message(whole.feed(message) + whole.flush() if whole else message)
        else:
            self._hear(pipe, BEGIN + message + END)  # nobody hears it, so it is in the log

    def _hear(self, pipe: _Pipe, chunk: bytes) -> None:
        self._keep_and_tell(pipe, chunk if pipe.stripper is None else pipe.stripper.feed(chunk))

    def _keep_and_tell(self, pipe: _Pipe, text: bytes) -> None:
        self._keep(text)
        if not text or not (self._spec.told or self._overhear) or not self._is_present(pipe):
            return
        if self._overhear is not None:
            self._overhear(text)
        if self._spec.told:
            self._on_output(text)

    def _is_present(self, pipe: _Pipe) -> bool:
        """Of the latest run: what a grandchild of an earlier one says is not told."""
        return pipe is self._latest

    def write(self, chunk: bytes) -> None:
        """Keep bytes that came by no pipe: the daemon's own log is one of these streams."""
        if not self._targets():
            self._aim()
        self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        if not chunk:
            return
        if self._target is not None:
            self._target.write(chunk)
        if self._to_syslog is not None:
            self._to_syslog.write(chunk)
        if self._target is not None or self._to_syslog is not None:
            self._tell_problem()
        self.ring.append(chunk)
        self._grown.set()
        self._grown.clear()

    def _end(self, pipe: _Pipe) -> None:
        self._loop.remove_reader(pipe.fd)
        os.close(pipe.fd)
        if pipe.splitter is not None:
            self._sort(pipe, pipe.splitter.flush())
        if pipe.stripper is not None:
            self._keep_and_tell(pipe, pipe.stripper.flush())
        self._pipes.remove(pipe)
        for target in () if self._pipes else self._targets():
            target.rest()

    def _tell_problem(self) -> None:
        """Tell of a problem when it begins, when it becomes another one, and when it is over."""
        problem = self.problem
        if problem != self._told_problem:
            self._told_problem = problem
            self._on_problem(problem)

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
            self._to_syslog = SyslogTarget(self._syslog, self._tally, self._loop, self._wall)
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
            self._target = DeviceTarget(path, self._tally, self._loop)
        else:
            self._target = FileTarget(self._spec, self._tally, self._loop.time)

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
        if not self._targets() and not self._pipes:
            return  # never ran: creating a file can wait until it does
        self._aim()
        if isinstance(self._target, FileTarget):
            self._target.update(spec)
        for target in self._targets() if self._pipes else ():
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
        if self._pipes:
            self._aim()
        for target in self._targets():
            if self._pipes:
                target.reopen()
            else:
                target.close()
        if self._pipes:
            self._tell_problem()

    def clear(self) -> None:
        """Empty the main file and the ring, whether or not the process runs. Backups stay."""
        self.ring.clear()
        self._aim()
        for target in self._targets():
            target.clear()
            if not self._pipes:
                target.rest()

    async def wait_beyond(self, offset: int) -> None:
        """Return once `ring.end` exceeds `offset`, or the stream is `closed`."""
        while self.ring.end <= offset and not self.closed:
            await self._grown.wait()

    def close(self) -> None:
        """Read what is still in the pipes, release everything, and wake those who wait."""
        self.drain()
        for pipe in tuple(self._pipes):
            self._end(pipe)
        for target in self._targets():
            target.close()
        self.closed = True
        self._grown.set()
