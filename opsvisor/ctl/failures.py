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
from opsvisor.ctl.registry import COMMANDS
from opsvisor.wire import ConfigProblem, Problem

_START_HINT = "is opsvisord running? start it with `opsvisord -c FILE`"
_LOGIN_HINT = (
    "come by a name and its password (-u NAME), or by a token (--token-file FILE, or"
    " OPSVISOR_TOKEN), that the server knows"
)
_POINT_HINT = "point to it with -s URL or OPSVISOR_URL"


_TLS_HINTS = {
    Unreached.UNTRUSTED: (
        "--ca-file FILE (or OPSVISOR_CA_FILE) names who has signed its certificate, which must"
        " have the name or the address of the URL; see: openssl s_client -connect HOST:PORT"
    ),
    Unreached.REFUSES_US: (
        "show a certificate of its client_ca by --cert FILE and --key FILE; the daemon's log says"
        " what is wrong with it"
    ),
    Unreached.NO_TLS: "say http:// if it is to be asked without TLS, or is the port another one?",
}


def problem(code: str, title: str, detail: str, hint: str = "") -> Problem:
    """A problem that was found on this side of the connection; its status is 0."""
    return Problem(type="about:blank", title=title, status=0, code=code, detail=detail, hint=hint)


def unknown_command(output: Output, line: str) -> int:
    """No command is called so."""
    text = f"*** Unknown syntax: {line}"
    output.say(text)
    if output.for_people:
        output.hint(_likely_command(line.partition(" ")[0]))
    output.show({"error": problem("unknown_command", "Unknown command", text)})
    return Exit.FAILED


def _likely_command(word: str) -> str:
    import difflib  # noqa: PLC0415 - only after a typing error

    found = difflib.get_close_matches(word, COMMANDS, 1)
    return f"did you mean {found[0]}?" if found else "help lists all commands"


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
        output.hint(_LOGIN_HINT)
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
            return f"{error.url} {error.reason.value}", f"{_START_HINT}; or {_POINT_HINT}"
        case Unreached.TOO_LONG:
            hint = f"the kernel takes 107 bytes: give the socket a shorter path; or {_POINT_HINT}"
            return f"error: {error.url} {error.reason.value}", hint
        case Unreached.UNKNOWN_HOST:
            return f"error: {error.url} {error.reason.value}: {error.detail}", _POINT_HINT
        case Unreached.DENIED:
            line = f"error: <class 'PermissionError'>, [Errno 13] Permission denied: {error.url}"
            return line, _denied_hint(error.url)
        case Unreached.ORPHANED:
            hint = "it crashed or was killed; start it as before, and it takes its programs back"
            return f"error: {error.url} {error.reason.value}: {error.detail}", hint
        case Unreached.UNTRUSTED | Unreached.REFUSES_US | Unreached.NO_TLS:
            line = f"error: {error.url} {error.reason.value}: {error.detail}"
            return line, _TLS_HINTS[error.reason]
        case Unreached.LOST:
            detail = f": {error.detail}" if error.detail else ""
            hint = "is opsvisord stopping, stuck, stopped or gone? look at its log and `ps`"
            if error.url.startswith("http://"):
                hint += "; if it speaks TLS there, say https://"
            elif error.url.startswith("https://"):
                hint += "; if it asks for a certificate there, show one: --cert FILE"
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
