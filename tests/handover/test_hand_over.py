"""Hand-overs of this version and of all before it: what was written once can be read for ever."""

import gc
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import BIN

from opsvisor.compat.supervisor.edge import SupervisorEdge
from opsvisor.config.problems import OpsvisorError
from opsvisor.config.settings import DaemonSettings, Dialect, Loaded, OnCrash, UnixServer
from opsvisor.core.effects import Adopt
from opsvisor.core.inputs import Resume
from opsvisor.core.instant import Instant
from opsvisor.core.plan import Plan
from opsvisor.core.struct import replace
from opsvisor.core.supervisor import Supervisor
from opsvisor.daemon.check import check_take_over
from opsvisor.daemon.flags import CHECK_HAND_OVER
from opsvisor.daemon.footing import default_state_dir, runtime_told
from opsvisor.daemon.hand_over import FORMAT, HandOver, HandOverError, announce, announced

# One for each format that a released version has written. None is ever changed or removed.
GOLDEN = sorted(Path(__file__).with_name("golden").iterdir())
NEWEST = GOLDEN[-1].read_bytes()
STATES = {
    "app": "RUNNING",
    "crashing": "BACKOFF",
    "deaf": "STOPPING",
    "gone": "EXITED",
    "idle": "STOPPED",
    "lis": "RUNNING",
    "missing": "FATAL",
    "web": "RUNNING",
}


def changed(how: Callable[[Any], object], line: int = 1) -> bytes:
    """The newest one with something changed in its header (line 0) or in all the rest."""
    lines = [json.loads(text) for text in NEWEST.splitlines()]
    how(lines[line])
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def loaded(tmp_path: Path, *listeners: UnixServer) -> Loaded:
    """A configuration that has the state directory of the golden daemon."""
    settings = DaemonSettings(
        state_dir=HandOver.of(NEWEST).state_directory,
        servers=listeners,
        dialect=Dialect.SUPERVISOR,
        supervisor_interfaces=True,
    )
    return Loaded(plan=Plan(), settings=settings, warnings=(), files=(str(tmp_path / "x.conf"),))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name)
def test_what_was_handed_over_is_gone_on_with(golden: Path) -> None:
    """Every process in its state, every descriptor under its name, and all that was counted."""
    past = HandOver.of(golden.read_bytes())
    supervisor = Supervisor(jitter=float)
    now = Instant(mono=past.upgrade.silent_since, wall=past.started.wall + 10)
    effects = supervisor.handle(Resume(past.supervisor, is_exact=True), now)
    states = {view.id.name: view.state.name for view in supervisor.views(now)}
    assert states == STATES
    adopted = {effect.pid for effect in effects if isinstance(effect, Adopt)}
    assert {f"pid:{pid}" for pid in adopted} <= past.descriptors.keys()
    runs = {run.id.name: run for run in past.engine.runs}
    for name in ("web", "deaf", "lis"):
        assert {f"out:{pipe}" for pipe in runs[name].stdout} <= past.descriptors.keys()
    assert {name.partition(":")[0] for name in past.descriptors} == {
        *("socket", "out", "in", "pid", "directory", "listen", "lock", "keeper")
    }
    assert past.keeper is not None
    assert past.bus is not None
    assert past.bus.last_number >= past.bus.recent[-1].number
    counts = {one.id.name: one for one in past.metrics.counts}
    assert (counts["web"].starts, counts["missing"].spawn_failures) == (1, 1)
    streams = {(one.id.name, one.stream.value): one.capture for one in past.engine.streams}
    assert streams["web", "stdout"].output == b"hello\n"
    assert streams["web", "stderr"].stats.lines == 1
    assert {one.id.name for one in past.post_mortems if one.runs} >= {"crashing", "gone"}
    assert past.event_serial > 0
    assert past.marks
    for text in past.edges:
        SupervisorEdge.check_memento(text)


def test_what_is_written_is_read() -> None:
    """In a file that only this process has, and whose number is told to the next image alone."""
    past = HandOver.of(NEWEST)
    descriptor = past.write()
    assert not os.get_inheritable(descriptor)
    environment: dict[str, str] = {}
    announce(descriptor, environment)
    assert announced(environment) == descriptor
    assert environment == {}
    assert HandOver.read(descriptor) == past


@pytest.mark.parametrize("said", ["1:3", "", "x", "OURS:", "OURS:x"])
def test_nobody_else_takes_it(said: str) -> None:
    """A program that inherits the variable, or whoever was told nonsense."""
    told = said.replace("OURS", str(os.getpid()))
    environment = {"OPSVISOR_HAND_OVER": told, "PATH": "/bin"}
    assert announced(environment) is None
    assert environment == {"PATH": "/bin"}


def test_what_a_newer_version_adds_is_passed_over() -> None:
    """And what an older one did not know has its default."""
    text = changed(lambda body: body.update(more={"x": 1}))
    assert HandOver.of(text) == HandOver.of(NEWEST)
    shorter = HandOver.of(changed(lambda body: [body.pop("bus"), body.pop("edges")]))
    assert (shorter.bus, shorter.edges) == (None, ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "this is no hand-over"),
        (b"{}\n{}\n", "this is no hand-over"),
        (b"[1]\n", "this is no hand-over"),
        (b"x" * 5000, "this is no hand-over"),
        (NEWEST[:-100], "not complete"),
        (changed(lambda body: body.pop("supervisor")), "supervisor is missing"),
        (changed(lambda body: body["started"].update(mono="x")), r"started: mono: 'x' is not"),
        (
            changed(lambda head: head.update(opsvisor_hand_over=FORMAT + 1, version="9.9"), 0),
            rf"9\.9 is in format {FORMAT + 1}.*up to {FORMAT}\n    hint: an older version can't",
        ),
    ],
)
def test_what_can_not_be_used(text: bytes, reason: str) -> None:
    """It is refused in words, and nothing of it is taken."""
    with pytest.raises(HandOverError, match=reason):
        HandOver.of(text)


def test_a_descriptor_that_is_not_there() -> None:
    """Somebody has closed it."""
    with pytest.raises(HandOverError, match="Bad file descriptor"):
        HandOver.read(987654)


def test_a_check_tries_everything_and_leaves_nothing(tmp_path: Path) -> None:
    """A server that is new listens for a moment; where the daemon listens nothing is tried."""
    new = UnixServer(name="new", path=str(tmp_path / "s"))
    ours = UnixServer(name="ours", path="/srv/app/s")  # no such directory
    gc.collect()  # what earlier tests have left to it
    before = len(list(Path("/proc/self/fd").iterdir()))
    check_take_over(HandOver.of(NEWEST), loaded(tmp_path, new, ours), tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(tmp_path.iterdir()) == []


def test_a_check_says_what_is_in_the_way(tmp_path: Path) -> None:
    """An address, another state directory, or what an interface can't understand."""
    past, good = HandOver.of(NEWEST), loaded(tmp_path)
    taken = UnixServer(name="x", path=str(tmp_path))
    elsewhere = replace(good, settings=replace(good.settings, state_dir=str(tmp_path)))
    strange = replace(past, edges=('{"pools": 7}',))
    for hand_over, configuration, reason in (
        (past, loaded(tmp_path, taken), "a file that is not a socket"),
        (past, elsewhere, "a reload takes over a change of state_dir"),
        (strange, good, "event listeners can't be taken over: pools: "),
    ):
        with pytest.raises(OpsvisorError, match=reason):
            check_take_over(hand_over, configuration, tmp_path)
    assert good.settings.on_crash is OnCrash.ADOPT


@pytest.mark.parametrize("place", ["usual", "chosen"])
def test_a_version_that_told_no_runtime_directory(tmp_path: Path, place: str) -> None:
    """It is that of the state directory: who started the daemon may be somebody else by now."""
    config, runtime = tmp_path / "o.toml", tmp_path / "of-root"
    config.write_text(f'[server]\nunix = "{tmp_path}/s"\n')
    usual = default_state_dir(str(config), {}, runtime)
    before = usual if place == "usual" else runtime / "chosen"
    past = replace(HandOver.of(NEWEST), state_directory=str(before), directory=str(tmp_path))
    assert past.runtime == ""
    descriptor = past.write()
    try:
        checked = subprocess.run(
            [BIN / "opsvisord", "-c", config, f"{CHECK_HAND_OVER}={descriptor}"],
            env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
            pass_fds=[descriptor],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(descriptor)
    if before == usual:
        assert (checked.returncode, checked.stderr) == (0, "")
    else:
        assert checked.returncode == 2
        assert f"that of the daemon is {before}\n" in checked.stderr


def test_what_tells_of_the_runtime_directory(tmp_path: Path) -> None:
    """What is said, or the usual state directory where nobody has chosen one."""
    config, past = str(tmp_path / "o.toml"), HandOver.of(NEWEST)
    usual = str(default_state_dir(config, {}, tmp_path))
    said = replace(past, runtime="/said", state_directory=usual)
    assert runtime_told(said, config, {}) == Path("/said")
    old = replace(past, state_directory=usual)
    assert runtime_told(old, config, {}) == tmp_path
    assert runtime_told(old, config, {"RUNTIME_DIRECTORY": str(tmp_path)}) is None
    assert runtime_told(replace(past, state_directory=""), config, {}) is None
    assert runtime_told(replace(past, state_directory="/chosen"), config, {}) is None
