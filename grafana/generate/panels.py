"""Panels: what each kind of Grafana's is told, with defaults that fit this project.

Only options that Grafana 10.4 knows are used; the schema tests hold every panel to that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from grafana.generate import look
from grafana.generate.jsons import Json, Object
from grafana.generate.panel import Field, Panel, Query, Shape

_BY_THRESHOLD: Object = {"mode": "thresholds"}
_BY_SERIES: Object = {"mode": "palette-classic"}
_LAST: Object = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_PLAIN_FIELD = Field()


class Graph(Enum):
    """Whether a stat panel shows how its number came about."""

    NONE = "none"
    AREA = "area"


def stat(
    title: str,
    description: str,
    *queries: Query,
    size: tuple[int, int],
    look_of: Field = _PLAIN_FIELD,
    graph: Graph = Graph.NONE,
) -> Panel:
    """One number, or one for each query, with a colour that says whether that is good.

    Without a graph Prometheus is asked about now only. Of a whole range of values the panel would
    show the last there was, long after it is true.
    """
    if graph is Graph.NONE:
        queries = tuple(replace(query, shape=Shape.INSTANT) for query in queries)
    return Panel(
        kind="stat",
        title=title,
        description=description,
        queries=queries,
        width=size[0],
        height=size[1],
        unit=look_of.unit_of(queries),
        defaults=look_of.defaults(colour=_BY_THRESHOLD),
        options={
            "colorMode": "background",
            "graphMode": graph.value,
            "justifyMode": "center",
            "orientation": "auto",
            "reduceOptions": _LAST,
            "showPercentChange": False,
            "textMode": "value_and_name" if len(queries) > 1 else "value",
            "wideLayout": True,
        },
        overrides=tuple(look.coloured(look_of.colours)),
    )


class Draw(Enum):
    """How a series is drawn: levels as lines, what happened in an interval as bars."""

    LINES = "line"
    STACKED = "stacked"
    BARS = "bars"


class Scale(Enum):
    """How far apart values are drawn. A limit far above what it limits needs the second."""

    LINEAR = "linear"
    LOGARITHMIC = "log"


class Legend(Enum):
    """Where the names go."""

    BELOW = "bottom"
    BESIDE = "right"  # a table with the last and the highest value


def timeseries(
    title: str,
    description: str,
    *queries: Query,
    size: tuple[int, int],
    look_of: Field = _PLAIN_FIELD,
    draw: Draw = Draw.LINES,
    legend: Legend = Legend.BELOW,
    dashed: Sequence[str] = (),
    scale: Scale = Scale.LINEAR,
) -> Panel:
    """A curve for each series over time. `dashed` names limits, which are no measurements."""
    if draw is Draw.BARS and look_of.decimals is None:
        look_of = replace(look_of, decimals=0)  # increase() extrapolates: one event reads 1.25
    custom: dict[str, Json] = {
        "axisPlacement": "auto",
        # So that nothing but zeros is not drawn on an axis up to 100.
        "axisSoftMax": 1 if draw is Draw.BARS else None,
        "axisSoftMin": 0 if scale is Scale.LINEAR else None,
        "drawStyle": "bars" if draw is Draw.BARS else "line",
        "fillOpacity": {Draw.LINES: 8, Draw.STACKED: 45, Draw.BARS: 75}[draw],
        "gradientMode": "none",
        "lineInterpolation": "linear",
        "lineWidth": 0 if draw is Draw.BARS else 1,
        "scaleDistribution": {"log": 10, "type": "log"} if scale is Scale.LOGARITHMIC else None,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "none" if draw is Draw.LINES else "normal"},
    }
    custom = {name: value for name, value in custom.items() if value is not None}
    if look_of.steps is not look.PLAIN:
        custom["thresholdsStyle"] = {"mode": "dashed"}
    limits: list[Object] = [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [
                {"id": "custom.lineStyle", "value": {"dash": [8, 8], "fill": "dash"}},
                {"id": "custom.fillOpacity", "value": 0},
                {"id": "custom.stacking", "value": {"group": "A", "mode": "none"}},
                {"id": "color", "value": look.fixed(look.BAD)},
            ],
        }
        for name in dashed
    ]
    return Panel(
        kind="timeseries",
        title=title,
        description=description,
        queries=queries,
        width=size[0],
        height=size[1],
        unit=look_of.unit_of(queries),
        defaults=look_of.defaults(colour=_BY_SERIES, custom=custom),
        options={
            "legend": _legend(legend),
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        overrides=(*look.coloured(look_of.colours), *limits),
        # What happened is counted by the minute: narrower bars would count an event several times,
        # because what $__rate_interval looks back over is wider than they are.
        interval="1m" if draw is Draw.BARS else "",
    )


def _legend(legend: Legend) -> Object:
    beside = legend is Legend.BESIDE
    return {
        "calcs": ["lastNotNull", "max"] if beside else [],
        "displayMode": "table" if beside else "list",
        "placement": "right" if beside else "bottom",
        "showLegend": True,
    }


def state_timeline(
    title: str,
    description: str,
    *queries: Query,
    size: tuple[int, int],
    look_of: Field,
) -> Panel:
    """A row for each series, coloured by its value as it changes. The mappings are its legend."""
    return Panel(
        kind="state-timeline",
        title=title,
        description=description,
        queries=queries,
        width=size[0],
        height=size[1],
        unit=look_of.unit_of(queries),
        defaults=look_of.defaults(
            colour=_BY_THRESHOLD, custom={"fillOpacity": 85, "lineWidth": 0}
        ),
        options={
            "alignValue": "left",
            "legend": _legend(Legend.BELOW),
            "mergeValues": True,
            "rowHeight": 0.85,
            "showValue": "never",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        overrides=tuple(look.coloured(look_of.colours)),
    )


class Cell(Enum):
    """How a column of a table shows its value."""

    TEXT = "auto"
    COLOURED_TEXT = "color-text"
    COLOURED = "color-background"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: a label, or `Value #A` and so on for the result of a query."""

    source: str
    title: str
    width: int = 0
    unit: str = ""
    mappings: tuple[Object, ...] = ()
    steps: look.Steps | None = None
    cell: Cell = Cell.TEXT
    link: str = ""
    decimals: int | None = None

    def override(self) -> Object:
        """What is different in this column."""
        optional: Mapping[str, Json] = {
            "unit": self.unit or None,
            "decimals": self.decimals,
            "mappings": self.mappings or None,
            "thresholds": look.thresholds(self.steps) if self.steps else None,
            "custom.cellOptions": {"type": self.cell.value}
            if self.cell is not Cell.TEXT
            else None,
            "custom.width": self.width or None,
            "links": [{"title": "Open this process", "url": self.link}] if self.link else None,
            # What the panel says when it is empty would stand in each cell that is.
            "noValue": "–",
        }
        properties = [
            {"id": name, "value": value} for name, value in optional.items() if value is not None
        ]
        return {
            "matcher": {"id": "byName", "options": self.title},
            "properties": properties,
        }


def table(
    title: str,
    description: str,
    *queries: Query,
    size: tuple[int, int],
    columns: Sequence[Column],
    hidden: Sequence[str] = (),
    sort: str = "",
    look_of: Field = _PLAIN_FIELD,
) -> Panel:
    """A row for each set of labels, joined over the queries by the labels they share."""
    sources = [column.source for column in columns]
    # What is taken out of a table, its links don't find; what is only not shown they do.
    linked = [name for name in hidden if any(f".{name}:" in column.link for column in columns)]
    removed = [name for name in hidden if name not in linked]
    transformations: list[Object] = [{"id": "merge", "options": {}}]
    transformations.append(
        {
            "id": "organize",
            "options": {
                "excludeByName": dict.fromkeys(("Time", *removed), True),
                "includeByName": {},
                "indexByName": {name: index for index, name in enumerate([*sources, *linked])},
                "renameByName": {column.source: column.title for column in columns},
            },
        }
    )
    return Panel(
        kind="table",
        title=title,
        description=description,
        queries=queries,
        width=size[0],
        height=size[1],
        unit=look_of.unit or "short",
        defaults=look_of.defaults(
            colour=_BY_THRESHOLD,
            custom={"align": "left", "cellOptions": {"type": "auto"}, "inspect": False},
        ),
        options={
            "cellHeight": "sm",
            "frameIndex": 0,
            "showHeader": True,
            "sortBy": [{"desc": True, "displayName": sort}] if sort else [],
        },
        overrides=(
            *(column.override() for column in columns),
            *(_unseen(name) for name in linked),
        ),
        transformations=tuple(transformations),
    )


def _unseen(name: str) -> Object:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": "custom.hidden", "value": True}],
    }


def bar_gauge(
    title: str,
    description: str,
    *queries: Query,
    size: tuple[int, int],
    look_of: Field,
) -> Panel:
    """A bar for each series, coloured by how full it is."""
    return Panel(
        kind="bargauge",
        title=title,
        description=description,
        queries=queries,
        width=size[0],
        height=size[1],
        unit=look_of.unit_of(queries),
        defaults=look_of.defaults(colour=_BY_THRESHOLD),
        options={
            "displayMode": "basic",
            "maxVizHeight": 28,
            "minVizHeight": 14,
            "minVizWidth": 8,
            "namePlacement": "left",
            "orientation": "horizontal",
            "reduceOptions": _LAST,
            "showUnfilled": True,
            "sizing": "manual",
            "valueMode": "color",
        },
    )


def heatmap(
    title: str,
    description: str,
    query: Query,
    *,
    size: tuple[int, int],
) -> Panel:
    """A histogram over time: how many observations fell into each of its buckets."""
    return Panel(
        kind="heatmap",
        title=title,
        description=description,
        queries=(query,),
        width=size[0],
        height=size[1],
        unit="short",
        defaults={"custom": {"scaleDistribution": {"type": "linear"}}},
        options={
            "calculate": False,
            "cellGap": 1,
            "color": {
                "exponent": 0.5,
                "fill": "dark-orange",
                "mode": "scheme",
                "reverse": False,
                "scale": "exponential",
                "scheme": "Oranges",
                "steps": 64,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": "s"},
        },
    )
