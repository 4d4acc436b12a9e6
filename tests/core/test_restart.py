"""Again? When? Why? The policy as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pasts import KINDS

from opsvisor.core.outcome import ExitCause, Outcome
from opsvisor.core.restart import (
    REMEMBERED_RESTARTS,
    Again,
    Decision,
    EndedRun,
    GiveUp,
    Leave,
    Tally,
    classify,
    contains,
    count_restart,
    decide,
    flapping_ends_at,
    is_flapping,
    is_restarted_at_once,
    next_delay,
    restarts_within,
)
from opsvisor.core.spec import (
    Backoff,
    ExitSet,
    ExponentialBackoff,
    FlappingPolicy,
    LinearBackoff,
    RestartLimit,
    RestartMode,
    RestartPolicy,
)
from opsvisor.core.struct import replace

OK, BAD, KILLED = Outcome(code=0), Outcome(code=3), Outcome(signum=9)
ALWAYS, ON_FAILURE, NO = RestartMode.ALWAYS, RestartMode.ON_FAILURE, RestartMode.NO


def ended(outcome: Outcome | None, *, uptime: float = 5.0, came_up: bool = True) -> EndedRun:
    """A run that is over."""
    return EndedRun(uptime=uptime, came_up=came_up, outcome=outcome, spawn_error="no fork")


def verdict(policy: RestartPolicy, run: EndedRun, tally: Tally | None = None) -> Decision:
    """What is decided at second 1000, without jitter."""
    decision, _ = decide(policy, run, tally or Tally(), now=1000.0, jitter=0.0)
    return decision


@pytest.mark.parametrize(
    ("mode", "outcome", "kind"),
    [
        (ALWAYS, OK, Again),
        (ALWAYS, BAD, Again),
        (ALWAYS, KILLED, Again),
        (ON_FAILURE, OK, Leave),
        (ON_FAILURE, BAD, Again),
        (ON_FAILURE, KILLED, Again),
        (NO, OK, Leave),
        (NO, BAD, Leave),
        (NO, KILLED, Leave),
    ],
)
@pytest.mark.parametrize("early_exit_fails", [False, True])
def test_mode_decides_after_a_run(
    mode: RestartMode, outcome: Outcome, kind: type[Decision], *, early_exit_fails: bool
) -> None:
    """Of a run that came up both families think alike: mode and exit decide."""
    policy = RestartPolicy(mode=mode, early_exit_fails=early_exit_fails)
    assert isinstance(verdict(policy, ended(outcome)), kind)


@pytest.mark.parametrize("mode", [ALWAYS, ON_FAILURE, NO])
@pytest.mark.parametrize("outcome", [OK, BAD, KILLED, None])
def test_supervisor_retries_every_early_end(mode: RestartMode, outcome: Outcome | None) -> None:
    """Where an early exit fails, neither mode nor exit code matter before min_uptime."""
    policy = RestartPolicy(mode=mode, early_exit_fails=True)
    decision = verdict(policy, ended(outcome, came_up=False))
    assert isinstance(decision, Again)
    assert decision.failed_start


@pytest.mark.parametrize(
    ("mode", "outcome", "kind"),
    [
        (ALWAYS, OK, Again),
        (ON_FAILURE, OK, Leave),
        (ON_FAILURE, BAD, Again),
        (ON_FAILURE, None, Again),
        (NO, OK, Leave),
        (NO, BAD, Leave),
        (NO, None, GiveUp),
    ],
)
def test_natively_an_early_end_is_judged_like_any_other(
    mode: RestartMode, outcome: Outcome | None, kind: type[Decision]
) -> None:
    """Without early_exit_fails an early success is one, and mode holds for early failures."""
    policy = RestartPolicy(mode=mode)
    assert isinstance(verdict(policy, ended(outcome, came_up=False)), kind)


@pytest.mark.parametrize(
    ("outcome", "came_up", "early_exit_fails", "cause"),
    [
        (OK, True, True, ExitCause.SUCCESS),
        (BAD, True, True, ExitCause.FAILURE),
        (KILLED, True, True, ExitCause.SIGNAL),
        (OK, False, True, ExitCause.START_FAILURE),
        (OK, False, False, ExitCause.SUCCESS),
        (BAD, False, False, ExitCause.START_FAILURE),
        (KILLED, False, False, ExitCause.START_FAILURE),
        (None, False, False, ExitCause.START_FAILURE),
    ],
)
def test_every_end_has_one_cause(
    outcome: Outcome | None, cause: ExitCause, *, came_up: bool, early_exit_fails: bool
) -> None:
    """The cause is the label of every metric; each combination has exactly one."""
    policy = RestartPolicy(early_exit_fails=early_exit_fails)
    assert classify(policy, ended(outcome, came_up=came_up)) is cause


@pytest.mark.parametrize(
    ("policy", "cause", "came_up"),
    [
        (RestartPolicy(), ExitCause.OOM, True),
        (RestartPolicy(), ExitCause.START_FAILURE, False),
        (
            RestartPolicy(success=ExitSet(codes=frozenset({0}), signals=frozenset({9}))),
            ExitCause.SUCCESS,
            True,
        ),
    ],
)
def test_an_oom_kill_is_a_cause_where_a_signal_would_be(
    policy: RestartPolicy, cause: ExitCause, *, came_up: bool
) -> None:
    """What decides about further attempts goes first: it is retried like any other failed start."""
    run = replace(ended(KILLED, came_up=came_up), oom_killed=True)
    assert classify(policy, run) is cause


def test_success_can_be_a_signal() -> None:
    """Exit sets hold codes and signals; a code is not taken for a signal of the same number."""
    exits = ExitSet(codes=frozenset({0}), signals=frozenset({9}))
    assert contains(exits, KILLED)
    assert contains(exits, OK)
    assert not contains(exits, Outcome(code=9))
    assert not contains(ExitSet(codes=frozenset({9})), KILLED)


@pytest.mark.parametrize("came_up", [True, False])
def test_prevention_beats_every_mode(*, came_up: bool) -> None:
    """An exit in restart_prevent_exit_codes is FATAL for good, even where mode is always."""
    policy = RestartPolicy(mode=ALWAYS, prevent=ExitSet(codes=frozenset({3})))
    decision = verdict(policy, ended(BAD, came_up=came_up))
    assert decision == GiveUp(
        retry_delay=None,
        failed_start=not came_up,
        reason="exit status 3, in restart_prevent_exit_codes",
    )


@pytest.mark.parametrize(
    ("policy", "run", "reason"),
    [
        (RestartPolicy(mode=ALWAYS), ended(OK), "exit status 0, restart is always"),
        (RestartPolicy(), ended(KILLED), "terminated by SIGKILL, a signal nobody here sent"),
        (
            RestartPolicy(),
            replace(ended(KILLED), signal_asked=True),
            "terminated by SIGKILL, a signal that was asked for",
        ),
        (
            RestartPolicy(),
            replace(ended(KILLED), oom_killed=True),
            "terminated by SIGKILL (OOM killer), memory ran out",
        ),
        (
            RestartPolicy(failed_starts_max=4),
            replace(ended(KILLED, came_up=False), oom_killed=True),
            "terminated by SIGKILL (OOM killer) before it was up; retry 1 of 4",
        ),
        (RestartPolicy(), ended(BAD), "exit status 3, not in success_exit_codes"),
        (RestartPolicy(), ended(OK), "exit status 0, which counts as success"),
        (RestartPolicy(mode=NO), ended(BAD), "exit status 3; restart is off"),
        (RestartPolicy(mode=NO), ended(None, came_up=False), "no fork; restart is off"),
        (RestartPolicy(), ended(None, came_up=False), "no fork; retry 1"),
        (
            RestartPolicy(failed_starts_max=4),
            ended(BAD, came_up=False),
            "exit status 3 before it was up; retry 1 of 4",
        ),
    ],
)
def test_decisions_say_why(policy: RestartPolicy, run: EndedRun, reason: str) -> None:
    """The reason names what happened and the rule that applied, in the user's words."""
    assert verdict(policy, run).reason == reason


@pytest.mark.parametrize(("failed_before", "kind"), [(2, Again), (3, GiveUp)])
def test_the_last_retry_is_the_last(failed_before: int, kind: type[Decision]) -> None:
    """failed_starts_max = 3: the third failure is retried, the fourth is FATAL."""
    policy = RestartPolicy(failed_starts_max=3, limit=None)
    tally = Tally(failed_starts=failed_before)
    assert isinstance(verdict(policy, ended(BAD, came_up=False), tally), kind)


@pytest.mark.parametrize(("restarts", "kind"), [(1, Again), (2, GiveUp)])
def test_the_restart_limit_is_reached_by_one_more(restarts: int, kind: type[Decision]) -> None:
    """Two are allowed in 60 s: the third is one too many, and what is older doesn't count."""
    policy = RestartPolicy(limit=RestartLimit(count=2, interval=60.0), fatal_retry_delay=7.0)
    tally = Tally(restarts=(100.0, *(990.0 + n for n in range(restarts))))
    decision = verdict(policy, ended(BAD), tally)
    assert isinstance(decision, kind)
    assert not isinstance(decision, GiveUp) or decision.retry_delay == 7.0


def test_a_run_that_came_up_ends_the_row_of_failed_starts() -> None:
    """Failed starts count in a row; failures count until a long run forgets them."""
    before = Tally(failed_starts=2, failures=5)
    policy = RestartPolicy(backoff_reset=60.0)
    _, short = decide(policy, ended(BAD, uptime=59.9), before, now=1000.0, jitter=0.0)
    _, long = decide(policy, ended(BAD, uptime=60.0), before, now=1000.0, jitter=0.0)
    assert (short.failed_starts, short.failures) == (0, 6)
    assert (long.failed_starts, long.failures) == (0, 1)


def test_only_a_restart_is_counted_as_one() -> None:
    """Giving up and leaving are no restarts: they don't fill the windows."""
    _, again = decide(RestartPolicy(), ended(BAD), Tally(), now=1000.0, jitter=0.0)
    _, leave = decide(RestartPolicy(), ended(OK), Tally(), now=1000.0, jitter=0.0)
    policy = RestartPolicy(failed_starts_max=0)
    _, give_up = decide(policy, ended(None, came_up=False), Tally(), now=1000.0, jitter=0.0)
    assert again.restarts == (1000.0,)
    assert leave.restarts == give_up.restarts == ()


@pytest.mark.parametrize(
    ("backoff", "jitter", "delays"),
    [
        (LinearBackoff(step=1.0), 0.9, [1.0, 2.0, 3.0, 4.0]),
        (ExponentialBackoff(delay=0.5, factor=2, limit=3, jitter=0.5), 0.0, [0.5, 1.0, 2.0, 3.0]),
        (ExponentialBackoff(delay=1, factor=2, limit=3, jitter=0.5), 1.0, [1.5, 3.0, 4.5, 4.5]),
        (ExponentialBackoff(delay=0.0, factor=2.0), 1.0, [0.0, 0.0, 0.0, 0.0]),
        (ExponentialBackoff(delay=9.0, factor=1.0, limit=5.0, jitter=0.0), 0.0, [5.0] * 4),
    ],
)
def test_delays_grow(backoff: Backoff, jitter: float, delays: list[float]) -> None:
    """Delays of the first four attempts; the limit holds before jitter, jitter only adds."""
    assert [next_delay(backoff, n, jitter) for n in (1, 2, 3, 4)] == pytest.approx(delays)


@pytest.mark.parametrize(("delay", "expected"), [(0.5, 30.0), (0.0, 0.0)])
def test_delays_survive_any_number_of_attempts(delay: float, expected: float) -> None:
    """A factor to the power of a million overflows a float, not the supervisor."""
    backoff = ExponentialBackoff(delay=delay, factor=10.0, limit=30.0, jitter=0.0)
    assert next_delay(backoff, 1_000_000, 0.0) == expected


def test_the_past_is_remembered_as_long_as_a_window_looks_back() -> None:
    """What no window can see is dropped, and there is a limit to all remembering."""
    policy = RestartPolicy(
        limit=RestartLimit(interval=50.0), flapping=FlappingPolicy(interval=100.0)
    )
    tally = count_restart(policy, Tally(restarts=(899.9, 900.0, 901.0)), 1000.0)
    assert tally.restarts == (901.0, 1000.0)
    without_limit = RestartPolicy(limit=None, flapping=FlappingPolicy(interval=5.0))
    assert count_restart(without_limit, tally, 1001.0).restarts == (1000.0, 1001.0)
    many = Tally(restarts=tuple(1000.0 + n / 1e4 for n in range(REMEMBERED_RESTARTS)))
    crowded = count_restart(policy, many, 1001.0).restarts
    assert len(crowded) == REMEMBERED_RESTARTS
    assert crowded[0] == many.restarts[1]
    assert crowded[-1] == 1001.0


@pytest.mark.parametrize("field", ["limit", "flapping"])
def test_as_many_are_remembered_as_a_policy_counts(field: str) -> None:
    """And one more, by which a policy sees that there were too many."""
    count = REMEMBERED_RESTARTS + 50
    policy = RestartPolicy(limit=RestartLimit(count=0), flapping=FlappingPolicy(count=0))
    policy = replace(policy, **{field: replace(getattr(policy, field), count=count)})
    tally = Tally()
    for second in range(2 * count):
        tally = count_restart(policy, tally, float(second))
    assert len(tally.restarts) == count + 1
    assert tally.restarts[-1] == 2 * count - 1


def test_flapping_ends_when_it_says() -> None:
    """At the very instant that `flapping_ends_at` names it is over, and not before."""
    policy = FlappingPolicy(count=2, interval=0.1)
    tally = Tally(restarts=(1000.1, 1000.2, 1000.21, 1000.22))
    ends_at = flapping_ends_at(policy, tally)
    assert is_flapping(policy, tally, ends_at - 1e-9)
    assert not is_flapping(policy, tally, ends_at)
    assert restarts_within(tally, 0.1, ends_at) == 2
    assert flapping_ends_at(policy, Tally()) == 0.0


TALLIES = st.builds(
    Tally,
    failures=st.integers(0, 3),
    restarts=st.lists(st.sampled_from([900.0, 941.0, 999.0]), max_size=4).map(sorted).map(tuple),
)
ENDS = st.builds(
    EndedRun,
    uptime=st.sampled_from([0.0, 4.9, 5.0, 1000.0]),
    came_up=st.just(True),
    outcome=st.sampled_from([OK, BAD, KILLED, Outcome(code=78), Outcome()]),
    oom_killed=st.booleans(),
)


@given(st.sampled_from(sorted(KINDS)), TALLIES, ENDS, st.sampled_from([0.0, 1.0]))
def test_a_restart_at_once_is_foreseen(
    kind: str, tally: Tally, run: EndedRun, jitter: float
) -> None:
    """The short way comes to the same end as the long one."""
    policy, outcome = KINDS[kind].restart, run.outcome
    assert outcome is not None
    decision, _ = decide(policy, run, tally, now=1000.0, jitter=jitter)
    is_at_once = isinstance(decision, Again) and decision.delay == 0
    assert is_at_once == is_restarted_at_once(
        policy, tally, outcome, uptime=run.uptime, now=1000.0
    )
