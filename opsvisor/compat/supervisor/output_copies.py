"""What Supervisor says of programs at loglevel debug: all that they print, and when they end."""

from opsvisor.compat.supervisor.observers import Log
from opsvisor.compat.supervisor.undecodable import as_text
from opsvisor.config.settings import Dialect, LogLevel
from opsvisor.control.control import Control
from opsvisor.core.events import Event, ProcessExited
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.output import Output

_COPYING = (LogLevel.DEBUG, LogLevel.TRACE, LogLevel.BLATHER)


def copy_output(control: Control, log: Log) -> None:
    """Copy output from now on, if the daemon's settings ask for it. They seldom do.

    Only for Supervisor's own files: who writes opsvisor.toml and wants to hear the daemon in
    detail doesn't expect the words of its programs in between.
    """
    settings = control.configuration.settings
    if settings.dialect is not Dialect.SUPERVISOR or settings.log_level not in _COPYING:
        return

    def copy(output: Output) -> None:
        feed = control.supervisor.plan.feed_of(output.id.group)
        listens = output.stream is Stream.STDOUT and feed is not None
        for line in lines_of(output, listens=listens):
            log(LogLevel.DEBUG, line)

    def tell_end(event: Event) -> None:
        if isinstance(event, ProcessExited):
            log(LogLevel.DEBUG, "received SIGCHLD indicating a child quit")

    control.engine.overhear_output(copy)
    # Behind the journal, which says what became of the child.
    control.bus.listen(tell_end, to=(ProcessExited,))


def lines_of(output: Output, *, listens: bool) -> tuple[str, ...]:
    """What the log says of one chunk: its text, with the newline it ends in.

    What an event listener says to us is shown as bytes; so is what isn't UTF-8.
    """
    name, channel = output.id.name, output.stream.value
    text = repr(output.text) if listens else as_text(output.text)
    copied = f"{name!r} {channel} output:\n{text}"
    if output.is_message:
        return copied, f"{name!r} {channel} emitted a comm event"
    return (copied,)
