"""What the core shows of one process: a frozen copy for status, metrics and the API."""

from opsvisor.core.instant import Instant
from opsvisor.core.outcome import ExitCause, Outcome
from opsvisor.core.probes import ProbeView
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec
from opsvisor.core.state import PublicState
from opsvisor.core.struct import Value


class ProcessView(Value, frozen=True, kw_only=True):
    """One process as of the moment it was asked for.

    `since`: when the present state began. `started` / `ended`: of the present or last run.
    `retry_at` is monotonic. `running_seconds` and `expected_seconds` are totals since the process
    entered the plan: time spent RUNNING, and time in which it was meant to run. `healthy` None:
    nothing has told so far. `probes` are those it has.
    """

    id: ProcessId
    spec: ProcessSpec
    group_priority: int
    state: PublicState
    reason: str
    since: Instant
    pid: Pid | None
    ready: bool
    healthy: bool | None
    probes: tuple[ProbeView, ...]
    flapping: bool
    expected_running: bool
    started: Instant | None
    ended: Instant | None
    starts: int
    restarts: int
    failed_starts: int
    failures: int
    retry_at: float | None
    retry_delay: float | None
    kills_survived: int
    last_outcome: Outcome | None
    last_cause: ExitCause | None
    last_oom_killed: bool
    last_signal_asked: bool
    spawn_error: str
    running_seconds: float
    expected_seconds: float
