"""Which metrics a query may name, and what the numbers it gives are measured in.

Names and units come from the catalogue that /metrics is made from, so that a metric that was
renamed fails to generate, and one in bytes is not drawn in seconds.
"""

import re
from enum import Enum

from opsvisor.telemetry.families import Family, Kind
from opsvisor.telemetry.reference import CATALOGUE


class Quantity(Enum):
    """What a number says; the value is the units of Grafana's that fit, the usual one first."""

    COUNT = ("short", "none")
    FREQUENCY = ("ops", "reqps", "short")
    BYTES = ("bytes",)
    THROUGHPUT = ("Bps",)
    TIME = ("s", "dtdurations")
    # A timestamp times 1000 is what Grafana's dates count in.
    INSTANT = ("dateTimeFromNow", "dateTimeAsIso")
    SHARE = ("percentunit",)
    EXIT = ("prefix:exit ",)  # an exit code, where signals are mapped to their names


class UnknownMetricError(Exception):
    """A query names a metric that nothing exports."""


# What the client library tells about the daemon itself, and Prometheus about its targets.
_ELSEWHERE = {
    "process_cpu_seconds_total": Kind.COUNTER,
    "process_resident_memory_bytes": Kind.GAUGE,
    "process_open_fds": Kind.GAUGE,
    "process_max_fds": Kind.GAUGE,
    "python_gc_collections_total": Kind.COUNTER,
    "up": Kind.GAUGE,
    "scrape_duration_seconds": Kind.GAUGE,
    "scrape_samples_scraped": Kind.GAUGE,
    "ALERTS": Kind.GAUGE,
    "ALERTS_FOR_STATE": Kind.GAUGE,
}
_KNOWN = {family.name: family for family in CATALOGUE} | {
    name: Family(name=name, kind=kind, help="", collector=None)
    for name, kind in _ELSEWHERE.items()
}
OWN_METRICS = frozenset(family.name for family in CATALOGUE)
_PARTS_OF_HISTOGRAMS = ("_bucket", "_sum", "_count")

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{")
_PER_SECOND = re.compile(r"\bi?rate\(")
_QUANTILE = re.compile(r"\bhistogram_quantile\(")
_COUNTING = re.compile(r"^\(*(?:count|count_values|group)\b")
# A share of two like numbers. Divided by a constant it would not be one.
_DIVISION = re.compile(r"[)}] / (?:on \(.*?\) )?\(*(?:[a-z_]+\b|$)")


def metrics_of(query: str) -> list[str]:
    """The metrics a query selects, in order. Each selector has its braces, so it can be found."""
    bare = _STRING.sub('""', query)
    names = _SELECTOR.findall(bare)
    without = re.sub(r"\{[^}]*\}", "", _SELECTOR.sub("", bare))
    forgotten = re.findall(r"\bopsvisor_\w+", without)
    if forgotten:
        raise UnknownMetricError(f"{forgotten[0]} is selected without a matcher in: {query}")
    return names


def family_of(name: str) -> Family:
    """The family a sample belongs to. UnknownMetricError if it is exported by nobody."""
    if name in _KNOWN:
        return _KNOWN[name]
    for part in _PARTS_OF_HISTOGRAMS:
        family = _KNOWN.get(name.removesuffix(part))
        if name.endswith(part) and family is not None and family.kind is Kind.HISTOGRAM:
            return family
    raise UnknownMetricError(
        f"there is no metric {name}\n    hint: docs/reference/metrics.md lists what there is"
    )


def quantity_of(query: str) -> Quantity:
    """What the result of a query is measured in, told by its first metric and what is done to it.

    Enough of PromQL for the queries we write; a panel whose unit differs from what comes out here
    is refused, and one can look which of the two is wrong.
    """
    unit = family_of(metrics_of(query)[0]).unit
    if _COUNTING.match(query):
        return Quantity.COUNT
    if _QUANTILE.search(query):
        return Quantity.TIME
    if _DIVISION.search(query):
        return Quantity.SHARE
    per_second = _PER_SECOND.search(query) is not None
    match unit:
        case "bytes":
            return Quantity.THROUGHPUT if per_second else Quantity.BYTES
        case "seconds":
            if query.endswith("* 1000"):
                return Quantity.INSTANT
            return Quantity.SHARE if per_second else Quantity.TIME
        case "ratio":
            return Quantity.SHARE
        case _:
            return Quantity.FREQUENCY if per_second else Quantity.COUNT
