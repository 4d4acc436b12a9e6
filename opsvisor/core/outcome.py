"""How a run ended, as the kernel told it, and what it cost."""

import signal
from enum import Enum
from typing import assert_never

from opsvisor.core.enums import HashedById
from opsvisor.core.struct import Value


class Usage(Value, frozen=True, kw_only=True, omit_defaults=True):
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


class Outcome(Value, frozen=True, kw_only=True, omit_defaults=True):
    """At most one of `code` (0..255) and `signum` is set.

    Neither: it ended while nobody was there to see how (`is_unknown`).
    """

    code: int | None = None
    signum: int | None = None
    core_dumped: bool = False

    @property
    def is_unknown(self) -> bool:
        """Whether nobody could see how it ended."""
        return self.code is None and self.signum is None

    def __str__(self) -> str:
        """As Supervisor words it: `exit status 3`, `terminated by SIGKILL (core dumped)`."""
        if self.code is not None:
            return f"exit status {self.code}"
        if self.signum is None:
            return "exit status unknown"
        suffix = " (core dumped)" if self.core_dumped else ""
        return f"terminated by {signal_name(self.signum)}{suffix}"


def how_it_ended(outcome: Outcome, *, oom_killed: bool) -> str:
    """The outcome in words, with who sent the SIGKILL where that is known.

    Not part of `str(outcome)`, which has Supervisor's words and must keep them.
    """
    return f"{outcome} (OOM killer)" if oom_killed else str(outcome)


def exit_status(outcome: Outcome) -> int:
    """What a shell would have in `$?`: the code, 128 and the signal, or 1 if nobody knows."""
    if outcome.signum is not None:
        return 128 + outcome.signum
    return 1 if outcome.code is None else outcome.code


class ExitCause(HashedById):
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
    UNKNOWN = "unknown"  # ended by itself, and nobody could see how


class SpawnFaultKind(Enum):
    """What kept a process from being made, as far as an operator can act on it."""

    NO_FILE = "no_file"
    NOT_EXECUTABLE = "not_executable"
    OTHER = "other"

    @property
    def exit_status(self) -> int:
        """What a shell would have in `$?` if it could not start a command for this."""
        match self:
            case SpawnFaultKind.NO_FILE:
                return 127
            case SpawnFaultKind.NOT_EXECUTABLE:
                return 126
            case SpawnFaultKind.OTHER:
                return 1
            case never:
                assert_never(never)


_SIGNALS = {one.value: one.name for one in signal.Signals}


def signal_name(signum: int) -> str:
    """`SIGTERM` for 15; real-time and unknown numbers as `SIG34`."""
    return _SIGNALS.get(signum) or f"SIG{signum}"
