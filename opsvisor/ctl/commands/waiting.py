"""Wait until processes are as they should be: by what the daemon tells as it happens."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

import msgspec

from opsvisor.client import Stream, Watched
from opsvisor.config.units import Refused, parse_duration
from opsvisor.ctl import failures, names, render
from opsvisor.ctl.arguments import told_apart
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.goals import GOALS, Goal
from opsvisor.ctl.meant import hint_at
from opsvisor.ctl.present import SELDOM, Present
from opsvisor.ctl.progress import Progress
from opsvisor.ctl.session import BadArguments, Session
from opsvisor.ctl.time_limit import TimeIsOver, time_limit
from opsvisor.wire import ProcessStatus

_FIRST_ANSWER = 1.0  # seconds for it at least, however short the time is that may be waited
_LONGEST = 366 * 86400.0  # seconds, which a timer takes without doubt
_RESULTS = {
    Exit.OK: "reached",
    Exit.OUT_OF_REACH: "out_of_reach",
    Exit.TIMED_OUT: "timed_out",
    Exit.FAILED: "lost",
    Exit.INTERRUPTED: "interrupted",
}


class _Answer(msgspec.Struct, kw_only=True, frozen=True):
    """What --json prints: how it ended, and those who are not there, with all that is known."""

    result: str
    wanted: str
    reached: list[str]
    missing: list[ProcessStatus]


def wait(session: Session, words: list[str]) -> int:
    """Wait for all that the names stand for now. Whoever is removed meanwhile is stopped."""
    asked = told_apart("wait", words)
    if not asked.words:
        raise BadArguments("wait requires a process name")
    wanted = asked.given.get("--for", "running")
    limit = _seconds(asked.given.get("--timeout"))
    waiting = _Waiting(session, wanted, limit)
    try:
        return waiting.begin(asked.words)
    except TimeIsOver:
        return waiting.end(Exit.TIMED_OUT)
    except KeyboardInterrupt:
        return waiting.end(Exit.INTERRUPTED)


class _Waiting:
    """One wait: who was meant, how they are, and who has got there so far."""

    def __init__(self, session: Session, wanted: str, limit: float | None) -> None:
        self._session = session
        self._wanted = wanted
        self._goal: Goal = GOALS[wanted]
        self._limit = limit
        self._present = Present()
        self._meant: list[ProcessStatus] = []
        self._reached: list[str] = []

    def begin(self, typed: Sequence[str]) -> int:
        """Follow what happens until it is decided. How it is now is known first, in any case."""
        began = time.monotonic()
        with ExitStack() as stack:
            with time_limit(None if self._limit is None else max(self._limit, _FIRST_ANSWER)):
                stream = stack.enter_context(self._session.client.watch(interval=SELDOM))
                first = next(iter(stream), None)
            if first is None:
                return self.end(Exit.FAILED)
            self._present.take(first)
            everything = list(self._present.processes.values())
            found = {name: names.matching(name, everything) for name in typed}
            unknown = [name for name in typed if not found[name]]
            if unknown:
                return self._refuse(unknown, everything)
            self._meant = list({one.name: one for each in found.values() for one in each}.values())
            with Progress(
                self._session,
                self._doing(),
                self._meant,
                lambda now, _: self._goal.is_reached(now),
                present=self._present,
            ):
                status = self._judge()
                if status is None:
                    left = None if self._limit is None else began + self._limit - time.monotonic()
                    with time_limit(left):
                        status = self._follow(stream)
            return self.end(status)

    def _follow(self, stream: Stream[Watched]) -> Exit:
        for told in stream:
            if self._present.take(told):
                status = self._judge()
                if status is not None:
                    return status
        return Exit.FAILED  # the daemon ended the stream

    def _judge(self) -> Exit | None:
        """How it ends, None while it is open. What was reached once may be lost again."""
        now = [self._now(one) for one in self._meant]
        self._reached = [one.name for one in now if self._goal.is_reached(one)]
        if len(self._reached) == len(now):
            return Exit.OK
        if any(self._goal.is_lost(one) and one.name not in self._reached for one in now):
            return Exit.OUT_OF_REACH
        if self._wanted != "stopped" and any(self._is_removed(one) for one in now):
            return Exit.OUT_OF_REACH
        return None

    def end(self, status: Exit) -> int:
        """Say how it ended, of each process."""
        now = [self._now(one) for one in self._meant]
        missing = [one for one in now if one.name not in self._reached]
        for name in self._reached:
            self._session.output.say(f"{name}: {self._wanted}")
        for one in missing:
            self._session.output.say(f"{one.name}: ERROR ({self._why_not(one, status)})")
        if status is Exit.FAILED:
            self._session.output.remark("opsvisord ended the connection: it stops, or was stopped")
        elif missing:
            self._session.output.hint(f"opsvisorctl why {missing[0].name}")
        elif (
            not now and status is Exit.TIMED_OUT
        ):  # not even who was meant could be asked in that time
            self._session.output.say(
                f"ERROR (timed out: no answer from {self._session.client.url})"
            )
        self._session.output.show(
            _Answer(
                result=_RESULTS[status],
                wanted=self._wanted,
                reached=self._reached,
                missing=missing,
            )
        )
        return status

    def _why_not(self, one: ProcessStatus, status: Exit) -> str:
        if self._is_removed(one):
            return "removed from the configuration"
        known = f"{one.state}: {one.reason}" if one.reason else one.state
        if one.state == "RUNNING" and self._wanted == "ready":
            known = "; ".join(["RUNNING", *(render.probe_troubles(one)[:1] or ["not ready"])])
        if self._goal.is_lost(one):
            return f"can't be {self._wanted} any more: {known}"
        if status is Exit.TIMED_OUT:
            return f"timed out: {known}"
        return f"not {self._wanted} yet: {known}"

    def _now(self, one: ProcessStatus) -> ProcessStatus:
        """As it is, or as it was last if it is no more."""
        return self._present.processes.get(one.name, _gone(one))

    def _is_removed(self, one: ProcessStatus) -> bool:
        return one.name not in self._present.processes

    def _doing(self) -> str:
        limit = f" ({render.span(self._limit)} at most)" if self._limit is not None else ""
        return f"waiting until {self._wanted}{limit}"

    def _refuse(self, unknown: Sequence[str], everything: Sequence[ProcessStatus]) -> int:
        lines = [render.unknown_in_status(name) for name in unknown]
        for line in lines:
            self._session.output.say(line)
        hint_at(self._session.output, unknown, everything)
        error = failures.problem("no_such_process", "No such process", ", ".join(lines))
        self._session.output.show({"error": error})
        return Exit.NO_SUCH_PROCESS


def _gone(one: ProcessStatus) -> ProcessStatus:
    return msgspec.structs.replace(one, state="STOPPED", pid=0, ready=False, retry_at=0.0)


def _seconds(typed: str | None) -> float | None:
    """A length of time as the configuration has them, or a bare number of seconds."""
    if typed is None:
        return None
    with suppress(ValueError):
        if 0 <= (seconds := float(typed)) < _LONGEST:
            return seconds
    try:
        seconds = parse_duration(typed)
    except Refused as why:
        raise BadArguments(f"--timeout {typed!r} {why}") from None
    if seconds >= _LONGEST:
        raise BadArguments(f"--timeout {typed!r} is too long: leave it out to wait for ever")
    return seconds
