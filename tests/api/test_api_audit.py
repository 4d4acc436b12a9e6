"""Control actions as they are told: by whom, from where, of what, and with what end."""

import asyncio
import json
import os
import pwd
from base64 import b64encode
from urllib.parse import quote

import pytest
from engine_room import PATIENCE, sleeper
from served import JSON, Done, Serve, Served

from opsvisor import wire
from opsvisor.api.audited import _code_of, action_of
from opsvisor.api.route import READING
from opsvisor.api.routes import ROUTES, Route
from opsvisor.config.settings import Access, Identity, TcpServer
from opsvisor.control.audit import (
    NAME_MAX,
    REASON_MAX,
    REFUSALS_A_MINUTE,
    TARGETS_MAX,
    Asker,
    Audit,
    ended_with,
)
from opsvisor.core.events import ActionResult, ControlAction, Event
from opsvisor.telemetry.audit_trail import AuditTrail, audit_line

OPS = Identity(name="ops", access=Access.OPERATE, password="opensesame")
SCRAPER = Identity(name="scraper", access=Access.METRICS, token="sesame")
ON_TCP = TcpServer(name="http", host="127.0.0.1", port=0, identities=(OPS, SCRAPER))
AS_OPS = {"Authorization": f"Basic {b64encode(b'ops:opensesame').decode()}"}
AS_SCRAPER = {"Authorization": "Bearer sesame"}
SOMEBODY = Asker()
REFUSALS = int(REFUSALS_A_MINUTE)
ACTIONS = [route for route in ROUTES if route.method not in READING]
ON_THIS = getattr(pwd.getpwuid(os.geteuid()), "pw_name", "")


class Heard:
    """Every control action that a server tells of from now on."""

    def __init__(self, one: Served) -> None:
        self.actions: list[ControlAction] = []
        one.house.room.bus.listen(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, ControlAction):
            self.actions.append(event)

    @property
    def last(self) -> ControlAction:
        """The latest of them."""
        return self.actions[-1]


async def send(one: Served, route: Route, headers: dict[str, str], body: bytes = b"{}") -> int:
    """The status of a request to this route, about a process `web`."""
    path = route.path.replace("{name}", "web")
    async with one.session.request(
        route.method, path, data=body, headers={**JSON, **headers}
    ) as response:
        await response.read()
        return response.status


async def test_an_action_is_told_with_all_that_is_known_of_it(serve: Serve) -> None:
    """Who, from where, what, of which processes, with what end, and why."""
    one = await serve(sleeper("web"), sleeper("db"), server=ON_TCP)
    heard = Heard(one)
    body = wire.encode(wire.ActionRequest(action="stop", names=["web", "db"]))
    headers = {
        **AS_OPS,
        "Content-Type": "application/json",
        "Opsvisor-Reason": quote("voll: größer"),
    }
    async with one.session.post("/api/v1/actions", data=body, headers=headers) as response:
        assert response.status == 200
    (told,) = heard.actions
    assert (told.action, told.targets, told.target_count) == ("stop", ("web", "db"), 2)
    assert (told.identity, told.user, told.source) == ("ops", "", "127.0.0.1")
    assert (told.listener, told.interface) == ("http", "api")
    assert (told.result, told.code, told.reason) == (ActionResult.OK, "", "voll: größer")
    assert 0 < told.seconds < PATIENCE


async def test_at_a_unix_socket_the_user_is_told(api: Served) -> None:
    """Who the kernel says it is, where nobody is asked who they are."""
    heard = Heard(api)
    await api.act("signal", "web", signal="CONT")
    assert (heard.last.identity, heard.last.user, heard.last.source) == ("", ON_THIS, "unix")
    assert heard.last.action == "signal"


async def test_what_does_not_work_is_told_as_that(api: Served) -> None:
    """A problem by its code, and what became of single processes by the first that went wrong."""
    heard = Heard(api)
    await api.act("start", "web", "nonesuch")
    assert (heard.last.result, heard.last.code) == (ActionResult.FAILED, "already_started")
    assert heard.last.targets == ("web", "nonesuch")
    problem = await api.problem("POST", "/api/v1/actions", body=b'{"action": "explode"}')
    assert problem.code == "bad_request"
    assert (heard.last.action, heard.last.code) == ("actions", "bad_request")
    await api.problem("POST", "/api/v1/processes/nonesuch/stdin", body=b'{"text": "x"}')
    assert heard.last.action == "processes.stdin"
    assert list(heard.last.targets) == ["nonesuch"]
    assert heard.last.code == "no_such_process"
    await api.problem("POST", "/api/v1/actions", body=b'{"action": "stop", "names": [1, "' + b"x")
    assert list(heard.last.targets) == []
    assert heard.last.result is ActionResult.FAILED


@pytest.mark.parametrize("route", ACTIONS, ids=action_of)
async def test_every_route_that_is_no_look_is_audited(route: Route, serve: Serve) -> None:
    """Whatever its handler does: a new route is covered without anybody thinking of it."""
    one = await serve(sleeper(), server=ON_TCP)
    heard = Heard(one)
    if route.access is not None and not Access.METRICS.covers(route.access):
        assert await send(one, route, AS_SCRAPER) == 403
        assert (heard.last.action, heard.last.identity) == (action_of(route), "scraper")
        assert (heard.last.result, heard.last.code) == (ActionResult.REFUSED, "forbidden")
        assert await send(one, route, {}) == 401
        assert (heard.last.identity, heard.last.code) == ("", "unauthorized")
        assert await send(one, route, {**AS_OPS, "Content-Type": "text/plain"}) in (403, 415)
        assert heard.last.result is ActionResult.REFUSED
    known = len(heard.actions)
    await send(one, route, AS_OPS, b"no JSON")
    assert len(heard.actions) == known + 1
    assert heard.last.action == action_of(route)


def test_every_action_has_a_name_of_its_own() -> None:
    """They are labels of a metric, and what an operator looks for."""
    names = [action_of(route) for route in ACTIONS]
    assert len(set(names)) == len(names)
    assert {"daemon.shutdown", "config.apply", "config.groups.add", "logs.clear"} <= set(names)


async def test_looks_and_what_is_not_there_are_no_actions(api: Served) -> None:
    """Nobody changes anything by them."""
    heard = Heard(api)
    for route in ROUTES:
        if route.method in READING and not route.events and "follow" not in route.path:
            await send(api, route, {})
    await api.problem("POST", "/api/v1/nonesuch", body=b"{}")
    await api.problem("DELETE", "/api/v1/actions")
    assert heard.actions == []


@pytest.mark.parametrize(
    ("results", "code"),
    [
        (["ok", "not_running"], ""),
        (["already_started", "ok"], ""),
        (["not_running", "not_running"], "not_running"),
        (["ok", "not_running", "spawn_error"], "spawn_error"),
        ([], ""),
    ],
)
def test_who_is_already_there_is_no_failure_among_others(results: list[str], code: str) -> None:
    """`stop all` went well where it stopped those that ran."""
    assert _code_of(results) == code


async def test_whoever_goes_away_first_is_told_of(serve: Serve) -> None:
    """What was begun goes on, and nobody has heard how it ended."""
    one = await serve(sleeper(min_uptime=1000.0))
    heard = Heard(one)
    first = one.house.room.engine.views()[0].pid
    asked = asyncio.create_task(one.act("restart", "web"))
    await one.house.room.until(
        lambda: (pid := one.house.room.engine.views()[0].pid) is not None and pid != first
    )
    asked.cancel()
    await one.answered(Done("/api/v1/actions", "POST", 499))
    assert (heard.last.result, heard.last.targets) == (ActionResult.ABANDONED, ("web",))


async def test_actions_are_counted_by_few_labels(serve: Serve) -> None:
    """A label is a word of ours or a name of the configuration, whatever is sent."""
    one = await serve(sleeper(), server=ON_TCP)
    counted: list[tuple[str, str, str]] = []
    one.house.control.audit._count = lambda *labels: counted.append(labels)
    (actions,) = [route for route in ROUTES if route.path == "/api/v1/actions"]
    await send(one, actions, AS_OPS, b'{"action": "stop", "names": ["nonesuch"]}')
    await send(one, actions, AS_OPS, b'{"action": "<made up>", "names": []}')
    await send(one, actions, {"Authorization": "Basic bWUgdG9vOmhhIQ=="})
    assert counted == [
        ("stop", "ops", "failed"),
        ("actions", "ops", "failed"),
        ("actions", "nobody", "refused"),
    ]


def tell(
    audit: Audit, asker: Asker = SOMEBODY, *, code: str = "", names: tuple[str, ...] = ()
) -> None:
    """An action that ended with this code."""
    audit.tell("stop", names, asker, ended_with(code), interface="api", seconds=0.0)


def test_refusals_without_end_are_counted_and_not_all_told() -> None:
    """Whoever can reach a port must not be able to fill the audit log."""
    told: list[ControlAction] = []
    counted: list[str] = []
    now = [0.0]
    audit = Audit(told.append, lambda _a, who, _r: counted.append(who), lambda: now[0])
    for _ in range(1000):
        tell(audit, code="unauthorized")
    assert len(told) == REFUSALS_A_MINUTE
    assert counted == ["nobody"] * 1000
    tell(audit, Asker(is_known=True))  # what is done is always told
    assert told[-1].left_out == 1000 - REFUSALS_A_MINUTE
    now[0] = 60.0
    tell(audit, code="forbidden")
    assert (told[-1].code, told[-1].left_out) == ("forbidden", 0)
    assert counted[-2:] == ["anybody", "nobody"]


async def test_strangers_fill_no_log_and_hide_nobody(serve: Serve) -> None:
    """Not by what is no refusal either: logging out, and a login that makes no sense."""
    one = await serve(sleeper(), server=ON_TCP)
    heard = Heard(one)
    for _ in range(REFUSALS):
        await one.problem("POST", "/api/v1/session", body=b"{}")
        async with one.session.delete("/api/v1/session", headers=JSON) as response:
            assert response.status == 200
    assert len(heard.actions) == REFUSALS
    await one.problem("POST", "/api/v1/actions", body=b"{}", **AS_SCRAPER)
    last = heard.actions[-1]
    assert (last.identity, last.code, last.left_out) == ("scraper", "forbidden", REFUSALS)


async def test_what_clients_say_is_bounded_and_harmless(serve: Serve) -> None:
    """Names and reasons may be of any length, and hold anything."""
    one = await serve(sleeper(), server=ON_TCP)
    heard = Heard(one)
    (actions,) = [route for route in ROUTES if route.path == "/api/v1/actions"]
    names = ["\x1b[2J" + "n" * 1000, *[f"n{number}" for number in range(100)]]
    reason = quote("line\nfake \x1b]0;x" + "r" * 5000)
    body = json.dumps({"action": "stop", "names": names}).encode()
    await send(one, actions, {**AS_OPS, "Opsvisor-Reason": reason}, body)
    assert (len(heard.last.targets), heard.last.target_count) == (TARGETS_MAX, 101)
    assert len(heard.last.targets[0]) == NAME_MAX
    assert len(heard.last.reason) == REASON_MAX
    assert "\x1b" not in heard.last.targets[0] + heard.last.reason
    assert heard.last.reason.startswith("line fake \\x1b]0;x")
    line = audit_line(heard.last)
    assert line.isascii()
    assert line.isprintable()


async def test_no_secret_is_told(serve: Serve) -> None:
    """Neither what somebody logs in with, nor what they write to a program."""
    one = await serve(sleeper(), server=ON_TCP)
    heard = Heard(one)
    (stdin,) = [route for route in ROUTES if route.path.endswith("/stdin")]
    await send(one, stdin, AS_OPS, b'{"text": "hunter2"}')
    (line,) = [audit_line(action) for action in heard.actions]
    for secret in ("hunter2", "opensesame", AS_OPS["Authorization"].split()[1]):
        assert secret not in line


def test_a_line_is_json_with_the_time_of_the_asking() -> None:
    """One object in one line, for whoever reads it by a program."""
    lines: list[tuple[str, bool]] = []
    trail = AuditTrail(lambda line, is_good: lines.append((line, is_good)))
    told: list[ControlAction] = []
    audit = Audit(told.append)
    tell(audit, Asker(user="al\udcffice", source="unix"), names=("caf\u00e9",))
    tell(audit, code="internal")
    for event in told:
        trail.on_event(event)
    first, second = (json.loads(line) for line, _ in lines)
    assert [is_good for _, is_good in lines] == [True, False]
    assert first["time"].endswith("Z")
    assert (first["user"], first["targets"]) == ("al\udcffice", ["caf\u00e9"])
    assert (second["result"], second["code"]) == ("failed", "internal")
    assert "left_out" not in first
