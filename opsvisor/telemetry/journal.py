"""Facts as lines of the activity log, in the words that tools have grepped for since 2004."""

import signal
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from opsvisor.config.settings import LogLevel
from opsvisor.core.events import (
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
    SupervisorStateChanged,
)
from opsvisor.core.harmless import harmless
from opsvisor.core.outcome import ExitCause, signal_name
from opsvisor.core.restart import contains
from opsvisor.core.spec import ProcessId, ProcessSpec, RestartPolicy
from opsvisor.core.state import PublicState
from opsvisor.core.wording import sentence

_NAMES = {
    LogLevel.CRITICAL: "CRIT",
    LogLevel.ERROR: "ERRO",
    LogLevel.WARN: "WARN",
    LogLevel.INFO: "INFO",
    LogLevel.DEBUG: "DEBG",
    LogLevel.TRACE: "TRAC",
    LogLevel.BLATHER: "BLAT",
}
_ASKED_FOR = frozenset({ExitCause.MANUAL, ExitCause.CONFIG, ExitCause.SHUTDOWN})
_SUCCESS = RestartPolicy().success
_SEVERITY = {level: rank for rank, level in enumerate(LogLevel)}  # 0 is the gravest


_TOO_MANY_RETRIES = "too many start retries too quickly"


class Journal:
    """Writes `2026-11-23 09:37:53,628 INFO message` lines, from `level` up in gravity.

    `spec_of` tells what a process is to be, None of one that is gone by now: its startsecs are in
    a line, and some lines are warnings unless they are as it says. `write` is given one line or
    several, without the last newline. Facts are gathered until `flush`, and put into words then:
    a program that has died is there again by that time.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        level: LogLevel,
        spec_of: Callable[[ProcessId], ProcessSpec | None],
    ) -> None:
        self._write = write
        self._threshold = _SEVERITY[level]
        self._tells_of_states = self._tells(LogLevel.TRACE)  # of all, and not of two of them
        self._spec_of = spec_of
        self._gathered: list[str | _Fact] = []
        self._is_gathering = False
        self._second = 0  # of the latest line, and how that is written
        self._stamp = ""

    def log(self, level: LogLevel, message: str) -> None:
        """Write one message. Newlines in it stay, as in Supervisor's multi-line messages."""
        if not self._tells(level):
            return
        self._gathered.append(self._line(time.time(), level, message))
        if not self._is_gathering:
            self.flush()

    def _line(self, at: float, level: LogLevel, message: str) -> str:
        second = int(at)
        if second != self._second:  # a tenth of what a line costs, and most are of the same one
            self._stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second = second
        thousandths = int((at - second) * 1000)
        return f"{self._stamp},{thousandths:03d} {_NAMES[level]} {harmless(message)}"

    def _tells(self, level: LogLevel) -> bool:
        """Whether lines of this level are written: of most states of a restart there are none."""
        return _SEVERITY[level] <= self._threshold

    def on_event(self, event: Event) -> None:
        """A published fact, of which there may be lines with the next `flush`."""
        spec: ProcessSpec | None = None
        if isinstance(event, StateChanged):
            if event.new is PublicState.RUNNING:
                spec = self._spec_of(event.id)  # now: it may be another by then
            elif event.new is not PublicState.FATAL and not self._tells_of_states:
                return
        elif isinstance(event, ProcessExited | SignalSent):
            spec = self._spec_of(event.id)
        self._is_gathering = True
        self._gathered.append(_Fact(time.time(), event, spec))

    def flush(self) -> None:
        """Write what was gathered, all at once: a line by itself costs as much as ten together.

        What can't be put into words, which would be a bug, costs no line but its own. It is raised
        when the others are written.
        """
        self._is_gathering = False
        gathered, self._gathered = self._gathered, []
        lines: list[str] = []
        bug: Exception | None = None
        for one in gathered:
            try:
                lines += [one] if isinstance(one, str) else self._lines_of(one)
            except Exception as error:  # noqa: BLE001 - see above
                bug = error
        if lines:
            self._write("\n".join(lines))
        if bug is not None:
            raise bug

    def _lines_of(self, fact: "_Fact") -> list[str]:
        return [
            self._line(fact.at, level, message)
            for level, message in _told_of(fact.event, fact.spec)
            if self._tells(level)
        ]


class _Fact(NamedTuple):
    """A fact that was published `at` a time, and the spec of whom it is about, where it counts."""

    at: float  # Unix time
    event: Event
    spec: ProcessSpec | None


def _told_of(event: Event, spec: ProcessSpec | None) -> Iterable[tuple[LogLevel, str]]:
    """The lines of a published fact, where it has any."""
    match event:  # what comes oftest first
        case StateChanged():
            yield _told_of_state(event, 0.0 if spec is None else spec.min_uptime)
        case ProcessExited():
            yield from _told_of_exit(event, spec)
        case ProcessSpawned():
            yield LogLevel.INFO, f"spawned: '{event.id.name}' with pid {event.pid}"
        case ProcessAdopted():
            yield (
                LogLevel.INFO,
                f"adopted: '{event.id.name}' with pid {event.pid}, {event.state.name}",
            )
        case SpawnFailed():
            yield LogLevel.INFO, f"spawnerr: {event.reason}"
        case SignalSent():
            yield _told_of_signal(event, spec)
        case SignalRefused():
            yield (
                LogLevel.CRITICAL,
                f"unknown problem killing {event.id.name} ({event.pid}): {event.reason}",
            )
        case KillSurvived():
            times = f"has outlived SIGKILL {event.kills} times; the kernel holds it"
            yield LogLevel.WARN, f"'{event.id.name}' ({event.pid}) {times}"
        case FlappingChanged():
            yield LogLevel.WARN if event.flapping else LogLevel.INFO, sentence(event)
        case HealthChanged():
            yield LogLevel.INFO if event.passing else LogLevel.WARN, sentence(event)
        case PlanApplied():
            yield LogLevel.INFO, sentence(event)
        case ProcessChanged():
            yield LogLevel.INFO, f"changed: {event.id}: {', '.join(event.fields)}"
        case ProcessAdded() | ProcessRemoved() | FailuresForgotten():
            yield LogLevel.DEBUG, sentence(event)
        case ControlAction():
            pass  # AuditTrail has a line for it, wherever that goes
        case EssentialEnded():
            yield LogLevel.WARN, sentence(event)
        case SupervisorStateChanged():
            yield LogLevel.DEBUG, f"opsvisord is {event.new.value}: {event.reason}"


def _told_of_exit(
    event: ProcessExited, spec: ProcessSpec | None
) -> Iterable[tuple[LogLevel, str]]:
    if event.cause in _ASKED_FOR:
        # Supervisor logs a plain SIGTERM death as a warning all the same.
        success = _SUCCESS if spec is None else spec.restart.success
        level = LogLevel.INFO if contains(success, event.outcome) else LogLevel.WARN
        yield level, f"stopped: {event.id.name} ({event.outcome})"
        return
    level = LogLevel.INFO if event.expected else LogLevel.WARN
    verdict = "expected" if event.expected else "not expected"
    yield level, f"exited: {event.id.name} ({event.outcome}; {verdict})"
    yield LogLevel.DEBUG, f"{event.id}: {event.decision}"


def _told_of_state(event: StateChanged, startsecs: float) -> tuple[LogLevel, str]:
    match event.new:
        case PublicState.RUNNING:
            return LogLevel.INFO, (
                f"success: {event.id.name} entered RUNNING state, process has stayed up for"
                f" > than {startsecs:g} seconds (startsecs)"
            )
        case PublicState.FATAL:
            reason = event.reason
            if reason.startswith(_TOO_MANY_RETRIES):
                reason = _TOO_MANY_RETRIES  # to the letter; the rest is at debug level
            return LogLevel.INFO, f"gave up: {event.id.name} entered FATAL state, {reason}"
        case (
            PublicState.STOPPED
            | PublicState.STARTING
            | PublicState.BACKOFF
            | PublicState.STOPPING
            | PublicState.EXITED
            | PublicState.UNKNOWN
        ):
            old, new = event.old.name, event.new.name
            return LogLevel.TRACE, f"{event.id}: {old} -> {new}: {event.reason}"


def _told_of_signal(event: SignalSent, spec: ProcessSpec | None) -> tuple[LogLevel, str]:
    name = signal_name(event.signum)
    whom = "process group " if event.to_group else ""
    is_asked_by_it = spec is not None and spec.stop.signal == signal.SIGKILL
    if event.stopping and event.signum == signal.SIGKILL and not is_asked_by_it:
        return LogLevel.WARN, f"killing '{event.id.name}' ({event.pid}) with SIGKILL"
    if event.stopping:
        told = f"killing {event.id.name} (pid {event.pid}) {whom}with signal {name}"
        return LogLevel.DEBUG, told
    return LogLevel.DEBUG, f"sending {event.id.name} (pid {event.pid}) sig {name}"
