"""What a probe is: the question put to a running process, and what its answers have to be.

Thresholds and times follow Kubernetes. What becomes of the answers is decided in health.py.
"""

from opsvisor.core.enums import HashedById
from opsvisor.core.struct import Value, text_without


class ProbeKind(HashedById):
    """What a probe is for."""

    STARTUP = "startup"  # has it come up? Until it has, the other two are not asked
    READINESS = "readiness"  # may others use it now? Its failure ends nothing
    LIVENESS = "liveness"  # does it still work? Its failure restarts the process

    @property
    def is_vital(self) -> bool:
        """Whether a process that fails it is restarted."""
        return self is not ProbeKind.READINESS


class ExecProbe(Value, frozen=True, kw_only=True):
    """Passes if this command, run like the process itself, ends with exit status 0."""

    argv: tuple[str, ...]


class HttpProbe(Value, frozen=True, kw_only=True):
    """Passes if a GET of this URL is answered with one of these statuses; empty: 200 to 399.

    `headers` are sent along. Redirects are answers like any other.
    """

    url: str
    statuses: frozenset[int] = frozenset()
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Everything but the headers, which may hold secrets."""
        return text_without(self, "headers")


class TcpProbe(Value, frozen=True, kw_only=True):
    """Passes if a connection to this address is accepted."""

    host: str
    port: int


ProbeHandler = ExecProbe | HttpProbe | TcpProbe


class ProbeSpec(Value, frozen=True, kw_only=True):
    """One probe of a process. Times in seconds, `initial_delay` from the start of the process.

    It passes after `success_threshold` answers in a row that are right, and fails after
    `failure_threshold` that are wrong or don't come within `timeout`.
    """

    handler: ProbeHandler
    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3


class ProbeView(Value, frozen=True, kw_only=True):
    """What one probe of a process has come to.

    `passing` None: not decided in this run, or the last. `is_active`: it is being asked.
    `wrong_in_a_row` counts the last answers, if those were wrong. `attempts` and `failures` are
    totals since the process entered the plan; `duration` and `detail` belong to the last answer.
    """

    kind: ProbeKind
    is_active: bool
    passing: bool | None
    wrong_in_a_row: int
    attempts: int
    failures: int
    duration: float | None
    detail: str
