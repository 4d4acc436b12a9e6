"""What Supervisor's clients ask of the daemon itself, and of the interface."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from control_room import loaded_plan
from engine_room import plan_of, sleeper
from rpc_room import RpcRoom, rpc_room
from supervisor.rpcinterface import (  # type: ignore[import-untyped]  # comes without annotations
    SupervisorNamespaceRPCInterface,
)
from supervisor.xmlrpc import (  # type: ignore[import-untyped]  # as above
    Faults,
    SystemNamespaceRPCInterface,
)

from opsvisor.compat.supervisor.rpc.faults import Fault, RpcFault, raise_for
from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.control.actions import ActionOutcome, Result
from opsvisor.core.events import SupervisorState
from opsvisor.core.inputs import Shutdown
from opsvisor.core.spec import LogSpec, RestartPolicy


@pytest.fixture
async def rpc(tmp_path: Path) -> AsyncIterator[RpcRoom]:
    """A daemon with one process."""
    async with rpc_room(sleeper(), folder=tmp_path) as one:
        yield one


async def test_what_it_is(rpc: RpcRoom) -> None:
    """Clients compare both versions with what they know."""
    assert await rpc.ask("getAPIVersion") == await rpc.ask("getVersion") == "3.0"
    assert await rpc.ask("getSupervisorVersion") == "4.3.0"
    assert await rpc.ask("getIdentification") == "the-daemon"
    assert await rpc.ask("getState") == {"statecode": 1, "statename": "RUNNING"}
    assert await rpc.ask("getPID") == os.getpid()


async def test_once_a_shutdown_has_begun(rpc: RpcRoom) -> None:
    """Everything of supervisor's own is refused, but the call to listeners."""
    assert await rpc.ask("shutdown") is True
    assert rpc.room.supervisor.state is SupervisorState.STOPPING
    refused = [
        name
        for name in await rpc.call("system.listMethods")
        if name.startswith("supervisor.") and name != "supervisor.sendRemoteCommEvent"
    ]
    for name in refused:
        count = len(await rpc.call("system.methodSignature", name)) - 1
        assert await rpc.fault(name, *["x"] * count) == "6 SHUTDOWN_STATE"
        assert await rpc.fault(name, *["x"] * 9) == "2 INCORRECT_PARAMETERS"
    assert await rpc.ask("sendRemoteCommEvent", "kind", "text") is True


async def test_remote_communication_reaches_listeners(
    rpc: RpcRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the types of what is told."""
    told = []
    monkeypatch.setattr(rpc.edge._interface._table, "_tell", lambda *args: told.append(args))
    assert await rpc.ask("sendRemoteCommEvent", "kind", "text") is True
    assert await rpc.ask("sendRemoteCommEvent", 1, True) is True
    assert told == [("kind", "text"), ("1", "True")]


# -- configuration ---------------------------------------------------------------------------


async def test_reread_add_and_remove(rpc: RpcRoom) -> None:
    """Groups by name, in the order of their priorities."""
    priorities = {"late": 5, "early": 1}
    changed = sleeper(command="another")
    coming = plan_of(sleeper("late"), sleeper("early"), changed, priorities=priorities)
    assert await rpc.ask("reloadConfig") == [[[], [], []]]
    rpc.house.files = loaded_plan(coming)
    assert await rpc.ask("reloadConfig") == [[["early", "late"], ["web"], []]]
    assert await rpc.ask("addProcessGroup", "late") is True
    assert await rpc.fault("addProcessGroup", "late") == "90 ALREADY_ADDED: late"
    assert await rpc.fault("addProcessGroup", "nobody") == "10 BAD_NAME: nobody"
    assert await rpc.fault("removeProcessGroup", "late") == "91 STILL_RUNNING: late"
    assert await rpc.ask("stopProcess", "late") is True
    assert await rpc.ask("removeProcessGroup", "late") is True
    assert await rpc.fault("removeProcessGroup", "late") == "10 BAD_NAME: late"
    rpc.house.files = loaded_plan(plan_of())
    assert await rpc.ask("reloadConfig") == [[[], [], ["web"]]]
    # Supervisor looks it up in the files first: there it is unknown by now.
    assert await rpc.fault("addProcessGroup", "web") == "10 BAD_NAME: web"
    wrong: Any
    for wrong in (5, None, ["web"]):
        assert (await rpc.fault("addProcessGroup", wrong)).startswith("10 BAD_NAME")
    assert await rpc.fault("removeProcessGroup", ["web"]) == "2 INCORRECT_PARAMETERS"
    assert await rpc.fault("removeProcessGroup", None) == "10 BAD_NAME"


async def test_a_configuration_that_cannot_be_used(rpc: RpcRoom) -> None:
    """The first problem in its words, and where; nothing is stopped for a restart."""
    problems = [Problem(Place("f", n), f"problem {n}", "mend it") for n in (1, 2)]
    rpc.house.files = ConfigError(problems)
    for method in ("reloadConfig", "restart"):
        assert await rpc.fault(method) == "92 CANT_REREAD: problem 1 (f:1)"
    assert rpc.room.supervisor.state is SupervisorState.RUNNING


async def test_restart(rpc: RpcRoom) -> None:
    """It is done by whoever built all this."""
    assert await rpc.ask("restart") is True
    assert rpc.house.reloads == ["requested by XML-RPC"]


async def test_config_info(tmp_path: Path) -> None:
    """What only our own files can say is told in the nearest words that Supervisor has."""
    auto = LogSpec(path="/tmp/auto-1.log", private=True)
    own = sleeper(
        min_uptime=0.5,
        stdout=auto,
        stderr=None,
        restart=RestartPolicy(failed_starts_max=None),
        environment=(("SUPERVISOR_SERVER_URL", "http://elsewhere:1"),),
    )
    async with rpc_room(own, folder=tmp_path) as rpc:
        (info,) = await rpc.ask("getAllConfigInfo")
        assert info["startretries"] == 2**31 - 1
        assert info["startsecs"] == 1
        assert (info["redirect_stderr"], info["stderr_logfile"]) == (True, "none")
        assert info["stdout_logfile"] == "/tmp/auto-1.log"
        assert info["serverurl"] == "http://elsewhere:1"
        await rpc.ask("reloadConfig")
        rpc.house.files = loaded_plan(plan_of(sleeper(stdout=auto)))
        await rpc.ask("reloadConfig")
        (info,) = await rpc.ask("getAllConfigInfo")
        assert (info["stdout_logfile"], info["inuse"]) == ("auto", True)


# -- system ----------------------------------------------------------------------------------


async def test_the_methods_are_those_of_supervisor(rpc: RpcRoom) -> None:
    """Every one of them, no other, with the same types."""
    theirs = SystemNamespaceRPCInterface([("supervisor", SupervisorNamespaceRPCInterface(None))])
    names = theirs.listMethods()
    assert await rpc.call("system.listMethods") == names
    for name in names:
        assert await rpc.call("system.methodSignature", name) == theirs.methodSignature(name)
        text = await rpc.call("system.methodHelp", name)
        assert text[0].isupper()
        assert "@return" in text


async def test_methods_that_are_not_there(rpc: RpcRoom) -> None:
    """However their names are put together: no dot leads anywhere."""
    names = (
        *("nope", "supervisor.nope", "supervisor", "supervisor.", ".getState", "a.b.c"),
        *("supervisor._update", "supervisor.__init__", "system._list_methods", "system.multi"),
        *("supervisor.getState.__call__", "supervisor.supervisord.options.warnings.linecache.os"),
    )
    for name in names:
        assert await rpc.raw_fault(name) == "1 UNKNOWN_METHOD"
    wrong: Any
    for wrong in ("nope", "", 5, None, ["system.listMethods"], {}):
        for method in ("system.methodHelp", "system.methodSignature"):
            assert await rpc.fault(method, wrong) == "4 SIGNATURE_UNSUPPORTED"


async def test_many_calls_in_one(rpc: RpcRoom) -> None:
    """In order, each answer bare, each fault in its place."""

    def one(name: object, *params: object) -> dict[str, object]:
        return {"methodName": name, "params": list(params)}

    answers = await rpc.call(
        "system.multicall",
        [
            one("supervisor.getVersion"),
            {"methodName": "supervisor.getVersion"},
            {"methodName": "supervisor.getVersion", "params": {}},
            one("supervisor.stopProcess", "web"),
            one("supervisor.stopProcess", "web"),
            one("supervisor.startProcess", "web"),
            one("nope"),
            one(5),
            one("supervisor.getVersion", 1),
            one("system.multicall", []),
            {"params": []},
            "junk",
            {"methodName": "supervisor.getVersion", "params": 5},
        ],
    )
    assert [a if not isinstance(a, dict) else a["faultString"] for a in answers] == [
        "3.0",
        "3.0",
        "3.0",
        True,
        "NOT_RUNNING: web",
        True,
        "UNKNOWN_METHOD",
        "UNKNOWN_METHOD",
        "INCORRECT_PARAMETERS",
        "INCORRECT_PARAMETERS: Recursive system.multicall forbidden",
        "INCORRECT_PARAMETERS: No methodName",
        "INCORRECT_PARAMETERS: No methodName",
        "INCORRECT_PARAMETERS",
    ]
    wrong: Any
    for wrong in (5, "x", {}, None):
        assert await rpc.fault("system.multicall", wrong) == "2 INCORRECT_PARAMETERS"


async def test_many_calls_have_a_longest_answer(
    rpc: RpcRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is not done: a small request must not fill the memory."""
    monkeypatch.setattr("opsvisor.compat.supervisor.rpc.table.LONGEST_ANSWER", 5000)
    names = ["system.listMethods", "supervisor.getAllProcessInfo", "supervisor.stopAllProcesses"]
    calls = [{"methodName": name} for name in ("supervisor.getVersion", *names)]
    answers = await rpc.call("system.multicall", [calls[0], *calls[1:3] * 3, calls[3]])
    told = [one["faultString"] if isinstance(one, dict) else type(one) for one in answers]
    refused = "FAILED: the answers to the calls before this one leave no room"
    assert told == [str, *[list] * 3, *[refused] * 4]
    assert rpc.room.view().pid is not None


async def test_many_calls_around_a_shutdown(rpc: RpcRoom) -> None:
    """What comes after it in the same request is refused."""
    calls = [{"methodName": f"supervisor.{name}"} for name in ("shutdown", "getState")]
    assert await rpc.call("system.multicall", calls) == [
        True,
        {"faultCode": 6, "faultString": "SHUTDOWN_STATE"},
    ]


async def test_a_reload_refuses_as_a_shutdown_does(rpc: RpcRoom) -> None:
    """Both mean that nothing is started any more."""
    rpc.room.engine.submit(Shutdown("test", to_reload=True))
    assert await rpc.fault("getState") == "6 SHUTDOWN_STATE"


def test_every_outcome_has_its_fault() -> None:
    """Each has its fault, with what was asked for or with the reason."""
    raise_for(ActionOutcome("web", None, Result.OK, "well"), "web")
    told = {}
    for result in set(Result) - {Result.OK}:
        with pytest.raises(RpcFault) as met:
            raise_for(ActionOutcome("web", None, result, "because"), "web")
        told[result] = met.value.text
    assert told[Result.SHUTTING_DOWN] == "SHUTDOWN_STATE"
    assert told[Result.TIMEOUT] == told[Result.FAILED] == "FAILED: because"
    assert told[Result.NO_SUCH_PROCESS] == "BAD_NAME: web"
    assert {fault.value: fault.name for fault in Fault} == {
        code: name for name, code in vars(Faults).items() if not name.startswith("_")
    }
