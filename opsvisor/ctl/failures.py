"""What is printed when a command can't do its work.

Standard output gets supervisorctl's line, which scripts look for; standard error gets what an
operator needs. With JSON it is one object, `{"error": problem}`, on standard output.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from opsvisor.client import ApiError, NoDaemon, Unauthorized, UnixAddress, Unreached, parse_url
from opsvisor.ctl import exit_codes
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.output import Output
from opsvisor.wire import ConfigProblem, Problem

_START_HINT = "is opsvisord running? start it with `opsvisord -c FILE`"
_POINT_HINT = "or point to it with -s URL or OPSVISOR_URL"


def problem(code: str, title: str, detail: str, hint: str = "") -> Problem:
    """A problem that was found on this side of the connection; its status is 0."""
    return Problem(type="about:blank", title=title, status=0, code=code, detail=detail, hint=hint)


def unknown_command(output: Output, line: str) -> int:
    """No command is called so."""
    text = f"*** Unknown syntax: {line}"
    output.say(text)
    output.show({"error": problem("unknown_command", "Unknown command", text)})
    return Exit.FAILED


def bad_arguments(output: Output, text: str, help_lines: Sequence[str]) -> None:
    """The words after a command make no sense."""
    for line in (text, *help_lines):
        output.say(line)
    output.show({"error": problem("bad_arguments", "Bad arguments", text)})


def no_daemon(output: Output, command: str, error: NoDaemon, found: str) -> int:
    """Nobody answers: what was tried, and what to do."""
    line, hint = _unreached(error)
    if command == "shutdown" and error.reason in {Unreached.MISSING, Unreached.REFUSED}:
        line = f"ERROR: {line} (already shut down?)"
    output.say(line)
    output.remark(f"tried: {error.url}, {found}")
    output.hint(hint)
    output.show({"error": problem("no_daemon", "No daemon", line, hint)})
    return exit_codes.of_unreached(command, error.reason)


def refused(output: Output, error: ApiError) -> int:
    """The daemon answered with a problem that the command had no words of its own for."""
    output.show({"error": error.problem})
    if isinstance(error, Unauthorized):
        output.say("Server requires authentication")
        return Exit.FAILED
    if output.for_people:
        output.say(f"error: {error.problem.detail or error.problem.title}")
    else:
        output.say(_fault_line(error.problem))
    explain(output, error.problem)
    return Exit.FAILED


def explain(output: Output, trouble: Problem) -> None:
    """What a problem says beyond its first line, for people, on standard error."""
    remark_problems(output, trouble.problems)
    if trouble.hint:
        output.hint(trouble.hint)


def remark_problems(output: Output, problems: Sequence[ConfigProblem]) -> None:
    """What is wrong with the configuration, line by line, on standard error."""
    for found in problems:
        output.remark(f"{_place(found)}: {found.what}")
        if found.hint:
            output.remark(f"    hint: {found.hint}")


def first_problem(trouble: Problem) -> str:
    """The problem of a configuration as one line, in the words that Supervisor has for it."""
    return trouble.problems[0].what if trouble.problems else trouble.detail


def _place(found: ConfigProblem) -> str:
    return f"{found.file}:{found.line}" if found.line else found.file


def _fault_line(trouble: Problem) -> str:
    """The form that people grep for: supervisorctl prints it for whatever it didn't expect."""
    match trouble.code:
        case "shutting_down":
            fault = "<Fault 6: 'SHUTDOWN_STATE'>"
        case "bad_config":
            fault = f"<Fault 92: {f'CANT_REREAD: {first_problem(trouble)}'!r}>"
        case _:
            return f"error: {trouble.code}: {trouble.detail or trouble.title}"
    return f"error: <class 'xmlrpc.client.Fault'>, {fault}"


def _unreached(error: NoDaemon) -> tuple[str, str]:
    """The line for scripts and the hint for people."""
    match error.reason:
        case Unreached.MISSING | Unreached.REFUSED:
            return f"{error.url} {error.reason.value}", f"{_START_HINT}; {_POINT_HINT}"
        case Unreached.DENIED:
            line = f"error: <class 'PermissionError'>, [Errno 13] Permission denied: {error.url}"
            return line, _denied_hint(error.url)
        case Unreached.LOST:
            detail = f": {error.detail}" if error.detail else ""
            hint = "is opsvisord stopping, stuck or stopped? look at its log and `ps`"
            return f"error: {error.url} {error.reason.value}{detail}", hint


def _denied_hint(url: str) -> str:
    remedy = "use sudo, or let your group in with the mode and owner of the socket"
    address = parse_url(url)
    assert isinstance(address, UnixAddress)  # TCP has no permissions
    try:
        found = Path(address.path).stat()
    except OSError:
        return f"you are uid {os.geteuid()} and may not enter its directory; {remedy}"
    mode = stat.S_IMODE(found.st_mode)
    owner = f"uid {found.st_uid}, gid {found.st_gid}, mode {mode:04o}"
    return f"you are uid {os.geteuid()}, the socket belongs to {owner}; {remedy}"
