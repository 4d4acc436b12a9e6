"""The daemon, its configuration, its metrics and probes over HTTP."""

import gzip
import os
import platform

import pytest
from control_room import loaded
from engine_room import key, program, sleeper
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from served import JSON, Serve, Served

from opsvisor import wire
from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.config.settings import DaemonSettings
from opsvisor.control.upgrades import Upgraded
from opsvisor.core.events import ProcessRemoved
from opsvisor.core.spec import Startup
from opsvisor.core.state import PublicState

BAD = ConfigError([Problem(Place("opsvisor.toml", 3), "oops", "mend it")])
TOLD = wire.ConfigProblem(file="opsvisor.toml", line=3, what="oops", hint="mend it")
CHANGING = ("/api/v1/config/reread", "/api/v1/config/apply", "/api/v1/daemon/reload")


async def test_the_daemon_tells_of_itself(serve: Serve) -> None:
    """What it is, since when, from which files, and how the last reading of them went."""
    api = await serve(sleeper(), settings=DaemonSettings(identifier="me"))
    told = await api.get("/api/v1/daemon", wire.DaemonInfo)
    assert (told.version, told.identifier, told.pid) == ("1.2.3", "me", os.getpid())
    assert (told.state, told.generation, told.processes) == ("running", 1, 1)
    assert (told.config_files, told.log_file) == (["/etc/opsvisor.toml"], "")
    assert told.containment == "process group + subreaper (no delegated cgroup)"
    assert told.python == platform.python_version()
    assert 0 <= told.uptime < 10
    assert (told.last_reload_ok, told.last_reload_problems) == (True, [])
    api.house.files = BAD
    await api.problem("POST", "/api/v1/config/reread")
    told = await api.get("/api/v1/daemon", wire.DaemonInfo)
    assert (told.last_reload_ok, told.last_reload_problems) == (False, [TOLD])


async def test_the_front_page_says_where_everything_is(api: Served) -> None:
    """For somebody who opens the address in a browser."""
    async with api.session.get("/") as response:
        assert response.content_type == "text/plain"
        text = await response.text()
    assert text.startswith("opsvisord\n")
    for line in text.splitlines():
        for path in [word for word in line.split() if word.startswith("/")]:
            async with api.session.get(path) as response:
                assert response.status == 200, path


async def test_probes_tell_alive_from_ready(api: Served) -> None:
    """Once a shutdown has begun, it is alive and not ready."""
    for path in ("/healthz", "/readyz"):
        async with api.session.get(path) as response:
            assert (response.status, await response.text()) == (200, "ok\n")
    await api.post("/api/v1/daemon/shutdown", dict)
    told = await api.problem("GET", "/readyz")
    assert (told.status, told.code) == (503, "not_ready")
    async with api.session.get("/healthz") as response:
        assert response.status == 200


async def test_shutdown_is_accepted_and_stops_everything(api: Served) -> None:
    """The answer does not wait for the end."""
    async with api.session.post("/api/v1/daemon/shutdown", headers=JSON) as response:
        assert response.status == 202
    await api.house.room.until(lambda: api.house.room.over)
    assert api.house.room.engine.live() == {}


async def test_an_upgrade_is_accepted_or_refused(api: Served) -> None:
    """The answer says which version takes over, or why it can't; then nothing has happened."""
    begun = await api.post("/api/v1/daemon/upgrade", wire.UpgradeResponse)
    assert (begun.from_version, begun.to_version, begun.pid) == ("1.2.3", "1.2.4", os.getpid())
    assert api.house.upgrades == ["requested by the API"]
    api.house.upgrade_problem = "SyntaxError: invalid syntax"
    told = await api.problem("POST", "/api/v1/daemon/upgrade")
    assert (told.status, told.code, told.detail) == (
        409,
        "upgrade_refused",
        "SyntaxError: invalid syntax",
    )
    assert len(api.house.upgrades) == 1


async def test_the_last_upgrade_is_told(api: Served) -> None:
    """How many there were, from which version the last was, and how long people waited."""
    told = await api.get("/api/v1/daemon", wire.DaemonInfo)
    assert (told.upgrades, told.last_upgrade) == (0, None)
    last = Upgraded(from_version="1.2.2", at=5.0, silence=0.25, count=3)
    api.house.last_upgrade = last
    told = await api.get("/api/v1/daemon", wire.DaemonInfo)
    assert told.upgrades == 3
    assert told.last_upgrade == wire.Upgraded(from_version="1.2.2", at=5.0, silence=0.25)


async def test_reload_is_accepted_if_the_files_can_be_used(api: Served) -> None:
    """Else everything goes on as it was, and the client reads what is wrong."""
    async with api.session.post("/api/v1/daemon/reload", headers=JSON) as response:
        assert response.status == 202
    assert api.house.reloads == ["requested by the API"]
    api.house.files = BAD
    told = await api.problem("POST", "/api/v1/daemon/reload")
    assert (told.status, told.code, told.problems) == (422, "bad_config", [TOLD])
    assert api.house.reloads == ["requested by the API"]


@pytest.mark.parametrize("path", CHANGING)
async def test_files_that_cannot_be_used_change_nothing(api: Served, path: str) -> None:
    """All problems at once, with their places."""
    api.house.files = BAD
    told = await api.problem("POST", path, body=b"{}")
    assert (told.status, told.code, told.problems) == (422, "bad_config", [TOLD])
    assert told.detail == "the configuration has 1 problem; nothing changed"
    assert api.house.room.supervisor.generation == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *((path, b"{}") for path in CHANGING),
        ("/api/v1/config/groups/add", b'{"groups": ["web"]}'),
        ("/api/v1/config/groups/remove", b'{"groups": ["web"]}'),
    ],
)
async def test_during_a_shutdown_no_configuration_is_taken_over(
    api: Served, path: str, body: bytes
) -> None:
    """It would never be carried out."""
    await api.post("/api/v1/daemon/shutdown", dict)
    told = await api.problem("POST", path, body=body)
    assert (told.status, told.code) == (409, "shutting_down")


async def test_rereading_shows_what_would_change(serve: Serve) -> None:
    """By process and group; nothing is touched, and the difference stays to be asked for."""
    api = await serve(sleeper("web"), sleeper("old"))
    warning = Problem(Place("opsvisor.toml", 9), "odd")
    found = loaded(sleeper("web", umask=1), sleeper("new"))
    api.house.files = type(found)(
        plan=found.plan,
        settings=DaemonSettings(identifier="other"),
        files=("a.toml", "b.toml"),
        warnings=(warning,),
    )
    expected = wire.ConfigDiff(
        added=["new"],
        changed=[
            wire.ConfigChange(
                name="web",
                fields=["umask"],
                restart=True,
                values=[wire.ChangedValue(name="umask", old="", new='"0001"')],
            )
        ],
        removed=["old"],
        groups_added=["new"],
        groups_changed=["web"],
        groups_removed=["old"],
        daemon_changed=["identifier"],
        warnings=[wire.ConfigProblem(file="opsvisor.toml", line=9, what="odd", hint="")],
    )
    assert await api.post("/api/v1/config/reread", wire.ConfigDiff) == expected
    assert await api.get("/api/v1/config/diff", wire.ConfigDiff) == expected
    assert api.house.room.supervisor.generation == 1
    available = await api.get("/api/v1/config/available", wire.AvailableList)
    assert [(p.name, p.in_use, p.autostart) for p in available.processes] == [
        ("new", False, True),
        ("web", True, True),
    ]


async def test_applying_takes_over_the_files(serve: Serve) -> None:
    """One result for each process that was restarted or removed."""
    api = await serve(sleeper("web"), sleeper("old"))
    api.house.files = loaded(sleeper("web", umask=1), sleeper("new"))
    told = await api.post("/api/v1/config/apply", wire.ApplyResponse, wire.ApplyRequest())
    assert told.generation == 2
    assert (told.diff.added, told.diff.removed) == (["new"], ["old"])
    assert [(r.name, r.result) for r in told.results] == [("web", "ok"), ("old", "ok")]
    await api.house.room.state(PublicState.RUNNING, "new")


async def test_some_groups_can_be_applied_and_rereading_left_out(serve: Serve) -> None:
    """What was seen by the last reread, not what the files say by now."""
    api = await serve(sleeper("web"), sleeper("old"))
    api.house.files = loaded(sleeper("web"), sleeper("old"), sleeper("new"))
    await api.post("/api/v1/config/reread", wire.ConfigDiff)
    api.house.files = loaded()
    request = wire.ApplyRequest(groups=["new"], reread=False)
    told = await api.post("/api/v1/config/apply", wire.ApplyResponse, request)
    assert (told.diff.added, told.diff.removed) == (["new"], [])
    body = b'{"groups": ["none"]}'
    problem = await api.problem("POST", "/api/v1/config/apply", body=body)
    assert (problem.status, problem.code) == (404, "no_such_group")


async def test_groups_are_added_and_removed_one_by_one(serve: Serve) -> None:
    """As Supervisor's add and remove have it."""
    api = await serve(sleeper("web"), sleeper("off", startup=Startup.DISABLED))
    api.house.files = loaded(sleeper("web"), program("new", "sleep", "1000"))
    await api.post("/api/v1/config/reread", wire.ConfigDiff)
    request = wire.GroupRequest(groups=["new", "web", "none"])
    told = await api.post("/api/v1/config/groups/add", wire.GroupResponse, request)
    assert [r.result for r in told.results] == ["ok", "already_added", "no_such_group"]
    request = wire.GroupRequest(groups=["off", "web", "none"])
    told = await api.post("/api/v1/config/groups/remove", wire.GroupResponse, request)
    assert [r.result for r in told.results] == ["ok", "still_running", "no_such_group"]
    await api.house.room.next(ProcessRemoved, id=key("off"))


# -- metrics --------------------------------------------------------------------------------------

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", OPENMETRICS),
    ],
)
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_metrics_come_as_the_scraper_wants_them(
    api: Served, accept: str, content_type: str, encoding: str
) -> None:
    """In either format, compressed or not, readable by the client library's own parser."""
    headers = {"Accept": accept, "Accept-Encoding": encoding}
    async with api.session.get("/metrics", headers=headers) as response:
        assert response.headers["Content-Type"] == content_type
        assert response.headers.get("Content-Encoding", "identity") == encoding
        body = await response.read()
    text = (gzip.decompress(body) if encoding == "gzip" else body).decode()
    parse = parse_openmetrics if content_type == OPENMETRICS else parse_text
    names = {family.name for family in parse(text)}
    assert "opsvisor_process_state" in names


@pytest.mark.parametrize(
    ("wanted", "encoding"),
    [
        ("gzip;q=0", None),
        ("gzip; q=0.0, identity", None),
        ("x-gzip-like", None),
        ("gzip;q=0.5, identity;q=1", None),
        ("gzip;q=nonsense", None),
        ("gzip;level=9", None),
        ("*;q=0", None),
        ("", None),
        ("deflate, GZIP;q=0.3", "gzip"),
        ("gzip;q=1.0, identity;q=0.5, *;q=0", "gzip"),
        ("br, *", "gzip"),
    ],
)
async def test_metrics_are_compressed_for_those_who_want_it(
    api: Served, wanted: str, encoding: str | None
) -> None:
    """By weight, as RFC 9110 has it; what can't be understood is not taken for a wish."""
    headers = {"Accept-Encoding": wanted}
    async with api.session.get("/metrics", headers=headers) as response:
        assert response.headers.get("Content-Encoding") == encoding


async def test_requests_show_in_the_metrics_by_route(api: Served) -> None:
    """By the template, whoever was asked for."""
    (await api.session.get("/api/v1/processes/none")).release()
    (await api.session.get("/nowhere/at/all")).release()
    async with api.session.get("/metrics", headers={"Accept-Encoding": "identity"}) as response:
        text = await response.text()
    labels = {
        (sample.labels["handler"], sample.labels["code"])
        for family in parse_text(text)
        for sample in family.samples
        if sample.name == "opsvisor_http_requests_total"
    }
    assert labels == {("/api/v1/processes/{name}", "404"), ("unmatched", "404")}
