"""The core's facts in the words of the wire."""

import pytest
from engine_room import key, program

from opsvisor import wire
from opsvisor.api.convert import probe_status, wire_event
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
from opsvisor.core.plan import PlanDiff
from opsvisor.core.probes import ProbeKind, ProbeSpec, ProbeView, TcpProbe
from opsvisor.core.spec import Pid
from opsvisor.core.state import PublicState, StartCause
from opsvisor.core.wording import kind_of, sentence

WEB = key("site:web")
PID = Pid(7)


@pytest.mark.parametrize(
    ("event", "process", "detail"),
    [
        (ProcessAdded(at=1.5, id=WEB, spec=program("web")), "site:web", {}),
        (
            ProcessChanged(at=1.5, id=WEB, spec=program("web"), fields=("umask", "nice")),
            "site:web",
            {"fields": ["umask", "nice"]},
        ),
        (ProcessRemoved(at=1.5, id=WEB), "site:web", {}),
        (
            HealthChanged(
                at=1.5,
                id=WEB,
                pid=PID,
                probe=ProbeKind.READINESS,
                passing=False,
                detail="http 503",
                in_a_row=3,
                ready=False,
            ),
            "site:web",
            {
                "pid": 7,
                "probe": "readiness",
                "passing": False,
                "detail": "http 503",
                "in_a_row": 3,
                "ready": False,
            },
        ),
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
            "site:web",
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
            "site:web",
            {"pid": 7, "cause": "restart", "replaces": "failure"},
        ),
        (
            ProcessSpawned(at=1.5, id=WEB, pid=PID, cause=StartCause.MANUAL, replaces=None),
            "site:web",
            {"pid": 7, "cause": "manual", "replaces": None},
        ),
        (
            ProcessAdopted(at=1.5, id=WEB, pid=PID, state=PublicState.RUNNING, started=0.5),
            "site:web",
            {"pid": 7, "state": "RUNNING", "started": 0.5},
        ),
        (
            EssentialEnded(
                at=1.5, id=WEB, state=PublicState.EXITED, reason="exit status 3", exit_status=3
            ),
            "site:web",
            {"state": "EXITED", "reason": "exit status 3", "exit_status": 3},
        ),
        (
            SpawnFailed(at=1.5, id=WEB, reason="oops", kind=SpawnFaultKind.NO_FILE),
            "site:web",
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
            "site:web",
            {
                "pid": 7,
                "outcome": "exit status 3",
                "exit_code": 3,
                "exit_signal": None,
                "cause": "failure",
                "expected": False,
                "uptime": 2.5,
                "decision": "starts again",
                "oom_killed": False,
            },
        ),
        (FailuresForgotten(at=1.5, id=WEB, failures=3), "site:web", {"failures": 3}),
        (
            FlappingChanged(at=1.5, id=WEB, flapping=True, restarts=4, interval=600.0),
            "site:web",
            {"flapping": True, "restarts": 4, "interval": 600.0},
        ),
        (
            FlappingChanged(at=1.5, id=WEB, flapping=False, restarts=3, interval=0.5),
            "site:web",
            {"flapping": False, "restarts": 3, "interval": 0.5},
        ),
        (
            SignalSent(at=1.5, id=WEB, pid=PID, signum=15, to_group=True, stopping=True),
            "site:web",
            {"pid": 7, "signum": 15, "to_group": True, "stopping": True},
        ),
        (
            SignalSent(at=1.5, id=WEB, pid=PID, signum=1, to_group=False, stopping=False),
            "site:web",
            {"pid": 7, "signum": 1, "to_group": False, "stopping": False},
        ),
        (KillSurvived(at=1.5, id=WEB, pid=PID, kills=2), "site:web", {"pid": 7, "kills": 2}),
        (
            SignalRefused(at=1.5, id=WEB, pid=PID, reason="not ours"),
            "site:web",
            {"pid": 7, "reason": "not ours"},
        ),
        (
            PlanApplied(at=1.5, generation=2, diff=PlanDiff(added=(WEB,), removed=(WEB, WEB))),
            "",
            {"generation": 2},
        ),
        (
            SupervisorStateChanged(
                at=1.5,
                old=SupervisorState.STARTING,
                new=SupervisorState.RUNNING,
                reason="first plan",
            ),
            "",
            {"old": "starting", "new": "running", "reason": "first plan"},
        ),
    ],
)
def test_an_event_tells_all_of_its_fact(
    event: Event, process: str, detail: dict[str, object]
) -> None:
    """Details for programs, nested things left out; a fact about the daemon names no process."""
    told = wire_event(9, event)
    assert (told.id, told.at, told.process) == (9, 1.5, process)
    assert (told.kind, told.text) == (kind_of(type(event)), sentence(event))
    assert told.detail == detail


def test_a_probe_as_the_wire_has_it() -> None:
    """With its question, as long as the configuration has it."""
    view = ProbeView(
        kind=ProbeKind.LIVENESS,
        is_active=True,
        passing=None,
        wrong_in_a_row=1,
        attempts=3,
        failures=2,
        duration=0.25,
        detail="connection refused",
    )
    asked = program("web", liveness_probe=ProbeSpec(handler=TcpProbe(host="db", port=5432)))
    told = wire.ProbeStatus(
        probe="liveness",
        question="connect to db:5432",
        asked=True,
        passing=None,
        wrong_in_a_row=1,
        attempts=3,
        failures=2,
        duration=0.25,
        detail="connection refused",
    )
    assert probe_status(asked, view) == told
    assert probe_status(program("web"), view).question == ""
