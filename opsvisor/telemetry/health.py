"""The metrics of the probes of each process; exporters call a probe a health check."""

from collections.abc import Callable, Sequence

from opsvisor.config.settings import Collector
from opsvisor.core.probes import ProbeKind, ProbeView
from opsvisor.telemetry.families import Kind
from opsvisor.telemetry.rows import Row, Several


def _family(
    name: str,
    text: str,
    read: Callable[[ProbeView, Row], float | None],
    *,
    kind: Kind = Kind.GAUGE,
    when: str = "",
) -> Several:
    def samples(row: Row) -> Sequence[str]:
        return [
            f',check="{probe.kind.value}"}} {value!r}\n'
            for probe in row.view.probes
            if (value := read(probe, row)) is not None
        ]

    return Several(
        name=f"opsvisor_health_check_{name}",
        kind=kind,
        help=text,
        collector=Collector.HEALTH,
        labels=("group", "process", "check"),
        when=when,
        read=samples,
    )


def _is_up(probe: ProbeView, row: Row) -> int | None:
    # A startup probe that has passed is asked no more, and stands for as long as the run.
    stands = probe.kind is ProbeKind.STARTUP and probe.passing and row.view.pid is not None
    return int(bool(probe.passing)) if probe.is_active or stands else None


HEALTH_FAMILIES = (
    _family(
        "up",
        "1 if the probe passes, 0 if it fails or has not passed yet.",
        _is_up,
        when="it is not asked: no process runs, or its startup probe comes first",
    ),
    _family(
        "attempts_total",
        "Times the probe was asked and answered, or not answered in time.",
        lambda probe, _: probe.attempts,
        kind=Kind.COUNTER,
    ),
    _family(
        "failures_total",
        "Wrong answers to the probe, those that did not come in time included.",
        lambda probe, _: probe.failures,
        kind=Kind.COUNTER,
    ),
    _family(
        "last_duration_seconds",
        "How long the last answer to the probe took.",
        lambda probe, _: probe.duration,
        when="there was none yet",
    ),
)
