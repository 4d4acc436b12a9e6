"""Answers for 3 a.m.: why a process is as it is, and what is happening."""

import time
from collections.abc import Sequence

from opsvisor.client import ApiError, EventGap
from opsvisor.ctl import names, postmortem, render
from opsvisor.ctl.arguments import told_apart
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.meant import hint_at
from opsvisor.ctl.session import BadArguments, Session
from opsvisor.ctl.verdict import findings
from opsvisor.wire import Event, Problem, ProcessStatus


def why(session: Session, words: list[str]) -> int:
    """One screen about one process; of several or without a name, all that is wrong."""
    given = told_apart("why", words)
    if not given.words:
        return _all_that_is_wrong(session, session.client.processes().processes)
    if len(given.words) > 1:
        raise BadArguments("too many arguments")
    name = given.words[0]
    try:
        history = session.client.history(name)
    except ApiError as error:
        if error.problem.code not in {"no_such_process", "no_such_group"}:
            raise
        return _why_of_several(session, name, error.problem)
    if session.output.for_people:
        from opsvisor.ctl import panel  # noqa: PLC0415 - rich costs 25 ms, scripts never need it

        panel.print_history(history, time.time(), everything=given.has("--all"))
    else:
        for line in postmortem.lines(history, time.time()):
            session.output.say(line)
    session.output.show(history)
    return Exit.OK


def _why_of_several(session: Session, name: str, problem: Problem) -> int:
    """No process is called so: what is wrong with all of that group or pattern, if any."""
    everything = session.client.processes().processes
    meant = [one for one in everything if one.group == name] or names.matching(name, everything)
    if meant:
        return _all_that_is_wrong(session, meant)
    session.output.say(render.unknown_in_status(name))
    hint_at(session.output, [name], everything)
    session.output.show({"error": problem})
    return Exit.FAILED


def _all_that_is_wrong(session: Session, processes: Sequence[ProcessStatus]) -> int:
    found = findings(processes)
    if session.output.for_people:
        from opsvisor.ctl import panel  # noqa: PLC0415 - rich costs 25 ms, scripts never need it

        panel.print_findings(found, len(processes), time.time())
    else:
        for one in found:
            session.output.say(f"{one.name}: {one.state}: {one.words}")
    session.output.show({"troubles": found})
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
