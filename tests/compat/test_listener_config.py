"""[eventlistener:x]: every option, every refusal, and the same in Supervisor's eyes."""

from pathlib import Path

import pytest
from real_supervisor import RejectedBySupervisor, read
from supervisor.events import (  # type: ignore[import-untyped]  # comes without annotations
    EventTypes,
    getEventNameByType,
)
from supervisor_files import brief, load_text, problems, specs, write

from opsvisor.compat.supervisor.config.options import KNOWN_KEYS
from opsvisor.compat.supervisor.listeners.names import KINDS
from opsvisor.core.plan import EventFeed, Group
from opsvisor.core.spec import StdinMode

HEAD = "[supervisord]\n"
LISTENER = f"{HEAD}[eventlistener:a]\ncommand=/bin/cat\n"
TICKING = f"{LISTENER}events=TICK_5\n"


def pool(folder: Path, text: str) -> Group:
    """The one group of this configuration."""
    (group,) = load_text(folder, text).plan.groups
    return group


def test_a_listener_is_a_pool_of_its_own(tmp_path: Path) -> None:
    """It is started first and stopped last; its processes have an ordinary priority among them."""
    group = pool(tmp_path, TICKING)
    assert (group.name, group.priority) == ("a", -1)
    assert group.feed == EventFeed(kinds=("TICK_5",), buffer_size=10)
    (spec,) = group.processes
    assert (spec.priority, spec.stdin) == (999, StdinMode.PIPE)
    assert spec.stdout.told
    assert spec.stdout.path is not None
    assert spec.stderr is not None
    assert not spec.stderr.told


def test_a_priority_is_that_of_the_pool_and_its_processes(tmp_path: Path) -> None:
    """It is written once and read by both."""
    group = pool(tmp_path, f"{TICKING}priority=7\n")
    assert (group.priority, group.processes[0].priority) == (7, 7)


def test_kinds_in_any_case_and_order(tmp_path: Path) -> None:
    """The same subscription is the same plan, however it is written."""
    group = pool(tmp_path, f"{LISTENER}events=tick_60, PROCESS_STATE,Tick_60\nbuffer_size=1\n")
    assert group.feed == EventFeed(kinds=("PROCESS_STATE", "TICK_60"), buffer_size=1)


def test_several_processes_in_one_pool(tmp_path: Path) -> None:
    """Everything that a program can have, a listener can have too."""
    text = f"{TICKING}numprocs=2\nprocess_name=l%(process_num)d\nenvironment=A=1\n"
    group = pool(tmp_path, text)
    assert [spec.id.name for spec in group.processes] == ["l0", "l1"]
    assert ("A", "1") in group.processes[0].environment


def test_its_standard_error_is_that_of_a_program(tmp_path: Path) -> None:
    """It may be told of, and carry messages."""
    (spec,) = specs(
        load_text(tmp_path, f"{TICKING}stderr_events_enabled=1\nstderr_capture_maxbytes=9\n")
    ).values()
    assert spec.stderr is not None
    assert (spec.stderr.told, spec.stderr.message_limit) == (True, 9)


def test_its_standard_output_is_for_answers(tmp_path: Path) -> None:
    """What else could be done with it has no effect, which is said."""
    text = f"{TICKING}stdout_events_enabled=1\nstdout_capture_maxbytes=9\n"
    loaded = load_text(tmp_path, text)
    (spec,) = specs(loaded).values()
    assert spec.stdout.message_limit == 0
    assert [(w.where.line, w.what) for w in loaded.warnings] == [
        (5, "[eventlistener:a] stdout_events_enabled has no effect"),
        (6, "[eventlistener:a] stdout_capture_maxbytes has no effect"),
    ]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (LISTENER, '2: [eventlistener:a] section requires an "events" line'),
        (f"{LISTENER}events=\n", '4: [eventlistener:a] section requires an "events" line'),
        (f"{LISTENER}events=FOO\n", "4: Unknown event type FOO in [eventlistener:a] events"),
        (f"{LISTENER}events=TICK_5,\n", "4: Unknown event type  in [eventlistener:a] events"),
        (
            f"{TICKING}buffer_size=0\n",
            "5: [eventlistener:a] section sets invalid buffer_size (0)",
        ),
        (
            f"{TICKING}buffer_size=-3\n",
            "5: [eventlistener:a] section sets invalid buffer_size (-3)",
        ),
        (
            f"{TICKING}redirect_stderr=true\n",
            (
                "5: [eventlistener:a] section sets redirect_stderr=true but this is not allowed"
                " because it will interfere with the eventlistener protocol"
            ),
        ),
        (f"{TICKING}priority=high\n", "5: invalid literal for int() with base 10: 'high'"),
    ],
)
def test_refused_in_supervisors_words(tmp_path: Path, text: str, refusal: str) -> None:
    """Both turn it down, and say the same about it."""
    found = brief(problems(tmp_path, text), tmp_path)
    assert refusal in found
    path = write(tmp_path, text)
    with pytest.raises(RejectedBySupervisor) as caught:
        read(path)
    assert refusal.partition(": ")[2] in str(caught.value)


def test_a_misspelt_kind_comes_with_advice(tmp_path: Path) -> None:
    """Either what was meant, or everything there is."""
    (problem,) = problems(tmp_path, f"{LISTENER}events=PROCESS_STATE_EXITTED\n")
    assert problem.hint == "did you mean 'PROCESS_STATE_EXITED'?"
    (problem,) = problems(tmp_path, f"{LISTENER}events=X\n")
    assert problem.hint.startswith("there are EVENT, PROCESS_COMMUNICATION, ")


def test_the_built_in_result_handler_by_name(tmp_path: Path) -> None:
    """Written down, it changes nothing."""
    handler = "supervisor.dispatchers:default_handler"
    group = pool(tmp_path, f"{TICKING}result_handler={handler}\n")
    assert group == pool(tmp_path, TICKING)


@pytest.mark.parametrize(
    ("handler", "advice"),
    [
        ("foo:bar", "leave result_handler out"),
        ("supervisor_stdout:event_handler", "stdout_logfile = /dev/stdout"),
    ],
)
def test_other_result_handlers_are_refused(tmp_path: Path, handler: str, advice: str) -> None:
    """The daemon runs no foreign code; what to do instead is said."""
    (problem,) = problems(tmp_path, f"{TICKING}result_handler={handler}\n")
    assert problem.what.startswith(f"{handler} cannot be resolved within [eventlistener:a]")
    assert advice in problem.hint


def test_listeners_are_no_members_of_groups(tmp_path: Path) -> None:
    """A pool is a group already."""
    (problem,) = problems(tmp_path, f"{TICKING}[group:g]\nprograms=a\n")
    assert problem.what == "[group:g] names unknown program or fcgi-program a"
    assert problem.hint == "an event listener is a group of its own, leave it out here"


def test_a_listener_called_like_a_program(tmp_path: Path) -> None:
    """Of two groups with one name the first by priority is run, which is the pool."""
    loaded = load_text(tmp_path, f"{TICKING}[program:a]\ncommand=x\n")
    (group,) = loaded.plan.groups
    assert group.feed is not None
    assert [w.what for w in loaded.warnings] == [
        "[program:a] is left out: another group is called 'a' too"
    ]


def test_slips_of_the_keyboard_in_a_listener(tmp_path: Path) -> None:
    """Its own options are known, and close misses are told."""
    (warning,) = load_text(tmp_path, f"{TICKING}buffersize=4\n").warnings
    assert warning.what == "[eventlistener:a] has no option 'buffersize', it has no effect"
    assert "startsecs" in KNOWN_KEYS["eventlistener"]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_supervisor_knows_each_kind(tmp_path: Path, name: str) -> None:
    """Name by name: the pool subscribes to the same, with the same size and order."""
    path = write(tmp_path, f"{LISTENER}events={name.lower()}\nbuffer_size=3\n")
    (theirs,) = read(path).process_group_configs
    ours = pool(tmp_path, path.read_text())
    assert ours.feed is not None
    assert (ours.name, ours.priority) == (theirs.name, theirs.priority)
    assert ours.feed.buffer_size == theirs.buffer_size
    assert list(ours.feed.kinds) == [getEventNameByType(kind) for kind in theirs.pool_events]
    assert [spec.priority for spec in ours.processes] == [
        process.priority for process in theirs.process_configs
    ]


def test_every_kind_of_supervisor_is_known() -> None:
    """None is forgotten, and each is of the wider kinds it is of there."""
    theirs = {name: kind for name, kind in vars(EventTypes).items() if name.isupper()}
    assert set(KINDS) == set(theirs)
    for name, kinds in KINDS.items():
        wider = {other for other, kind in theirs.items() if issubclass(theirs[name], kind)}
        assert set(kinds) == wider, name
