"""What the pictures show: two hosts under load, and a Prometheus that has watched them a while."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.previews.page import ROOT
from tools.stack import Prometheus, Scenario, Stack, StackSettings, Target, until

SCRAPE_INTERVAL = 5  # seconds: a few minutes are enough for graphs that look like a day's
RULES = (ROOT / "alerts" / "opsvisor.rules.yml", ROOT / "alerts" / "opsvisor.alerts.yml")

_TROUBLED = "shop-1"  # a program in every predicament
_CALM = "shop-2"  # the same, without those that can't get well
_HOPELESS = (
    *("broken", "deaf", "flaky", "hanging", "hungry", "leaky"),
    *("looping", "missing", "unheard", "unready"),
)

_RESTART_EVERY = 180.0  # seconds: somebody deploys now and then


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The hosts and the Prometheus that scrapes them."""

    prometheus: Prometheus
    troubled: Scenario
    calm: Scenario

    def history(self) -> float:
        """For how many seconds it has been scraped."""
        scrapes = self.prometheus.value(
            f'count_over_time(up{{job="opsvisor",instance="{_TROUBLED}"}}[1d])'
        )
        return scrapes * SCRAPE_INTERVAL if scrapes > 0 else 0.0

    def live_for(self, seconds: float, *, tell: Callable[[str], None]) -> None:
        """Let so much happen: a reload, one that is refused, and one that puts it right."""
        for share, event in (
            (0.2, self.troubled.reload),
            (0.5, self.troubled.reload_broken),
            (0.6, self.troubled.reload),
            (1.0, _nothing),
        ):
            self._wait_for(share * seconds)
            tell(f"{self.history():.0f} of {seconds:.0f} seconds")
            event()

    def _wait_for(self, seconds: float) -> None:
        until(lambda: self.history() >= seconds, patience=seconds + 60)


@contextmanager
def fleet(directory: Path) -> Iterator[Fleet]:
    """Start all of it, with visitors; ended at the end."""
    with ExitStack() as ends:
        hosts = []
        for name in (_TROUBLED, _CALM):
            (directory / name).mkdir()
            host = ends.enter_context(Scenario.start(directory / name))
            ends.enter_context(host.visitors(restart_every=_RESTART_EVERY))
            hosts.append(host)
        troubled, calm = hosts
        troubled.hold_one_back()
        with calm.client() as client:
            client.act("stop", _HOPELESS)
        stack = ends.enter_context(
            Stack.start(
                directory,
                StackSettings(
                    targets=[
                        Target(address=troubled.address, labels={"instance": _TROUBLED}),
                        Target(address=calm.address, labels={"instance": _CALM}),
                    ],
                    rules=RULES,
                    interval=f"{SCRAPE_INTERVAL}s",
                ),
            )
        )
        yield Fleet(prometheus=stack.prometheus, troubled=troubled, calm=calm)


def _nothing() -> None:
    """The last event is the picture."""
