"""Where Prometheus is sent, by whoever asks from wherever."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from engine_room import sleeper
from served import Serve, Served, unix_server

from opsvisor import wire
from opsvisor.config.settings import (
    Credentials,
    DaemonSettings,
    MetricsSettings,
    Offer,
    TcpServer,
    UnixServer,
)

ANY = TcpServer(name="http", host="127.0.0.1", port=0, allow_anonymous=True)
GUARDED = TcpServer(
    name="http",
    host="127.0.0.1",
    port=0,
    credentials=Credentials(username="ops", password="secret"),
)
LOGIN = {"Authorization": "Basic b3BzOnNlY3JldA=="}


def listening_at(host: str, port: int = 9002) -> DaemonSettings:
    """Settings with a listener for metrics there."""
    server = TcpServer(name="metrics", host=host, port=port, offers=Offer.METRICS)
    return DaemonSettings(identifier="shop", metrics=MetricsSettings(server=server))


async def found(api: Served, **headers: str) -> list[wire.TargetGroup]:
    """The targets that are told to who sends these headers; `_` stands for `-`."""
    named: Mapping[str, str] = {name.replace("_", "-"): text for name, text in headers.items()}
    async with api.session.get("/api/v1/sd", headers={**LOGIN, **named}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        return [
            wire.TargetGroup(targets=one["targets"], labels=one["labels"])
            for one in await response.json()
        ]


async def target(api: Served, **headers: str) -> str:
    """The one target."""
    (group,) = await found(api, **headers)
    (one,) = group.targets
    return one


async def test_it_tells_where_and_who(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few labels: what tells one daemon of a fleet from another."""
    monkeypatch.setattr("platform.node", lambda: "web1")
    settings = DaemonSettings(identifier="shop")
    api = await serve(sleeper(), server=ANY, settings=settings)
    assert await found(api) == [
        wire.TargetGroup(
            targets=[f"127.0.0.1:{api.port}"],
            labels={
                "__meta_opsvisor_identifier": "shop",
                "__meta_opsvisor_host": "web1",
                "__meta_opsvisor_version": "1.2.3",
            },
        )
    ]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("db1.example:9001", "db1.example:9001"),
        ("10.0.0.7:9001", "10.0.0.7:9001"),
        ("[fd00::7]:9001", "[fd00::7]:9001"),
        ("db1.example", "db1.example:80"),
        ("[::1]", "[::1]:80"),
    ],
)
async def test_who_asks_is_sent_where_they_asked(serve: Serve, host: str, expected: str) -> None:
    """On all interfaces we can't know our address; whoever came by one can."""
    api = await serve(sleeper(), server=GUARDED)
    assert await target(api, Host=host) == expected


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "evil/path",
        "x:123456",
        "x:99999",
        "x:0",
        "x:\u0663",
        '"',
        "[::1",
        "[:::]",
        "a" * 300,
    ],
)
async def test_what_is_no_place_is_not_passed_on(serve: Serve, host: str) -> None:
    """The address that the connection came in by is left then."""
    api = await serve(sleeper(), server=GUARDED)
    assert await target(api, Host=host) == f"127.0.0.1:{api.port}"
    assert await target(api, X_Forwarded_Host=host) == f"127.0.0.1:{api.port}"


@pytest.mark.parametrize(
    ("headers", "expected", "scheme"),
    [
        ({"X_Forwarded_Host": "ops.example"}, "ops.example:80", None),
        (
            {"X_Forwarded_Host": "ops.example", "X_Forwarded_Proto": "https"},
            "ops.example:443",
            "https",
        ),
        (
            {"X_Forwarded_Host": "a.example:8443, b.local", "X_Forwarded_Proto": "https,http"},
            "a.example:8443",
            "https",
        ),
        ({"X_Forwarded_Host": "a.example", "X_Forwarded_Proto": "gopher"}, "a.example:80", None),
    ],
)
async def test_behind_a_proxy_it_is_the_proxys_address(
    serve: Serve, headers: dict[str, str], expected: str, scheme: str | None
) -> None:
    """Also where there is a listener for metrics: nobody has said that it can be reached."""
    api = await serve(sleeper(), server=GUARDED, settings=listening_at(""))
    (group,) = await found(api, **headers)
    assert group.targets == [expected]
    assert group.labels.get("__scheme__") == scheme


@pytest.mark.parametrize(
    ("listens_at", "asked_at", "expected"),
    [
        ("", "db1.example:9001", "db1.example:9002"),
        ("0.0.0.0", "10.0.0.7:9001", "10.0.0.7:9002"),
        ("::", "[fd00::7]:9001", "[fd00::7]:9002"),
        ("10.0.0.7", "db1.example:9001", "10.0.0.7:9002"),
        ("metrics.example", "db1.example:9001", "metrics.example:9002"),
        ("127.0.0.1", "127.0.0.1:9001", "127.0.0.1:9002"),
        ("127.0.0.1", "localhost:9001", "127.0.0.1:9002"),
        ("127.0.0.1", "db1.example:9001", "db1.example:9001"),  # out of reach from there
    ],
)
async def test_a_listener_for_metrics_is_named_where_it_can_be_reached(
    serve: Serve, listens_at: str, asked_at: str, expected: str
) -> None:
    """One target in any case: the same numbers twice would help nobody."""
    api = await serve(sleeper(), server=GUARDED, settings=listening_at(listens_at))
    assert await target(api, Host=asked_at) == expected


async def test_on_a_unix_socket_it_tells_where_it_is_on_tcp(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For whoever writes a file_sd from it; nothing if it is nowhere."""
    monkeypatch.setattr("platform.node", lambda: "web1")
    listens = (UnixServer(name="unix", path="/s"), TcpServer(name="http", host="", port=9001))
    for number, (settings, expected) in enumerate(
        (
            (DaemonSettings(), []),
            (DaemonSettings(servers=listens), ["web1:9001"]),
            (listening_at("127.0.0.1"), ["127.0.0.1:9002"]),
            (listening_at("127.0.0.1", port=0), []),  # nobody can know which it became
            (listening_at("::1"), ["[::1]:9002"]),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        api = await serve(sleeper(), server=unix_server(folder), settings=settings)
        assert [one for group in await found(api) for one in group.targets] == expected
