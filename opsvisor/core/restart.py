"""Again? When? Why? The restart policy, as functions from facts to a decision with its reason.

One engine expresses both families:

* Supervisor's: an exit before `min_uptime` is a failed start whatever its code, retried after 1,
  2, 3 … seconds, FATAL after `failed_starts_max` retries; an exit later restarts at once or not
  at all, by mode and exit code.
* The native one: exponential delays with a cap and jitter, forgotten after a healthy run, a limit
  of restarts in a window, and a slow retry out of FATAL.

In both, the first failure of all, if that run had come up, restarts at once (Kubernetes' rule): a
single crash should cost milliseconds, only a repeated one costs waiting.
"""

from typing import assert_never

from opsvisor.core.outcome import ExitCause, Outcome, how_it_ended
from opsvisor.core.spec import (
    Backoff,
    ExitSet,
    ExponentialBackoff,
    FlappingPolicy,
    LinearBackoff,
    RestartMode,
    RestartPolicy,
)
from opsvisor.core.struct import Value, replace

# As many restarts are remembered as a policy asks for, and so many for one that is yet to come.
# Each of them is looked at, and written to the memory, at each restart: the thousands of a program
# that crashes all day would cost more than all else that is done for it.
REMEMBERED_RESTARTS = 10


class EndedRun(Value, frozen=True, kw_only=True):
    """A run that is over. `outcome` None: the process could not even be made.

    `complaint`: what it was stopped for, if that was its health; how it ended then says nothing.
    `signal_asked`: it ended by the signal that somebody had us send to it last.
    """

    uptime: float
    came_up: bool  # was alive for min_uptime; with a complaint: its probes had passed
    outcome: Outcome | None
    spawn_error: str = ""
    oom_killed: bool = False
    complaint: str = ""
    signal_asked: bool = False

    def __str__(self) -> str:
        """How it ended, for reasons: `exit status 3`, or why it could not be spawned."""
        if self.complaint:
            return self.complaint
        if self.outcome is None:
            return self.spawn_error
        return how_it_ended(self.outcome, oom_killed=self.oom_killed)


class Tally(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What a process's past counts for.

    `failed_starts`: starts in a row that did not come up. `failures`: runs in a row that ended
    before `backoff_reset`. `restarts`: monotonic instants of automatic restarts, oldest first.
    """

    failed_starts: int = 0
    failures: int = 0
    restarts: tuple[float, ...] = ()


class Again(Value, frozen=True, kw_only=True):
    """Start again `delay` seconds from now. `failed_start`: because it never came up."""

    delay: float
    failed_start: bool
    reason: str


class GiveUp(Value, frozen=True, kw_only=True):
    """FATAL. After `retry_delay` seconds it tries again, None: never by itself."""

    retry_delay: float | None
    failed_start: bool
    reason: str


class Leave(Value, frozen=True, kw_only=True):
    """The policy wants it left as it ended."""

    reason: str


Decision = Again | GiveUp | Leave


def next_delay(backoff: Backoff, attempt: int, jitter: float) -> float:
    """Seconds to wait before attempt number `attempt` (1 is the first).

    Linear: step × attempt. Exponential: delay × factor^(attempt-1), capped at `limit`, plus
    `jitter` (0..1) × `backoff.jitter` of itself; the limit holds before jitter. Never negative.
    """
    match backoff:
        case LinearBackoff():
            return backoff.step * attempt
        case ExponentialBackoff():
            try:
                grown = backoff.delay * backoff.factor ** (attempt - 1)
            except OverflowError:
                grown = backoff.limit if backoff.delay else 0.0
            return min(grown, backoff.limit) * (1.0 + backoff.jitter * jitter)
        case never:
            assert_never(never)


def in_seconds(seconds: float) -> str:
    """A length of time for people: `0.531 s`, `12.25 s`, `3880 s`.

    Whole milliseconds are a setting, or follow from one, and are told to the last of them. Of what
    jitter has made three digits say enough.
    """
    if round(seconds, 3) == seconds:
        return f"{seconds:.15g} s"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:.0f} s"  # noqa: PLR2004 - three digits


def contains(exits: ExitSet, outcome: Outcome) -> bool:
    """Whether this exit code or signal is in the set."""
    return outcome.code in exits.codes or outcome.signum in exits.signals


def classify(policy: RestartPolicy, run: EndedRun) -> ExitCause:
    """Why a run ended by itself: the label under which its restart is counted."""
    if run.complaint:
        return ExitCause.HEALTH
    if run.outcome is None or (policy.early_exit_fails and not run.came_up):
        return ExitCause.START_FAILURE
    if contains(policy.success, run.outcome):
        return ExitCause.SUCCESS
    if not run.came_up:
        return ExitCause.START_FAILURE
    if run.oom_killed:
        return ExitCause.OOM
    if run.outcome.is_unknown:
        return ExitCause.UNKNOWN
    return ExitCause.FAILURE if run.outcome.signum is None else ExitCause.SIGNAL


def decide(
    policy: RestartPolicy, run: EndedRun, tally: Tally, *, now: float, jitter: float
) -> tuple[Decision, Tally]:
    """What follows a run that ended by itself, and what it adds to the tally."""
    cause = classify(policy, run)
    failed_start = _is_failed_start(run, cause)
    tally = count_run(policy, run, tally, failed_start=failed_start)
    unwanted = _unwanted(policy, run, cause)
    if unwanted is not None:
        return unwanted, tally
    too_often = _too_often(policy, run, tally, failed_start=failed_start, now=now)
    if too_often is not None:
        return too_often, tally
    if failed_start:
        delay = next_delay(policy.start_backoff, tally.failed_starts, jitter)
        why = f"{run} before it was up" if run.outcome else str(run)
        reason = f"{why}; retry {tally.failed_starts}{_of(policy.failed_starts_max)}"
    else:
        crashes = tally.failures - 1
        delay = next_delay(policy.run_backoff, crashes, jitter) if crashes > 0 else 0.0
        reason = f"{run}, {_verdict(policy, cause, run)}"
    again = Again(delay=delay, failed_start=failed_start, reason=reason)
    return again, count_restart(policy, tally, now)


def wants_another(policy: RestartPolicy, run: EndedRun) -> bool:
    """Whether the policy has another run follow this one, unless there were too many."""
    return _unwanted(policy, run, classify(policy, run)) is None


def is_restarted_at_once(
    policy: RestartPolicy, tally: Tally, outcome: Outcome, *, uptime: float, now: float
) -> bool:
    """Whether `decide` would have a run that had come up followed by another without a delay.

    Whether or not memory had run out. In a third of the steps, as somebody waits for the answer.
    """
    if policy.mode is RestartMode.NO or contains(policy.prevent, outcome):
        return False
    if policy.mode is RestartMode.ON_FAILURE and contains(policy.success, outcome):
        return False
    if policy.limit and restarts_within(tally, policy.limit.interval, now) >= policy.limit.count:
        return False
    if not tally.failures or uptime >= policy.backoff_reset:
        return True
    return next_delay(policy.run_backoff, tally.failures, 0.0) == 0  # as jitter adds nothing to it


def _is_failed_start(run: EndedRun, cause: ExitCause) -> bool:
    """Whether it ended before it was up, so that the delays of failed starts apply."""
    return cause is ExitCause.START_FAILURE or (cause is ExitCause.HEALTH and not run.came_up)


def count_run(policy: RestartPolicy, run: EndedRun, tally: Tally, *, failed_start: bool) -> Tally:
    """The tally after this run: a long one forgets, a short one counts as a failure."""
    healthy = run.uptime >= policy.backoff_reset and run.came_up
    return replace(
        tally,
        failed_starts=tally.failed_starts + 1 if failed_start else 0,
        failures=1 if healthy else tally.failures + 1,
    )


def count_restart(policy: RestartPolicy, tally: Tally, now: float) -> Tally:
    """The tally with one more automatic restart, and without those that decide nothing."""
    longest = max(policy.limit.interval if policy.limit else 0.0, policy.flapping.interval)
    # One more than is tolerated, see `is_flapping`.
    count = max(policy.limit.count if policy.limit else 0, policy.flapping.count) + 1
    latest = tally.restarts[-max(count, REMEMBERED_RESTARTS) + 1 :]
    if latest and latest[0] + longest <= now:  # else nor is any other too long ago
        latest = tuple(at for at in latest if at + longest > now)
    return replace(tally, restarts=(*latest, now))


def restarts_within(tally: Tally, interval: float, now: float) -> int:
    """Automatic restarts in the last `interval` seconds."""
    # `at + interval > now`, the same sum as in `flapping_ends_at`: rounded differently, a deadline
    # could pass without ending anything, again and again.
    return sum(1 for at in tally.restarts if at + interval > now)


def is_flapping(policy: FlappingPolicy, tally: Tally, now: float) -> bool:
    """Whether there were more automatic restarts in the window than the policy finds normal."""
    return restarts_within(tally, policy.interval, now) > policy.count


def flapping_ends_at(policy: FlappingPolicy, tally: Tally) -> float:
    """When the window will hold no more than `count` restarts, if none is added."""
    if len(tally.restarts) <= policy.count:
        return 0.0  # it already is over: the policy changed, or the past was forgiven
    return tally.restarts[-policy.count - 1] + policy.interval


def _unwanted(policy: RestartPolicy, run: EndedRun, cause: ExitCause) -> Decision | None:
    """The decision if the policy doesn't want a restart after such an end."""
    if not run.complaint and run.outcome and contains(policy.prevent, run.outcome):
        return GiveUp(
            retry_delay=None,
            failed_start=cause is ExitCause.START_FAILURE,
            reason=f"{run}, in restart_prevent_exit_codes",
        )
    if cause is ExitCause.START_FAILURE and policy.early_exit_fails:
        return None  # Supervisor retries a failed start whatever autorestart says
    if policy.mode is RestartMode.NO:
        if run.outcome is None:
            return GiveUp(retry_delay=None, failed_start=True, reason=f"{run}; restart is off")
        return Leave(reason=f"{run}; restart is off")
    if policy.mode is RestartMode.ON_FAILURE and cause is ExitCause.SUCCESS:
        return Leave(reason=f"{run}, which counts as success")
    return None


def _too_often(
    policy: RestartPolicy, run: EndedRun, tally: Tally, *, failed_start: bool, now: float
) -> GiveUp | None:
    """The decision if one more attempt would be one too many."""
    retries = policy.failed_starts_max
    if failed_start and retries is not None and tally.failed_starts > retries:
        reason = f"too many start retries too quickly ({retries} allowed), the last: {run}"
    elif policy.limit and restarts_within(tally, policy.limit.interval, now) >= policy.limit.count:
        limit = policy.limit
        reason = f"{limit.count} automatic restarts in {in_seconds(limit.interval)}, then {run}"
    else:
        return None
    return GiveUp(retry_delay=policy.fatal_retry_delay, failed_start=failed_start, reason=reason)


def _of(limit: int | None) -> str:
    return "" if limit is None else f" of {limit}"


def _verdict(policy: RestartPolicy, cause: ExitCause, run: EndedRun) -> str:
    if policy.mode is RestartMode.ALWAYS:
        return "restart is always"
    if cause is ExitCause.OOM:
        return "memory ran out"
    if cause is ExitCause.SIGNAL:
        return "a signal that was asked for" if run.signal_asked else "a signal nobody here sent"
    if cause in (ExitCause.HEALTH, ExitCause.UNKNOWN):
        return "which counts as failure"
    return "not in success_exit_codes"
