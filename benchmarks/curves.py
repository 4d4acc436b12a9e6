"""Curves over the number of programs: how steep they are, as table, page and figure."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.stats import median

mpl.use("svg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

# From here on something grows more than what it grows with. The rest is noise of the machine.
_SUPER_LINEAR = 1.15
# What should not grow at all is noise below this: 1.6 times as much for five times as many.
_GROWS = 0.3

_DOCS = Path(__file__).parent.parent / "docs"
_PAGE = _DOCS / "explanation" / "growth.md"
_FIGURE = _DOCS / "images" / "growth.svg"
_REMARKS = Path(__file__).with_name("growth.md")
_SETTINGS: dict[Any, Any] = {  # matplotlib's type of it names every setting there is
    "svg.hashsalt": "opsvisor",
    "svg.fonttype": "none",  # text stays text: it can be searched, and read aloud
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Helvetica", "Arial", "sans-serif"],
    "font.size": 9,
}
_INK, _FAINT, _LINE = "#30343a", "#9aa0a8", "#3274d9"
_COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class Curve:
    """All samples by number of programs. `grows`: whether it may grow with that at all."""

    unit: str
    grows: bool
    points: Mapping[int, Sequence[float]]

    @property
    def medians(self) -> dict[int, float]:
        """The middle at each number that has samples."""
        return {count: median(values) for count, values in self.points.items() if values}

    @property
    def exponent(self) -> float | None:
        """The slope between the two largest numbers, both axes logarithmic; None if there is none.

        1 is linear, 0 means it does not grow, 2 that each further program costs more than the
        one before. Only the end is looked at: at the beginning, what is done once hides the rest.
        """
        *_, last, most = [(0, 0.0), (0, 0.0), *sorted(self.medians.items())]
        if min(*last, *most) <= 0:
            return None
        return math.log(most[1] / last[1]) / math.log(most[0] / last[0])

    @property
    def verdict(self) -> str:
        """What must not stay so, "" if that is nothing."""
        exponent = self.exponent or 0.0
        if exponent > _SUPER_LINEAR:
            return "super-linear"
        return "grows" if not self.grows and exponent > _GROWS else ""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """All curves by name, and how they came about."""

    facts: Mapping[str, str]
    curves: Mapping[str, Curve]


def as_json(growth: Growth) -> str:
    """All samples."""
    return json.dumps(asdict(growth), indent=1)


def load(path: Path) -> Growth:
    """What `as_json` has written."""
    found = json.loads(path.read_text())
    return Growth(
        facts=found["facts"],
        curves={
            name: Curve(
                unit=one["unit"],
                grows=one["grows"],
                points={int(count): values for count, values in one["points"].items()},
            )
            for name, one in found["curves"].items()
        },
    )


def table(growth: Growth) -> str:
    """Medians and exponents in Markdown."""
    counts = sorted({count for curve in growth.curves.values() for count in curve.points})
    rows = [
        f"| Programs | {' | '.join(f'{count:,}' for count in counts)} | exponent |",
        "| --- |" + " ---: |" * (len(counts) + 1),
    ]
    for name, curve in growth.curves.items():
        cells = [_number(curve.medians.get(count)) for count in counts]
        rows.append(f"| {name}, {curve.unit} | {' | '.join(cells)} | {_exponent(curve)} |")
    return "\n".join(rows) + "\n"


def write_page(growth: Growth) -> None:
    """The page in docs, and the figure that it shows."""
    facts = "\n".join(f"- {name}: {value}" for name, value in growth.facts.items())
    page = _REMARKS.read_text().replace("<!-- facts -->", facts)
    _PAGE.write_text(page.replace("<!-- table -->", table(growth).rstrip()))
    _FIGURE.write_text(figure(growth))


def figure(growth: Growth) -> str:
    """A small plot of each as SVG: the same for the same numbers."""
    with mpl.rc_context(_SETTINGS):
        rows = math.ceil(len(growth.curves) / _COLUMNS)
        drawing = Figure(figsize=(9.6, 2.4 * rows), layout="constrained")
        grid = list(drawing.subplots(rows, _COLUMNS, squeeze=False).flat)
        for axes, (name, curve) in zip(grid, growth.curves.items(), strict=False):
            _draw(axes, name, curve)
        for axes in grid[len(growth.curves) :]:
            axes.set_axis_off()
        file = io.StringIO()
        drawing.savefig(file, format="svg", metadata={"Date": None}, facecolor="white")
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _draw(axes: Axes, name: str, curve: Curve) -> None:
    """Medians and the range of all samples, on logarithmic axes, with a linear one beside them."""
    medians = {count: value for count, value in curve.medians.items() if value > 0}
    axes.set_title(f"{name}, {curve.unit}", fontsize=8.5, color=_INK, loc="left", wrap=True)
    axes.set_xscale("log")
    axes.set_xticks(list(curve.points), [str(count) for count in curve.points])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=8)
    if not medians:
        axes.set_ylim(0, 1)
        axes.set_xlim(min(curve.points), max(curve.points))
        axes.set_yticks([0], ["0"])
        axes.plot(
            list(curve.points), [0] * len(curve.points), color=_LINE, marker="o", clip_on=False
        )
        return
    axes.set_yscale("log")
    counts, values = list(medians), list(medians.values())
    low = [max(min(curve.points[count]), 1e-3) for count in counts]
    axes.fill_between(
        counts, low, [max(curve.points[count]) for count in counts], color=_LINE, alpha=0.15
    )
    axes.plot(counts, values, color=_LINE, marker="o", markersize=3.5)
    linear = [values[-1] * count / counts[-1] for count in counts]
    axes.plot(counts, linear, color=_FAINT, linestyle="--", linewidth=0.8)
    highest = max(max(curve.points[count]) for count in counts)
    # Whole decades: each plot has at least two lines to read it by.
    axes.set_ylim(10 ** math.floor(math.log10(min(low))), 10 ** math.ceil(math.log10(highest)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color=_FAINT, alpha=0.3, linewidth=0.6)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _exponent(curve: Curve) -> str:
    if curve.exponent is None:
        return ""
    return f"{curve.exponent:.2f}" + (f" **{curve.verdict}**" if curve.verdict else "")
