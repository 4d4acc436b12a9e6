"""What facts are called, and the one line for people that tells them."""

from typing import get_args

import pytest
from programs import process_id, program

from opsvisor.core.events import (
    ActionResult,
    ControlAction,
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
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import Pid
from opsvisor.core.state import PublicState, StartCause
from opsvisor.core.wording import kind_of, sentence

WEB = process_id("site:web")
PID = Pid(7)


@pytest.mark.parametrize(
    ("event", "kind", "text"),
    [
        (ProcessAdded(at=1.5, id=WEB, spec=program("web")), "process_added", "site:web was added"),
        (
            ProcessChanged(at=1.5, id=WEB, spec=program("web"), fields=("umask", "nice")),
            "process_changed",
            "site:web follows a changed configuration: umask, nice",
        ),
        (ProcessRemoved(at=1.5, id=WEB), "process_removed", "site:web was removed"),
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
        ),
        (
            ProcessSpawned(
                at=1.5, id=WEB, pid=PID, cause=StartCause.RESTART, replaces=ExitCause.FAILURE
            ),
            "process_spawned",
            "site:web started with pid 7 (restart, replaces a run ended by failure)",
        ),
        (
            ProcessSpawned(at=1.5, id=WEB, pid=PID, cause=StartCause.MANUAL, replaces=None),
            "process_spawned",
            "site:web started with pid 7 (manual)",
        ),
        (
            SpawnFailed(at=1.5, id=WEB, reason="oops", kind=SpawnFaultKind.NO_FILE),
            "spawn_failed",
            "site:web could not be started: oops",
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
        ),
        (
            ProcessExited(
                at=1.5,
                id=WEB,
                pid=PID,
                outcome=Outcome(signum=9),
                cause=ExitCause.OOM,
                expected=False,
                uptime=2.5,
                usage=Usage(),
                decision="starts again",
                oom_killed=True,
            ),
            "process_exited",
            "site:web (pid 7) ended: terminated by SIGKILL (OOM killer); starts again",
        ),
        (
            ProcessAdopted(at=1.5, id=WEB, pid=PID, state=PublicState.RUNNING, started=1.0),
            "process_adopted",
            "site:web (pid 7) was taken back in RUNNING",
        ),
        (
            FailuresForgotten(at=1.5, id=WEB, failures=3),
            "failures_forgotten",
            "site:web has been up long enough to forget 3 failures",
        ),
        (
            FlappingChanged(at=1.5, id=WEB, flapping=True, restarts=4, interval=600.0),
            "flapping_changed",
            "site:web is flapping: 4 restarts in 600 s",
        ),
        (
            FlappingChanged(at=1.5, id=WEB, flapping=False, restarts=3, interval=0.5),
            "flapping_changed",
            "site:web has stopped flapping: 3 restarts in 0.5 s",
        ),
        (
            HealthChanged(
                at=1.5,
                id=WEB,
                pid=PID,
                probe=ProbeKind.READINESS,
                passing=True,
                detail="http 200",
                in_a_row=1,
                ready=False,
            ),
            "health_changed",
            "site:web: its readiness probe passes: http 200",
        ),
        (
            HealthChanged(
                at=1.5,
                id=WEB,
                pid=PID,
                probe=ProbeKind.LIVENESS,
                passing=False,
                detail="http 503",
                in_a_row=3,
                ready=False,
            ),
            "health_changed",
            "site:web: its liveness probe failed 3 times in a row: http 503",
        ),
        (
            HealthChanged(
                at=1.5,
                id=WEB,
                pid=PID,
                probe=ProbeKind.STARTUP,
                passing=False,
                detail="connection refused",
                in_a_row=1,
                ready=False,
            ),
            "health_changed",
            "site:web: its startup probe failed once: connection refused",
        ),
        (
            SignalSent(at=1.5, id=WEB, pid=PID, signum=15, to_group=True, stopping=True),
            "signal_sent",
            "site:web: SIGTERM sent to process group 7",
        ),
        (
            SignalSent(at=1.5, id=WEB, pid=PID, signum=1, to_group=False, stopping=False),
            "signal_sent",
            "site:web: SIGHUP sent to pid 7",
        ),
        (
            KillSurvived(at=1.5, id=WEB, pid=PID, kills=2),
            "kill_survived",
            "site:web (pid 7) has outlived 2 SIGKILL",
        ),
        (
            SignalRefused(at=1.5, id=WEB, pid=PID, reason="not ours"),
            "signal_refused",
            "site:web (pid 7) can't be signalled: not ours",
        ),
        (
            PlanApplied(at=1.5, generation=2, diff=PlanDiff(added=(WEB,), removed=(WEB, WEB))),
            "plan_applied",
            "configuration 2 applied: 1 added, 0 changed, 2 removed",
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
        ),
        (
            ControlAction(
                at=1.5,
                action="stop",
                targets=("web", "db"),
                target_count=7,
                identity="ops",
                user="",
                source="192.0.2.7",
                listener="http",
                interface="api",
                result=ActionResult.FAILED,
                code="not_running",
                reason="disk is full",
                seconds=0.5,
            ),
            "control_action",
            (
                "ops from 192.0.2.7 asked for stop web, db and 5 more: failed (not_running),"
                " because: disk is full"
            ),
        ),
        (
            ControlAction(
                at=1.5,
                action="daemon.shutdown",
                targets=(),
                target_count=0,
                identity="",
                user="root",
                source="unix",
                listener="unix",
                interface="api",
                result=ActionResult.OK,
                code="",
                reason="",
                seconds=0.5,
            ),
            "control_action",
            "root from unix asked for daemon.shutdown",
        ),
        (
            EssentialEnded(
                at=1.5, id=WEB, state=PublicState.FATAL, reason="exit status 3", exit_status=3
            ),
            "essential_ended",
            "site:web is essential, and FATAL: exit status 3; all is stopped, the exit status is 3",
        ),
    ],
)
def test_every_fact_has_a_name_and_a_sentence(event: Event, kind: str, text: str) -> None:
    """The name for programs, the sentence for people."""
    assert (kind_of(type(event)), sentence(event)) == (kind, text)


def test_names_are_for_good() -> None:
    """Clients and dashboards look for them; there is one for each kind of fact."""
    assert {kind_of(event_type) for event_type in get_args(Event)} == {
        "process_added",
        "process_changed",
        "process_removed",
        "state_changed",
        "process_spawned",
        "process_adopted",
        "spawn_failed",
        "process_exited",
        "failures_forgotten",
        "flapping_changed",
        "health_changed",
        "signal_sent",
        "kill_survived",
        "signal_refused",
        "plan_applied",
        "supervisor_state_changed",
        "control_action",
        "essential_ended",
    }
