"""Results as a file, as text for the terminal, and as the page in docs/."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers import ALL, FLOOR, LOG_FLOORS, OPSVISOR, SUPERVISOR
from benchmarks.stats import Better, Goal, Series, advantage, is_met, median, quantile

_PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
_REMARKS = Path(__file__).with_name("remarks.md")
_CHANGES = Path(__file__).with_name("changes.md")
_ENOUGH_FOR_P99 = 100
_OURS, _MAIN, _FLOOR = OPSVISOR.name, SUPERVISOR.name, FLOOR.name
_ORDER = [peer.name for peer in (*ALL, *LOG_FLOORS)]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything one run found out. `facts`: names and values that describe the run."""

    facts: Mapping[str, str]
    noise: Mapping[str, float]
    series: Sequence[Series] = field(default_factory=list)


def save(results: Results, path: Path) -> None:
    """As JSON, every sample."""
    plain = asdict(results)
    for one in plain["series"]:
        one["better"] = one["better"].value
    path.write_text(json.dumps(plain, indent=1) + "\n")


def load(path: Path) -> Results:
    """What `save` wrote."""
    plain = json.loads(path.read_text())
    return Results(
        facts=plain["facts"],
        noise=plain["noise"],
        series=[_series(one) for one in plain["series"]],
    )


def _series(plain: Mapping[str, Any]) -> Series:
    goals = [Goal(**goal) for goal in plain["goals"]]
    return Series(**{**plain, "better": Better(plain["better"]), "goals": goals})


def tables(results: Results) -> str:
    """Markdown: a table for all that is compared with the same, so that columns line up."""
    found: dict[str, list[Series]] = {}
    for one in results.series:
        found.setdefault(_rival(one), []).append(one)
    return "\n".join(_table(group) for group in found.values())


def _rival(series: Series) -> str:
    """Supervisor where it takes part, and otherwise the first who does."""
    rivals = [name for name in series.samples if name not in (_OURS, _FLOOR)]
    return _MAIN if _MAIN in rivals or (not rivals and series.goals) else next(iter(rivals), "")


def _table(group: Sequence[Series]) -> str:
    seen = {name for one in group for name in one.samples} - {_OURS}
    named = [name for name in _ORDER if name in seen]
    others = [*named, *sorted(seen - set(named))]
    with_goals = any(one.goals for one in group)
    # The one that all are compared with, or each where there are few.
    against = [name for name in others if name in (_MAIN, _FLOOR)] if _MAIN in others else others
    head = ["", _OURS, *(["goal"] if with_goals else []), *others]
    head += [f"{name} ÷ {_OURS}" for name in against]
    lines = [_row(head), _row(["---", *("---:" for _ in head[1:])])]
    for one in group:
        cells = [f"{one.title}, {one.unit}", _cell(one, _OURS)]
        cells += [_goals(one)] if with_goals else []
        cells += [_cell(one, name) for name in others]
        cells += [_times(one, name) for name in against]
        lines.append(_row(cells))
    return "\n".join(lines) + "\n"


def _goals(series: Series) -> str:
    return "; ".join(_goal(series, goal) for goal in series.goals)


def _goal(series: Series, goal: Goal) -> str:
    sign = "≥" if series.better is Better.MORE else "≤"
    share = "" if goal.share == 0.5 else "all " if goal.share == 1 else f"p{100 * goal.share:.0f} "
    if not goal.of:
        bound = _number(goal.bound)
    else:
        bound = goal.of if goal.bound == 1 else f"{_number(goal.bound)} × {goal.of}"
    verdict = {True: "met", False: "**missed**", None: "?"}[is_met(series, goal, _OURS)]
    return f"{share}{sign} {bound}: {verdict}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(series: Series, name: str) -> str:
    samples = series.samples.get(name)
    if not samples:
        return ""
    middle = f"**{_number(median(samples))}**"
    if not series.tail:
        return f"{middle} ({_number(min(samples))}–{_number(max(samples))})"
    last = (
        f"p99 {_number(quantile(samples, 0.99))}"
        if len(samples) >= _ENOUGH_FOR_P99
        else f"worst of {len(samples)}: {_number(max(samples))}"
    )
    return f"{middle} ({_number(min(samples))}–; {last})"


def _times(series: Series, name: str) -> str:
    if not (series.samples.get(_OURS) and series.samples.get(name)):
        return ""
    ratio = advantage(series, name)
    return "" if ratio is None else f"{_number(ratio)} ×"


def _number(value: float) -> str:
    """Three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.1g}"


def describe(results: Results) -> str:
    """The circumstances, as a list."""
    noise = results.noise
    lines = [f"- {name}: {value}" for name, value in results.facts.items()]
    lines.append(
        "- Noise: a little work that takes "
        f"{noise['pulse_median_ms']:.2f} ms in the median took {noise['pulse_p90_ms']:.2f} ms at"
        f" p90 and {noise['pulse_p99_ms']:.2f} ms at p99; load {noise['load_first']:.1f} at the"
        f" beginning, {noise['load_highest']:.1f} at most; {noise['steal_percent']:.1f} % of the"
        " processor time went to other machines on this host"
    )
    return "\n".join(lines) + "\n"


def write_page(results: Results) -> None:
    """Generate docs/performance.md."""
    remarks = _REMARKS.read_text()
    before, after = remarks.split("<!-- results -->\n")
    after = after.replace("<!-- changes -->\n", _CHANGES.read_text())
    _PAGE.write_text(
        "<!-- Generated by `python -m benchmarks --write-docs RESULTS.json`, the words from"
        " benchmarks/remarks.md. Don't edit. -->\n\n"
        f"{before}{describe(results)}\n{tables(results)}{after}"
    )
