"""A panel without its place: what it asks Prometheus, and what its numbers are measured in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from string import ascii_uppercase

from grafana.generate import look
from grafana.generate.jsons import Json, Object
from grafana.generate.metrics import Quantity, family_of, metrics_of, quantity_of

DATASOURCE: Object = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24  # columns of Grafana's grid


class Shape(Enum):
    """How Prometheus is asked, and what Grafana makes of the answer."""

    RANGE = "time_series"
    INSTANT = "instant"  # one value for each series, now
    TABLE = "table"  # the same, labels as columns
    HEATMAP = "heatmap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a panel.

    `unit`, if not the panel's, is this query's own. `quantity` says what the result is where that
    does not follow from the text of it.
    """

    text: str
    legend: str = ""
    shape: Shape = Shape.RANGE
    unit: str = ""
    quantity: Quantity | None = None

    def __post_init__(self) -> None:
        """UnknownMetricError for a metric that is not exported."""
        names = metrics_of(self.text)
        assert names, f"no metric is selected by: {self.text}"
        for name in names:
            family_of(name)

    @property
    def measured_in(self) -> Quantity:
        """What the numbers are."""
        return self.quantity or quantity_of(self.text)

    def render(self, ref_id: str) -> Object:
        """As Grafana has it in `targets`."""
        instant = self.shape in {Shape.INSTANT, Shape.TABLE}
        form = Shape.RANGE if self.shape is Shape.INSTANT else self.shape
        return {
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": self.text,
            "format": form.value,
            "instant": instant,
            "legendFormat": self.legend or "__auto",
            "range": not instant,
            "refId": ref_id,
        }


class WrongUnitError(Exception):
    """A panel draws something in a unit that it is not measured in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel without its place. `options` and `custom` are what Grafana's kind of panel takes."""

    kind: str
    title: str
    description: str
    queries: tuple[Query, ...]
    width: int
    height: int
    unit: str
    defaults: Object
    options: Object
    overrides: tuple[Object, ...] = ()
    transformations: tuple[Object, ...] = ()
    interval: str = ""

    def render(self, *, panel_id: int, x: int, y: int) -> Object:
        """As Grafana has it, at this place of the grid."""
        rendered: dict[str, Json] = {
            "datasource": DATASOURCE,
            "description": self.description,
            "fieldConfig": {
                "defaults": dict(sorted({**self.defaults, "unit": self.unit}.items())),
                "overrides": [*self._units_of_queries(), *self.overrides],
            },
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "id": panel_id,
            "options": self.options,
            "targets": [
                query.render(ref_id)
                for ref_id, query in zip(ascii_uppercase, self.queries, strict=False)
            ],
            "title": self.title,
            "type": self.kind,
        }
        if self.transformations:
            rendered["transformations"] = self.transformations
        if self.interval:
            rendered["interval"] = self.interval
        return rendered

    def _units_of_queries(self) -> list[Object]:
        return [
            {
                "matcher": {"id": "byFrameRefID", "options": ref_id},
                "properties": [{"id": "unit", "value": query.unit}],
            }
            for ref_id, query in zip(ascii_uppercase, self.queries, strict=False)
            if query.unit and query.shape is not Shape.TABLE
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What all panels may say of their numbers.

    `unit` empty: what the first query is measured in. `empty` is shown where there is nothing,
    and says why that is all right.
    """

    unit: str = ""
    steps: look.Steps = look.PLAIN
    mappings: tuple[Object, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    empty: str = ""
    decimals: int | None = None
    low: float | None = None
    high: float | None = None
    link: str = ""

    def unit_of(self, queries: Sequence[Query]) -> str:
        """The unit of the panel. WrongUnitError if a query is measured in something else."""
        if self.mappings and not self.unit:
            return "none"
        unit = self.unit or queries[0].unit or queries[0].measured_in.value[0]
        for query in queries:
            if (query.unit or unit) not in query.measured_in.value:
                raise WrongUnitError(
                    f"{query.unit or unit!r} is no unit for {query.text}\n"
                    f"    hint: it is measured in one of {', '.join(query.measured_in.value)}"
                )
        return unit

    def defaults(self, *, colour: Object, custom: Object | None = None) -> Object:
        """As Grafana has it in `fieldConfig`."""
        told: dict[str, Json] = {
            "color": colour,
            "mappings": self.mappings,
            "thresholds": look.thresholds(self.steps),
        }
        optional: Mapping[str, Json] = {
            "custom": custom,
            "decimals": self.decimals,
            "links": [{"title": "Open this process", "url": self.link}] if self.link else None,
            "max": self.high,
            "min": self.low,
            "noValue": self.empty or None,
        }
        return told | {name: value for name, value in optional.items() if value is not None}
