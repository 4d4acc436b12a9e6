"""The table of methods: what is not in here can't be called, whatever its name looks like.

Supervisor once walked the dots of a name through its own objects, which gave everybody a shell
(CVE-2017-11610). Here a name is a key.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from opsvisor.compat.supervisor.observers import Log
from opsvisor.compat.supervisor.rpc.audited import (
    INTERFACE,
    action_of,
    ended_by,
    ended_with,
    targets_of,
)
from opsvisor.compat.supervisor.rpc.daemon import Daemon
from opsvisor.compat.supervisor.rpc.faults import Fault, RpcFault
from opsvisor.compat.supervisor.rpc.logs import Logs
from opsvisor.compat.supervisor.rpc.methods import Method, Param, Returned
from opsvisor.compat.supervisor.rpc.processes import Processes
from opsvisor.compat.supervisor.rpc.sources import Sources
from opsvisor.compat.supervisor.rpc.xml import Value
from opsvisor.control.audit import Asker, Ended
from opsvisor.control.control import Control
from opsvisor.core.events import ActionResult

# Takes the type and the text of a remote communication event.
TellRemote = Callable[[str, str], None]

# In bytes, of many calls in one. A request of a megabyte has room for 10,000 calls, and each may
# be answered with a log: calls beyond this are not made any more.
LONGEST_ANSWER = 64 * 1024 * 1024
_FRAME = 40  # bytes around a value
_NO_ROOM: Value = {
    "faultCode": Fault.FAILED.value,
    "faultString": "FAILED: the answers to the calls before this one leave no room",
}

_MULTICALL = "system.multicall"
_SOMEBODY = Asker()

_NAME = Param("string", "name", "of a process, group:process, or group:*")
_ONE = Param("string", "name", "of a process, or group:process")
_GROUP = Param("string", "name", "of a group")
_WAIT = Param("boolean", "wait", "whether to answer only when it is done", is_optional=True)
_SIGNAL = Param("string", "signal", "by name, such as HUP, or by number")
_OFFSET = Param("int", "offset", "in bytes")
_LENGTH = Param("int", "length", "in bytes")
_METHOD = Param("string", "name", "of a method")

_TRUE = Returned("boolean", "always true, unless there is a fault")
_RESULTS = Returned("array", "a struct of name, group, status and description for each")
_TEXT = Returned("string", "the text")
_TAIL = Returned("array", "the text, the size, and whether there is more")
_LOG = (_ONE, _OFFSET, _LENGTH)


class Table:
    """Every method by its name, and the calling of them."""

    def __init__(self, control: Control, sources: Sources, *, log: Log, tell: TellRemote) -> None:
        self._control = control
        self._tell = tell
        self._methods: Mapping[str, Method] = {
            **_of_daemon(Daemon(control)),
            **_of_processes(Processes(control, log)),
            **_of_logs(Logs(control, sources)),
            "supervisor.sendRemoteCommEvent": Method(
                call=self._send_remote_comm,
                takes=(
                    Param("string", "type", "what it is about"),
                    Param("string", "data", "what is told"),
                ),
                at_any_time=True,
                returns=_TRUE,
            ),
            **self._of_system(),
        }

    async def call(self, name: Any, params: tuple[Any, ...], asker: Asker = _SOMEBODY) -> Value:
        """The answer of a method. RpcFault if there is none. What it changes is audited."""
        method = self._methods.get(name) if isinstance(name, str) else None
        if method is None:
            raise RpcFault(Fault.UNKNOWN_METHOD)
        if name == _MULTICALL:
            method.check_count(params)
            return await self._multicall(params[0], asker)
        action = action_of(name)
        if not action:
            return await self._answer(method, params)
        began = time.monotonic()
        ended = Ended(ActionResult.ABANDONED, "client_gone")
        try:
            value = await self._answer(method, params)
            ended = ended_with(value)
        except RpcFault as met:
            ended = ended_by(met)
            raise
        else:
            return value
        finally:
            self._control.audit.tell(
                action,
                targets_of(name, method, params),
                asker,
                ended,
                interface=INTERFACE,
                seconds=time.monotonic() - began,
            )

    async def _answer(self, method: Method, params: tuple[Any, ...]) -> Value:
        method.check_count(params)
        if not method.at_any_time and self._control.supervisor.state.is_ending:
            raise RpcFault(Fault.SHUTDOWN_STATE)
        return await method.call(*params)

    async def _send_remote_comm(self, kind: Any, data: Any) -> Value:
        """Tell event listeners that subscribe to REMOTE_COMMUNICATION."""
        self._tell(str(kind), str(data))
        return True

    # -- system ------------------------------------------------------------------------------

    def _of_system(self) -> dict[str, Method]:
        return {
            "system.listMethods": Method(
                call=self._list_methods,
                returns=Returned("array", "the names"),
                at_any_time=True,
            ),
            "system.methodHelp": Method(
                call=self._method_help, takes=(_METHOD,), at_any_time=True, returns=_TEXT
            ),
            "system.methodSignature": Method(
                call=self._method_signature,
                takes=(_METHOD,),
                returns=Returned("array", "the type of the result, then those of the parameters"),
                at_any_time=True,
            ),
            _MULTICALL: Method(
                call=self._multicall,
                takes=(Param("array", "calls", "structs of methodName and params"),),
                returns=Returned("array", "the result of each call, or a struct with its fault"),
                at_any_time=True,
            ),
        }

    async def _list_methods(self) -> Value:
        """The names of all methods."""
        return sorted(self._methods)

    async def _method_help(self, name: Any) -> Value:
        """What a method does, and what it takes."""
        return self._described(name).help

    async def _method_signature(self, name: Any) -> Value:
        """The types that a method returns and takes."""
        return self._described(name).signature

    def _described(self, name: Any) -> Method:
        method = self._methods.get(name) if isinstance(name, str) else None
        if method is None:
            raise RpcFault(Fault.SIGNATURE_UNSUPPORTED)
        return method

    async def _multicall(self, calls: Any, asker: Asker = _SOMEBODY) -> Value:
        """Make several calls, one after the other.

        Results are given as they are, not in an array of one element each.
        """
        if not isinstance(calls, list):
            raise RpcFault(Fault.INCORRECT_PARAMETERS)
        answers: list[Value] = []
        room = LONGEST_ANSWER
        for call in calls:
            await asyncio.sleep(0)  # most calls wait for nothing, and there may be thousands
            answer = await self._one_of_many(call, asker) if room > 0 else _NO_ROOM
            room -= _weight(answer)
            answers.append(answer)
        return answers

    async def _one_of_many(self, call: Any, asker: Asker) -> Value:
        try:
            name, params = _read_call(call)
            return await self.call(name, params, asker)
        except RpcFault as met:
            return {"faultCode": met.fault.value, "faultString": met.text}


def _weight(value: Value) -> int:
    """About how many bytes it takes in an answer."""
    match value:
        case str():
            return _FRAME + len(value)
        case dict():
            return _FRAME + sum(_FRAME + _weight(member) for member in value.values())
        case list():
            return _FRAME + sum(_weight(member) for member in value)
        case _:
            return _FRAME


def _read_call(call: Any) -> tuple[Any, tuple[Any, ...]]:
    """Name and parameters of one of many calls."""
    if not isinstance(call, dict) or call.get("methodName") is None:
        raise RpcFault(Fault.INCORRECT_PARAMETERS, "No methodName")
    name, params = call["methodName"], call.get("params", [])
    if name == _MULTICALL:
        raise RpcFault(Fault.INCORRECT_PARAMETERS, f"Recursive {_MULTICALL} forbidden")
    if not isinstance(params, list | dict | str):  # some clients write an empty struct for nothing
        raise RpcFault(Fault.INCORRECT_PARAMETERS)
    return name, tuple(params)


def _of_daemon(daemon: Daemon) -> dict[str, Method]:
    version = Method(call=daemon.api_version, returns=_TEXT)
    return {
        "supervisor.getAPIVersion": version,
        "supervisor.getVersion": version,  # its name before 3.0
        "supervisor.getSupervisorVersion": Method(call=daemon.supervisor_version, returns=_TEXT),
        "supervisor.getIdentification": Method(call=daemon.identification, returns=_TEXT),
        "supervisor.getState": Method(
            call=daemon.state, returns=Returned("struct", "statecode and statename")
        ),
        "supervisor.getPID": Method(call=daemon.pid, returns=Returned("int", "the pid")),
        "supervisor.shutdown": Method(call=daemon.shutdown, returns=_TRUE),
        "supervisor.restart": Method(call=daemon.restart, returns=_TRUE),
        "supervisor.reloadConfig": Method(
            call=daemon.reload_config,
            returns=Returned("array", "[[added, changed, removed]]"),
        ),
        "supervisor.addProcessGroup": Method(
            call=daemon.add_group, takes=(_GROUP,), returns=_TRUE
        ),
        "supervisor.removeProcessGroup": Method(
            call=daemon.remove_group, takes=(_GROUP,), returns=_TRUE
        ),
        "supervisor.getAllConfigInfo": Method(
            call=daemon.all_config, returns=Returned("array", "a struct for each process")
        ),
    }


def _of_processes(processes: Processes) -> dict[str, Method]:
    return {
        "supervisor.startProcess": Method(
            call=processes.start, takes=(_NAME, _WAIT), returns=_TRUE
        ),
        "supervisor.startProcessGroup": Method(
            call=processes.start_group, takes=(_GROUP, _WAIT), returns=_RESULTS
        ),
        "supervisor.startAllProcesses": Method(
            call=processes.start_all, takes=(_WAIT,), returns=_RESULTS
        ),
        "supervisor.stopProcess": Method(call=processes.stop, takes=(_NAME, _WAIT), returns=_TRUE),
        "supervisor.stopProcessGroup": Method(
            call=processes.stop_group, takes=(_GROUP, _WAIT), returns=_RESULTS
        ),
        "supervisor.stopAllProcesses": Method(
            call=processes.stop_all, takes=(_WAIT,), returns=_RESULTS
        ),
        "supervisor.signalProcess": Method(
            call=processes.signal, takes=(_NAME, _SIGNAL), returns=_TRUE
        ),
        "supervisor.signalProcessGroup": Method(
            call=processes.signal_group, takes=(_GROUP, _SIGNAL), returns=_RESULTS
        ),
        "supervisor.signalAllProcesses": Method(
            call=processes.signal_all, takes=(_SIGNAL,), returns=_RESULTS
        ),
        "supervisor.getProcessInfo": Method(
            call=processes.info, takes=(_ONE,), returns=Returned("struct", "how it is")
        ),
        "supervisor.getAllProcessInfo": Method(
            call=processes.all_info, returns=Returned("array", "a struct for each process")
        ),
        "supervisor.sendProcessStdin": Method(
            call=processes.write_stdin,
            takes=(_ONE, Param("string", "chars", "what is written")),
            returns=_TRUE,
        ),
    }


def _of_logs(logs: Logs) -> dict[str, Method]:
    read_main = Method(call=logs.read_main, takes=(_OFFSET, _LENGTH), returns=_TEXT)
    read_stdout = Method(call=logs.read_stdout, takes=_LOG, returns=_TEXT)
    tail_stdout = Method(call=logs.tail_stdout, takes=_LOG, returns=_TAIL)
    clear = Method(call=logs.clear, takes=(_ONE,), returns=_TRUE)
    return {
        "supervisor.readLog": read_main,
        "supervisor.readMainLog": read_main,  # its name before 2.1
        "supervisor.clearLog": Method(call=logs.clear_main, returns=_TRUE),
        "supervisor.readProcessStdoutLog": read_stdout,
        "supervisor.readProcessLog": read_stdout,
        "supervisor.readProcessStderrLog": Method(
            call=logs.read_stderr, takes=_LOG, returns=_TEXT
        ),
        "supervisor.tailProcessStdoutLog": tail_stdout,
        "supervisor.tailProcessLog": tail_stdout,
        "supervisor.tailProcessStderrLog": Method(
            call=logs.tail_stderr, takes=_LOG, returns=_TAIL
        ),
        "supervisor.clearProcessLogs": clear,
        "supervisor.clearProcessLog": clear,
        "supervisor.clearAllProcessLogs": Method(call=logs.clear_all, returns=_RESULTS),
    }
