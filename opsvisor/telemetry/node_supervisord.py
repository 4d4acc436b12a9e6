"""The four metrics that node_exporter told of Supervisor, for dashboards and alerts that exist.

Names, labels, types and values are those of its `supervisord` collector, which asked Supervisor
for getAllProcessInfo: a process counts as up also while it starts and while it stops, and its
start is told only then, in whole seconds.
"""

from collections.abc import Iterable, Sequence

from opsvisor.config.settings import Collector
from opsvisor.core.outcome import ExitCause
from opsvisor.core.state import PublicState
from opsvisor.telemetry.families import Format, Kind, escape
from opsvisor.telemetry.rows import Row, Single

_LABELS = ("name", "group")
_UP = (PublicState.STARTING, PublicState.RUNNING, PublicState.STOPPING)
_OVER = (PublicState.STOPPED, PublicState.EXITED, PublicState.FATAL)
# What Supervisor has for any end without an exit code: a signal, or one it can't make out.
_NO_CODE = -1


class Borrowed(Single, frozen=True, kw_only=True):
    """A family under another's name. `text_type` is what it is called there.

    OpenMetrics, which node_exporter does not speak, has no counter without `_total`: there it is
    told as `kind`.
    """

    text_type: str = "gauge"

    def head(self, form: Format) -> str:
        """The lines that introduce the samples."""
        told = Single.head(self, form)
        if form is Format.TEXT:
            return told.replace(f" {self.kind.value}\n", f" {self.text_type}\n")
        return told

    def samples(self, rows: Iterable[Row]) -> str:
        """The lines of these processes."""
        return "".join(
            f'{self.name}{{name="{escape(row.view.id.name)}",group="{escape(row.view.id.group)}"}}'
            f" {value!r}\n"
            for row in rows
            if (value := self.read(row)) is not None
        )


def _exit_status(row: Row) -> int:
    """As in getProcessInfo: -1 for a signal; 0 while it runs, and after a failed start."""
    view = row.view
    early = view.last_cause is ExitCause.START_FAILURE
    if view.last_outcome is None or early or view.state not in _OVER:
        return 0
    return _NO_CODE if view.last_outcome.code is None else view.last_outcome.code


def _start(row: Row) -> int | None:
    view = row.view
    if view.state not in _UP:
        return None
    return int(view.started.wall) if view.started is not None else 0


NODE_SUPERVISORD_FAMILIES: Sequence[Borrowed] = (
    Borrowed(
        name="node_supervisord_up",
        kind=Kind.GAUGE,
        help="1 if the process is starting, running or stopping.",
        collector=Collector.STATE,
        labels=_LABELS,
        read=lambda row: int(row.view.state in _UP),
    ),
    Borrowed(
        name="node_supervisord_state",
        kind=Kind.GAUGE,
        help="Supervisor's number of the state.",
        collector=Collector.STATE,
        labels=_LABELS,
        read=lambda row: row.view.state.code,
    ),
    Borrowed(
        name="node_supervisord_exit_status",
        kind=Kind.GAUGE,
        help="Exit code of the last run, -1 if a signal ended it; 0 while there is none.",
        collector=Collector.STATE,
        labels=_LABELS,
        read=_exit_status,
    ),
    Borrowed(
        name="node_supervisord_start_time_seconds",
        kind=Kind.GAUGE,
        text_type="counter",
        help="Unix time at which the process was started.",
        collector=Collector.STATE,
        labels=_LABELS,
        when="it is neither starting, running nor stopping",
        read=_start,
    ),
)
