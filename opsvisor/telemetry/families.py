"""Metric families: what one is, and how its head looks in both formats.

Text 0.0.4 names a counter with its `_total` and calls an info a gauge; OpenMetrics 1.0 names both
without their suffix and knows units. The samples below the head are the same.
"""

from enum import Enum

from opsvisor.config.settings import Collector
from opsvisor.core.struct import Struct


class Format(Enum):
    """An exposition format; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Kind(Enum):
    """OpenMetrics' name of the type; `suffix` is what a sample of it adds to the family's name."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"

    @property
    def suffix(self) -> str:
        """`_total` and `_info`, nothing for the others."""
        return {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self, "")


END_MARK = "# EOF\n"  # of OpenMetrics: without it a scrape counts as cut off
_UNITS = ("seconds", "bytes", "ratio")


class Family(Struct, frozen=True, kw_only=True):
    """One metric. `name` is what a query says; `when` tells when there is no sample of it.

    `collector` None: always told, because nothing else makes sense without it.
    """

    name: str
    kind: Kind
    help: str
    collector: Collector | None
    labels: tuple[str, ...] = ()
    when: str = ""

    def __post_init__(self) -> None:
        """A counter that does not end in `_total` is a mistake in a table."""
        assert self.name.endswith(self.kind.suffix)

    @property
    def base_name(self) -> str:
        """The family's name in OpenMetrics."""
        return self.name.removesuffix(self.kind.suffix)

    @property
    def unit(self) -> str:
        """`seconds`, `bytes`, `ratio` or nothing: names end with their unit."""
        return next((unit for unit in _UNITS if self.base_name.endswith(f"_{unit}")), "")

    def head(self, form: Format) -> str:
        """The lines that introduce the samples."""
        if form is Format.TEXT:
            kind = Kind.GAUGE if self.kind is Kind.INFO else self.kind
            return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {kind.value}\n"
        name, unit = self.base_name, self.unit
        unit_line = f"# UNIT {name} {unit}\n" if unit else ""
        return f"# HELP {name} {self.help}\n# TYPE {name} {self.kind.value}\n{unit_line}"


def escape(value: str) -> str:
    r"""A label value between its quotes. Both formats escape the same three characters.

    A name may hold bytes that are no text (PEP 383), which no scrape may have, and NUL, where
    Prometheus stops reading. They are written as `\udcff` and `\x00`: two such names stay two.
    """
    if not (value.isascii() and value.isprintable()):  # few are anything else
        value = value.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
