"""What opsvisorctl exits with: supervisorctl's numbers, because scripts test them."""

from enum import IntEnum
from typing import NamedTuple

from opsvisor.client import Unreached
from opsvisor.wire import ActionResult


class Exit(IntEnum):
    """The exit statuses of opsvisorctl."""

    OK = 0
    FAILED = 1
    BAD_ARGUMENTS = 2
    NOT_ALL_UP = 3  # `status`: a listed process is STOPPED, EXITED, FATAL or UNKNOWN
    NO_SUCH_PROCESS = 4  # `status` of an unknown name
    NO_CONNECTION = 4  # the same number, as in supervisorctl
    NOT_ALL_SAID = 5  # `migrate`: the new file does not say everything the old one did
    DIFFERENT = 6  # `diff`: the files ask for something else than what is in force
    NOT_RUNNING = 7  # not running, or failed to start
    NO_SOCKET = 7
    OUT_OF_REACH = 8  # `wait`: what is waited for can't come any more without somebody's help
    TIMED_OUT = 124  # `wait`: as timeout(1) has it
    INTERRUPTED = 130  # Ctrl-C while waiting: 128 + SIGINT, as shells have it


class Meaning(NamedTuple):
    """What a status says: of which commands ("" for any), and in words."""

    status: Exit
    commands: str
    says: str


# What the reference and the manual page tell.
MEANINGS = (
    Meaning(Exit.OK, "", "Done. For `diff`: there is nothing to apply."),
    Meaning(
        Exit.FAILED,
        "",
        "Refused, failed, or no command of this name. Of several processes, the last failure"
        " counts. Also if what it says can't be written: a full disk, or a reader has gone.",
    ),
    Meaning(
        Exit.FAILED,
        "add, avail, reload, remove, reread, shutdown, update",
        "Nobody could be asked, for whatever reason.",
    ),
    Meaning(
        Exit.BAD_ARGUMENTS,
        "",
        "The options, or the file that says where the daemon is, can't be used.",
    ),
    Meaning(Exit.BAD_ARGUMENTS, "start", "No name was given, or there is no such group."),
    Meaning(
        Exit.NOT_ALL_UP,
        "status",
        "A process that is listed is STOPPED, EXITED, FATAL or UNKNOWN. It outweighs 4.",
    ),
    Meaning(Exit.NO_SUCH_PROCESS, "metrics, status, wait", "A name stands for no process."),
    Meaning(
        Exit.NO_CONNECTION,
        "",
        "Nobody listens at the address of the daemon. The seven commands above have 1 then.",
    ),
    Meaning(Exit.NOT_ALL_SAID, "migrate", "The new file doesn't say everything the old one did."),
    Meaning(Exit.DIFFERENT, "diff", "The files differ from what is in force."),
    Meaning(Exit.NOT_RUNNING, "start, restart", "A process failed to start."),
    Meaning(Exit.NOT_RUNNING, "pid, signal", "A process isn't running."),
    Meaning(
        Exit.NO_SOCKET,
        "",
        "There is no socket where the daemon should have one. The seven commands above have 1"
        " then, and open and status 4.",
    ),
    Meaning(
        Exit.OUT_OF_REACH,
        "wait",
        "What is waited for can't come any more unless somebody helps: the process was given up"
        " (FATAL), or it ended and isn't restarted.",
    ),
    Meaning(Exit.TIMED_OUT, "wait", "The time was over first, as timeout(1) has it."),
    Meaning(
        Exit.INTERRUPTED,
        "",
        "Ctrl-C while a command waited. What was asked for goes on in the daemon.",
    ),
)

_DOWN = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})

# Most of supervisorctl's commands ask first whether anybody listens; these just fail.
_NEVER_ASKING = frozenset({"update", "reread", "avail", "add", "remove", "reload", "shutdown"})

_BY_RESULT = {
    "ok": Exit.OK,
    "already_started": Exit.OK,
    "not_running": Exit.NOT_RUNNING,
    "spawn_error": Exit.NOT_RUNNING,
    "abnormal_termination": Exit.NOT_RUNNING,
}


def of_action(action: str, result: ActionResult) -> Exit:
    """The status for one process that was started, stopped, signalled or cleared."""
    match action, result.result:
        case "stop", "not_running":
            return Exit.OK
        case "start", "no_such_group":
            return Exit.BAD_ARGUMENTS
        case _:
            return _BY_RESULT.get(result.result, Exit.FAILED)


def of_states(states: list[str], *, unknown_names: bool) -> Exit:
    """The status of `status`; processes that are down outweigh names that don't exist."""
    if _DOWN.intersection(states):
        return Exit.NOT_ALL_UP
    return Exit.NO_SUCH_PROCESS if unknown_names else Exit.OK


# Somebody listens, and would not speak with us.
_THERE_BUT = frozenset(
    {
        Unreached.DENIED,
        Unreached.LOST,
        Unreached.NO_TLS,
        Unreached.REFUSES_US,
        Unreached.UNTRUSTED,
    }
)


def of_unreached(command: str, reason: Unreached) -> Exit:
    """The status where no daemon could be asked."""
    if command in _NEVER_ASKING or reason in _THERE_BUT:
        return Exit.FAILED
    if reason is Unreached.MISSING and command != "status":
        return Exit.NO_SOCKET
    return Exit.NO_CONNECTION
