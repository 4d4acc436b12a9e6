"""logs: which lines, whose, since when, and that none of them commands the terminal."""

import dis
import json
import re
import sys
import threading
from collections.abc import Iterator
from functools import partial
from types import FrameType, SimpleNamespace
from typing import Any, Self, cast

import pytest
from ctl_runs import Ctl
from hypothesis import given
from hypothesis import strategies as st
from recorded_daemon import NOW, RecordedDaemon, Sse, problem, running

from opsvisor import wire
from opsvisor.client import Client
from opsvisor.client.many_logs import LogEvent, once_each
from opsvisor.client.sse import ServerEvent
from opsvisor.ctl.commands import reading
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.log_lines import (
    BadTime,
    Line,
    Lines,
    Look,
    Search,
    colour_of,
    parse_since,
    tame,
    wants_colours,
    width_of,
)
from opsvisor.ctl.output import Format, Output
from opsvisor.ctl.session import Session


def said(
    name: str, text: str, begin: int = 0, *, stream: str = "stdout", at: float = NOW
) -> wire.LogSaid:
    """A piece of a log."""
    return wire.LogSaid(
        name=name,
        stream=stream,  # type: ignore[arg-type]  # a test's free choice
        text=text,
        begin=begin,
        offset=begin + len(text.encode()),
        at=at,
    )


def sent(*events: tuple[str, object]) -> Sse:
    """A stream of these."""
    return Sse(
        "".join(f"event: {kind}\ndata: {wire.encode(body).decode()}\n\n" for kind, body in events)
    )


# -- lines ----------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y\n", "\n", "zz\nz", "1\r\n2"])),
        max_size=40,
    )
)
def test_lines_never_mix(pieces: list[tuple[str, str]]) -> None:
    """However they are cut, and whoever speaks in between: each is whole, and none is lost."""
    lines, shown = Lines(), list[Line]()
    for name, text in pieces:
        shown += lines.feed(said(name, text), 0.0)
    shown += lines.rest()
    assert not lines.holds_any
    for name in "ab":
        whole = "".join(text for other, text in pieces if other == name)
        expected = whole.split("\n") if whole else []
        assert [line.text for line in shown if line.name == name] == (
            expected[:-1] if whole.endswith("\n") else expected
        )


def test_a_prompt_is_shown_after_a_while() -> None:
    """And a line without an end is not collected for ever."""
    lines = Lines()
    assert list(lines.feed(said("a", "Password: "), 5.0)) == []
    assert list(lines.rest(before=5.0)) == []
    assert [line.text for line in lines.rest(before=5.1)] == ["Password: "]
    assert [len(line.text) for line in lines.feed(said("a", "x" * 200_000), 9.0)] == [65536] * 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext", "plain\ttext"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[38;5;9mx\x1b[38:2::1:2:3my", "\x1b[38;5;9mx\x1b[38:2::1:2:3my"),
        ("\x1b[2Jgone", "gone"),
        ("\x1b[1;1Hup", "up"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]52;c;cm0gLXJm\x1b\\x", "x"),
        ("\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP+q544e\x1b\\x", "x"),
        ("\x1b]0;without an end", ""),
        ("\x1b[?1049hx", "x"),
        ("\x1b[6nx", "x"),
        ("\x1b[>4;2mx", "x"),
        ("\x1bcx", "x"),
        ("\x1b(0x", "x"),
        ("\x9b2Jx", "x"),
        ("\x9d0;t\x07x", "\N{REPLACEMENT CHARACTER}0;t␇x"),
        ("progress\r", "progress"),
        ("name: ok\rfake", "name: ok␍fake"),
        ("a\x00b\x08c\x7f", "a␀b␈c\N{REPLACEMENT CHARACTER}"),
        ("\u202ereversed", "\N{REPLACEMENT CHARACTER}reversed"),
        ("a\x1b", "a"),
    ],
)
def test_lines_do_not_command_the_terminal(text: str, shown: str) -> None:
    """Colours stay; all else is taken out, or shown as what it is."""
    assert tame(text, colours=True) == shown
    assert "\x1b" not in tame(text, colours=False)


@given(
    st.text(st.characters(codec="utf-8"), max_size=60)
    | st.text("\x1b[]P0;m\x07\\?\x9b\r", max_size=30)
)
def test_no_text_at_all_commands_the_terminal(text: str) -> None:
    """What is left of escape sequences are colours."""
    shown = re.sub(r"\x1b\[[0-9;:]*m", "", tame(text, colours=True))
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f]", shown)


def test_how_lines_look() -> None:
    """A name has one colour, red is standard error; what was searched for stands out."""
    look = Look(on_terminal=True, colours=True)
    assert (
        look.prefix("web", 6, is_stderr=True)
        == f"\x1b[{colour_of('web')}mweb   \x1b[0m \x1b[31m|\x1b[0m "
    )
    assert look.prefix("w\x1b[2Jb", 4, is_stderr=False).endswith("w\\x1b[2Jb\x1b[0m | ")
    assert len(Look().prefix("x" * 99, 99, is_stderr=False)) == 35
    assert look.text("\x1b[31mred") == "\x1b[31mred\x1b[0m"
    assert look.text("a hit", re.compile("h.t")) == "a \x1b[7mhit\x1b[0m"
    assert look.text("a hit", re.compile("x*")) == "a hit"
    assert Look(on_terminal=True, raw=True).text("\x1b[2J") == "\x1b[2J"
    assert Look().text("\x1b[2J") == "\x1b[2J"
    assert len({colour_of(f"web-{number}") for number in range(50)}) > 5
    assert not wants_colours({"NO_COLOR": "1"}, on_terminal=True)
    assert wants_colours({"NO_COLOR": ""}, on_terminal=True)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("web-10", "web-10 | "),
        ("日本", "日本   | "),
        ("e\u0301té", "e\u0301té    | "),
        ("w\x1b", "w\\x1b  | "),
        ("x" * 33, f"{'x' * 31}… | "),
        ("日" * 17, f"{'日' * 15} … | "),
    ],
)
def test_bars_stand_below_each_other(name: str, shown: str) -> None:
    """However many columns the characters of a name take, and none takes too many."""
    assert Look().prefix(name, width_of([name, "web-10"]), is_stderr=False) == shown


def test_a_search_sees_through_colours() -> None:
    """And finds what is there, or with -v what is not."""
    assert Search(re.compile("ERROR")).wants("\x1b[31mERR\x1b[1mOR\x1b[0m")
    assert not Search(re.compile("ERROR"), is_inverted=True).wants("ERROR")
    assert Search().wants("anything")


# -- times ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("10m", NOW - 600),
        ("1h30m", NOW - 5400),
        ("2d ago", NOW - 172_800),
        ("09:37", NOW - 53),
        ("09:37:53", NOW),
        ("9:38", NOW + 7 - 86_400),
        ("2026-11-23T09:30", NOW - 473),
        ("2026-11-23 09:30:00", NOW - 473),
        ("2026-11-23T10:30:00+01:00", NOW - 473),
        ("2026-11-23", NOW - 34_673),
        ("@1795426673", NOW),
    ],
)
def test_since(text: str, at: float) -> None:
    """So long ago, the last time that it was so late, or a date."""
    assert parse_since(text, NOW) == at


@pytest.mark.parametrize("text", ["", "x", "25:00", "10", "-5m", "2026-13-01", "@x", "12:60"])
def test_what_is_no_time(text: str) -> None:
    """Is refused, and not guessed at."""
    with pytest.raises(BadTime):
        parse_since(text, NOW)


# -- the command ----------------------------------------------------------------------------------


def test_several_logs(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Each line whole, and whose it is; of one process alone nothing stands before it."""
    daemon.answers["GET /api/v1/logs?name=w%2A&name=db&lines=10&follow=0"] = sent(
        ("names", wire.LogNames(names=["db", "web-1"])),
        ("log", said("web-1", "begun ")),
        ("log", said("db", "ready\n", stream="stderr")),
        ("remark", wire.LogRemark(name="db", stream="stdout", text="it has no times")),
        ("log", said("web-1", "and ended\nlast", 6)),
        ("gap", wire.LogLost(name="db", stream="stdout", lost_bytes=7)),
    )
    assert ctl("logs", "w*", "db") == (
        0,
        "db    | ready\nweb-1 | begun and ended\nweb-1 | last\n",
        (
            "==> db stdout: it has no times <==\n"
            "==> db: 7 bytes were written faster than they were read <==\n"
        ),
    )
    daemon.answers["GET /api/v1/logs?name=%2A&lines=10&follow=0"] = sent(
        ("names", wire.LogNames(names=["db", "日本"])),
        ("log", said("db", "ready\n")),
        ("log", said("日本", "ready\n")),
    )
    assert ctl("logs", "*") == (0, "db   | ready\n日本 | ready\n", "")
    daemon.answers["GET /api/v1/logs?name=db&lines=10&follow=0"] = sent(
        ("names", wire.LogNames(names=["db"])), ("log", said("db", "ready\n"))
    )
    assert ctl("logs", "db").out == "ready\n"


def test_as_json(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """An object for each line."""
    daemon.answers["GET /api/v1/logs?lines=10&follow=0"] = sent(
        ("names", wire.LogNames(names=["a", "b"])), ("log", said("a", "x\x1b[2J\n"))
    )
    (line,) = ctl("logs", "all", "--json").out.splitlines()
    assert json.loads(line) == {"name": "a", "stream": "stdout", "at": NOW, "text": "x\x1b[2J"}


def test_what_is_asked_for(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Options in any order, with one letter or in full."""
    for words, query in (
        ("-n 3 a", "name=a&lines=3&follow=0"),
        ("a -fn3", "name=a&lines=3&follow=1"),
        ("--stderr --lines=3", "stream=stderr&lines=3&follow=0"),
        ("--stdout --stderr", "stream=stdout&stream=stderr&lines=10&follow=0"),
        ("--grep x", "lines=10000&follow=0"),
        ("--since @5", "since=5.0&follow=0"),
        ("--since @5 -n 2", "lines=2&since=5.0&follow=0"),
    ):
        daemon.requests.clear()
        ctl("logs", *words.split())
        assert daemon.lines() == [f"GET /api/v1/logs?{query}"]


def test_searching(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """A pattern may have blanks in it."""
    daemon.answers["GET /api/v1/logs?lines=10000&follow=0"] = sent(
        ("names", wire.LogNames(names=["a"])), ("log", said("a", "an Error\nother\nno\n"))
    )
    assert ctl("logs", "--grep", "n err", "-i").out == "an Error\n"
    assert ctl("logs", "-v", "--grep", "o").out == ""
    assert ctl("logs", "--invert-match", "--grep", "E").out == "other\nno\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--grep", "("], "Error: --grep '(' is no regular expression: "),
        (["--since", "soon"], "Error: --since 'soon' is no time: "),
        (["-n", "x"], "Error: --lines 'x' is no number of lines"),
        (["-n", "²"], "Error: --lines '²' is no number of lines"),
        (["-i"], "Error: --ignore-case goes with --grep"),
        (["-x"], "Error: logs has no option -x"),
    ],
)
def test_words_that_make_no_sense(ctl: Ctl, words: list[str], told: str) -> None:
    """Nothing is asked of the daemon."""
    ran = ctl("logs", *words)
    assert ran.status == 1
    assert ran.out.startswith(told)


def test_a_name_that_is_none(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Which of them, in the words of `status`."""
    query = "GET /api/v1/logs?name=web&name=x&lines=10&follow=0"
    daemon.answers[query] = problem(404, "no_such_process")
    daemon.answers["GET /api/v1/processes"] = wire.ProcessList(processes=[running("web")])
    assert ctl("logs", "web", "x")[:2] == (1, "x: ERROR (no such process)\n")


def test_following(ctl: Ctl, daemon: RecordedDaemon) -> None:
    """Who comes and who goes; the end of the stream is not the user's doing."""
    daemon.answers["GET /api/v1/logs?name=w%2A&lines=10&follow=1"] = sent(
        ("names", wire.LogNames(names=[])),
        ("names", wire.LogNames(names=["w1"])),
        ("names", wire.LogNames(names=["w1", "w2"])),
        ("log", said("w2", "hello\n")),
        ("names", wire.LogNames(names=["w2"])),
        ("unheard of", wire.LogNames(names=[])),
    )
    assert ctl("logs", "-f", "w*") == (
        1,
        "w2 | hello\n",
        (
            "==> no such log yet: it is waited for <==\n"
            "==> w2 has come <==\n==> w1 has gone <==\nthe daemon ended the stream\n"
        ),
    )


class Flood:
    """A stream that never ends by itself. Pressing Ctrl-C is worth trying once it has begun."""

    def __init__(self) -> None:
        self.has_begun = False
        self._is_over = False

    def __enter__(self) -> Self:
        """See Stream."""
        return self

    def __exit__(self, *_: object) -> None:
        """See Stream."""
        self.hang_up()

    def hang_up(self) -> None:
        """See Stream."""
        self._is_over = True

    def __iter__(self) -> Iterator[LogEvent]:
        """Until somebody hangs up."""
        yield wire.LogNames(names=["web"])
        self.has_begun = True
        while not self._is_over:
            yield said("web", "line\n")


# Before these the interpreter looks whether a signal has come.
_CALLS = {name for name in dis.opmap if name.startswith("CALL")}
_INTERRUPTED = {"RESUME", "JUMP_BACKWARD", *_CALLS}


def follow(flood: Flood, ends: list[object], *, interrupted_at: int) -> None:
    """`logs -f` of the flood, with Ctrl-C before this step of it; how that ends."""
    session = Session(
        client=cast(Client, SimpleNamespace(logs=lambda *_, **__: flood)),
        output=Output(Format.PLAIN),
        asks=False,
        found="",
    )
    steps = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal steps
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        operation = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        if event == "opcode" and flood.has_begun and operation in _INTERRUPTED:
            steps += 1
            if steps == interrupted_at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        ends.append(reading.logs(session, ["-f", "web"]))
    except BaseException as error:  # noqa: BLE001 - whatever it is: it is looked at
        ends.append(error)
    finally:
        sys.settrace(None)


def test_an_interrupt_at_any_step_of_a_flood_ends_it() -> None:
    """With status 0 and at once, wherever in the handing over of lines it comes."""
    for step in range(1, 250):
        ends: list[object] = []
        # Not the thread of the test, which would wait for ever where this does.
        one = partial(follow, Flood(), ends, interrupted_at=step)
        thread = threading.Thread(target=one, daemon=True)
        thread.start()
        thread.join(10)
        assert ends == [Exit.OK], step


# -- what is sent twice ---------------------------------------------------------------------------


def _told(*events: tuple[str, object]) -> list[object]:
    sent_events = (ServerEvent(kind, wire.encode(body).decode(), "1") for kind, body in events)
    return list(once_each(sent_events))


def test_each_byte_once() -> None:
    """What overlaps is cut, what lacks is told, and another process begins anew."""
    first = said("a", "1€\n", 0)
    again = said("a", "1€\n2\n", 0)
    told = _told(("log", first), ("log", first), ("log", again), ("log", said("b", "x", 50)))
    assert told == [first, said("a", "2\n", 5), said("b", "x", 50)]
    gap = wire.LogLost(name="a", stream="stdout", lost_bytes=5)
    assert _told(("log", first), ("log", said("a", "3\n", 10))) == [
        first,
        gap,
        said("a", "3\n", 10),
    ]
    assert _told(("log", first), ("gap", gap), ("log", said("a", "3", 10)))[2] == said(
        "a", "3", 10
    )
    anew = wire.LogSaid(name="a", stream="stdout", text="x", begin=0, offset=1, at=0.0, anew=True)
    assert _told(("log", first), ("log", anew)) == [first, anew]


@given(st.lists(st.integers(0, 30), min_size=1), st.integers(0, 30))
def test_any_repetition_is_noticed(ends: list[int], cut: int) -> None:
    """Wherever the daemon goes on from, as long as it leaves nothing out."""
    text = "abcdefghijklmnopqrstuvwxyz0123456789"
    position, events = 0, []
    for end in ends:
        begin = max(0, min(position, end) - cut)
        events.append(("log", said("a", text[begin:end], begin)))
        position = max(position, end)
    heard = "".join(one.text for one in _told(*events) if isinstance(one, wire.LogSaid))
    assert heard == text[:position]
