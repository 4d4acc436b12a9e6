"""Calls of XML-RPC that ask for something are told as the API's are, whatever the method."""

from pathlib import Path

import pytest
from engine_room import sleeper
from rpc_room import rpc_room

from opsvisor.api.audited import action_of as action_of_route
from opsvisor.api.routes import ROUTES
from opsvisor.compat.supervisor.rpc.audited import LOOKS, action_of
from opsvisor.config.settings import Access, Identity, TcpServer
from opsvisor.control.actions import Action
from opsvisor.core.events import ActionResult, ControlAction, Event

# What Supervisor can do and our API can't.
_ONLY_THERE = {"sendRemoteCommEvent"}


async def test_calls_are_told_with_their_ends(tmp_path: Path) -> None:
    """One by one, those of a multicall as well; looks aren't."""
    told: list[ControlAction] = []
    async with rpc_room(sleeper(), folder=tmp_path) as rpc:

        def hear(event: Event) -> None:
            if isinstance(event, ControlAction):
                told.append(event)

        rpc.room.bus.listen(hear)
        await rpc.ask("getAllProcessInfo")
        await rpc.ask("stopProcess", "web")
        await rpc.fault("stopProcess", "web")
        await rpc.fault("startProcess", "nonesuch")
        await rpc.fault("startProcess")
        await rpc.ask("startAllProcesses")
        await rpc.call(
            "system.multicall",
            [
                {"methodName": "supervisor.getState", "params": []},
                {"methodName": "supervisor.signalProcess", "params": ["web", "CONT"]},
            ],
        )
    assert {(one.interface, one.source) for one in told} == {("xml-rpc", "unix")}
    assert all(one.user for one in told)
    assert [(one.action, one.targets, one.result, one.code) for one in told] == [
        ("stop", ("web",), ActionResult.OK, ""),
        ("stop", ("web",), ActionResult.FAILED, "not_running"),
        ("start", ("nonesuch",), ActionResult.FAILED, "bad_name"),
        ("start", (), ActionResult.FAILED, "incorrect_parameters"),
        ("start", ("all",), ActionResult.OK, ""),
        ("signal", ("web",), ActionResult.OK, ""),
    ]


async def test_who_may_not_call_is_told_too(tmp_path: Path) -> None:
    """Nobody reads what was to be called, so it is told by its path."""
    told: list[ControlAction] = []
    reader = Identity(name="reader", access=Access.READ, token="sesame")
    server = TcpServer(name="http", host="127.0.0.1", port=0, identities=(reader,))
    async with rpc_room(sleeper(), folder=tmp_path, server=server) as rpc:
        rpc.room.bus.listen(
            lambda event: told.append(event) if isinstance(event, ControlAction) else None
        )
        assert (await rpc.post(b""))[0] == 401
        assert (await rpc.post(b"", Authorization="Bearer sesame"))[0] == 403
    assert [(one.action, one.identity, one.code) for one in told] == [
        ("RPC2", "", "unauthorized"),
        ("RPC2", "reader", "forbidden"),
    ]


async def test_every_method_is_a_look_or_has_a_known_name(tmp_path: Path) -> None:
    """So that one question to the log or the metrics finds an action by whichever interface."""
    known = {action_of_route(route) for route in ROUTES} | {one.value for one in Action}
    async with rpc_room(sleeper(), folder=tmp_path) as rpc:
        methods = set(await rpc.call("system.listMethods"))
    assert methods >= LOOKS
    changing = {action_of(method) for method in methods - LOOKS}
    assert changing - known == _ONLY_THERE


@pytest.mark.parametrize("method", sorted(LOOKS))
def test_what_is_called_a_look_is_one(method: str) -> None:
    """By its name at least: nobody adds a method that changes something to the looks."""
    own = method.rpartition(".")[2]
    assert own.startswith(("get", "read", "tail", "list", "method", "multicall"))
