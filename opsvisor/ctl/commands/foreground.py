"""Talk to a process: standard input goes in, its output comes out."""

import sys
import threading
import time
from contextlib import suppress

from opsvisor.client import ApiError, LogGap, LogPiece, NoDaemon, Stream
from opsvisor.ctl import names
from opsvisor.ctl.commands.logs import print_piece
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session, start_thread

_FOLLOW_BYTES = 1024
# Seconds between attempts while the process does not read; doubled from one to the next.
_FIRST_WAIT = 0.05
_LONGEST_WAIT = 1.0


def fg(session: Session, words: list[str]) -> int:
    """Connect to a running process until Ctrl-C, the end of the input, or its own end."""
    if not words:
        raise BadArguments("no process name supplied", prefix="ERROR: ")
    if len(words) > 1:
        raise BadArguments("too many process names supplied", prefix="ERROR: ")
    found = names.matching(words[0], session.client.processes().processes)
    if len(found) != 1:
        raise BadArguments("bad process name supplied", with_help=False, prefix="ERROR: ")
    if found[0].state != "RUNNING":
        raise BadArguments("process not running", with_help=False, prefix="ERROR: ")
    _converse(session, found[0].name)
    return Exit.OK


def _converse(session: Session, name: str) -> None:
    session.output.say("==> Press Ctrl-C to exit <==")
    with session.client.follow_log(name, "stdout", last_bytes=_FOLLOW_BYTES) as stream:
        printer = threading.Thread(target=_print_all, args=(session, stream))
        start_thread(printer.start)
        try:
            _pass_lines_on(session, name)
        except KeyboardInterrupt:
            pass
        finally:
            stream.hang_up()
            printer.join()
    session.output.say("Exiting foreground")


def _print_all(session: Session, stream: Stream[LogPiece | LogGap]) -> None:
    with suppress(NoDaemon):  # one of the two hung up
        for piece in stream:
            print_piece(session, piece)


def _pass_lines_on(session: Session, name: str) -> None:
    for line in sys.stdin:
        try:
            _send(session, name, line)
        except ApiError:
            if session.client.process(name).status.state == "RUNNING":
                raise  # it is there, but has no standard input
            session.output.say("Process got killed")
            return


def _send(session: Session, name: str, line: str) -> None:
    """Write all of it, however slowly the process reads."""
    rest = line.encode(errors="replace")  # what was typed may be in no encoding at all
    wait = _FIRST_WAIT
    while rest:
        try:
            written = session.client.write_stdin(name, rest.decode()).written
        except ApiError as error:
            if error.problem.code != "stdin_full":
                raise
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
            continue
        rest = rest[written:]
        wait = _FIRST_WAIT
