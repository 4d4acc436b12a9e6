"""top: what keys and messages mean, without a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_daemon import NOW, fatal, running
from top_scenes import FLEET, names, press, process, scene, shown

from opsvisor import wire
from opsvisor.client import NoDaemon, Unreached
from opsvisor.ctl.log_lines import Line
from opsvisor.ctl.top.feeds import problem_first
from opsvisor.ctl.top.model import LOG_KEPT, NOTE_LASTS, Link, Mode
from opsvisor.ctl.top.orders import Act, ActionName, FollowLog, LoadTree, LoadWhy, Quit
from opsvisor.ctl.top.rows import Sort


def done(name: str, result: str = "ok", reason: str = "") -> wire.ActionResult:
    """What became of one process."""
    return wire.ActionResult(name=name, group=name, process=name, result=result, reason=reason)


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ("", ["bad", "slow", "db", "web", "jobs:off"]),
        ("N", ["bad", "db", "jobs:off", "slow", "web"]),
        ("NI", ["web", "slow", "jobs:off", "db", "bad"]),
        ("C", ["db", "web", "bad", "jobs:off", "slow"]),
        ("R", ["bad", "db", "jobs:off", "slow", "web"]),
        (">", ["db", "bad", "jobs:off", "slow", "web"]),
        ("T", ["db", "bad", "jobs:off", "slow", "web"]),
    ],
)
def test_orders(keys: str, order: list[str]) -> None:
    """What needs somebody comes first; by any column; equals by name."""
    model = scene()
    press(model, *keys)
    assert names(model) == order


def test_numbers_in_names_are_numbers() -> None:
    """The tenth replica comes after the ninth, in whatever order the daemon tells of them."""
    model = scene(*(process(name) for name in ("w0_1", "w0_10", "w0_2", "w0_x", "w10_1", "w9_1")))
    assert names(model) == ["w0_1", "w0_2", "w0_10", "w0_x", "w9_1", "w10_1"]
    press(model, *"NI")
    assert names(model) == ["w10_1", "w9_1", "w0_x", "w0_10", "w0_2", "w0_1"]


def test_going_through_all_columns() -> None:
    """As they stand on the screen, and back."""
    model = scene()
    press(model, "N")
    seen = [model.sort.value]
    for _ in range(len(Sort) - 1):
        press(model, ">")
        seen.append(model.sort.value)
    assert seen == ["NAME", "STATE", "SINCE", "RST", "CPU", "RSS"]
    press(model, ">", "<")
    assert model.sort.value == seen[-1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("we", ["web"]),
        ("fatal", ["bad"]),
        ("team=shop", ["web"]),
        ("not ready", ["slow"]),
        ("RUNNING db", ["db"]),
        ("jobs", ["jobs:off"]),
        ("xyz", []),
        ("", ["bad", "slow", "db", "web", "jobs:off"]),
    ],
)
def test_filtering_as_one_types(text: str, found: list[str]) -> None:
    """By name, state, label or trouble; every word must fit."""
    model = scene()
    press(model, "/", *text)
    assert (model.mode, names(model)) == (Mode.FILTER, found)
    assert model.selected == (found[0] if found else "")
    press(model, "enter")
    assert (model.mode, names(model)) == (Mode.LIST, found)
    press(model, "escape")
    assert len(names(model)) == 5


def test_letters_of_a_filter_are_no_commands() -> None:
    """`q` and `x` in it neither leave nor stop."""
    model = scene()
    assert [one for one in press(model, "/", *"qxsr") if not isinstance(one, FollowLog)] == []
    press(model, "backspace", "backspace")
    assert model.filter == "qx"
    press(model, "c-u", "down")
    assert (model.filter, model.selected) == ("", "slow")
    press(model, "b", "escape")
    assert (model.filter, model.mode) == ("", Mode.LIST)


def test_the_selection_stays_with_its_process() -> None:
    """However rows move; until somebody moves it, it is the first row."""
    model = scene()
    assert model.selected == "bad"
    model.watched(wire.WatchChanged(processes=[fatal("aaa")]), NOW)
    assert model.selected == "aaa"
    press(model, "down", "down")
    assert model.selected == "slow"
    model.watched(wire.WatchChanged(processes=[fatal("aab"), running("slow")]), NOW)
    assert model.selected == "slow"
    model.watched(wire.WatchRemoved(names=["slow"]), NOW)
    assert model.selected == "aaa"
    press(model, "end")
    assert model.selected == "jobs:off"
    press(model, "down", "home", "up", "pagedown")
    assert model.selected == names(model)[-1]


def test_what_can_do_harm_is_asked_about() -> None:
    """A start isn't; no other key than y says yes."""
    model = scene()
    press(model, "down")
    assert press(model, "s") == [Act("start", ("slow",))]
    asked: tuple[tuple[str, ActionName], ...] = (("x", "stop"), ("r", "restart"))
    for key, action in asked:
        assert press(model, key) == []
        assert shown(model)[-1].startswith(f" {action} slow?")
        assert press(model, "x", "s", "down", "n") == []
        assert "slow?" not in shown(model)[-1]
        press(model, key)
        assert press(model, "y") == [Act(action, ("slow",))]
    assert model.running == 3


def test_a_signal_is_typed() -> None:
    """Its beginning is enough where there is one choice; what is none can't be typed."""
    model = scene()
    press(model, "u", *"hz")
    assert (model.typed_signal, model.signals()) == ("H", ["HUP"])
    assert press(model, "enter") == [Act("signal", ("bad",), "HUP")]
    press(model, "u")
    assert press(model, "enter") == []
    press(model, *"sigusr2", "backspace")
    assert model.signals() == ["USR1", "USR2"]
    press(model, "escape")
    assert (model.mode, model.pending) == (Mode.LIST, None)


def test_many_at_once() -> None:
    """Those that are marked, wherever the selection is; marks go with the action."""
    model = scene()
    press(model, " ", " ", "end")
    assert model.marked == {"bad", "slow"}
    press(model, "x")
    assert set(model.pending.names if model.pending else ()) == {"bad", "slow"}
    assert "these 2 processes" in shown(model)[-1]
    (act,) = press(model, "y")
    assert isinstance(act, Act)
    assert model.marked == set()
    press(model, "a")
    assert len(model.marked) == 5
    press(model, "a", " ", "escape")
    assert model.marked == set()
    press(model, "/", *"xyz", "enter")
    assert press(model, "x") == []
    assert model.note is not None


def test_outcomes_are_told() -> None:
    """Of one by its name, of many in numbers; failures with their reasons, and not for ever."""
    model = scene()
    act = Act("stop", ("a",))
    model.acted(act, [done("a")], NOW)
    assert shown(model)[-1] == " a: stopped"
    model.acted(act, [done("a"), done("b", "not_running"), done("c", "failed", "no\x1b[2J")], NOW)
    assert shown(model)[-1] == " 2 stopped, 1 failed: c: no\\x1b[2J"
    model.acted(act, [done(f"p{n}", "timeout") for n in range(9)], NOW)
    assert shown(model, width=120)[-1] == (
        " 9 failed: p0: timeout; p1: timeout; p2: timeout; 6 more"
    )
    model.failed(act, "no access", NOW)
    assert shown(model)[-1] == " stop: no access"
    assert "? keys" in shown(model, now=NOW + NOTE_LASTS)[-1]


def test_trees_are_asked_for_while_they_are_open() -> None:
    """With each sample, and no longer."""
    model = scene()
    assert press(model, "down", "enter") == [FollowLog("slow"), LoadTree("slow")]
    members = [
        wire.TreeMember(pid=9, parent=8, command="child", cpu_seconds=1.0, rss_bytes=1024),
        wire.TreeMember(pid=8, parent=1, command="top\x1b[2J", cpu_seconds=1.0, rss_bytes=1024),
    ]
    model.tree("slow", members)
    text = shown(model)
    at = next(number for number, line in enumerate(text) if "`- 8 " in line)
    assert "top\\x1b[2J" in text[at]
    assert "    `- 9 " in text[at + 1]
    sample = wire.WatchSamples(at=NOW, samples={})
    assert model.watched(sample, NOW) == [LoadTree("slow")]
    press(model, "left")
    assert model.watched(sample, NOW) == []
    model.tree("slow", members)
    assert not any("`- 8" in line for line in shown(model))


def test_why_is_asked_again_while_it_is_shown() -> None:
    """And an answer that comes late is not shown for another process."""
    model = scene()
    assert LoadWhy("bad") in press(model, "w")
    model.why("other", ["no"])
    model.why("bad", ["bad is FATAL", "  line\x1b[2J"])
    assert "  line\\x1b[2J" in "\n".join(shown(model))
    assert LoadWhy("bad") in model.watched(wire.WatchSamples(at=NOW, samples={}), NOW)
    press(model, "down", "escape")
    assert model.mode is Mode.LIST


def test_the_log_follows_the_selection() -> None:
    """One at a time; what belongs to another one is not shown."""
    model = scene()
    assert model.log_name == "bad"
    assert press(model, "down") == [FollowLog("slow")]
    model.logged("bad", [Line(name="bad", stream="stdout", at=0.0, text="late")])
    model.logged(
        "slow", [Line(name="slow", stream="stderr", at=0.0, text="it \x1b[31mhurts\x1b[2J")]
    )
    text = "\n".join(shown(model))
    assert "! it hurts" in text
    assert "late" not in text
    assert press(model, "l") == [FollowLog("")]
    assert press(model, "l") == [FollowLog("slow")]
    model.logged(
        "slow", [Line(name="slow", stream="stdout", at=0.0, text=f"<{n}>") for n in range(9999)]
    )
    assert len(model.log_lines) == LOG_KEPT
    assert "<9998>" in "\n".join(shown(model))
    press(model, "[", "[")
    model.logged("slow", [Line(name="slow", stream="stdout", at=0.0, text="new")])
    text = "\n".join(shown(model))
    assert "<9988>" in text
    assert "new" not in text
    press(model, "]", "]", "]")
    assert "new" in "\n".join(shown(model))


def test_a_lost_connection() -> None:
    """Is told, with what is known of it; afterwards all is as the daemon says."""
    model = scene()
    press(model, "down", " ")
    model.lost("unix:///s refused connection")
    assert model.link is Link.LOST
    text = shown(model)
    assert "CONNECTION LOST" in text[0]
    assert "refused" in text[-1]
    daemon = model.daemon
    assert daemon is not None
    orders = model.watched(wire.WatchSnapshot(processes=[FLEET[0]], daemon=daemon), NOW)
    assert orders == [FollowLog("web")]
    assert (names(model), model.marked) == (["web"], set())
    assert "live" in shown(model)[0]
    assert "SILENT for 30s" in shown(model, now=NOW + 30)[0]


@pytest.mark.parametrize(
    ("width", "head"),
    [
        (80, " opsvisor · 0.1.0 · pid 4200 · up 1 h   CONNECTION LOST, trying again  10:37:53"),
        (58, " opsvisor         CONNECTION LOST, trying again  10:37:53"),
        (40, " opsvisor               CONNECTION LOST"),
        (20, "    CONNECTION LOST"),
    ],
)
def test_a_lost_connection_on_a_narrow_screen(width: int, head: str) -> None:
    """It is told before all that was known of the daemon, and the problem before its place."""
    model = scene(process("db", since=NOW - 5))
    orphaned = NoDaemon("unix:///run/opsvisor.sock", Unreached.ORPHANED, "pid 7, which listened")
    model.lost(problem_first(orphaned))
    text = shown(model, width, now=NOW + 3600)
    assert text[0] == head
    assert (
        text[-1]
        == (
            " has no opsvisord behind it: unix:///run/opsvisor.sock (pid 7, which listened)"[
                :width
            ]
        )
    )


def test_what_was_known_of_a_lost_daemon_does_not_grow_older() -> None:
    """How long it is up, and its processes are as they are, was true when it was last heard."""
    model = scene(process("db", since=NOW - 5))
    model.lost("the daemon ended the connection")
    text = shown(model, width=120, now=NOW + 3600)
    assert "up 1 h " in text[0]
    assert text[3].split()[:4] == [">", "db", "RUNNING", "5s"]


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (
            80,
            [
                " opsvisor · 0.1.0 · pid 4200 · up 1 h                            live  09:37:53",
                " only 'ru': 3  5: 1 fatal 3 running 1 stopped                  CPU 75% RSS 110M",
                "  NAME  STATEv     SINCE  RST    CPU      RSS REMARKS",
                "> slow  RUNNING       1m    0   0.0%    50.0M not ready pid 4211",
                "   s start  x stop  r restart  u signal  w why  / filter  l log  ? keys  q quit",
            ],
        ),
        (
            58,
            [
                " opsvisor · 0.1.0 · pid 4200 · up 1 h      live  09:37:53",
                " only 'ru': 3  5: 1 fatal 3 running 1 stopped     CPU 75%",
                "  NAME  STATEv     SINCE  RST    CPU      RSS REMARKS",
                "> slow  RUNNING       1m    0   0.0%    50.0M not ready p~",
                "        ? keys  q quit  s start  x stop  r restart  w why",
            ],
        ),
        (
            40,
            [
                " opsvisor · pid 4200     live  09:37:53",
                " only 'ru': 3  5: 1 fatal 3 running",
                "  NAME  STATEv     SINCE  RST    CPU",
                "> slow  RUNNING       1m    0   0.0%",
                "        ? keys  q quit  s start  x stop",
            ],
        ),
        (
            20,
            [
                " opsvisor      live",
                " only 'ru': 3",
                "  NAME  STATEv",
                "> slow  RUNNING",
                "     ? keys  q quit",
            ],
        ),
    ],
)
def test_no_fact_is_cut_in_two(width: int, lines: list[str]) -> None:
    """Where there is no room it is left out whole; a filter and the way out always stand there."""
    model = scene()
    press(model, "/", *"ru", "enter")
    text = shown(model, width)
    assert [*text[:4], text[-1]] == lines


def test_questions_on_a_narrow_screen() -> None:
    """What was typed and what it comes to, before the keys that end it."""
    model = scene()
    press(model, "/", "w")
    assert shown(model, 40)[-1] == " filter: w_                      2 of 5"
    press(model, "escape", "u")
    assert shown(model, 40)[-1] == " signal: _   HUP INT QUIT   Enter sends"
    press(model, "escape", "x")
    assert shown(model, 40)[-1] == " stop slow?              y: yes   n: no"
    press(model, "y", "enter")
    assert shown(model, 40)[-1] == " 1 under way ...         ? keys  q quit"


@pytest.mark.parametrize(("name", "width"), [("db", 5), ("x" * 20, 20), ("x" * 99, 24)])
def test_names_take_what_they_need(name: str, width: int) -> None:
    """And no more than leaves something for remarks."""
    assert shown(scene(process(name)))[2].index("STATE") == 2 + width + 1


def test_only_what_is_asked_for() -> None:
    """Names and patterns, also of those that come later."""
    model = scene(*FLEET, wanted=("w*", "jobs:*"))
    assert names(model) == ["web", "jobs:off"]
    model.watched(wire.WatchChanged(processes=[running("web2"), running("x")]), NOW)
    assert names(model) == ["web", "web2", "jobs:off"]


def test_leaving() -> None:
    """By q, and from everywhere by Ctrl-C."""
    assert press(scene(), "q") == [Quit()]
    for keys in ("/a", "x", "u", "?", "w"):
        model = scene()
        press(model, *keys)
        assert Quit() in press(model, "c-c")


_KEYS = [
    *"/axrsuynw?qlINCMSTR<>[]zHUP ",
    "up", "down", "left", "right", "pageup", "pagedown", "home", "end",
    "enter", "escape", "backspace", "c-u", "j", "k",
]  # fmt: skip


@given(st.lists(st.sampled_from(_KEYS), max_size=60), st.integers(20, 150), st.integers(3, 50))
def test_no_keys_confuse_it(keys: list[str], width: int, height: int) -> None:
    """Whatever is pressed, the picture fits, and only confirmed actions are ordered."""
    model = scene()
    model.why("bad", ["x" * 300])
    for key in keys:
        mode = model.mode
        for order in model.press(key, NOW):
            if isinstance(order, Act):
                assert (order.action == "start" and mode is Mode.LIST) or (
                    mode in (Mode.CONFIRM, Mode.SIGNAL) and key in ("y", "enter")
                )
        shown(model, width, height)


_HOSTILE = st.text(max_size=50) | st.sampled_from(
    ["\x1b[2J\x1b]0;x\x07", "日本語" * 20, "\u202eevil", "e\u0301" * 30, "👩‍👩‍👧" * 9, "\t\n\r"]
)


@given(name=_HOSTILE, reason=_HOSTILE, said=_HOSTILE, width=st.integers(20, 130))
def test_hostile_names_are_harmless(name: str, reason: str, said: str, width: int) -> None:
    """They command nothing, and no line is wider for them."""
    model = scene(
        process(name or "x", reason=reason, state="FATAL", spawn_error=reason, log_problem=said)
    )
    model.logged(model.log_name, [Line(name=name, stream="stdout", at=0.0, text=said)], said)
    shown(model, width)
    press(model, "x")
    shown(model, width)
    press(model, "n", "w")
    model.why(name or "x", [said, reason])
    shown(model, width)
