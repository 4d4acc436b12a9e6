"""What there is for somebody who is there for some groups: nothing of the others, on any route."""

import asyncio
import json

import msgspec
import pytest
from control_room import loaded
from engine_room import PATIENCE, key, obedient, sleeper
from served import Serve, Served, take

from opsvisor import wire
from opsvisor.api.access import bearer
from opsvisor.api.routes import ROUTES, Route
from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.config.settings import Access, DaemonSettings, Identity, TcpServer
from opsvisor.control.actions import Action
from opsvisor.core.spec import ProcessSpec
from opsvisor.core.struct import replace

# Whatever tells of the others holds this word.
HIDDEN = "hidden"
OTHERS = ("hidden-db", "hidden-cache")
TEAM = Identity(name="team", access=Access.ADMIN, groups=frozenset({"web", "gone"}), token="team")
OWNER = Identity(name="owner", access=Access.ADMIN, token="owner")
AS_TEAM = {"Authorization": bearer("team")}
AS_OWNER = {"Authorization": bearer("owner")}
NOT_WHOLE = [route for route in ROUTES if route.access is not None and not route.is_whole]
BY_NAME = [route for route in NOT_WHOLE if "{name}" in route.path]
PLAIN = [
    route
    for route in NOT_WHOLE
    if route.method == "GET" and "{name}" not in route.path and not route.events
]
STREAMS = [route for route in NOT_WHOLE if route.events and "{name}" not in route.path]


def ids(route: Route) -> str:
    """What a test of a route is called."""
    return f"{route.method} {route.path}"


def grouped(spec: ProcessSpec, group: str, name: str) -> ProcessSpec:
    """The process as one of several of a group."""
    return replace(spec, id=key(f"{group}:{name}"))


@pytest.fixture
async def shared(serve: Serve) -> Served:
    """A process `web` of the team's, two of others, and some of both yet to be applied."""
    server = TcpServer(name="test", host="127.0.0.1", port=0, identities=(TEAM, OWNER))
    others = [sleeper(name) for name in OTHERS]
    api = await serve(obedient("web", then="exec cat"), *others, server=server)
    changed = replace(sleeper(OTHERS[0]), umask=0o77)
    mine = grouped(sleeper("gone"), "gone", "b")
    api.house.files = loaded(
        replace(sleeper("web"), umask=0o77),
        changed,
        mine,
        sleeper("hidden-new"),
        settings=DaemonSettings(identifier="hidden"),
    )
    await api.house.control.configuration.reread()
    return api


async def text_of(
    api: Served, method: str, path: str, body: object = None, *, headers: dict[str, str] = AS_TEAM
) -> tuple[int, str]:
    """The status and the text of an answer to the team."""
    sent = {**headers, **({} if method == "GET" else {"Content-Type": "application/json"})}
    encoded = None if body is None else msgspec.json.encode(body)
    async with api.session.request(method, path, headers=sent, data=encoded) as response:
        return response.status, await response.text()


# -- nothing is told ------------------------------------------------------------------------------


@pytest.mark.parametrize("route", PLAIN, ids=ids)
async def test_no_answer_holds_a_word_of_others(shared: Served, route: Route) -> None:
    """Of no route without a name in it; and who sees all is told more by it."""
    status, text = await text_of(shared, route.method, route.path)
    assert status == 200
    assert HIDDEN not in text.replace('"identifier":"hidden"', "")
    if route.path not in ("/api/v1/me", "/api/v1/daemon", "/api/v1/samples"):
        assert HIDDEN in (await text_of(shared, "GET", route.path, headers=AS_OWNER))[1]


@pytest.mark.parametrize("name", [OTHERS[0], "hidden-*", "hidden-db:*", "hidden-db:hidden-db"])
@pytest.mark.parametrize("route", BY_NAME, ids=ids)
async def test_who_is_there_for_others_is_not_there(
    shared: Served, route: Route, name: str
) -> None:
    """On every route about one process: the very answer that a name gets which is nobody's."""
    told = []
    for each in (name, name.replace(HIDDEN, "absent")):
        path = route.path.format(name=each, stream="stdout")
        body = {"text": "x"} if route.takes else None
        status, text = await text_of(shared, route.method, path, body)
        told.append((status, text.replace(each, "NAME")))
    assert told[0] == told[1]
    assert told[0][0] == 404
    assert '"no_such_process"' in told[0][1]


@pytest.mark.parametrize("path", ["/api/v1/actions", "/api/v1/logs/clear"])
@pytest.mark.parametrize("names", [["all"], ["*"], [OTHERS[0]], ["hidden-*"], ["hidden-db:*"]])
async def test_nothing_is_done_to_others(shared: Served, path: str, names: list[str]) -> None:
    """By whatever name; `all` is all that there is."""
    more = {"action": "signal", "signal": "CONT"} if path.endswith("actions") else {}
    told = []
    for each in (names, [name.replace(HIDDEN, "absent") for name in names]):
        status, text = await text_of(shared, "POST", path, {"names": each, **more})
        assert status == 200
        told.append(text.replace("absent", HIDDEN))
    assert told[0] == told[1]
    results = msgspec.json.decode(told[0], type=wire.ActionResponse).results
    if names[0] in ("all", "*"):
        assert [one.name for one in results] == ["web"]
    assert not [one for one in results if HIDDEN in one.name and one.result == "ok"]


async def test_others_run_on_when_all_is_stopped(shared: Served) -> None:
    """What is stopped is what the team has."""
    stop = {"action": "stop", "names": ["all"]}
    await text_of(shared, "POST", "/api/v1/actions", stop)
    states = {str(view.id): view.state.name for view in shared.house.room.engine.views()}
    assert states == {"web": "STOPPED", **dict.fromkeys(OTHERS, "RUNNING")}


@pytest.mark.parametrize(
    "query", ["name=hidden-db", "name=hidden-db:*", "name=web&name=hidden-cache"]
)
async def test_lists_of_names_know_no_others(shared: Served, query: str) -> None:
    """Asked for one by one, or among those that are there."""
    for path in ("/api/v1/processes", "/api/v1/logs"):
        status, text = await text_of(shared, "GET", f"{path}?{query}")
        absent = query.replace(HIDDEN, "absent")
        expected = await text_of(shared, "GET", f"{path}?{absent}")
        assert (status, text.replace(HIDDEN, "absent")) == expected
        assert status == 404


# -- streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", STREAMS, ids=ids)
async def test_no_stream_holds_a_word_of_others(shared: Served, route: Route) -> None:
    """Whatever happens to them meanwhile: the next that is told is what happens to one's own."""
    query = "?replay=100" if route.path.endswith("/events") else "?follow=1&lines=5"
    query = query if "watch" not in route.path else ""
    async with shared.session.get(f"{route.path}{query}", headers=AS_TEAM) as response:
        assert response.status == 200
        await shared.house.act(Action.RESTART, *OTHERS)
        await shared.house.act(Action.STOP, OTHERS[1])
        await text_of(shared, "POST", "/api/v1/processes/web/stdin", {"text": "x\nours\n"})
        if not route.path.endswith("/logs"):  # which must have been said before it ends
            await shared.house.act(Action.STOP, "web")
        read = ""
        async with asyncio.timeout(PATIENCE):
            while not _has_ended(route, read):
                read += (await response.content.readline()).decode()
    assert HIDDEN not in read.replace('"identifier":"hidden"', "")
    assert "event: gap" not in read


def _has_ended(route: Route, read: str) -> bool:
    """Whether the stream has come to where `web` is stopped, or has said what it said."""
    if route.path.endswith("/logs"):
        return "ours" in read
    return '"STOPPED"' in read.rpartition("data:")[2] or '"new":"STOPPED"' in read


async def test_events_are_numbered_through(shared: Served) -> None:
    """Who comes back goes on where they were, whatever happened to others meanwhile."""
    async with shared.events("/api/v1/events", shown=bearer("team"), replay=1000) as events:
        (first,) = await take(events, 1)
    await shared.house.act(Action.STOP, OTHERS[0])
    await shared.house.act(Action.STOP, "web")
    async with shared.events("/api/v1/events", first.id, shown=bearer("team")) as events:
        told = await take(events, 3)
    assert {json.loads(one.text)["process"] for one in told} == {"web"}


# -- the configuration ----------------------------------------------------------------------------


async def test_of_the_configuration_one_takes_over_what_is_ones_own(shared: Served) -> None:
    """Without a name, with names, and not by those of others."""
    house = shared.house
    before = {str(one) for one in house.room.engine.ids()}
    asked = {"groups": ["hidden-new"]}
    status, text = await text_of(shared, "POST", "/api/v1/config/apply", asked)
    assert (status, msgspec.json.decode(text, type=wire.Problem).code) == (404, "no_such_group")
    for path in ("add", "remove"):
        status, text = await text_of(
            shared, "POST", f"/api/v1/config/groups/{path}", {"groups": ["hidden-new", OTHERS[0]]}
        )
        results = msgspec.json.decode(text, type=wire.GroupResponse).results
        assert {one.result for one in results} == {"no_such_group"}
    assert {str(one) for one in house.room.engine.ids()} == before
    status, text = await text_of(shared, "POST", "/api/v1/config/apply", {})
    assert status == 200
    assert HIDDEN not in text
    applied = msgspec.json.decode(text, type=wire.ApplyResponse)
    assert (applied.diff.added, [one.name for one in applied.diff.changed]) == (
        ["gone:b"],
        ["web"],
    )
    # What left the files is still there, because it is somebody else's; and so is what changed.
    assert {str(one) for one in house.room.engine.ids()} == before | {"gone:b"}
    assert house.room.engine.view(key(OTHERS[0])).spec.umask is None


async def test_what_is_wrong_in_files_may_be_about_others(shared: Served) -> None:
    """That there is something is told; where and what is for who sees all."""
    shared.house.files = ConfigError([Problem(Place("/etc/hidden.toml", 3), "hidden", "hidden")])
    status, text = await text_of(shared, "POST", "/api/v1/config/reread", {})
    assert status == 422
    assert HIDDEN not in text
    status, text = await text_of(shared, "POST", "/api/v1/config/reread", {}, headers=AS_OWNER)
    assert HIDDEN in text
    _, text = await text_of(shared, "GET", "/api/v1/daemon")
    assert "last_reload_ok" in text
    assert '"last_reload_problems":[]' in text


async def test_of_the_daemon_one_is_told_what_is_no_secret(shared: Served) -> None:
    """Not its files, nor how much else it runs."""
    _, text = await text_of(shared, "GET", "/api/v1/daemon")
    info = msgspec.json.decode(text, type=wire.DaemonInfo)
    assert (info.processes, info.config_files, info.log_file) == (1, [], "")
    _, text = await text_of(shared, "GET", "/api/v1/daemon", headers=AS_OWNER)
    assert msgspec.json.decode(text, type=wire.DaemonInfo).processes == 3
