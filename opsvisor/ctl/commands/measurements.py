"""What is measured, as it is now: the numbers of /metrics for whoever is at a terminal."""

import time
from collections.abc import Sequence

from msgspec import Struct

from opsvisor.client import Sample
from opsvisor.ctl import exit_codes, failures, names, readings, render
from opsvisor.ctl.daemon_readings import daemon_lines
from opsvisor.ctl.output import Output
from opsvisor.ctl.process_readings import process_lines
from opsvisor.ctl.readings import Owner
from opsvisor.ctl.session import Session


class ProcessSamples(Struct, kw_only=True, frozen=True):
    """All samples of one process."""

    name: str
    group: str
    process: str
    samples: list[Sample]


def metrics(session: Session, words: list[str]) -> int:
    """The present values of the processes asked for; of the daemon itself where none is."""
    samples = session.client.metrics()
    if not words:
        _show_daemon(session.output, readings.of_daemon(samples))
        return exit_codes.Exit.OK
    everybody = readings.by_owner(samples)
    listed, unknown = _select(names.all_or(words), list(everybody))
    for name in unknown:
        session.output.say(render.unknown_in_status(name))
    found = [
        ProcessSamples(
            name=owner.name,
            group=owner.group,
            process=owner.process,
            samples=everybody[owner],
        )
        for owner in listed
    ]
    for number, one in enumerate(found):
        _show_process(session.output, one, is_first=number == 0)
    _show_all(session.output, found, unknown)
    return exit_codes.of_states([], unknown_names=bool(unknown))


def _select(words: Sequence[str], everybody: list[Owner]) -> tuple[list[Owner], list[str]]:
    found = {name: names.matching(name, everybody) for name in words}
    listed = dict.fromkeys(owner for name in words for owner in found[name])
    return list(listed), [name for name in words if not found[name] and name != "all"]


def _show_process(output: Output, one: ProcessSamples, *, is_first: bool) -> None:
    if not output.for_people:
        for sample in one.samples:
            output.say(render.sample_line(sample))
        return
    from opsvisor.ctl import board  # noqa: PLC0415 - rich costs 25 ms, scripts never need it

    if not is_first:
        output.say("")
    lines = process_lines(one.samples, time.time())
    board.print_board(one.name, readings.state_of(one.samples), lines)


def _show_daemon(output: Output, samples: list[Sample]) -> None:
    output.show({"samples": samples})
    if not output.for_people:
        for sample in samples:
            output.say(render.sample_line(sample))
        return
    from opsvisor.ctl import board  # noqa: PLC0415 - see above

    state = readings.state_of(samples, "opsvisor_supervisor_state")
    board.print_board("opsvisord", state, daemon_lines(samples, time.time()))


def _show_all(output: Output, found: list[ProcessSamples], unknown: Sequence[str]) -> None:
    if not unknown:
        output.show({"processes": found})
        return
    detail = ", ".join(render.unknown_in_status(name) for name in unknown)
    error = failures.problem("no_such_process", "No such process", detail)
    output.show({"processes": found, "error": error})
