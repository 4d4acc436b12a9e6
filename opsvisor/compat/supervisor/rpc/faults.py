"""What goes wrong with a call: the one table of codes, names, and what they come from."""

from enum import Enum

from opsvisor.control.actions import ActionOutcome, Result


class Fault(Enum):
    """Supervisor's faults; the value is the code that clients compare."""

    UNKNOWN_METHOD = 1
    INCORRECT_PARAMETERS = 2
    BAD_ARGUMENTS = 3
    SIGNATURE_UNSUPPORTED = 4
    SHUTDOWN_STATE = 6
    BAD_NAME = 10
    BAD_SIGNAL = 11
    NO_FILE = 20
    NOT_EXECUTABLE = 21
    FAILED = 30
    ABNORMAL_TERMINATION = 40
    SPAWN_ERROR = 50
    ALREADY_STARTED = 60
    NOT_RUNNING = 70
    SUCCESS = 80  # never raised: the status of what went well, in arrays of results
    ALREADY_ADDED = 90
    STILL_RUNNING = 91
    CANT_REREAD = 92


class RpcFault(Exception):  # noqa: N818 - Supervisor's word for it
    """A call that is answered with a fault. `detail` stands behind its name, unless None."""

    def __init__(self, fault: Fault, detail: object = None) -> None:
        self.fault = fault
        self.text = fault.name if detail is None else f"{fault.name}: {detail}"
        super().__init__(self.text)


# What the outcome of an action is called here. A command that turns out to be missing only when
# it is spawned is a spawn error: Supervisor names the better reasons only before it tries.
_OF_RESULT = {
    Result.NO_SUCH_PROCESS: Fault.BAD_NAME,
    Result.NO_SUCH_GROUP: Fault.BAD_NAME,
    Result.ALREADY_STARTED: Fault.ALREADY_STARTED,
    Result.NOT_RUNNING: Fault.NOT_RUNNING,
    Result.NO_FILE: Fault.SPAWN_ERROR,
    Result.NOT_EXECUTABLE: Fault.SPAWN_ERROR,
    Result.SPAWN_ERROR: Fault.SPAWN_ERROR,
    Result.ABNORMAL_TERMINATION: Fault.ABNORMAL_TERMINATION,
    Result.FAILED: Fault.FAILED,
    Result.TIMEOUT: Fault.FAILED,
    Result.SHUTTING_DOWN: Fault.SHUTDOWN_STATE,
}


def raise_for(outcome: ActionOutcome, name: str) -> None:
    """Raise the fault that this outcome is; nothing if it went well. `name` is as it was asked."""
    if outcome.result is Result.OK:
        return
    fault = _OF_RESULT[outcome.result]
    match fault:
        case Fault.FAILED:
            raise RpcFault(fault, outcome.reason)
        case Fault.SHUTDOWN_STATE:
            raise RpcFault(fault)
        case _:
            raise RpcFault(fault, name)
