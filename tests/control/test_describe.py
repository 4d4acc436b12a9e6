"""States in words."""

import time
from collections.abc import Iterator

import pytest
from engine_room import key, program

from opsvisor.control.describe import describe, describe_policy, hints, what_next
from opsvisor.core.instant import Instant
from opsvisor.core.outcome import ExitCause, Outcome
from opsvisor.core.probes import (
    ExecProbe,
    HttpProbe,
    ProbeKind,
    ProbeSpec,
    ProbeView,
    TcpProbe,
)
from opsvisor.core.spec import (
    ExitSet,
    KillMode,
    LinearBackoff,
    OnEnd,
    Pid,
    RestartMode,
    RestartPolicy,
    Startup,
    StopPolicy,
)
from opsvisor.core.state import PublicState
from opsvisor.core.struct import replace
from opsvisor.core.view import ProcessView

NOW = Instant(mono=100_000.0, wall=1_795_426_673.0)
WEB = program("web", "run", group="site", min_uptime=1.0)
DOWN = ProcessView(
    id=key("site:web"),
    spec=WEB,
    group_priority=999,
    state=PublicState.STOPPED,
    reason="",
    since=NOW,
    pid=None,
    ready=False,
    healthy=None,
    probes=(),
    flapping=False,
    expected_running=False,
    started=None,
    ended=None,
    starts=0,
    restarts=0,
    failed_starts=0,
    failures=0,
    retry_at=None,
    retry_delay=None,
    kills_survived=0,
    last_outcome=None,
    last_cause=None,
    last_oom_killed=False,
    last_signal_asked=False,
    spawn_error="",
    running_seconds=0.0,
    expected_seconds=0.0,
)
UP = replace(DOWN, pid=Pid(21055), state=PublicState.RUNNING, started=NOW)
ENDED = Instant(mono=0.0, wall=1_795_426_673.0)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def in_state(state: PublicState, **changes: object) -> ProcessView:
    """The process in this state."""
    return replace(DOWN, state=state, **changes)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (8.9, "0:00:08"),
        (0.0, "0:00:00"),
        (-5.0, "0:00:00"),
        (3600.0, "1:00:00"),
        (93784.0, "1 day, 2:03:04"),
        (172800.0, "2 days, 0:00:00"),
    ],
)
def test_a_running_process_shows_its_pid_and_uptime(seconds: float, shown: str) -> None:
    """As a Python timedelta prints it: scripts parse this."""
    started = Instant(mono=NOW.mono - seconds, wall=0.0)
    assert describe(replace(UP, started=started), NOW) == f"pid 21055, uptime {shown}"


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("view", "text"),
    [
        (in_state(PublicState.FATAL, spawn_error="Bad exit code 3"), "Bad exit code 3"),
        (in_state(PublicState.BACKOFF, spawn_error="oops"), "oops"),
        (in_state(PublicState.BACKOFF, reason="exit status 0, so"), "exit status 0, so"),
        (in_state(PublicState.FATAL), 'unknown error (try "tail web")'),
        (in_state(PublicState.STOPPED), "Not started"),
        (in_state(PublicState.STOPPED, ended=ENDED), "Nov 23 09:37 AM"),
        (in_state(PublicState.EXITED, ended=ENDED), "Nov 23 09:37 AM"),
        (in_state(PublicState.STARTING), ""),
        (in_state(PublicState.STOPPING), ""),
        (in_state(PublicState.UNKNOWN), ""),
    ],
)
def test_the_description_is_supervisors_to_the_letter(view: ProcessView, text: str) -> None:
    """The last column of `status`."""
    assert describe(view, NOW) == text


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (DOWN, "nothing: it stays stopped until somebody starts it"),
        (in_state(PublicState.STARTING), "RUNNING once it has been up for 1 s"),
        (UP, "restarted when it ends with anything but exit 0"),
        (in_state(PublicState.BACKOFF, retry_at=NOW.mono + 2.5), "the next attempt in 2.5 s"),
        (in_state(PublicState.BACKOFF, retry_at=NOW.mono - 1), "the next attempt in 0.0 s"),
        (
            in_state(PublicState.STOPPING),
            "SIGKILL if it is not gone 10 s after the request",
        ),
        (
            in_state(PublicState.STOPPING, kills_survived=1),
            "nothing can be done from here: it ignores SIGKILL, the kernel holds it",
        ),
        (in_state(PublicState.EXITED), "nothing: its restart policy leaves it as it ended"),
        (in_state(PublicState.FATAL), "nothing: it stays FATAL until somebody starts it"),
        (in_state(PublicState.FATAL, retry_at=NOW.mono + 90), "it tries again in 90 s"),
        (in_state(PublicState.UNKNOWN), "nothing: opsvisord may not signal it"),
    ],
)
def test_what_comes_next(view: ProcessView, text: str) -> None:
    """What the supervisor does by itself, and when."""
    assert what_next(view, NOW) == text


@pytest.mark.parametrize(
    ("restart", "text"),
    [
        (RestartPolicy(mode=RestartMode.ALWAYS), "restarted whenever it ends"),
        (RestartPolicy(mode=RestartMode.NO), "left as it is when it ends"),
        (
            RestartPolicy(success=ExitSet(codes=frozenset({2, 0}), signals=frozenset({15}))),
            "restarted when it ends with anything but exit 0, 2, SIGTERM",
        ),
        (
            RestartPolicy(success=ExitSet()),
            "restarted when it ends with anything but no exit at all",
        ),
    ],
)
def test_what_comes_after_a_run(restart: RestartPolicy, text: str) -> None:
    """The restart mode, told of a process that is up."""
    assert what_next(replace(UP, spec=replace(WEB, restart=restart)), NOW) == text


def test_the_native_policy_in_sentences() -> None:
    """Everything that decides whether it comes back, with the delays as they will be."""
    assert describe_policy(WEB) == [
        "restart: on failure, success is exit 0",
        "delays after failed starts: 0.5, 1, 2, 4, 8 … at most 30 s, plus up to 10%",
        (
            "delays after crashes: none after the first, then 0.5, 1, 2, 4, 8 … at most 30 s,"
            " plus up to 10%; forgotten after 60 s up"
        ),
        "more than 8 automatic restarts in 600 s: FATAL",
        "out of FATAL by itself after 900 s",
        "called flapping above 3 restarts in 600 s",
        "stop: SIGTERM to the group, SIGKILL to the whole tree after 10 s",
    ]


def test_what_ends_the_daemon_in_sentences() -> None:
    """Then there is no slow way out of FATAL."""
    lines = describe_policy(replace(WEB, on_fatal=OnEnd.SHUTDOWN, on_exit=OnEnd.SHUTDOWN))
    assert lines[4:6] == [
        "when it is FATAL, everything is stopped and opsvisord ends with it",
        "when it is EXITED, everything is stopped and opsvisord ends with it",
    ]
    assert not [line for line in lines if "out of FATAL" in line]


def test_supervisors_policy_in_sentences() -> None:
    """Failed starts, growing delays, no way out of FATAL."""
    restart = RestartPolicy(
        mode=RestartMode.ALWAYS,
        early_exit_fails=True,
        failed_starts_max=3,
        start_backoff=LinearBackoff(),
        run_backoff=LinearBackoff(step=0.0),
        limit=None,
        fatal_retry_delay=None,
    )
    stop = StopPolicy(signal=2, signal_mode=KillMode.PROCESS, kill_mode=KillMode.PROCESS)
    lines = describe_policy(replace(WEB, restart=restart, stop=stop))
    assert lines[:3] == [
        "restart: after every end",
        "an exit within 1 s is a failed start, retried 3 times, then FATAL",
        "delays after failed starts: 1, 2, 3, 4, 5 … s",
    ]
    assert lines[-1] == "stop: SIGINT to the process, SIGKILL to the process after 10 s"
    assert not [line for line in lines if "out of FATAL" in line or "automatic" in line]
    endless = replace(restart, failed_starts_max=None)
    assert describe_policy(replace(WEB, restart=endless))[1].endswith("retried without limit")
    patient = replace(restart, early_exit_fails=False)
    assert describe_policy(replace(WEB, restart=patient))[1] == (
        "FATAL after 3 retries of a failed start"
    )


@pytest.mark.parametrize(
    ("view", "found"),
    [
        (UP, []),
        (
            in_state(PublicState.FATAL, spawn_error="can't find command 'x'"),
            [
                "correct `command` (or PATH, working_dir) and run: opsvisorctl update",
                "once the cause is gone: opsvisorctl start site:web",
            ],
        ),
        (
            in_state(
                PublicState.BACKOFF,
                spawn_error="may not set limit nofile for 'site:web'",
                last_cause=ExitCause.START_FAILURE,
                last_outcome=Outcome(code=0),
            ),
            [
                "correct what its reason names, there or on this host",
                "once the cause is gone: opsvisorctl start site:web",
            ],
        ),
        (
            in_state(PublicState.BACKOFF, last_outcome=Outcome(code=1)),
            [
                "read what it said: opsvisorctl logs -n 50 site:web",
                "once the cause is gone: opsvisorctl start site:web",
            ],
        ),
        (
            replace(UP, flapping=True),
            ["it was restarted again and again: compare when and how its runs ended"],
        ),
        (
            replace(UP, last_cause=ExitCause.UNKNOWN, last_outcome=Outcome()),
            [
                (
                    "it ended while no opsvisord was there, and this kernel does not tell how"
                    " (Linux 6.15 and later do): what it said last is in its log"
                )
            ],
        ),
        (
            replace(UP, last_cause=ExitCause.SIGNAL, last_outcome=Outcome(signum=9)),
            ["SIGKILL from outside is often the OOM killer: dmesg | grep -i 'killed process'"],
        ),
        (
            replace(
                UP,
                last_cause=ExitCause.SIGNAL,
                last_outcome=Outcome(signum=9),
                last_signal_asked=True,
            ),
            [],
        ),
        *(
            (
                replace(
                    UP, last_cause=cause, last_outcome=Outcome(signum=9), last_oom_killed=True
                ),
                [
                    (
                        "the kernel killed it for want of memory: have it use less, or raise the"
                        " limit that applies (memory.max of its cgroup); dmesg | grep -i 'killed"
                        " process' has the sizes"
                    )
                ],
            )
            for cause in (ExitCause.OOM, ExitCause.START_FAILURE)
        ),
        *(
            (
                replace(UP, last_cause=ExitCause.SIGNAL, last_outcome=Outcome(signum=fault)),
                ["a fault of the program itself: look for a core dump (coredumpctl list)"],
            )
            for fault in (11, 7, 4, 8, 6)
        ),
        (
            replace(UP, last_cause=ExitCause.SIGNAL, last_outcome=Outcome(signum=1)),
            ["somebody else signals it: a cron job, a deploy script, another supervisor?"],
        ),
        (
            replace(UP, state=PublicState.STOPPING, kills_survived=2),
            ["see what it waits for: cat /proc/21055/stack /proc/21055/wchan"],
        ),
        (
            DOWN,
            [
                (
                    "it is not started by itself (stopped before its first start):"
                    " opsvisorctl start site:web"
                )
            ],
        ),
        (
            replace(DOWN, spec=replace(WEB, startup=Startup.MANUAL)),
            ["it is not started by itself (startup = manual): opsvisorctl start site:web"],
        ),
        (replace(DOWN, ended=ENDED), ["to have it run again: opsvisorctl start site:web"]),
    ],
)
def test_what_an_operator_can_do(view: ProcessView, found: list[str]) -> None:
    """A next step for everything that is out of order, and none for what is well."""
    assert hints(view, "") == found


HTTP = ProbeSpec(handler=HttpProbe(url="http://127.0.0.1:80/a?b=c&d"), failure_threshold=1)
TCP = ProbeSpec(handler=TcpProbe(host="::1", port=80), period=0.5, timeout=2.0)
EXEC = ProbeSpec(handler=ExecProbe(argv=("check", "it now")))
ASKED = replace(WEB, startup_probe=EXEC, readiness_probe=HTTP, liveness_probe=TCP)


def test_probes_in_sentences() -> None:
    """What is asked, how often, and what follows."""
    assert [line for line in describe_policy(ASKED) if "probe" in line] == [
        (
            "startup probe: run check 'it now', every 10 s; after 3 wrong answers in a row"
            " (1 s each) it is stopped and restarted as after a failure"
        ),
        (
            "readiness probe: GET http://127.0.0.1:80/a?b=c&d, every 10 s; after one wrong answer"
            " (1 s each) it is not ready"
        ),
        (
            "liveness probe: connect to [::1]:80, every 0.5 s; after 3 wrong answers in a row"
            " (2 s each) it is stopped and restarted as after a failure"
        ),
    ]


def test_a_failed_probe_can_be_asked_by_hand() -> None:
    """With what everybody has at hand; those that pass are not mentioned."""
    probes = tuple(
        ProbeView(
            kind=kind,
            is_active=True,
            passing=False,
            wrong_in_a_row=3,
            attempts=3,
            failures=3,
            duration=0.5,
            detail="",
        )
        for kind in ProbeKind
    )
    assert hints(replace(UP, spec=ASKED, probes=probes), "") == [
        "ask it what its startup probe asks: check 'it now'",
        "ask it what its readiness probe asks: curl -i 'http://127.0.0.1:80/a?b=c&d'",
        "ask it what its liveness probe asks: nc -vz ::1 80",
    ]
    assert hints(replace(UP, spec=ASKED, probes=(replace(probes[0], passing=True),)), "") == []
    assert hints(replace(UP, probes=probes[:1]), "") == [
        "ask it what its startup probe asks: its question is gone from the configuration"
    ]


def test_a_log_in_trouble_is_told_whatever_the_state() -> None:
    """Else one would look for the reason in a log that was never written."""
    told = "make room, or correct `log`: disk full"
    assert hints(UP, "disk full") == [told]
