"""The lines of the activity log, to the letter: people's tools look for them."""

import re
import time
from collections.abc import Iterator

import pytest
from engine_room import key, program

from opsvisor.config.settings import LogLevel
from opsvisor.core.events import (
    EssentialEnded,
    Event,
    FailuresForgotten,
    FlappingChanged,
    HealthChanged,
    KillSurvived,
    PlanApplied,
    ProcessAdded,
    ProcessAdopted,
    ProcessChanged,
    ProcessExited,
    ProcessRemoved,
    ProcessSpawned,
    SignalRefused,
    SignalSent,
    SpawnFailed,
    StateChanged,
    SupervisorState,
    SupervisorStateChanged,
)
from opsvisor.core.outcome import ExitCause, Outcome, SpawnFaultKind, Usage
from opsvisor.core.plan import Change, PlanDiff
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import ExitSet, Pid, ProcessSpec, RestartPolicy, StopPolicy
from opsvisor.core.state import PublicState, StartCause
from opsvisor.core.struct import replace
from opsvisor.telemetry.journal import Journal

WEB = key("site:web")
PID = Pid(21055)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


SPEC = program("web", min_uptime=1.0)


def journal(level: LogLevel, spec: ProcessSpec | None = SPEC) -> tuple[Journal, list[str]]:
    """A journal of everything from this level up, and what it wrote."""
    lines: list[str] = []
    return Journal(lines.append, level=level, spec_of=lambda _id: spec), lines


def told(event: Event, spec: ProcessSpec | None = SPEC) -> list[str]:
    """The lines of this event without their times."""
    one, lines = journal(LogLevel.BLATHER, spec)
    one.on_event(event)
    one.flush()
    return [line.split(" ", 2)[2] for text in lines for line in text.split("\n")]


def health_changed(*, passing: bool) -> HealthChanged:
    """A liveness probe decided."""
    return HealthChanged(
        at=1.0,
        id=WEB,
        pid=PID,
        probe=ProbeKind.LIVENESS,
        passing=passing,
        detail="http 503",
        in_a_row=3,
        ready=passing,
    )


def exited(outcome: Outcome, cause: ExitCause, *, expected: bool) -> ProcessExited:
    """A run that ended so."""
    return ProcessExited(
        at=1.0,
        id=WEB,
        pid=PID,
        outcome=outcome,
        cause=cause,
        expected=expected,
        uptime=1.0,
        usage=Usage(),
        decision="left as it is: because",
    )


def changed(new: PublicState, reason: str = "because") -> StateChanged:
    """A change into this state."""
    return StateChanged(at=1.0, id=WEB, old=PublicState.STARTING, new=new, reason=reason)


def sent(signum: int, *, to_group: bool, stopping: bool) -> SignalSent:
    """A signal that went out."""
    return SignalSent(at=1.0, id=WEB, pid=PID, signum=signum, to_group=to_group, stopping=stopping)


FATAL = PublicState.FATAL
TOO_MANY = "too many start retries too quickly (3 allowed), the last: exit status 1"
DIFF = PlanDiff(
    added=(WEB,), changed=(Change(id=WEB, fields=("umask",), restart=True),), removed=(WEB, WEB)
)


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (
            ProcessSpawned(at=1.0, id=WEB, pid=PID, cause=StartCause.MANUAL, replaces=None),
            ["INFO spawned: 'web' with pid 21055"],
        ),
        (
            ProcessAdopted(at=1.0, id=WEB, pid=PID, state=PublicState.RUNNING, started=0.5),
            ["INFO adopted: 'web' with pid 21055, RUNNING"],
        ),
        (
            exited(Outcome(), ExitCause.UNKNOWN, expected=False),
            [
                "WARN exited: web (exit status unknown; not expected)",
                "DEBG site:web: left as it is: because",
            ],
        ),
        (
            EssentialEnded(at=1.0, id=WEB, state=FATAL, reason="exit status 3", exit_status=3),
            [
                (
                    "WARN site:web is essential, and FATAL: exit status 3; all is stopped,"
                    " the exit status is 3"
                )
            ],
        ),
        (
            SpawnFailed(
                at=1.0, id=WEB, reason="can't find command 'x'", kind=SpawnFaultKind.NO_FILE
            ),
            ["INFO spawnerr: can't find command 'x'"],
        ),
        (
            exited(Outcome(code=0), ExitCause.SUCCESS, expected=True),
            [
                "INFO exited: web (exit status 0; expected)",
                "DEBG site:web: left as it is: because",
            ],
        ),
        (
            exited(Outcome(code=3), ExitCause.FAILURE, expected=False),
            [
                "WARN exited: web (exit status 3; not expected)",
                "DEBG site:web: left as it is: because",
            ],
        ),
        (
            exited(Outcome(code=0), ExitCause.START_FAILURE, expected=False),
            [
                "WARN exited: web (exit status 0; not expected)",
                "DEBG site:web: left as it is: because",
            ],
        ),
        (
            exited(Outcome(signum=11, core_dumped=True), ExitCause.SIGNAL, expected=False),
            [
                "WARN exited: web (terminated by SIGSEGV (core dumped); not expected)",
                "DEBG site:web: left as it is: because",
            ],
        ),
        (
            exited(Outcome(signum=15), ExitCause.MANUAL, expected=True),
            ["WARN stopped: web (terminated by SIGTERM)"],
        ),
        (
            exited(Outcome(code=0), ExitCause.SHUTDOWN, expected=True),
            ["INFO stopped: web (exit status 0)"],
        ),
        (
            exited(Outcome(code=1), ExitCause.CONFIG, expected=True),
            ["WARN stopped: web (exit status 1)"],
        ),
        (
            changed(FATAL, TOO_MANY),
            ["INFO gave up: web entered FATAL state, too many start retries too quickly"],
        ),
        (
            sent(15, to_group=False, stopping=True),
            ["DEBG killing web (pid 21055) with signal SIGTERM"],
        ),
        (
            sent(2, to_group=True, stopping=True),
            ["DEBG killing web (pid 21055) process group with signal SIGINT"],
        ),
        (sent(9, to_group=True, stopping=True), ["WARN killing 'web' (21055) with SIGKILL"]),
        (sent(1, to_group=False, stopping=False), ["DEBG sending web (pid 21055) sig SIGHUP"]),
        (
            SignalRefused(at=1.0, id=WEB, pid=PID, reason="SIGTERM: Operation not permitted"),
            ["CRIT unknown problem killing web (21055): SIGTERM: Operation not permitted"],
        ),
        (
            KillSurvived(at=1.0, id=WEB, pid=PID, kills=2),
            ["WARN 'web' (21055) has outlived SIGKILL 2 times; the kernel holds it"],
        ),
        (
            FlappingChanged(at=1.0, id=WEB, flapping=True, restarts=4, interval=600.0),
            ["WARN site:web is flapping: 4 restarts in 600 s"],
        ),
        (
            FlappingChanged(at=1.0, id=WEB, flapping=False, restarts=3, interval=600.0),
            ["INFO site:web has stopped flapping: 3 restarts in 600 s"],
        ),
        (
            health_changed(passing=False),
            ["WARN site:web: its liveness probe failed 3 times in a row: http 503"],
        ),
        (
            health_changed(passing=True),
            ["INFO site:web: its liveness probe passes: http 503"],
        ),
        (
            PlanApplied(at=1.0, generation=2, diff=DIFF),
            ["INFO configuration 2 applied: 1 added, 1 changed, 2 removed"],
        ),
        (
            ProcessChanged(at=1.0, id=WEB, spec=program("web"), fields=("umask", "nice")),
            ["INFO changed: site:web: umask, nice"],
        ),
        (ProcessAdded(at=1.0, id=WEB, spec=program("web")), ["DEBG site:web was added"]),
        (ProcessRemoved(at=1.0, id=WEB), ["DEBG site:web was removed"]),
        (
            FailuresForgotten(at=1.0, id=WEB, failures=2),
            ["DEBG site:web has been up long enough to forget 2 failures"],
        ),
        (
            SupervisorStateChanged(
                at=1.0,
                old=SupervisorState.RUNNING,
                new=SupervisorState.STOPPING,
                reason="received SIGTERM",
            ),
            ["DEBG opsvisord is stopping: received SIGTERM"],
        ),
    ],
)
def test_every_fact_has_its_line(event: Event, lines: list[str]) -> None:
    """Supervisor's words where it has any, with the bare name of the process as it has it."""
    assert told(event) == lines


def test_lines_of_facts_are_written_at_once() -> None:
    """With one call for all that belongs together, in order with what else is said meanwhile."""
    journal_of_all, written = journal(LogLevel.TRACE)
    journal_of_all.on_event(ProcessAdded(at=1.0, id=WEB, spec=program("web")))
    journal_of_all.log(LogLevel.WARN, "no cgroup for it")
    journal_of_all.on_event(ProcessRemoved(at=1.0, id=WEB))
    assert written == []
    journal_of_all.flush()
    (text,) = written
    assert [line.split(" ", 2)[2] for line in text.split("\n")] == [
        "DEBG site:web was added",
        "WARN no cgroup for it",
        "DEBG site:web was removed",
    ]
    journal_of_all.flush()
    journal_of_all.log(LogLevel.INFO, "by itself")
    assert len(written) == 2


def test_a_fact_that_has_no_words_costs_the_others_none() -> None:
    """It is a bug, and told to whoever asks for the lines."""
    journal_of_all, written = journal(LogLevel.TRACE)
    journal_of_all.on_event(ProcessAdded(at=1.0, id=WEB, spec=program("web")))
    journal_of_all.on_event(replace(health_changed(passing=True), probe=None))
    journal_of_all.on_event(ProcessRemoved(at=1.0, id=WEB))
    with pytest.raises(AttributeError):
        journal_of_all.flush()
    (text,) = written
    lines = [line.split(" ", 2)[2] for line in text.split("\n")]
    assert (lines[0], lines[-1]) == ("DEBG site:web was added", "DEBG site:web was removed")
    journal_of_all.flush()
    assert len(written) == 1


@pytest.mark.parametrize(
    ("seconds", "shown"), [(1.0, "1"), (0.5, "0.5"), (0.0, "0"), (90.0, "90")]
)
def test_coming_up_names_the_time_it_took(seconds: float, shown: str) -> None:
    """`startsecs` as it was configured, a whole number where it is one."""
    assert told(changed(PublicState.RUNNING), program("web", min_uptime=seconds)) == [
        (
            f"INFO success: web entered RUNNING state, process has stayed up for > than {shown}"
            " seconds (startsecs)"
        )
    ]


@pytest.mark.parametrize("code", [0, 143])
def test_a_stop_that_ends_as_it_may_is_no_warning(code: int) -> None:
    """By the exit codes of this program, as Supervisor has it: Java's 143, and perhaps not 0."""
    success = ExitSet(codes=frozenset({143}))
    spec = program("web", restart=RestartPolicy(success=success))
    event = exited(Outcome(code=code), ExitCause.MANUAL, expected=True)
    level = "INFO" if code == 143 else "WARN"
    assert told(event, spec) == [f"{level} stopped: web (exit status {code})"]
    other = "INFO" if code == 0 else "WARN"  # of one that is gone, as of most
    assert told(event, None) == [f"{other} stopped: web (exit status {code})"]


def test_a_stop_by_sigkill_is_no_warning_where_that_is_how_it_is_stopped() -> None:
    """The warning tells of one that did not heed its stop signal."""
    spec = program("web", stop=StopPolicy(signal=9))
    event = sent(9, to_group=False, stopping=True)
    assert told(event, spec) == ["DEBG killing web (pid 21055) with signal SIGKILL"]
    assert told(event, None) == ["WARN killing 'web' (21055) with SIGKILL"]


@pytest.mark.parametrize(
    "state", [state for state in PublicState if state not in (PublicState.RUNNING, FATAL)]
)
def test_other_changes_are_for_those_who_look_closely(state: PublicState) -> None:
    """Each has told of itself by what brought it about."""
    (line,) = told(changed(state))
    assert line.startswith("TRAC ")
    assert state.name in line


@pytest.mark.usefixtures("utc")
def test_a_line_begins_with_local_time_to_the_millisecond() -> None:
    """As Python's logging writes it, with a comma."""
    one, lines = journal(LogLevel.INFO)
    before = time.time()
    one.log(LogLevel.INFO, "hello")
    after = time.time()
    (line,) = lines
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) INFO hello", line)
    assert found
    stamp = time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S")) + int(found[2]) / 1000
    assert before - 0.001 <= stamp <= after


@pytest.mark.parametrize(
    ("level", "names"),
    [
        (LogLevel.CRITICAL, "CRIT"),
        (LogLevel.ERROR, "CRIT ERRO"),
        (LogLevel.WARN, "CRIT ERRO WARN"),
        (LogLevel.INFO, "CRIT ERRO WARN INFO"),
        (LogLevel.DEBUG, "CRIT ERRO WARN INFO DEBG"),
        (LogLevel.TRACE, "CRIT ERRO WARN INFO DEBG TRAC"),
        (LogLevel.BLATHER, "CRIT ERRO WARN INFO DEBG TRAC BLAT"),
    ],
)
def test_what_is_graver_than_the_level_is_written(level: LogLevel, names: str) -> None:
    """The level itself included, nothing lighter."""
    one, lines = journal(level)
    for other in LogLevel:
        one.log(other, "hello")
    assert [line.split()[2] for line in lines] == names.split()


def test_a_message_keeps_its_lines() -> None:
    """A traceback is one message over many lines."""
    one, lines = journal(LogLevel.INFO)
    one.log(LogLevel.INFO, "a\nb")
    assert [line.partition("INFO ")[2] for line in lines] == ["a\nb"]
