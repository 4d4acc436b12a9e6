"""Events in the words of the wire."""

import pytest
from engine_room import key, program

from opsvisor.api.facts import wire_event
from opsvisor.core.events import (
    Event,
    FailuresForgotten,
    FlappingChanged,
    KillSurvived,
    PlanApplied,
    ProcessAdded,
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
from opsvisor.core.plan import PlanDiff
from opsvisor.core.spec import Pid
from opsvisor.core.state import PublicState, StartCause

WEB = key("site:web")
PID = Pid(7)


@pytest.mark.parametrize(
    ("event", "kind", "text", "detail"),
    [
        (
            ProcessAdded(at=1.5, id=WEB, spec=program("web")),
            "process_added",
            "site:web was added",
            {},
        ),
        (
            ProcessChanged(at=1.5, id=WEB, spec=program("web"), fields=("umask", "nice")),
            "process_changed",
            "site:web follows a changed configuration: umask, nice",
            {"fields": ["umask", "nice"]},
        ),
        (ProcessRemoved(at=1.5, id=WEB), "process_removed", "site:web was removed", {}),
        (
            StateChanged(
                at=1.5,
                id=WEB,
                old=PublicState.STARTING,
                new=PublicState.BACKOFF,
                reason="because",
                failed_starts=2,
                retry_delay=0.5,
            ),
            "state_changed",
            "site:web: STARTING -> BACKOFF: because",
            {
                "old": "STARTING",
                "new": "BACKOFF",
                "reason": "because",
                "pid": None,
                "failed_starts": 2,
                "retry_delay": 0.5,
            },
        ),
        (
            ProcessSpawned(
                at=1.5, id=WEB, pid=PID, cause=StartCause.RESTART, replaces=ExitCause.FAILURE
            ),
            "process_spawned",
            "site:web started with pid 7 (restart, replaces a run ended by failure)",
            {"pid": 7, "cause": "restart", "replaces": "failure"},
        ),
        (
            ProcessSpawned(at=1.5, id=WEB, pid=PID, cause=StartCause.MANUAL, replaces=None),
            "process_spawned",
            "site:web started with pid 7 (manual)",
            {"pid": 7, "cause": "manual", "replaces": None},
        ),
        (
            SpawnFailed(at=1.5, id=WEB, reason="oops", kind=SpawnFaultKind.NO_FILE),
            "spawn_failed",
            "site:web could not be started: oops",
            {"reason": "oops", "kind": "no_file"},
        ),
        (
            ProcessExited(
                at=1.5,
                id=WEB,
                pid=PID,
                outcome=Outcome(code=3),
                cause=ExitCause.FAILURE,
                expected=False,
                uptime=2.5,
                usage=Usage(),
                decision="starts again",
            ),
            "process_exited",
            "site:web (pid 7) ended: exit status 3; starts again",
            {
                "pid": 7,
                "outcome": "exit status 3",
                "exit_code": 3,
                "exit_signal": None,
                "cause": "failure",
                "expected": False,
                "uptime": 2.5,
                "decision": "starts again",
            },
        ),
        (
            FailuresForgotten(at=1.5, id=WEB, failures=3),
            "failures_forgotten",
            "site:web has been up long enough to forget 3 failures",
            {"failures": 3},
        ),
        (
            FlappingChanged(at=1.5, id=WEB, flapping=True, restarts=4, interval=600.0),
            "flapping_changed",
            "site:web is flapping: 4 restarts in 600 s",
            {"flapping": True, "restarts": 4, "interval": 600.0},
        ),
        (
            FlappingChanged(at=1.5, id=WEB, flapping=False, restarts=3, interval=0.5),
            "flapping_changed",
            "site:web has stopped flapping: 3 restarts in 0.5 s",
            {"flapping": False, "restarts": 3, "interval": 0.5},
        ),
        (
            SignalSent(at=1.5, id=WEB, pid=PID, signum=15, to_group=True, stopping=True),
            "signal_sent",
            "site:web: SIGTERM sent to process group 7",
            {"pid": 7, "signum": 15, "to_group": True, "stopping": True},
        ),
        (
            SignalSent(at=1.5, id=WEB, pid=PID, signum=1, to_group=False, stopping=False),
            "signal_sent",
            "site:web: SIGHUP sent to pid 7",
            {"pid": 7, "signum": 1, "to_group": False, "stopping": False},
        ),
        (
            KillSurvived(at=1.5, id=WEB, pid=PID, kills=2),
            "kill_survived",
            "site:web (pid 7) has outlived 2 SIGKILL",
            {"pid": 7, "kills": 2},
        ),
        (
            SignalRefused(at=1.5, id=WEB, pid=PID, reason="not ours"),
            "signal_refused",
            "site:web (pid 7) can't be signalled: not ours",
            {"pid": 7, "reason": "not ours"},
        ),
    ],
)
def test_a_fact_about_a_process(
    event: Event, kind: str, text: str, detail: dict[str, object]
) -> None:
    """Its kind and details for programs, one line for people; nested things are left out."""
    told = wire_event(9, event)
    assert (told.id, told.at, told.kind, told.process) == (9, 1.5, kind, "site:web")
    assert told.text == text
    assert told.detail == detail


@pytest.mark.parametrize(
    ("event", "kind", "text", "detail"),
    [
        (
            PlanApplied(at=1.5, generation=2, diff=PlanDiff(added=(WEB,), removed=(WEB, WEB))),
            "plan_applied",
            "configuration 2 applied: 1 added, 0 changed, 2 removed",
            {"generation": 2},
        ),
        (
            SupervisorStateChanged(
                at=1.5,
                old=SupervisorState.STARTING,
                new=SupervisorState.RUNNING,
                reason="first plan",
            ),
            "supervisor_state_changed",
            "opsvisord: starting -> running: first plan",
            {"old": "starting", "new": "running", "reason": "first plan"},
        ),
    ],
)
def test_a_fact_about_the_daemon(
    event: Event, kind: str, text: str, detail: dict[str, object]
) -> None:
    """It names no process."""
    told = wire_event(1, event)
    assert (told.kind, told.process, told.text, told.detail) == (kind, "", text, detail)
