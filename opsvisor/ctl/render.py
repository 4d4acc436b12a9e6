"""Text for scripts: supervisorctl's lines, byte for byte. And numbers in words, for people."""

import re
import time
from collections.abc import Sequence

from opsvisor.client import Sample
from opsvisor.ctl import names
from opsvisor.ctl.output import Format
from opsvisor.wire import (
    ActionResult,
    AvailableProcess,
    ConfigDiff,
    Event,
    ProbeStatus,
    ProcessStatus,
)

_NAME_WIDTH = 30
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_LABEL_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_DONE = {
    "start": "started",
    "stop": "stopped",
    "restart": "restarted",
    "signal": "signalled",
    "clear": "cleared",
}
_FAILED = {
    "no_such_process": "no such process",
    "no_file": "no such file",
    "not_executable": "file is not executable",
    "already_started": "already started",
    "not_running": "not running",
    "spawn_error": "spawn error",
    "abnormal_termination": "abnormal termination",
    "bad_signal": "bad signal name",
    "shutting_down": "supervisor shutting down",
}


def status_lines(processes: Sequence[ProcessStatus]) -> list[str]:
    """`status`: name, state and description in three columns."""
    width = max([_NAME_WIDTH, *(len(one.name) for one in processes)]) + 3
    return [f"{one.name:<{width}}{one.state:<10}{one.description}" for one in processes]


def unknown_in_status(name: str) -> str:
    """A name that stands for no process, or for no group."""
    group = names.whole_group(name)
    if group is not None:
        return f"{group}: ERROR (no such group)"
    return f"{name}: ERROR (no such process)"


def action_line(action: str, result: ActionResult, form: Format = Format.PLAIN) -> str:
    """What became of one process. People get the reason as well."""
    if result.result == "ok":
        return f"{result.name}: {_DONE[action]}"
    failure = _FAILED.get(result.result, result.result)
    says_more = form is Format.TERMINAL and result.reason not in {"", failure}
    reason = f": {result.reason}" if says_more else ""
    if result.result == "no_such_group":
        return f"{result.group or names.group_of(result.name)}: ERROR (no such group){reason}"
    return f"{result.name}: ERROR ({failure}){reason}"


def summary_line(action: str, count: int, seconds: float) -> str:
    """Of how many processes it went well, and how long all of it took: `200 stopped in 8 s`."""
    return f"{count} {_DONE[action]} in {span(seconds)}"


def available_line(one: AvailableProcess) -> str:
    """One line of `avail`."""
    use = "in use" if one.in_use else "avail"
    start = "auto" if one.autostart else "manual"
    return f"{one.name:<32} {use:<9} {start:<9} {one.group_priority}:{one.priority}"


def reread_lines(diff: ConfigDiff) -> list[str]:
    """What `reread` found, by group."""
    lines = [
        *(f"{group}: available" for group in diff.groups_added),
        *(f"{group}: changed" for group in diff.groups_changed),
        *(f"{group}: disappeared" for group in diff.groups_removed),
    ]
    return sorted(lines) or ["No config updates to processes"]


def clock(at: float) -> str:
    """`2026-11-23 09:37:53`, local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def moment(at: float, now: float) -> str:
    """`09:37:53` of today, or with the date where it was another day; local time."""
    told = clock(at)
    return told[11:] if told[:10] == clock(now)[:10] else told


def span(seconds: float) -> str:
    """A length of time in its two largest units: `4 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(0, round(seconds))
    for unit, size, smaller, part in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            rest = whole % size // part
            return (
                f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
            )
    return f"{whole} s"


def short_span(seconds: float) -> str:
    """The same where room is scarce: `4s`, `3m20s`, `2h5m`, `3d4h`."""
    return span(seconds).replace("min", "m").replace(" ", "")


def size(count: int) -> str:
    """Bytes with a binary unit and up to one decimal: `912 B`, `3.4 MiB`, `120 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:  # noqa: PLR2004 - the size of every unit
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"  # noqa: PLR2004 - three digits are enough
        value /= 1024
    return f"{value:.1f} TiB"


def sample_line(sample: Sample) -> str:
    """A series and its value as /metrics has them, on one line whatever is in a label."""
    labels = ",".join(
        f'{name}="{value.translate(_LABEL_ESCAPES)}"' for name, value in sample.labels.items()
    )
    value = repr(sample.value).removesuffix(".0").replace("inf", "Inf").replace("nan", "NaN")
    return f"{sample.name}{f'{{{labels}}}' if labels else ''} {value}"


def printable(text: str) -> str:
    """Text from a program made harmless for a terminal: no escapes, no control characters."""
    plain = _ESCAPE.sub("", text)
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in plain)


def probe_troubles(status: ProcessStatus) -> list[str]:
    """What stands against it by its probes: `readiness probe fails: http 503`."""
    return [
        printable(trouble)
        for probe in status.probes
        if status.pid and (trouble := _probe_trouble(probe))
    ]


def _probe_trouble(probe: ProbeStatus) -> str:
    wrong = probe.wrong_in_a_row
    times = f"{wrong} wrong answer{'' if wrong == 1 else 's'} in a row"
    if probe.passing is False:
        return f"{probe.probe} probe fails: {probe.detail} ({times})"
    if probe.passing and wrong:
        return f"{probe.probe} probe may fail: {probe.detail} ({times})"
    if probe.passing is None and probe.asked:
        answer = f": {probe.detail}" if probe.detail else ", no answer so far"
        return f"{probe.probe} probe has not passed yet{answer}"
    return ""


def event_line(event: Event) -> str:
    """`2026-11-23 09:37:53 PROCESS_EXITED   web: exit status 3 …`."""
    return f"{clock(event.at)} {event.kind.upper():<24} {event.text}"
