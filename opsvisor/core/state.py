"""The states of a process as types that carry their own data, and how they may follow.

Clients see Supervisor's eight names (`PublicState`); inside there is one more, `Spawning`: the
time between asking for a fork and hearing of it, in which a stop may already arrive.
Instants (`…_at`) are monotonic seconds.
"""

from enum import Enum
from typing import assert_never

from opsvisor.core.enums import HashedById
from opsvisor.core.spec import Pid
from opsvisor.core.struct import Variant


class PublicState(HashedById):
    """Supervisor's eight states; `code` is its number for each."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"

    @property
    def code(self) -> int:
        """The number Supervisor's clients know the state by."""
        return _CODES[self]


_CODES = {
    PublicState.STOPPED: 0,
    PublicState.STARTING: 10,
    PublicState.RUNNING: 20,
    PublicState.BACKOFF: 30,
    PublicState.STOPPING: 40,
    PublicState.EXITED: 100,
    PublicState.FATAL: 200,
    PublicState.UNKNOWN: 1000,
}


class StartCause(Enum):
    """Why a process is started; `RETRY` and `RESTART` are the supervisor's own doing."""

    AUTOSTART = "autostart"
    MANUAL = "manual"
    CONFIG = "config"
    RETRY = "retry"  # after a failed start
    RESTART = "restart"  # after a run that ended
    RECOVERY = "recovery"  # slow retry out of FATAL


class StopCause(Enum):
    """Why a process is stopped."""

    MANUAL = "manual"
    CONFIG = "config"
    SHUTDOWN = "shutdown"
    HEALTH = "health"  # a probe failed; its restart policy decides what follows


class Stopped(Variant, frozen=True):
    """Not running, and not meant to."""


class Spawning(Variant, frozen=True):
    """A fork was asked for. `stop_wanted` remembers a stop that came before the answer."""

    cause: StartCause
    stop_wanted: StopCause | None = None
    start_after: StartCause | None = None


class Starting(Variant, frozen=True):
    """Alive, but not yet for `min_uptime`."""

    pid: Pid
    started_at: float
    up_at: float


class Running(Variant, frozen=True):
    """Alive for at least `min_uptime`. At `settled_at` earlier failures are forgotten."""

    pid: Pid
    started_at: float
    settled_at: float | None


class Backoff(Variant, frozen=True):
    """Waiting for the next attempt."""

    retry_at: float
    cause: StartCause


class Stopping(Variant, frozen=True):
    """Asked to end. At `kill_at` SIGKILL is sent; `kills` counts those already sent."""

    pid: Pid
    started_at: float
    kill_at: float
    cause: StopCause
    kills: int = 0
    start_after: StartCause | None = None


class Exited(Variant, frozen=True):
    """Ended by itself, and left so by its policy."""


class Fatal(Variant, frozen=True):
    """Given up. `retry_at` is the slow way out, None when only an operator can start it."""

    retry_at: float | None


class Unknown(Variant, frozen=True):
    """Alive or not, we can't say: the kernel refused a signal we must be able to send."""

    pid: Pid
    started_at: float
    cause: StopCause
    start_after: StartCause | None = None


State = Stopped | Spawning | Starting | Running | Backoff | Stopping | Exited | Fatal | Unknown


# A table, as this is asked seven times in a restart. A test sees that no state is missing.
_PUBLIC: dict[type[State], PublicState] = {
    Stopped: PublicState.STOPPED,
    Spawning: PublicState.STARTING,
    Starting: PublicState.STARTING,
    Running: PublicState.RUNNING,
    Backoff: PublicState.BACKOFF,
    Stopping: PublicState.STOPPING,
    Exited: PublicState.EXITED,
    Fatal: PublicState.FATAL,
    Unknown: PublicState.UNKNOWN,
}


def public_state(state: State) -> PublicState:
    """The one of Supervisor's eight names that clients see for this state."""
    return _PUBLIC[type(state)]


def pid_of(state: State) -> Pid | None:
    """The live process of this state, None where there is none."""
    match state:
        case Starting() | Running() | Stopping() | Unknown():
            return state.pid
        case Stopped() | Spawning() | Backoff() | Exited() | Fatal():
            return None
        case never:
            assert_never(never)


def deadline_of(state: State) -> float | None:
    """When this state wants to be looked at again, None where only an input can end it."""
    match state:  # what comes oftest first
        case Running():
            return state.settled_at
        case Spawning() | Stopped() | Exited() | Unknown():
            return None
        case Starting():
            return state.up_at
        case Stopping():
            return state.kill_at
        case Backoff() | Fatal():
            return state.retry_at
        case never:
            assert_never(never)


_P = PublicState
# Which public state may follow which. The machine asserts it on every change; the diagram in
# docs/ is drawn from it.
TRANSITIONS: dict[PublicState, frozenset[PublicState]] = {
    _P.STOPPED: frozenset({_P.STARTING}),
    _P.STARTING: frozenset({_P.RUNNING, _P.BACKOFF, _P.STOPPING, _P.STOPPED, _P.EXITED}),
    _P.RUNNING: frozenset({_P.EXITED, _P.STOPPING}),
    _P.BACKOFF: frozenset({_P.STARTING, _P.STOPPED, _P.FATAL}),
    # Into EXITED, or BACKOFF if it never came up, only after a stop for its health.
    _P.STOPPING: frozenset({_P.STOPPED, _P.UNKNOWN, _P.EXITED, _P.BACKOFF}),
    _P.EXITED: frozenset({_P.STARTING, _P.BACKOFF, _P.FATAL}),
    _P.FATAL: frozenset({_P.STARTING, _P.STOPPED}),
    _P.UNKNOWN: frozenset({_P.STOPPED, _P.STOPPING, _P.EXITED, _P.BACKOFF}),
}
