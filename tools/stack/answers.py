"""What Prometheus answers, in types."""

import math
from typing import Literal

import msgspec


class Sample(msgspec.Struct, frozen=True):
    """One series of an instant query."""

    metric: dict[str, str]
    value: tuple[float, str]

    @property
    def number(self) -> float:
        """Its value, which JSON can't hold as a number if it is NaN or infinite."""
        return float(self.value[1])


class Series(msgspec.Struct, frozen=True):
    """One series of a range query."""

    metric: dict[str, str]
    values: list[tuple[float, str]]

    @property
    def numbers(self) -> list[float]:
        """Its values in order, without the times."""
        return [float(value) for _, value in self.values]

    @property
    def has_numbers(self) -> bool:
        """Whether anything of it could be drawn: NaN can't."""
        return any(not math.isnan(number) for number in self.numbers)


class Alert(msgspec.Struct, frozen=True, rename="camel"):
    """An alert that is pending or firing."""

    labels: dict[str, str]
    annotations: dict[str, str]
    state: Literal["pending", "firing"]
    active_at: str = ""

    @property
    def name(self) -> str:
        """Its alertname."""
        return self.labels["alertname"]


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """A rule as it was last evaluated. `health` is "ok" unless that failed, see `last_error`."""

    name: str
    query: str
    type: Literal["alerting", "recording"]
    health: Literal["ok", "err", "unknown"]
    last_error: str = ""
    state: Literal["", "inactive", "pending", "firing"] = ""
    evaluation_time: float = 0.0


class ScrapeTarget(msgspec.Struct, frozen=True, rename="camel"):
    """What is scraped, and how that went."""

    labels: dict[str, str]
    scrape_url: str
    health: Literal["up", "down", "unknown"]
    last_error: str = ""
    last_scrape_duration: float = 0.0
