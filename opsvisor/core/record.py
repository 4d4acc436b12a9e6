"""What is remembered of one process besides its state: for those who watch, not for decisions."""

from opsvisor.core.instant import Instant
from opsvisor.core.outcome import ExitCause, Outcome
from opsvisor.core.struct import Struct


class Record(Struct, omit_defaults=True, gc=False):
    """The bookkeeping of a `ProcessMachine`, and of it alone.

    `since` and `reason` belong to the present state; `started` and `ended` to the present or last
    run, as do `last_…` and `asked_signum`, the last signal that was asked for. `retry_delay` is
    that of the last way into BACKOFF or FATAL.
    """

    since: Instant
    reason: str = "not started yet"
    started: Instant | None = None
    ended: Instant | None = None
    starts: int = 0
    restarts: int = 0
    retry_delay: float | None = None
    spawn_error: str = ""
    last_outcome: Outcome | None = None
    last_cause: ExitCause | None = None
    last_expected: bool = False
    last_oom_killed: bool = False
    last_signal_asked: bool = False
    asked_signum: int = 0
    running_seconds: float = 0.0
    expected_seconds: float = 0.0
    accounted_to: float = 0.0

    def account(self, now: Instant, *, running: bool, expected: bool) -> None:
        """Book the time since the last call under what was true during it.

        To be called before either changes: availability is exact, however short a state was.
        """
        if now.mono == self.accounted_to:  # the second of several changes that come together
            return
        self.running_seconds, self.expected_seconds = self.totals(
            now, running=running, expected=expected
        )
        self.accounted_to = now.mono

    def totals(self, now: Instant, *, running: bool, expected: bool) -> tuple[float, float]:
        """Seconds of running and of being expected to, as `account` would book them, unbooked."""
        elapsed = now.mono - self.accounted_to
        return (
            self.running_seconds + elapsed if running else self.running_seconds,
            self.expected_seconds + elapsed if expected else self.expected_seconds,
        )

    def enter(self, reason: str, now: Instant) -> None:
        """A new state begins."""
        self.reason = reason
        self.since = now

    def was_asked_for(self, outcome: Outcome) -> bool:
        """Whether the present run ends by the signal that somebody had us send to it last."""
        return bool(self.asked_signum) and outcome.signum == self.asked_signum

    def end_run(
        self,
        outcome: Outcome,
        cause: ExitCause,
        now: Instant,
        *,
        expected: bool,
        oom_killed: bool,
    ) -> None:
        """The present run is over."""
        self.ended = now
        self.last_outcome = outcome
        self.last_cause = cause
        self.last_expected = expected
        self.last_oom_killed = oom_killed
        self.last_signal_asked = self.was_asked_for(outcome)
