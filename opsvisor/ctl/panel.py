"""`why` for a terminal: the same words as `postmortem`, with colours, and no more than fits."""

import shutil
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from opsvisor.ctl import postmortem, render
from opsvisor.ctl.postmortem import Section, Tone
from opsvisor.ctl.table import STATE_STYLES, state_text
from opsvisor.ctl.verdict import Finding
from opsvisor.wire import History

_PROMPT = 1  # line that the shell needs afterwards
_STYLES = {Tone.PLAIN: "", Tone.BAD: "red", Tone.ADVICE: "", Tone.BACKGROUND: "bright_black"}


def print_history(history: History, now: float, *, everything: bool) -> None:
    """Print the screen, cut to the terminal's size unless `everything` is wanted."""
    console = _console()
    status = history.status
    screen = postmortem.screen_of(history, now)
    if not everything:
        width, height = shutil.get_terminal_size()
        screen = postmortem.fitted(screen, width, height - _PROMPT)
    console.print(Text(render.printable(screen.headline), style=_of_state(status.state)))
    style = "green" if postmortem.is_well(status) else "yellow"
    for word in screen.words:
        console.print(Text(f"  {word}", style=style))
    for section in screen.sections:
        _print_section(console, section)
    if screen.is_cut:
        told = f"... opsvisorctl why --all {render.printable(status.name)} shows the rest"
        console.print(Text(told, style="bright_black"))


def print_findings(findings: Sequence[Finding], total: int, now: float) -> None:
    """Print all that is wrong, worst first."""
    console = _console()
    if not findings:
        console.print(Text(f"nothing is wrong with {_processes(total)}", style="green"))
        return
    width, _ = shutil.get_terminal_size()
    console.print(Text(f"{len(findings)} of {_processes(total)} need a look:", style="bold"))
    for one in findings:
        since = f" for {render.span(now - one.since)}  "
        name = Text(f"{render.printable(one.name)} ", style="bold")
        console.print(name + state_text(one.state) + Text(since, style="bright_black"))
        for line in postmortem.wrapped(render.printable(one.words), width - 2):
            console.print(Text(f"    {line}"))
    worst = render.printable(findings[0].name)
    console.print(Text(f"opsvisorctl why {worst} explains the first", style="bright_black"))


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _print_section(console: Console, section: Section) -> None:
    console.print(Text(section.title, style="bold"))
    for line in section.body:
        console.print(Text(f"  {line}", style=_STYLES[section.tone]))


def _of_state(state: str) -> str:
    return f"bold {STATE_STYLES.get(state, '').removeprefix('bold ')}".strip()


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)
