"""What happened, and what followed, as lines that read as documentation."""

from typing import assert_never

from opsvisor.core import effects as ask
from opsvisor.core import events as fact
from opsvisor.core.outcome import signal_name


def render(told_as: str, effects: list[ask.Effect], *, named: bool) -> list[str]:
    """One input and what followed from it, as lines; "" continues the input before it.

    A fact stands beside the effect that it explains, else on the first free line.
    """
    rows = [[f"> {told_as}", ""]] if told_as else []
    waiting = ""

    def place(text: str) -> None:
        if text and rows and not rows[-1][1]:
            rows[-1][1] = text
        elif text:
            rows.append(["", text])

    for effect in effects:
        asked, told = _asked(effect), _told(effect, named=named)
        if isinstance(effect, ask.CancelSpawn | ask.ShutdownComplete):
            place(waiting)
            waiting = ""
        if asked:
            rows.append([f"< {asked}", waiting])
            waiting = ""
        elif told:
            place(waiting)
            waiting = told
    place(waiting)
    return [f"{left:<25} {right}".rstrip() for left, right in rows]


def _asked(effect: ask.Effect) -> str:
    match effect:
        case ask.Spawn():
            return f"spawn {effect.spec.id}"
        case ask.FindSpawn():
            return f"find spawn {effect.spec.id}"
        case ask.Adopt():
            return f"adopt {effect.spec.id} {effect.pid}"
        case ask.CancelSpawn():
            return f"cancel spawn {effect.id}"
        case ask.SignalProcess():
            whom = "group" if effect.to_group else "process"
            return f"{signal_name(effect.signum).removeprefix('SIG')} {whom} {effect.pid}"
        case ask.StartProbe():
            later = f" in {effect.delay:g} s" if effect.delay else ""
            return f"ask {effect.spec.id} {effect.kind.value}{later}"
        case ask.StopProbe():
            return f"ask no {effect.kind.value} {effect.id}"
        case ask.Forget():
            return f"forget {effect.id}"
        case ask.ShutdownComplete():
            status = effect.exit_status
            return "shutdown complete" if status is None else f"shutdown complete, exit {status}"
        case ask.Publish():
            return ""
        case never:
            assert_never(never)


def _told(effect: ask.Effect, *, named: bool) -> str:
    if not isinstance(effect, ask.Publish):
        return ""
    event, text = effect.event, ""
    match event:
        case fact.StateChanged():
            change = f"{event.old.value} -> {event.new.value}"
            whose = f"{event.id}: " if named else ""
            return f"{whose}{change:<21}{event.reason}"
        case fact.FailuresForgotten():
            text = f"failures forgotten: {event.failures}"
        case fact.FlappingChanged():
            verb = "begins" if event.flapping else "ends"
            text = f"flapping {verb}: {event.restarts} restarts in {event.interval:g} s"
        case fact.HealthChanged():
            verb = "passes" if event.passing else "fails"
            text = f"{event.probe.value} {verb}: {event.detail} ({event.in_a_row} in a row)"
        case fact.ProcessAdopted():
            text = f"taken back in {event.state.name}"
        case fact.EssentialEnded():
            text = f"essential, {event.state.name}, exit status {event.exit_status}"
        case fact.KillSurvived():
            text = f"survived SIGKILL {event.kills}"
        case fact.SignalRefused():
            text = "signal refused"
        case fact.ProcessAdded():
            text = "added"
        case fact.ProcessChanged():
            text = f"changed: {', '.join(event.fields) or 'nothing'}"
        case fact.ProcessRemoved():
            text = "removed"
        case _:
            return ""  # said by an effect beside it, or pinned where it matters
    return f"{event.id}: {text}" if named else text
