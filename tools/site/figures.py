"""Draw the figures of the site from what the engine itself goes by, or check that they are fresh.

`python -m tools.site.figures` writes them to docs/images, `--check` exits with 1 and names what
differs. Matplotlib writes the same file for the same figure: no dates, ids from a fixed salt.
"""

import io
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from opsvisor.core.outcome import Outcome
from opsvisor.core.restart import Again, EndedRun, Tally, decide
from opsvisor.core.spec import LinearBackoff, RestartMode, RestartPolicy
from opsvisor.core.state import TRANSITIONS, PublicState

_ROOT = Path(__file__).resolve().parents[2]
_IMAGES = _ROOT / "docs" / "images"
_SETTINGS: dict[Any, Any] = {  # matplotlib's type of it names every setting there is
    "svg.hashsalt": "opsvisor",
    "svg.fonttype": "none",  # text stays text: it can be searched, and read aloud
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Helvetica", "Arial", "sans-serif"],
    "font.size": 10,
}
_INK = "#30343a"
_FAINT = "#9aa0a8"

_SIZE = (8.6, 4.6)

# -- states --------------------------------------------------------------------------------------

_PLACES: Mapping[PublicState, tuple[float, float]] = {
    PublicState.STOPPED: (0.0, 1.0),
    PublicState.STARTING: (2.0, 1.0),
    PublicState.RUNNING: (4.0, 1.0),
    PublicState.FATAL: (0.0, 0.0),
    PublicState.BACKOFF: (2.0, 0.0),
    PublicState.EXITED: (4.0, 0.0),
    PublicState.STOPPING: (2.0, 2.0),
    PublicState.UNKNOWN: (4.0, 2.0),
}
_COLOURS: Mapping[PublicState, str] = {
    PublicState.STOPPED: "#6e7079",
    PublicState.STARTING: "#3274d9",
    PublicState.RUNNING: "#37872d",
    PublicState.BACKOFF: "#c4601c",
    PublicState.STOPPING: "#8040b8",
    PublicState.EXITED: "#6e7079",
    PublicState.FATAL: "#c4162a",
    PublicState.UNKNOWN: "#8a0f1e",
}
# What goes by itself is drawn in full, what only somebody's wish brings about is dashed.
_BY_WISH = frozenset({
    (PublicState.STOPPED, PublicState.STARTING),
    (PublicState.STARTING, PublicState.STOPPED),
    (PublicState.STARTING, PublicState.STOPPING),
    (PublicState.RUNNING, PublicState.STOPPING),
    (PublicState.BACKOFF, PublicState.STOPPED),
    (PublicState.FATAL, PublicState.STOPPED),
    (PublicState.UNKNOWN, PublicState.STOPPING),
})  # fmt: skip


def states() -> Figure:
    """Which state may follow which: core.state.TRANSITIONS."""
    figure = Figure(figsize=_SIZE)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(-0.7, 4.7)
    axes.set_ylim(-0.6, 2.4)
    axes.axis("off")
    for before, following in TRANSITIONS.items():
        for after in sorted(following, key=lambda state: state.code):
            _arrow(axes, before, after)
    for state, (x, y) in _PLACES.items():
        axes.text(
            x,
            y,
            state.value,
            ha="center",
            va="center",
            color="white",
            weight="bold",
            bbox={"boxstyle": "round,pad=0.55", "facecolor": _COLOURS[state], "edgecolor": "none"},
        )
    return figure


# Around what stands between them.
_BENDS = {
    (PublicState.STOPPING, PublicState.BACKOFF): 0.42,
    (PublicState.UNKNOWN, PublicState.EXITED): -0.42,
    (PublicState.EXITED, PublicState.FATAL): -0.16,
}
_HALF_WIDTH, _HALF_HEIGHT, _ROOM = 38.0, 15.0, 6.0  # of a state, and around it, in points


def _arrow(axes: Axes, before: PublicState, after: PublicState) -> None:
    bend = _BENDS.get((before, after), 0.16 if before in TRANSITIONS[after] else 0.06)
    off = _from_middle_to_edge(_PLACES[before], _PLACES[after], bend)
    axes.add_patch(
        FancyArrowPatch(
            _PLACES[before],
            _PLACES[after],
            arrowstyle="-|>",
            mutation_scale=11,
            shrinkA=off,
            shrinkB=off,
            linewidth=1.1,
            color=_INK,
            linestyle="--" if (before, after) in _BY_WISH else "-",
            connectionstyle=f"arc3,rad={bend}",
        )
    )


def _from_middle_to_edge(
    start: tuple[float, float], end: tuple[float, float], bend: float
) -> float:
    """How far it is, in points, where a line to another state leaves the box of this one."""
    width, height = _SIZE[0] * 72 / 5.4, _SIZE[1] * 72 / 3.0  # of a unit, in points
    across, up = (end[0] - start[0]) * width, (end[1] - start[1]) * height
    # A bent line leaves at an angle, see arc3 of matplotlib.
    across, up = across / 2 + bend * up, up / 2 - bend * across
    length = math.hypot(across, up)
    ways = [_HALF_WIDTH * length / abs(across)] if across else []
    ways += [_HALF_HEIGHT * length / abs(up)] if up else []
    return min(ways) + _ROOM


# -- restarts ------------------------------------------------------------------------------------

_SUPERVISORS = RestartPolicy(
    mode=RestartMode.ALWAYS,
    early_exit_fails=True,
    failed_starts_max=3,
    start_backoff=LinearBackoff(step=1.0),
    limit=None,
    fatal_retry_delay=None,
)
_FAILED = Outcome(code=1)


def delays(policy: RestartPolicy, *, uptime: float, jitter: float) -> list[float]:
    """Seconds before each restart of a program that fails `uptime` seconds after each start.

    They end where the policy gives up.
    """
    run = EndedRun(uptime=uptime, came_up=uptime >= 1.0, outcome=_FAILED)
    tally, now, found = Tally(), 0.0, list[float]()
    while True:
        decision, tally = decide(policy, run, tally, now=now, jitter=jitter)
        if not isinstance(decision, Again):
            return found
        found.append(decision.delay)
        now += decision.delay + uptime


def restarts() -> Figure:
    """How long a program that fails again and again waits before each restart."""
    figure = Figure(figsize=(8.6, 3.6))
    axes = figure.add_axes((0.08, 0.15, 0.9, 0.8))
    native = RestartPolicy()
    _line(axes, native, 5.0, "#37872d", "crashes after 5 s, each time")
    _line(axes, native, 0.1, "#3274d9", "never comes up")
    _line(axes, _SUPERVISORS, 0.1, "#8a8f98", "never comes up, under Supervisor's defaults")
    axes.set_xlabel("restart")
    axes.set_ylabel("seconds before it")
    axes.set_xticks(range(1, 10))
    axes.set_ylim(-1.5, 38)
    axes.grid(axis="y", color="#d8dbe0", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    return figure


def _line(axes: Axes, policy: RestartPolicy, uptime: float, colour: str, label: str) -> None:
    least = delays(policy, uptime=uptime, jitter=0.0)
    most = delays(policy, uptime=uptime, jitter=1.0)
    number = range(1, len(least) + 1)
    axes.fill_between(number, least, most, color=colour, alpha=0.2, linewidth=0)
    axes.plot(number, least, color=colour, marker="o", markersize=4, label=label)
    axes.plot(len(least) + 0.35, least[-1], color="#c4162a", marker="X", markersize=9)
    place = (len(least) + 0.35, least[-1] + 1.2)
    axes.annotate("FATAL", place, color="#c4162a", ha="center", va="bottom", fontsize=9)


FIGURES: Mapping[str, Callable[[], Figure]] = {
    "states.svg": states,
    "restart-delays.svg": restarts,
}


def drawn(draw: Callable[[], Figure]) -> str:
    """A figure as SVG."""
    with mpl.rc_context(_SETTINGS):
        file = io.StringIO()
        draw().savefig(file, format="svg", metadata={"Date": None}, facecolor="white")
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check all figures; the exit code."""
    stale = [
        (_IMAGES / name, text)
        for name, draw in FIGURES.items()
        if (text := drawn(draw)) != _read(_IMAGES / name)
    ]
    if "--check" in arguments:
        for path, _ in stale:
            print(f"{path.relative_to(_ROOT)} is out of date: run make docs", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale:
        path.write_text(text)
        print(f"wrote {path.relative_to(_ROOT)}")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
