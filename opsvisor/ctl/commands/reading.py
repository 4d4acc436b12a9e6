"""`logs`: what several processes say, each line whole, over one connection."""

import _thread
import os
import queue
import re
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from opsvisor.client import ApiError, Stream, StreamName
from opsvisor.client.many_logs import LogEvent
from opsvisor.config.problems import OpsvisorError
from opsvisor.ctl import render
from opsvisor.ctl.arguments import Arguments, told_apart
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.log_lines import (
    QUIET,
    BadTime,
    Line,
    Lines,
    Look,
    Search,
    parse_since,
    wants_colours,
    width_of,
)
from opsvisor.ctl.session import BadArguments, Session, start_thread
from opsvisor.wire import LogLost, LogNames, LogRemark, LogSaid

_LAST_LINES = 10
_SEARCHED_LINES = 10_000  # of each log, if nothing else is said
_READ_AHEAD = 64  # events; what more there is waits in the daemon, which counts what is lost
_END = None


class _Wanted(NamedTuple):
    names: list[str]
    streams: list[StreamName]
    lines: int | None
    since: float | None
    follow: bool
    search: Search
    raw: bool


def logs(session: Session, words: list[str]) -> int:
    """Print what processes said, and with -f what they say, until Ctrl-C."""
    wanted = _parse(told_apart("logs", words))
    try:
        stream = session.client.logs(
            wanted.names,
            streams=wanted.streams,
            last_lines=wanted.lines,
            since=wanted.since,
            follow=wanted.follow,
        )
    except ApiError as error:
        if error.problem.code not in {"no_such_process", "no_such_group"}:
            raise
        return _unknown(session, wanted.names, error)
    show = _Show(session, wanted)
    try:
        with stream:
            for event in _as_it_comes(stream):
                show.event(event)
    except KeyboardInterrupt:
        show.end()
        if not wanted.follow:
            raise
        return Exit.OK
    show.end()
    if wanted.follow:
        session.output.remark("the daemon ended the stream")
        return Exit.FAILED
    return Exit.OK


def _unknown(session: Session, names: list[str], error: ApiError) -> int:
    from opsvisor.ctl import meant  # noqa: PLC0415 - only after a typing error
    from opsvisor.ctl import names as names_  # noqa: PLC0415 - as above

    known = session.client.processes().processes
    unknown = [name for name in names if not names_.matching(name, known)]
    for name in unknown:
        session.output.say(render.unknown_in_status(name))
    meant.hint_at(session.output, unknown, known)
    session.output.show({"error": error.problem})
    return Exit.FAILED


def _parse(given: Arguments) -> _Wanted:
    search = _search(given)
    since = _since(given.given.get("--since"))
    lines = _lines(given.given.get("--lines"))
    if lines is None and since is None:
        lines = _LAST_LINES if search.pattern is None else _SEARCHED_LINES
    streams: list[StreamName] = []
    if given.has("--stdout"):
        streams.append("stdout")
    if given.has("--stderr"):
        streams.append("stderr")
    return _Wanted(
        names=[] if "all" in given.words else given.words,
        streams=streams,
        lines=lines,
        since=since,
        follow=given.has("--follow"),
        search=search,
        raw=given.has("--raw"),
    )


def _search(given: Arguments) -> Search:
    pattern = given.given.get("--grep")
    if pattern is None:
        for option in ("--ignore-case", "--invert-match"):
            if given.has(option):
                raise BadArguments(f"{option} goes with --grep")
        return Search()
    flags = re.IGNORECASE if given.has("--ignore-case") else re.NOFLAG
    try:
        return Search(re.compile(pattern, flags), given.has("--invert-match"))
    except re.error as error:
        raise BadArguments(
            f"--grep {pattern!r} is no regular expression: {error}", with_help=False
        ) from None


def _since(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_since(text, time.time())
    except BadTime:
        raise BadArguments(
            f"--since {text!r} is no time: 10m (ago), 03:00, 2026-11-26 or 2026-11-26T03:00",
            with_help=False,
        ) from None


def _lines(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 7):  # noqa: PLR2004 - digits of the most
        raise BadArguments(f"--lines {text!r} is no number of lines", with_help=False)
    return min(int(text), 1_000_000)


def _as_it_comes(stream: Stream[LogEvent]) -> Iterator[LogEvent | None]:
    """All events, and None whenever nothing has come for a while: somebody may have to look.

    One thread reads, however many logs there are. Only what is made in C stands between the two:
    queues with a limit, conditions, events and `threading.Thread` are Python, which Ctrl-C may
    leave at any step, with a lock that nobody opens any more. So what is read ahead is limited by
    a second queue, of permits, and a third one tells that the thread has ended.
    """
    came: queue.SimpleQueue[LogEvent | OpsvisorError | None] = queue.SimpleQueue()
    permits: queue.SimpleQueue[bool] = queue.SimpleQueue()  # True: to put something, False: to end
    ended: queue.SimpleQueue[None] = queue.SimpleQueue()
    for _ in range(_READ_AHEAD):
        permits.put(True)

    def read() -> None:
        try:
            for event in stream:
                if not permits.get():
                    return
                came.put(event)
        except OpsvisorError as error:
            came.put(error)
        else:
            came.put(_END)
        finally:
            ended.put(None)

    start_thread(lambda: _thread.start_new_thread(read, ()))
    try:
        while True:
            try:
                item = came.get(timeout=QUIET)
            except queue.Empty:
                yield None
                continue
            if item is _END:
                return
            if isinstance(item, OpsvisorError):
                raise item
            permits.put(True)
            yield item
    finally:
        permits.put(False)
        stream.hang_up()
        ended.get()


class _Show:
    """Prints lines."""

    def __init__(self, session: Session, wanted: _Wanted) -> None:
        on_terminal = session.output.for_people
        self._session = session
        self._search = wanted.search
        self._follows = wanted.follow
        self._wants_stderr_only = wanted.streams == ["stderr"]
        self._names: list[str] = []
        self._lines = Lines()
        self._look = Look(
            on_terminal=on_terminal,
            colours=wants_colours(os.environ, on_terminal=on_terminal),
            raw=wanted.raw,
        )

    def event(self, event: LogEvent | None) -> None:
        """What was told, or that nothing was for a while."""
        match event:
            case LogSaid():
                self._print(self._lines.feed(event, time.monotonic()))
            case LogNames(names=names):
                self._tell_of_names(names)
                self._names = names
            case LogLost(name=name, lost_bytes=lost):
                text = f"{lost} bytes were written faster than they were read"
                self._session.output.remark(f"==> {name}: {text} <==")
            case LogRemark(name=name, stream=stream, text=text):
                self._session.output.remark(f"==> {name} {stream}: {text} <==")
            case None:
                pass
        if self._lines.holds_any:
            self._print(self._lines.rest(time.monotonic() - QUIET))

    def end(self) -> None:
        """Nothing more comes."""
        self._print(self._lines.rest())

    def _tell_of_names(self, names: list[str]) -> None:
        if not names and self._follows:
            self._session.output.remark("==> no such log yet: it is waited for <==")
        elif not names:
            self._session.output.remark(
                "==> no such log: is standard error merged into standard output? <=="
                if self._wants_stderr_only
                else "==> no such log <=="
            )
        elif self._names:
            for name in [one for one in names if one not in self._names]:
                self._session.output.remark(f"==> {name} has come <==")
            for name in [one for one in self._names if one not in names]:
                self._session.output.remark(f"==> {name} has gone <==")

    def _print(self, lines: Iterator[Line]) -> None:
        wanted = [line for line in lines if self._search.wants(line.text)]
        if not wanted:
            return
        if self._session.output.is_json:
            for line in wanted:
                self._session.output.show_line(line)
            return
        width = width_of(self._names)
        found = None if self._search.is_inverted else self._search.pattern
        shown = [self._shown(line, width, found) for line in wanted]
        sys.stdout.write("".join(f"{text}\n" for text in shown))
        sys.stdout.flush()

    def _shown(self, line: Line, width: int, found: re.Pattern[str] | None) -> str:
        text = self._look.text(line.text, found)
        if len(self._names) < 2:  # noqa: PLR2004 - several
            return text
        return self._look.prefix(line.name, width, is_stderr=line.stream == "stderr") + text
