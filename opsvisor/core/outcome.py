"""How a run ended, as the kernel told it, and what it cost."""

import signal
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Resources of a finished process and the children it waited for (getrusage(2)).

    `max_rss_bytes` can't fall below what the daemon itself held at the spawn: with vfork the
    kernel counts the parent's memory as the child's until exec, and never takes it back.
    """

    user_seconds: float = 0.0
    system_seconds: float = 0.0
    max_rss_bytes: int = 0
    major_faults: int = 0
    voluntary_switches: int = 0
    involuntary_switches: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Exactly one of `code` (0..255) and `signum` is set."""

    code: int | None = None
    signum: int | None = None
    core_dumped: bool = False

    def __str__(self) -> str:
        """As Supervisor words it: `exit status 3`, `terminated by SIGKILL (core dumped)`."""
        if self.code is not None:
            return f"exit status {self.code}"
        assert self.signum is not None
        suffix = " (core dumped)" if self.core_dumped else ""
        return f"terminated by {signal_name(self.signum)}{suffix}"


def how_it_ended(outcome: Outcome, *, oom_killed: bool) -> str:
    """The outcome in words, with who sent the SIGKILL where that is known.

    Not part of `str(outcome)`, which has Supervisor's words and must keep them.
    """
    return f"{outcome} (OOM killer)" if oom_killed else str(outcome)


class ExitCause(Enum):
    """Why a run ended: the bounded set behind every metric label, status line and event."""

    SUCCESS = "success"  # an exit code or signal that the policy expects
    FAILURE = "failure"  # another exit code
    SIGNAL = "signal"  # a signal that we did not send
    OOM = "oom"  # SIGKILL by the kernel, which ran out of memory or met the limit of a cgroup
    HEALTH = "health"  # stopped because its startup or liveness probe failed
    START_FAILURE = "start_failure"  # ended before min_uptime, or could not be spawned
    MANUAL = "manual"  # stopped by an operator
    CONFIG = "config"  # stopped to take over a changed configuration
    SHUTDOWN = "shutdown"  # stopped with the daemon


class SpawnFaultKind(Enum):
    """What kept a process from being made, as far as an operator can act on it."""

    NO_FILE = "no_file"
    NOT_EXECUTABLE = "not_executable"
    OTHER = "other"


def signal_name(signum: int) -> str:
    """`SIGTERM` for 15; real-time and unknown numbers as `SIG34`."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"SIG{signum}"
