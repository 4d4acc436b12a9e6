"""Facts as lines of the activity log, in the words that tools have grepped for since 2004."""

import signal
import time
from collections.abc import Callable

from opsvisor.config.settings import LogLevel
from opsvisor.core.events import (
    Event,
    FailuresForgotten,
    FlappingChanged,
    HealthChanged,
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
    SupervisorStateChanged,
)
from opsvisor.core.outcome import ExitCause, signal_name
from opsvisor.core.spec import ProcessId
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
_SEVERITY = {level: rank for rank, level in enumerate(LogLevel)}  # 0 is the gravest


_TOO_MANY_RETRIES = "too many start retries too quickly"


class Journal:
    """Writes `2026-11-23 09:37:53,628 INFO message` lines, from `level` up in gravity.

    `min_uptime` tells a process's startsecs, which one of the lines names.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        level: LogLevel,
        min_uptime: Callable[[ProcessId], float],
    ) -> None:
        self._write = write
        self._threshold = _SEVERITY[level]
        self._min_uptime = min_uptime

    def log(self, level: LogLevel, message: str) -> None:
        """Write one message. Newlines in it stay, as in Supervisor's multi-line messages."""
        if _SEVERITY[level] > self._threshold:
            return
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        self._write(f"{stamp},{int(now % 1 * 1000):03d} {_NAMES[level]} {message}")

    def on_event(self, event: Event) -> None:
        """The line of a published fact, where it has one."""
        match event:
            case ProcessSpawned():
                self.log(LogLevel.INFO, f"spawned: '{event.id.name}' with pid {event.pid}")
            case SpawnFailed():
                self.log(LogLevel.INFO, f"spawnerr: {event.reason}")
            case ProcessExited():
                self._log_exit(event)
            case StateChanged():
                self._log_state(event)
            case SignalSent():
                self._log_signal(event)
            case SignalRefused():
                self.log(
                    LogLevel.CRITICAL,
                    f"unknown problem killing {event.id.name} ({event.pid}): {event.reason}",
                )
            case KillSurvived():
                self.log(
                    LogLevel.WARN,
                    f"'{event.id.name}' ({event.pid}) has outlived SIGKILL"
                    f" {event.kills} times; the kernel holds it",
                )
            case FlappingChanged():
                level = LogLevel.WARN if event.flapping else LogLevel.INFO
                self.log(level, sentence(event))
            case HealthChanged():
                self.log(LogLevel.INFO if event.passing else LogLevel.WARN, sentence(event))
            case PlanApplied():
                self.log(LogLevel.INFO, sentence(event))
            case ProcessChanged():
                self.log(LogLevel.INFO, f"changed: {event.id}: {', '.join(event.fields)}")
            case ProcessAdded() | ProcessRemoved() | FailuresForgotten():
                self.log(LogLevel.DEBUG, sentence(event))
            case SupervisorStateChanged():
                self.log(LogLevel.DEBUG, f"opsvisord is {event.new.value}: {event.reason}")

    def _log_exit(self, event: ProcessExited) -> None:
        if event.cause in _ASKED_FOR:
            # Supervisor logs a plain SIGTERM death as a warning all the same.
            level = LogLevel.INFO if event.outcome.code == 0 else LogLevel.WARN
            self.log(level, f"stopped: {event.id.name} ({event.outcome})")
            return
        level = LogLevel.INFO if event.expected else LogLevel.WARN
        verdict = "expected" if event.expected else "not expected"
        self.log(level, f"exited: {event.id.name} ({event.outcome}; {verdict})")
        self.log(LogLevel.DEBUG, f"{event.id}: {event.decision}")

    def _log_state(self, event: StateChanged) -> None:
        match event.new:
            case PublicState.RUNNING:
                seconds = f"{self._min_uptime(event.id):g}"
                self.log(
                    LogLevel.INFO,
                    f"success: {event.id.name} entered RUNNING state, process has stayed up for"
                    f" > than {seconds} seconds (startsecs)",
                )
            case PublicState.FATAL:
                reason = event.reason
                if reason.startswith(_TOO_MANY_RETRIES):
                    reason = _TOO_MANY_RETRIES  # to the letter; the rest is at debug level
                self.log(LogLevel.INFO, f"gave up: {event.id.name} entered FATAL state, {reason}")
            case (
                PublicState.STOPPED
                | PublicState.STARTING
                | PublicState.BACKOFF
                | PublicState.STOPPING
                | PublicState.EXITED
                | PublicState.UNKNOWN
            ):
                self.log(
                    LogLevel.TRACE,
                    f"{event.id}: {event.old.name} -> {event.new.name}: {event.reason}",
                )

    def _log_signal(self, event: SignalSent) -> None:
        name = signal_name(event.signum)
        whom = "process group " if event.to_group else ""
        if event.stopping and event.signum == signal.SIGKILL:
            self.log(LogLevel.WARN, f"killing '{event.id.name}' ({event.pid}) with SIGKILL")
        elif event.stopping:
            self.log(
                LogLevel.DEBUG,
                f"killing {event.id.name} (pid {event.pid}) {whom}with signal {name}",
            )
        else:
            self.log(LogLevel.DEBUG, f"sending {event.id.name} (pid {event.pid}) sig {name}")
