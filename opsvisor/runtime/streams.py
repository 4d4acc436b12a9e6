"""The three standard streams of one process, across all of its runs."""

import os
from collections.abc import Callable, Iterable, Mapping

from opsvisor.core.spec import NOBODY, LogSpec, Pid, ProcessId, ProcessSpec, StdinMode
from opsvisor.core.struct import Struct
from opsvisor.runtime.keeper import names
from opsvisor.runtime.keeper.names import NameOfPipe
from opsvisor.runtime.logs.audience import Audience
from opsvisor.runtime.logs.capture import StreamCapture, StreamStats, Surroundings
from opsvisor.runtime.logs.spares import NewPipe
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.output import Output, OutputListeners
from opsvisor.runtime.spawn import ChildFiles


class StdinUnavailableError(Exception):
    """The process has no standard input that could be written to."""


class StdinFullError(Exception):
    """The process does not read its standard input; the pipe takes nothing more."""


class Common(Struct, frozen=True, kw_only=True):
    """What the streams of all processes have in common, their captures' surroundings among it.

    `on_problem` is told what is wrong with the log of a stream, "" when all is well again.
    `on_unheard` is told that more than so many earlier runs of it left somebody behind who writes.
    `on_pipe` is told of each end of a pipe that is opened here, with what names it to a keeper
    and its inode, and then (with False) that it is about to be closed.
    """

    surroundings: Surroundings
    output: OutputListeners
    on_problem: Callable[[ProcessId, Stream, str], None] = lambda _id, _stream, _problem: None
    on_unheard: Callable[[ProcessId, Stream, int], None] = lambda _id, _stream, _pipes: None
    on_pipe: Callable[[NameOfPipe, int, int, bool], None] = (
        lambda _name_of, _inode, _end, _is_open: None
    )


class _Audience(Audience):
    """Passes on what happens to the streams of a process, and says of whom it is.

    `pid` is that of the present run, or of the last one; NOBODY before there was any.
    """

    __slots__ = ("_common", "_id", "pid")

    def __init__(self, common: Common, process_id: ProcessId) -> None:
        self._common = common
        self._id = process_id
        self.pid = NOBODY

    @property
    def name(self) -> str:
        return self._id.name

    @property
    def overhears(self) -> bool:
        return self._common.output.is_overheard

    def problem(self, stream: Stream, problem: str) -> None:
        self._common.on_problem(self._id, stream, problem)

    def unheard(self, stream: Stream, pipes: int) -> None:
        self._common.on_unheard(self._id, stream, pipes)

    def told(self, stream: Stream, text: bytes) -> None:
        self._common.output.told(Output(self._id, self.pid, stream, text))

    def message(self, stream: Stream, text: bytes) -> None:
        self._common.output.message(Output(self._id, self.pid, stream, text, is_message=True))

    def overheard(self, stream: Stream, text: bytes) -> None:
        self._common.output.overheard(Output(self._id, self.pid, stream, text))

    def pipe(self, inode: int, reader: int, *, is_open: bool) -> None:
        self._common.on_pipe(names.of_output, inode, reader, is_open)


class ProcessStreams:
    """Captures standard output and error, and holds the writing end of standard input."""

    # Of thousands of processes: no dict for each, nor anything that is empty for most of them.
    __slots__ = ("_audience", "_common", "_leaving", "_spec", "_stderr", "_stdin", "_stdout")

    def __init__(self, spec: ProcessSpec, common: Common) -> None:
        self._common = common
        self._audience = _Audience(common, spec.id)
        self._spec = spec
        self._stdin: int | None = None
        self._stdout = self._new(Stream.STDOUT, spec.stdout)
        self._stderr = None if spec.stderr is None else self._new(Stream.STDERR, spec.stderr)
        # Of standard error: no longer wanted, but the run still writes there.
        self._leaving: StreamCapture | None = None

    def update(self, spec: ProcessSpec) -> None:
        """Take over where logs go from now on."""
        self._spec = spec
        self._follow_spec()

    def capture(self, stream: Stream) -> StreamCapture | None:
        """The capture of this stream, None where standard error is merged into the output."""
        return self._stdout if stream is Stream.STDOUT else self._stderr

    @property
    def captures(self) -> Mapping[Stream, StreamCapture]:
        """Every stream that is captured."""
        if self._stderr is None:
            return {Stream.STDOUT: self._stdout}
        return {Stream.STDOUT: self._stdout, Stream.STDERR: self._stderr}

    @property
    def pipes(self) -> list[int]:
        """Inodes of the pipes that its output comes out of."""
        return [pipe for capture in self.captures.values() for pipe in capture.pipes]

    @property
    def pipes_by_stream(self) -> tuple[tuple[int, ...], tuple[int, ...], int | None]:
        """Inodes of the pipes of standard output, error and input, of the present run last."""
        stderr = self._stderr or self._leaving
        return self._stdout.pipes, () if stderr is None else stderr.pipes, self.stdin_pipe

    def stats(self) -> dict[str, StreamStats]:
        """Counters by stream name."""
        return {stream.value: capture.stats for stream, capture in self.captures.items()}

    @property
    def problem(self) -> str:
        """What is wrong with the logs, "" while nothing is."""
        return "; ".join(c.problem for c in self.captures.values() if c.problem)

    def take_ready(self) -> list[NewPipe]:
        """Pipes for the outputs of a run that is opened later, none if not enough are ready."""
        spares = self._common.surroundings.plumbing.spares
        return [] if spares is None else spares.take_ready(1 if self._stderr is None else 2)

    def open_for_run(self, given_input: int, ready: list[NewPipe] | None = None) -> ChildFiles:
        """The child's ends for a new run; whoever asks closes them, `run_failed` or not.

        `given_input` is for a process whose standard input isn't a pipe: nothing, or its socket.
        `ready` are pipes for its outputs that it has already; they are taken out of the list.
        Raises OSError when descriptors run out; nothing is left open then.
        """
        self._close_stdin()
        opened: list[int] = []
        try:
            stdout = self._stdout.open_pipe(ready.pop(0) if ready else None)
            opened.append(stdout)
            stderr = stdout
            if self._stderr is not None:
                stderr = self._stderr.open_pipe(ready.pop(0) if ready else None)
                opened.append(stderr)
            if (user := self._spec.user) is not None and os.geteuid() == 0:
                # A pipe belongs to who made it; to open /dev/stdout, the program must own it.
                for descriptor in opened:
                    os.fchown(descriptor, user.uid, user.gid)
            stdin = given_input
            if self._spec.stdin is StdinMode.PIPE and self._spec.socket is None:
                stdin, writer = os.pipe2(os.O_CLOEXEC)
                opened.append(stdin)
                self.adopt_stdin(writer)
        except BaseException:
            self.run_failed()
            for descriptor in opened:
                os.close(descriptor)
            raise
        return ChildFiles(stdin=stdin, stdout=stdout, stderr=stderr, own=tuple(opened))

    def run_began(self, pid: Pid) -> None:
        """What is read from now on is of this run."""
        self._audience.pid = pid

    def hold_back(self) -> tuple[StreamCapture, ...]:
        """Read nothing of the run that was just opened: these captures are to `go_on`."""
        captures = tuple(self.captures.values())
        for capture in captures:
            capture.hold_back()
        return captures

    def run_failed(self) -> None:
        """No process was made: nobody is there to read its standard input."""
        self._close_stdin()

    def adopt_reader(self, stream: Stream, reader: int) -> None:
        """Read on from a pipe of this stream that exists already, and own its descriptor."""
        capture = self.capture(stream)
        if capture is None:
            self._common.on_pipe(names.of_output, os.fstat(reader).st_ino, reader, False)
            os.close(reader)
        else:
            capture.adopt(reader)

    def adopt_stdin(self, writer: int) -> None:
        """Write to this pipe from now on, and own its descriptor."""
        self._close_stdin()
        os.set_blocking(writer, False)
        self._stdin = writer
        self._common.on_pipe(names.of_input, os.fstat(writer).st_ino, writer, True)

    @property
    def descriptors(self) -> dict[str, int]:
        """Our ends of all its pipes: `out:INODE` and `in:INODE`."""
        found = _readers_of(self.captures.values())
        if self._stdin is not None:
            found[names.of_input(os.fstat(self._stdin).st_ino)] = self._stdin
        return found

    @property
    def leaving_descriptors(self) -> dict[str, int]:
        """Our ends of pipes that are read to their end, for a stream that is no longer wanted."""
        return {} if self._leaving is None else _readers_of([self._leaving])

    @property
    def stdin_pipe(self) -> int | None:
        """The inode of the pipe to its standard input, None without one."""
        return None if self._stdin is None else os.fstat(self._stdin).st_ino

    def write_stdin(self, text: bytes) -> int:
        """Write as much as the pipe takes at once; the number of bytes it took."""
        if self._stdin is None:
            raise StdinUnavailableError
        try:
            return os.write(self._stdin, text)
        except BlockingIOError:
            raise StdinFullError from None
        except BrokenPipeError:
            self._close_stdin()
            raise StdinUnavailableError from None

    def when_stdin_takes_more(self, then: Callable[[], None]) -> None:
        """Call this once, as soon as the pipe has room or no reader; never if it is closed before.

        A later call takes the place of an earlier one.
        """
        if self._stdin is not None:
            self._common.surroundings.loop.add_writer(self._stdin, self._stdin_is_writable, then)

    def _stdin_is_writable(self, then: Callable[[], None]) -> None:
        assert self._stdin is not None
        self._common.surroundings.loop.remove_writer(self._stdin)
        then()

    def run_ended(self) -> None:
        """Read what the ended process left in its pipes, and close its standard input."""
        for capture in self.captures.values():
            capture.drain()
        self._close_leaving()
        self._close_stdin()

    def reopen(self) -> None:
        """Open the log files again by name, after somebody moved them."""
        for capture in self.captures.values():
            capture.reopen()

    def close(self) -> None:
        """Release everything."""
        for capture in self.captures.values():
            capture.close()
        self._close_leaving()
        self._close_stdin()

    def _follow_spec(self) -> None:
        self._stdout.update(self._spec.stdout)
        log, capture = self._spec.stderr, self._stderr
        if log is None:
            if capture is not None:
                self._leaving, self._stderr = capture, None
        elif capture is None:
            self._stderr, self._leaving = self._leaving or self._new(Stream.STDERR, log), None
            self._stderr.update(log)
        else:
            capture.update(log)

    def _new(self, stream: Stream, log: LogSpec) -> StreamCapture:
        return StreamCapture(
            log, self._common.surroundings, audience=self._audience, stream=stream
        )

    def _close_leaving(self) -> None:
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            leaving.close()  # reads what is left in its pipes

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            self._common.surroundings.loop.remove_writer(self._stdin)
            self._common.on_pipe(names.of_input, os.fstat(self._stdin).st_ino, self._stdin, False)
            os.close(self._stdin)
            self._stdin = None


def _readers_of(captures: Iterable[StreamCapture]) -> dict[str, int]:
    return {
        names.of_output(inode): reader
        for capture in captures
        for inode, reader in capture.readers.items()
    }
