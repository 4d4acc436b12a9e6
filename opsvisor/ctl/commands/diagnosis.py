"""Answers for 3 a.m.: why a process is as it is, and what is happening."""

import time

from opsvisor.client import ApiError, EventGap
from opsvisor.ctl import postmortem, render
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session
from opsvisor.wire import Event


def why(session: Session, words: list[str]) -> int:
    """One screen about one process."""
    if not words:
        raise BadArguments("why requires a process name")
    if len(words) > 1:
        raise BadArguments("too many arguments")
    try:
        history = session.client.history(words[0])
    except ApiError as error:
        if error.problem.code not in {"no_such_process", "no_such_group"}:
            raise
        session.output.say(render.unknown_in_status(words[0]))
        session.output.show({"error": error.problem})
        return Exit.FAILED
    if session.output.for_people:
        from opsvisor.ctl import panel  # noqa: PLC0415 - rich costs 25 ms, scripts never need it

        panel.print_history(history, time.time())
    else:
        for line in postmortem.lines(history, time.time()):
            session.output.say(line)
    session.output.show(history)
    return Exit.OK


def events(session: Session, words: list[str]) -> int:
    """Print events until Ctrl-C: the usual way to leave, hence no failure."""
    with session.client.events(_replay(words)) as stream:
        try:
            for event in stream:
                _print_event(session, event)
        except KeyboardInterrupt:
            return Exit.OK
    session.output.remark("the daemon ended the stream")
    return Exit.FAILED


def _print_event(session: Session, event: Event | EventGap) -> None:
    session.output.show_line(event)
    match event:
        case Event():
            session.output.say(render.event_line(event))
        case EventGap(lost=(first, last)):
            session.output.remark(f"==> events {first} to {last} were lost <==")


def _replay(words: list[str]) -> int:
    match words:
        case []:
            return 0
        case ["--replay", count] if count.isdecimal():
            return int(count)
        case [word] if word.startswith("--replay=") and word[9:].isdecimal():
            return int(word[9:])
        case _:
            raise BadArguments(f"bad arguments {' '.join(words)!r}")
