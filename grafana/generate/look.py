"""How things look: one colour and one text for each state, reason and signal, on all dashboards.

Names of colours are Grafana's, which knows a shade of each for light and dark backgrounds. The
greys are numbers, as it has no names for them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from grafana.generate.jsons import Object
from opsvisor.core.state import PublicState

GOOD = "green"
NOTICE = "orange"
BAD = "red"
CALM = "blue"
PALE = "#8E8E99"

STATE_COLOURS: Mapping[PublicState, str] = {
    PublicState.STOPPED: "#6E7079",
    PublicState.STARTING: "blue",
    PublicState.RUNNING: "green",
    PublicState.BACKOFF: "orange",
    PublicState.STOPPING: "purple",
    PublicState.EXITED: "#B4B7C0",
    PublicState.FATAL: "red",
    PublicState.UNKNOWN: "dark-red",
}
# What an operator did is calm, what a program did is warm: the worse, the redder.
REASON_COLOURS: Mapping[str, str] = {
    "success": "green",
    "failure": "orange",
    "signal": "dark-orange",
    "oom": "semi-dark-red",
    "start_failure": "red",
    "health": "yellow",
    "manual": "blue",
    "config": "purple",
    "shutdown": "#6E7079",
    "unknown": "dark-red",  # as the state of that name
}
MODE_COLOURS: Mapping[str, str] = {"user": "blue", "system": "purple"}
TREE_COLOURS: Mapping[str, str] = {"processes": "blue", "threads": "purple", "zombies": BAD}
STREAM_COLOURS: Mapping[str, str] = {"stdout": "blue", "stderr": "orange"}
SEVERITY_COLOURS: Mapping[str, str] = {"critical": BAD, "warning": NOTICE, "info": CALM}

# Linux numbers, as architectures but MIPS, Alpha, SPARC and PA-RISC have them.
_SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    10: "SIGUSR1",
    11: "SIGSEGV",
    12: "SIGUSR2",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
    31: "SIGSYS",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown instead of a number; an empty text leaves the number."""

    text: str
    colour: str


def values(shown: Mapping[float, Shown]) -> Object:
    """A mapping from single values to texts."""
    return {
        "type": "value",
        "options": {
            f"{value:g}": {"color": one.colour, "index": index, "text": one.text}
            for index, (value, one) in enumerate(shown.items())
        },
    }


def between(low: float, high: float, shown: Shown) -> Object:
    """A mapping from a range of values, both ends included, to one text."""
    result: Object = {"color": shown.colour, "index": 100, "text": shown.text}
    return {"type": "range", "options": {"from": low, "to": high, "result": result}}


def absent(shown: Shown) -> Object:
    """A mapping for cells of a table in which there is no number at all."""
    result: Object = {"color": shown.colour, "index": 101, "text": shown.text}
    return {"type": "special", "options": {"match": "null+nan", "result": result}}


SEVERITIES: Object = {
    "type": "value",
    "options": {
        name: {"color": colour, "index": index, "text": name}
        for index, (name, colour) in enumerate(SEVERITY_COLOURS.items())
    },
}
STATES = values(
    {state.code: Shown(state.value, colour) for state, colour in STATE_COLOURS.items()}
)
# A last exit is one number: the exit code, or 1000 and the signal.
SIGNAL_BASE = 1000
LAST_EXIT: tuple[Object, ...] = (
    values({0: Shown("exit 0", GOOD), SIGNAL_BASE: Shown("nobody saw how", NOTICE)}),
    values({SIGNAL_BASE + number: Shown(name, BAD) for number, name in _SIGNALS.items()}),
    between(SIGNAL_BASE, SIGNAL_BASE + 64, Shown("a real-time signal", BAD)),
)
READY = values({0: Shown("not ready", NOTICE), 1: Shown("ready", GOOD)})
HEALTH = values({0: Shown("failing", BAD), 1: Shown("passing", GOOD)})
SUCCESS = values({0: Shown("failed", BAD), 1: Shown("ok", GOOD)})
REACHABLE = values({0: Shown("down", BAD), 1: Shown("up", GOOD)})
CONDITION = values(
    {
        0: Shown("steady", GOOD),
        1: Shown("flapping", NOTICE),
        2: Shown("unkillable", BAD),
        3: Shown("unkillable", BAD),
    }
)

# How full something may be: memory, file descriptors; and a queue.
FULLNESS = ((GOOD, None), (NOTICE, 0.8), (BAD, 0.95))
QUEUE = ((GOOD, None), (NOTICE, 0.5), (BAD, 0.9))
AVAILABILITY = ((BAD, None), (NOTICE, 0.99), (GOOD, 0.999))
LAG = ((GOOD, None), (NOTICE, 0.1), (BAD, 0.5))
NONE_IS_GOOD = ((GOOD, None), (BAD, 1))
NONE_IS_BETTER = ((GOOD, None), (NOTICE, 1))
PLAIN = ((CALM, None),)

Steps = tuple[tuple[str, float | None], ...]


def thresholds(steps: Steps) -> Object:
    """Colours by value, each from its number upwards."""
    return {
        "mode": "absolute",
        "steps": [{"color": colour, "value": value} for colour, value in steps],
    }


def fixed(colour: str) -> Object:
    """One colour, whatever the value."""
    return {"fixedColor": colour, "mode": "fixed"}


def coloured(colours: Mapping[str, str]) -> Iterable[Object]:
    """Overrides that give the series of these names their colours."""
    for name, colour in colours.items():
        yield {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": fixed(colour)}],
        }


STATE_NAMES_COLOURS = {state.value.lower(): colour for state, colour in STATE_COLOURS.items()}
