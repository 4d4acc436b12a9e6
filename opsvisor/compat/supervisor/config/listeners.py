"""[eventlistener:x] becomes a group whose processes are told of events."""

from opsvisor.compat.supervisor.config.ini import Section
from opsvisor.compat.supervisor.config.options import STDOUT, EventListener, Program
from opsvisor.compat.supervisor.config.programs import Surroundings, read_program
from opsvisor.compat.supervisor.config.sections import SectionReader
from opsvisor.compat.supervisor.listeners.names import KINDS
from opsvisor.config.units import did_you_mean
from opsvisor.core.plan import EventFeed
from opsvisor.core.spec import ProcessSpec
from opsvisor.core.struct import replace


def read_feed(reader: SectionReader) -> EventFeed:
    """What a pool subscribes to. `reader` sees the section with the eyes of its group."""
    name = reader.section.name
    buffer_size = reader.get(EventListener.BUFFER_SIZE)
    if buffer_size < 1:
        what = f"[{name}] section sets invalid buffer_size ({buffer_size})"
        reader.reject(EventListener.BUFFER_SIZE, what, "it takes a whole number from 1 up")
    _check_result_handler(reader)
    if reader.get(Program.REDIRECT_STDERR):
        what = (
            f"[{name}] section sets redirect_stderr=true but this is not allowed because it will"
            " interfere with the eventlistener protocol"
        )
        reader.reject(Program.REDIRECT_STDERR, what, "leave redirect_stderr out")
    # In any order, and any number of times: the same subscription gives the same plan.
    kinds = sorted({kind.upper() for kind in reader.get(EventListener.EVENTS)})
    if not kinds:
        what = f'[{name}] section requires an "events" line'
        reader.reject(EventListener.EVENTS, what, "events = PROCESS_STATE, or other kinds")
    for kind in kinds:
        if kind not in KINDS:
            what = f"Unknown event type {kind} in [{name}] events"
            known = did_you_mean(kind, KINDS) or f"there are {', '.join(sorted(KINDS))}"
            reader.reject(EventListener.EVENTS, what, known)
    return EventFeed(kinds=tuple(kinds), buffer_size=max(1, buffer_size))


def read_listener(section: Section, group: str, around: Surroundings) -> list[ProcessSpec]:
    """The processes of a pool: those of a program, whose standard output is read as answers."""
    reader = SectionReader(section, around.names, around.findings, start=around.start)
    for option in (STDOUT.capture, STDOUT.events):
        if reader.get(option):
            what = f"[{section.name}] {option.name} has no effect"
            reader.warn(option, what, "what a listener prints there are its answers")
    return [
        replace(spec, stdout=replace(spec.stdout, told=True, message_limit=0))
        for spec in read_program(section, group, around)
    ]


def _check_result_handler(reader: SectionReader) -> None:
    """Only Supervisor's own: a handler is code that runs inside the daemon."""
    handler = reader.get(EventListener.RESULT_HANDLER)
    if handler == EventListener.RESULT_HANDLER.default:
        return
    hint = "leave result_handler out, and let the listener itself do what the handler does"
    if handler.startswith("supervisor_stdout:"):
        hint = (
            "leave this section out, and write stdout_logfile = /dev/stdout with"
            " stdout_logfile_maxbytes = 0 in the programs"
        )
    what = (
        f"{handler} cannot be resolved within [{reader.section.name}]: only"
        f" {EventListener.RESULT_HANDLER.default} is, no foreign code runs in this daemon"
    )
    reader.reject(EventListener.RESULT_HANDLER, what, hint)
