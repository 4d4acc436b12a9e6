"""What opsvisorctl exits with: supervisorctl's numbers, because scripts test them."""

from enum import IntEnum

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
    NOT_RUNNING = 7  # not running, or failed to start
    NO_SOCKET = 7
    INTERRUPTED = 130  # Ctrl-C while waiting: 128 + SIGINT, as shells have it


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


def of_unreached(command: str, reason: Unreached) -> Exit:
    """The status where no daemon could be asked."""
    if command in _NEVER_ASKING or reason in {Unreached.DENIED, Unreached.LOST}:
        return Exit.FAILED
    if reason is Unreached.MISSING and command != "status":
        return Exit.NO_SOCKET
    return Exit.NO_CONNECTION
