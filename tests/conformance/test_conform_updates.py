"""What changes when the configuration does: reread, update, add, remove."""

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from contestants import HEAD, Contestant, Pair, Repeated, StartPair, typed, undated
from daemon import eventually

# Supervisor may lose a TERM that it sends to a process which it has just started: 1 s is enough.
_QUICK = "startsecs=0\nstopwaitsecs=1\n"
X = f"[program:x]\ncommand=/bin/cat\n{_QUICK}"
Y = f"[program:y]\ncommand=/bin/cat\n{_QUICK}"
LOGGED = f"{X}stdout_logfile=$HERE/x.out\n"
GROUPED = f"{X}{Y}[group:g]\nprograms=x,y\n"
FEW = f"{X}process_name=p%(process_num)d\nnumprocs=2\n"

# What the configuration was, and what it becomes.
CHANGES = {
    "nothing": (X, X),
    "a comment": (X, f"; new\n{X}"),
    "order of sections": (X + Y, Y + X),
    "a default written out": (X, f"{X}startretries=3\n"),
    "command": (X, X.replace("cat", "cat -u")),
    "startsecs": (X, X.replace("startsecs=0", "startsecs=1")),
    "startretries": (X, f"{X}startretries=4\n"),
    "exitcodes": (X, f"{X}exitcodes=0,1\n"),
    "autorestart": (X, f"{X}autorestart=true\n"),
    "autostart": (X, f"{X}autostart=false\n"),
    "stopsignal": (X, f"{X}stopsignal=INT\n"),
    "stopwaitsecs": (X, f"{X}stopwaitsecs=9\n"),
    "stopasgroup": (X, f"{X}stopasgroup=true\n"),
    "killasgroup": (X, f"{X}killasgroup=true\n"),
    "directory": (X, f"{X}directory=/\n"),
    "umask": (X, f"{X}umask=027\n"),
    "environment": (X, f"{X}environment=A=1\n"),
    "serverurl": (X, f"{X}serverurl=http://x:1\n"),
    "priority": (X, f"{X}priority=5\n"),
    "process_name": (X, f"{X}process_name=z\n"),
    "redirect_stderr": (X, f"{X}redirect_stderr=true\n"),
    "a log file": (LOGGED, LOGGED.replace("x.out", "other.out")),
    "from AUTO to a log file": (X, LOGGED),
    "from a log file to AUTO": (LOGGED, X),
    "from a log file to NONE": (LOGGED, LOGGED.replace("$HERE/x.out", "NONE")),
    "size of a log file": (LOGGED, f"{LOGGED}stdout_logfile_maxbytes=1MB\n"),
    "backups of a log file": (LOGGED, f"{LOGGED}stdout_logfile_backups=1\n"),
    "events of a log": (X, f"{X}stdout_events_enabled=true\n"),
    "capture of a log": (X, f"{X}stderr_capture_maxbytes=1KB\n"),
    "one more program": (X, X + Y),
    "one less program": (X + Y, Y),
    "another program": (X, Y),
    "one that isn't started": (X, f"{X}{Y}autostart=false\n"),
    "more processes": (FEW, FEW.replace("numprocs=2", "numprocs=3")),
    "less processes": (FEW, FEW.replace("numprocs=2", "numprocs=1")),
    "number of the first process": (FEW, f"{FEW}numprocs_start=1\n"),
    "a group of old programs": (X + Y, GROUPED),
    "no group any more": (GROUPED, X + Y),
    "priority of a group": (GROUPED, f"{GROUPED}priority=3\n"),
    "order in a group": (GROUPED, GROUPED.replace("x,y", "y,x")),
    "a member less": (GROUPED, GROUPED.replace("x,y", "x")),
    "a member": (
        GROUPED,
        f"{X.replace('cat', 'cat -u')}{Y}[group:g]\nprograms=x,y\n",
    ),
    "everything": (X + Y, ""),
}


# Those that have a test of their own.
DIFFERENT = ("from a log file to AUTO", "order in a group")


class Told(NamedTuple):
    """What one of the daemons made of a change."""

    reread: list[list[str]]
    available: list[tuple[Any, ...]]
    states: dict[str, str]


@pytest.fixture(scope="module")
def pair(start_shared_pair: StartPair) -> Pair:
    """Both, without a program."""
    return start_shared_pair(HEAD)


@pytest.fixture(scope="module")
def ctl(pair: Pair) -> Iterator[dict[Contestant, Repeated]]:
    """The real supervisorctl for each."""
    with (
        closing(Repeated(pair.theirs, "supervisorctl")) as theirs,
        closing(Repeated(pair.ours, "supervisorctl")) as ours,
    ):
        yield {pair.theirs: theirs, pair.ours: ours}


def _run(one: Contestant, ctl: dict[Contestant, Repeated], words: str) -> list[str]:
    ran = ctl[one]("-c", str(one.config), *words.split())
    lines = sorted(ran.out.splitlines()) if "\n" in ran.out.strip() else ran.out.splitlines()
    return [f"exit status {ran.status}", *lines, *ran.err.splitlines()]


def _states(one: Contestant) -> dict[str, str]:
    """The states of all processes, when none is on its way any more."""

    def look() -> dict[str, str] | None:
        infos = one.call("supervisor.getAllProcessInfo")
        found = {f"{info['group']}:{info['name']}": info["statename"] for info in infos}
        on_the_way = {"STARTING", "STOPPING", "BACKOFF"} & set(found.values())
        # A process that should be started at once may not have been looked after yet.
        waiting = [info for info in infos if info["statename"] == "STOPPED" and not info["start"]]
        config = one.config.read_text()
        may_wait = config.count("autostart=false")
        return found if not on_the_way and len(waiting) <= may_wait else None

    # An empty dictionary is an answer as well.
    return eventually(lambda: [found] if (found := look()) is not None else [])[0]


def _begin(one: Contestant, ctl: dict[Contestant, Repeated], programs: str) -> None:
    """Have exactly these programs, as they are when they are new."""
    one.write(HEAD)
    _run(one, ctl, "update")
    one.write(HEAD + programs)
    _run(one, ctl, "update")
    _states(one)


def _available(one: Contestant) -> list[Any]:
    infos = one.call("supervisor.getAllConfigInfo")
    return [(info["group"], info["name"], info["inuse"], info["autostart"]) for info in infos]


def _own(change: str, programs: str) -> str:
    """The programs of a change with names that no other change has."""
    mark = f"c{list(CHANGES).index(change):02}"
    text = re.sub(r"\[(program|group):(\w+)", rf"[\1:{mark}\2", programs)
    text = re.sub(r"(\w+)\.out", rf"{mark}\1.out", text)
    return re.sub(
        r"(programs=)(\S+)",
        lambda found: found[1] + ",".join(mark + name for name in found[2].split(",")),
        text,
    )


def _of(change: str, names: Iterable[str]) -> list[str]:
    mark = f"c{list(CHANGES).index(change):02}"
    return [name for name in names if name.startswith(mark)]


def _remove(one: Contestant, group: str) -> None:
    one.call("supervisor.stopProcessGroup", group)
    assert one.call("supervisor.removeProcessGroup", group) is True


def _add(one: Contestant, group: str) -> None:
    assert one.call("supervisor.addProcessGroup", group) is True


@pytest.fixture(scope="module")
def changed(
    start_shared_pair: StartPair,
) -> tuple[Mapping[str, Told], Mapping[str, Told]]:
    """What both made of every change, all made at once."""
    before = "".join(_own(change, texts[0]) for change, texts in CHANGES.items())
    after = "".join(_own(change, texts[1]) for change, texts in CHANGES.items())

    def script(one: Contestant) -> Mapping[str, Told]:
        _states(one)
        one.write(HEAD + after)
        ((*reread,),) = one.call("supervisor.reloadConfig")
        available = one.call("supervisor.getAllConfigInfo")
        # As supervisorctl's update does it, but not one after another.
        added, altered, removed = reread
        with ThreadPoolExecutor(8) as updating:
            list(updating.map(lambda group: _remove(one, group), [*removed, *altered]))
            list(updating.map(lambda group: _add(one, group), [*altered, *added]))
        states = _states(one)
        return {
            change: Told(
                reread=[_of(change, part) for part in reread],
                available=[
                    (info["group"], info["name"], info["inuse"], info["autostart"])
                    for info in available
                    if _of(change, [info["group"]])
                ],
                states={name: states[name] for name in _of(change, states)},
            )
            for change in CHANGES
        }

    return start_shared_pair(HEAD + before).both(script)


@pytest.mark.parametrize("change", [name for name in CHANGES if name not in DIFFERENT])
def test_reread_and_update(
    changed: tuple[Mapping[str, Told], Mapping[str, Told]], change: str
) -> None:
    """What is told, what is available then, and what runs when it has been done."""
    theirs, ours = changed
    assert typed(ours[change]) == typed(theirs[change])


@pytest.mark.differs("reread-auto-log")
def test_from_a_log_file_to_auto(
    changed: tuple[Mapping[str, Told], Mapping[str, Told]],
) -> None:
    """Supervisor sees no change where either side is AUTO."""
    theirs, ours = changed
    change = "from a log file to AUTO"
    assert theirs[change].reread == [[], [], []]
    assert ours[change].reread == [[], _of(change, ours[change].reread[1]), []]
    assert len(ours[change].reread[1]) == 1


@pytest.mark.differs("reread-order")
def test_order_in_a_group(changed: tuple[Mapping[str, Told], Mapping[str, Told]]) -> None:
    """Supervisor restarts a group whose members are named in another order."""
    theirs, ours = changed
    change = "order in a group"
    assert len(theirs[change].reread[1]) == 1
    assert ours[change].reread == [[], [], []]


@pytest.mark.parametrize("change", ["command", "one more program", "one less program", "nothing"])
def test_reread_by_supervisorctl(pair: Pair, ctl: dict[Contestant, Repeated], change: str) -> None:
    """Twice: what has been told is told again until it is done."""
    before, after = CHANGES[change]

    def script(one: Contestant) -> list[list[str]]:
        _begin(one, ctl, before)
        one.write(HEAD + after)
        return [_run(one, ctl, "reread"), _run(one, ctl, "reread"), _run(one, ctl, "avail")]

    pair.agree(script)


SCRIPTS = {
    "stopped by hand starts": (X, X.replace("cat", "cat -u"), ["stop x", "update"]),
    "unchanged stays stopped": (X + Y, X + Y.replace("cat", "cat -u"), ["stop x", "update"]),
    "only one group": (
        X + Y,
        X.replace("cat", "cat -u") + Y.replace("cat", "cat -u"),
        ["update x"],
    ),
    "a group that isn't there": (X, X, ["update nosuch"]),
    "by hand": (X, X + Y, ["add y", "reread", "add y", "add y", "status y"]),
    "removed by hand": (
        X + Y,
        X,
        ["reread", "remove y", "stop y", "remove y", "remove y", "update"],
    ),
    "removed and back": (X, X, ["stop x", "remove x", "status x", "add x", "status x"]),
    "update after remove": (X, X, ["stop x", "remove x", "update"]),
    "running one that needn't": (
        f"{X}autostart=false\n",
        f"{X}autostart=false\nstartretries=9\n",
        ["start x", "update", "status x"],
    ),
    "a broken file": (X, "[program:x]\n", ["reread", "update", "status x"]),
    "a file without sections": (X, "[program:x", ["reread", "update"]),
    "a wrong value": (X, f"{X}startsecs=many\n", ["reread", "update x"]),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_changes_by_hand(pair: Pair, ctl: dict[Contestant, Repeated], name: str) -> None:
    """A few words one after another, and what runs in the end."""
    before, after, words = SCRIPTS[name]

    def script(one: Contestant) -> tuple[Any, dict[str, str]]:
        _begin(one, ctl, before)
        one.write(HEAD + after)
        told = []
        for line in words:
            said = _run(one, ctl, line)
            _states(one)
            told.append([undated(text) for text in said])
        return told, _states(one)

    pair.agree(script)


def test_broken_file_changes_nothing(pair: Pair, ctl: dict[Contestant, Repeated]) -> None:
    """Fault 92 with the reason, and the old configuration goes on."""

    def script(one: Contestant) -> tuple[Any, list[Any], dict[str, str]]:
        _begin(one, ctl, X)
        one.write(HEAD + f"{X}autostart=perhaps\n")
        fault = one.call("supervisor.reloadConfig")
        return fault, _available(one), _states(one)

    pair.agree(script)


# What is not up before the change, and is after it: given up, done, on its way for an hour.
# startsecs is long where something is to fail: Supervisor counts one as RUNNING that ended long
# ago, where it had no processor itself for as long as that.
_WAITING = """\
[program:job]
command=/bin/sleep 0.2
startsecs=100
startretries=0
[program:done]
command=/bin/sh -c "test -e $HERE/again && exec cat; touch $HERE/again"
startsecs=0
autorestart=unexpected
[program:slow]
command=/bin/cat
startsecs=3600
"""
_HELPED = {
    "sleep 0.2\nstartsecs=100": "sleep 0.2\nstartsecs=0",
    "autorestart=unexpected": "autorestart=true",
    "startsecs=3600": "startsecs=1",
}


def test_update_of_what_is_not_up(start_pair: StartPair) -> None:
    """What was changed may be what it was waiting for."""

    def script(one: Contestant) -> list[str]:
        one.until("job", "FATAL")
        one.until("done", "EXITED")
        text = _WAITING
        for before, after in _HELPED.items():
            assert before in text
            text = text.replace(before, after)
        one.write(f"{HEAD}{text}")
        ran = one.opsvisorctl("update") if one.is_ours else one.supervisorctl("update")
        assert ran.status == 0
        started = [one.until(name, "RUNNING") for name in ("done", "slow")]
        return [*started, eventually(lambda: "tried" if one.state("job") != "FATAL" else "")]

    both = start_pair(HEAD + _WAITING).both(script)
    assert both == (["RUNNING", "RUNNING", "tried"],) * 2
