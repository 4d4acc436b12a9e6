"""Prometheus, Alertmanager and the receiver, wired to each other."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tools.stack.alertmanager import Alertmanager
from tools.stack.config import (
    AlertmanagerSettings,
    InhibitRule,
    PrometheusSettings,
    Target,
    alertmanager_config,
    prometheus_config,
)
from tools.stack.ending import Ended
from tools.stack.program import Program
from tools.stack.prometheus import Prometheus
from tools.stack.receiver import Notice, Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """What is scraped, judged and told. Port 0 lets the kernel choose one.

    `interval` is between two scrapes, and between two evaluations of the rules. The receiver is
    told of every alert that the `inhibit_rules` leave; an `alertmanager_yml` is taken instead of
    all that, for the receiver's port.
    """

    targets: Sequence[Target] = ()
    rules: Sequence[Path] = ()
    inhibit_rules: Sequence[InhibitRule] = ()
    interval: str = "1s"
    group_wait: str = "1s"
    group_interval: str = "1s"
    alertmanager_yml: str = ""
    prometheus_port: int = 0
    alertmanager_port: int = 0
    receiver_port: int = 0


class Stack(Ended):
    """All three, running. A context manager: stopped at the end, in the order of their use."""

    def __init__(
        self,
        prometheus: Prometheus,
        alertmanager: Alertmanager,
        receiver: Receiver,
        *,
        ends: ExitStack,
    ) -> None:
        self.prometheus = prometheus
        self.alertmanager = alertmanager
        self.receiver = receiver
        self._ends = ends

    @classmethod
    def start(
        cls,
        directory: Path,
        settings: StackSettings,
        *,
        on_notice: Callable[[Notice], None] | None = None,
    ) -> Self:
        """Start them, with all they write in `directory`. They are ready then.

        Raises StackError if one of them can't be had; the others don't stay behind.
        """
        with ExitStack() as ends:
            receiver = Receiver.start(port=settings.receiver_port, on_notice=on_notice)
            ends.callback(receiver.stop)
            alertmanager = Alertmanager.start(
                directory,
                settings.alertmanager_yml
                or alertmanager_config(
                    AlertmanagerSettings(
                        webhook=receiver.url,
                        inhibit_rules=settings.inhibit_rules,
                        group_wait=settings.group_wait,
                        group_interval=settings.group_interval,
                    )
                ),
                port=settings.alertmanager_port,
            )
            ends.callback(alertmanager.stop)
            prometheus = Prometheus.start(
                directory,
                prometheus_config(
                    PrometheusSettings(
                        targets=settings.targets,
                        rules=settings.rules,
                        alertmanager=alertmanager.address,
                        interval=settings.interval,
                    )
                ),
                port=settings.prometheus_port,
            )
            ends.callback(prometheus.stop)
            return cls(prometheus, alertmanager, receiver, ends=ends.pop_all())

    @property
    def programs(self) -> Sequence[Program]:
        """The programs that have to run for it to be whole."""
        return (self.prometheus.program, self.alertmanager.program)

    def stop(self) -> None:
        """End all three."""
        self._ends.close()
