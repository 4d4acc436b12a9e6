"""Calls that ask for something, told to the audit log by the names that the API has for them.

A method that is neither a look nor has a name here is told of by its own: whoever adds one has to
do nothing for it.
"""

from typing import Any

from opsvisor.compat.supervisor.rpc.faults import Fault, RpcFault
from opsvisor.compat.supervisor.rpc.methods import Method
from opsvisor.compat.supervisor.rpc.xml import Value
from opsvisor.control.audit import Ended
from opsvisor.core.events import ActionResult

INTERFACE = "xml-rpc"

LOOKS = frozenset(
    {
        "supervisor.getAPIVersion",
        "supervisor.getAllConfigInfo",
        "supervisor.getAllProcessInfo",
        "supervisor.getIdentification",
        "supervisor.getPID",
        "supervisor.getProcessInfo",
        "supervisor.getState",
        "supervisor.getSupervisorVersion",
        "supervisor.getVersion",
        "supervisor.readLog",
        "supervisor.readMainLog",
        "supervisor.readProcessLog",
        "supervisor.readProcessStderrLog",
        "supervisor.readProcessStdoutLog",
        "supervisor.tailProcessLog",
        "supervisor.tailProcessStderrLog",
        "supervisor.tailProcessStdoutLog",
        "system.listMethods",
        "system.methodHelp",
        "system.methodSignature",
        "system.multicall",  # what is in it is told of, call by call
    }
)
_ACTIONS = {
    "addProcessGroup": "config.groups.add",
    "clearAllProcessLogs": "logs.clear",
    "clearLog": "daemon.log.clear",
    "clearProcessLog": "logs.clear",
    "clearProcessLogs": "logs.clear",
    "reloadConfig": "config.reread",
    "removeProcessGroup": "config.groups.remove",
    "restart": "daemon.reload",
    "sendProcessStdin": "processes.stdin",
    "shutdown": "daemon.shutdown",
    "signalAllProcesses": "signal",
    "signalProcess": "signal",
    "signalProcessGroup": "signal",
    "startAllProcesses": "start",
    "startProcess": "start",
    "startProcessGroup": "start",
    "stopAllProcesses": "stop",
    "stopProcess": "stop",
    "stopProcessGroup": "stop",
}


def action_of(method: str) -> str:
    """What this method does, as logs and labels call it; "" for a look."""
    if method in LOOKS:
        return ""
    own = method.rpartition(".")[2]
    return _ACTIONS.get(own, own)


def targets_of(name: str, method: Method, params: tuple[Any, ...]) -> list[str]:
    """Which processes or groups it is called for."""
    if method.takes and method.takes[0].name == "name":
        return [params[0]] if params and isinstance(params[0], str) else []
    return ["all"] if "All" in name else []


def ended_by(fault: RpcFault) -> Ended:
    """What a fault makes of an action."""
    return Ended(ActionResult.FAILED, fault.fault.name.lower())


def ended_with(value: Value) -> Ended:
    """What an answer says of its action: arrays have a status for each process."""
    statuses = (
        [one.get("status") for one in value if isinstance(one, dict)]
        if isinstance(value, list)
        else []
    )
    wrong = next((one for one in statuses if one != Fault.SUCCESS.value), None)
    if wrong is None:
        return Ended(ActionResult.OK)
    try:
        return Ended(ActionResult.FAILED, Fault(wrong).name.lower())
    except ValueError:
        return Ended(ActionResult.FAILED)
