"""The three standard streams of one process, across all of its runs."""

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from opsvisor.core.spec import ProcessSpec, StdinMode
from opsvisor.runtime.logs.capture import Stream, StreamCapture, StreamStats
from opsvisor.runtime.logs.syslog import Syslog
from opsvisor.runtime.spawn import ChildFiles


class StdinUnavailableError(Exception):
    """The process has no standard input that could be written to."""


class StdinFullError(Exception):
    """The process does not read its standard input; the pipe takes nothing more."""


class ProcessStreams:
    """Captures standard output and error, and holds the writing end of standard input."""

    def __init__(
        self,
        spec: ProcessSpec,
        *,
        ring_size: int,
        loop: asyncio.AbstractEventLoop,
        syslog: Syslog | None = None,
        on_problem: Callable[[Stream, str], None] = lambda _stream, _problem: None,
        on_output: Callable[[Stream, bytes], None] = lambda _stream, _text: None,
        on_message: Callable[[Stream, bytes], None] = lambda _stream, _text: None,
        overhear: Callable[[Stream, bytes], None] | None = None,
    ) -> None:
        self._overhear = overhear
        self._on_problem = on_problem
        self._on_output = on_output
        self._on_message = on_message
        self._ring_size = ring_size
        self._syslog = replace(syslog or Syslog(), prefix=spec.id.name)
        self._loop = loop
        self._spec = spec
        self._stdin: int | None = None
        self._captures: dict[Stream, StreamCapture] = {}
        self._leaving: list[StreamCapture] = []  # no longer wanted, but the run still writes there
        self._follow_spec()

    def update(self, spec: ProcessSpec) -> None:
        """Take over where logs go from now on."""
        self._spec = spec
        self._follow_spec()

    def capture(self, stream: Stream) -> StreamCapture | None:
        """The capture of this stream, None where standard error is merged into the output."""
        return self._captures.get(stream)

    @property
    def captures(self) -> Mapping[Stream, StreamCapture]:
        """Every stream that is captured."""
        return self._captures

    @property
    def pipes(self) -> list[int]:
        """Inodes of the pipes that its output comes out of."""
        return [pipe for capture in self._captures.values() for pipe in capture.pipes]

    def stats(self) -> dict[str, StreamStats]:
        """Counters by stream name."""
        return {stream.value: capture.stats for stream, capture in self._captures.items()}

    @property
    def problem(self) -> str:
        """What is wrong with the logs, "" while nothing is."""
        return "; ".join(c.problem for c in self._captures.values() if c.problem)

    @contextlib.contextmanager
    def child_files(self, given_input: int) -> Iterator[ChildFiles]:
        """The child's ends for a new run, closed on this side when the block ends.

        `given_input` is for a process whose standard input isn't a pipe: nothing, or its socket.
        """
        self._close_stdin()
        opened: list[int] = []
        try:
            stdout = self._captures[Stream.STDOUT].open_pipe()
            opened.append(stdout)
            stderr = stdout
            if (capture := self._captures.get(Stream.STDERR)) is not None:
                stderr = capture.open_pipe()
                opened.append(stderr)
            if (user := self._spec.user) is not None and os.geteuid() == 0:
                # A pipe belongs to who made it; to open /dev/stdout, the program must own it.
                for descriptor in opened:
                    os.fchown(descriptor, user.uid, user.gid)
            stdin = given_input
            if self._spec.stdin is StdinMode.PIPE and self._spec.socket is None:
                stdin, self._stdin = os.pipe2(os.O_CLOEXEC)
                os.set_blocking(self._stdin, False)
                opened.append(stdin)
            yield ChildFiles(stdin=stdin, stdout=stdout, stderr=stderr)
        except BaseException:
            self._close_stdin()  # nobody is there to read it
            raise
        finally:
            for descriptor in opened:
                os.close(descriptor)

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
            self._loop.add_writer(self._stdin, self._stdin_is_writable, then)

    def _stdin_is_writable(self, then: Callable[[], None]) -> None:
        assert self._stdin is not None
        self._loop.remove_writer(self._stdin)
        then()

    def run_ended(self) -> None:
        """Read what the ended process left in its pipes, and close its standard input."""
        for capture in self._captures.values():
            capture.drain()
        self._close_leaving()
        self._close_stdin()

    def reopen(self) -> None:
        """Open the log files again by name, after somebody moved them."""
        for capture in self._captures.values():
            capture.reopen()

    def close(self) -> None:
        """Release everything."""
        for capture in self._captures.values():
            capture.close()
        self._captures.clear()
        self._close_leaving()
        self._close_stdin()

    def _follow_spec(self) -> None:
        wanted = {Stream.STDOUT: self._spec.stdout}
        if self._spec.stderr is not None:
            wanted[Stream.STDERR] = self._spec.stderr
        for stream in [s for s in self._captures if s not in wanted]:
            self._leaving.append(self._captures.pop(stream))
        for stream, log in wanted.items():
            existing = self._captures.get(stream)
            if existing is not None:
                existing.update(log)
            else:
                self._captures[stream] = StreamCapture(
                    log,
                    ring_size=self._ring_size,
                    loop=self._loop,
                    wall=time.time,
                    syslog=self._syslog,
                    on_problem=functools.partial(self._on_problem, stream),
                    on_output=functools.partial(self._on_output, stream),
                    on_message=functools.partial(self._on_message, stream),
                    overhear=functools.partial(self._overhear, stream) if self._overhear else None,
                )

    def _close_leaving(self) -> None:
        for capture in self._leaving:
            capture.close()  # reads what is left in its pipes
        self._leaving.clear()

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            self._loop.remove_writer(self._stdin)
            os.close(self._stdin)
            self._stdin = None
