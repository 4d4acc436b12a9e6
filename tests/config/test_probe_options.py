"""[program.X.startup_probe] and its two siblings."""

from pathlib import Path

import pytest
import tomli
from config_files import Complaints, Load

from opsvisor.config import network_kinds
from opsvisor.config.load import native
from opsvisor.core.probes import ExecProbe, HttpProbe, ProbeHandler, ProbeKind, ProbeSpec, TcpProbe
from opsvisor.core.spec import ProcessSpec

URL = "http://127.0.0.1:8080/ready"


def only(load: Load, lines: str) -> ProcessSpec:
    """The one process of a [program.web] with these lines."""
    (spec,) = load(f"[program.web]\ncommand = 'x'\n{lines}").plan.specs().values()
    return spec


@pytest.mark.parametrize(
    ("written", "handler"),
    [
        (f"http = '{URL}'", HttpProbe(url=URL)),
        (
            f"http = {{ url = '{URL}', status = 204 }}",
            HttpProbe(url=URL, statuses=frozenset({204})),
        ),
        (
            f"http = {{ url = '{URL}', status = [200, 404], headers = {{ B = '2', A = '1' }} }}",
            HttpProbe(url=URL, statuses=frozenset({200, 404}), headers=(("A", "1"), ("B", "2"))),
        ),
        ("http = 'https://example.org'", HttpProbe(url="https://example.org")),
        ("http = 'http://[::1]:80/?a=b'", HttpProbe(url="http://[::1]:80/?a=b")),
        ("tcp = 5432", TcpProbe(host="127.0.0.1", port=5432)),
        ("tcp = '5432'", TcpProbe(host="127.0.0.1", port=5432)),
        ("tcp = 'db:5432'", TcpProbe(host="db", port=5432)),
        ("tcp = ':5432'", TcpProbe(host="127.0.0.1", port=5432)),
        ("tcp = '[::1]:5432'", TcpProbe(host="::1", port=5432)),
        ("tcp = { port = 5432 }", TcpProbe(host="127.0.0.1", port=5432)),
        ("tcp = { port = '54{replica}2', host = '::1' }", TcpProbe(host="::1", port=5402)),
        ("exec = ['check', '{process}']", ExecProbe(argv=("check", "web"))),
        ("exec = 'check --all'", ExecProbe(argv=("check", "--all"))),
    ],
)
def test_what_is_asked(written: str, handler: ProbeHandler, load: Load) -> None:
    """Short and long forms, with names in braces; the times are Kubernetes' defaults."""
    spec = only(load, f"[program.web.readiness_probe]\n{written}")
    assert spec.readiness_probe == ProbeSpec(
        handler=handler,
        initial_delay=0.0,
        period=10.0,
        timeout=1.0,
        success_threshold=1,
        failure_threshold=3,
    )
    assert spec.startup_probe is spec.liveness_probe is None


def test_all_three_with_their_times(load: Load) -> None:
    """Each is a probe of its own; a timeout may be longer than the period."""
    times = (
        "initial_delay = '5s'\nperiod = '2s'\ntimeout = '3s'\n"
        "success_threshold = 2\nfailure_threshold = 30\n"
    )
    tables = "".join(
        f"[program.web.{kind.value}_probe]\ntcp = {port}\n{times}"
        for port, kind in enumerate(ProbeKind, start=1)
    )
    spec = only(load, tables)
    assert [spec.probe(kind) for kind in ProbeKind] == [
        ProbeSpec(
            handler=TcpProbe(host="127.0.0.1", port=port),
            initial_delay=5.0,
            period=2.0,
            timeout=3.0,
            success_threshold=2,
            failure_threshold=30,
        )
        for port in (1, 2, 3)
    ]


def test_replicas_are_asked_each_at_its_own(load: Load) -> None:
    """The colon of a form in braces is none of an address."""
    text = "[program.web]\ncommand = 'x'\nreplicas = 2\nliveness_probe.tcp = '80{replica:02}'"
    handlers = [
        s.liveness_probe.handler for s in load(text).plan.specs().values() if s.liveness_probe
    ]
    assert handlers == [TcpProbe(host="127.0.0.1", port=port) for port in (8000, 8001)]


def test_secrets_may_come_from_the_environment(tmp_path: Path) -> None:
    """A token need not stand in the file, and is not printed with the spec."""
    path = tmp_path / "opsvisor.toml"
    path.write_text(
        f"[program.web]\ncommand = 'x'\n[program.web.readiness_probe.http]\nurl = '{URL}'\n"
        "headers = { Authorization = 'Bearer ${TOKEN}' }\n"
    )
    (spec,) = native(path, {"TOKEN": "hush"}).plan.specs().values()
    assert spec.readiness_probe is not None
    handler = spec.readiness_probe.handler
    assert isinstance(handler, HttpProbe)
    assert handler.headers == (("Authorization", "Bearer hush"),)
    assert "hush" not in repr(spec)


ONE_OF = 'a probe has exactly one of exec, http and tcp: http = "http://127.0.0.1:8080/"'
URLS = 'it looks like "http://127.0.0.1:8080/healthz"'
ENDPOINTS = 'write 8080, "db:5432", "[::1]:5432" or { port = 5432, host = "db" }'


@pytest.mark.parametrize(
    ("lines", "what", "hint"),
    [
        ("period = '5s'", " asks nothing", ONE_OF),
        (f"http = '{URL}'\ntcp = 80", " asks in 2 ways at once: http, tcp", ONE_OF),
        (
            "http = { status = 200 }",
            ".http.url is missing",
            f'for example http = "{URL[:21]}/healthz"',
        ),
        ("http = 'ftp://x/'", ".http.url = 'ftp://x/' is no URL of http or https", URLS),
        ("http = 'http:///x'", ".http.url = 'http:///x' names no host and port to ask", URLS),
        ("http = 'http://x:0'", ".http.url = 'http://x:0' names no host and port to ask", URLS),
        (
            "http = 'http://x:99999'",
            ".http.url = 'http://x:99999' is no URL: port out of range 0-65535",
            URLS,
        ),
        (
            "http = 'http://x/a b'",
            ".http.url = 'http://x/a b' holds characters that no URL has",
            "write them as %20 and the like",
        ),
        (
            "http = 'http://me:pw@x/'",
            ".http.url holds a user name, which is not sent",
            'send it along: headers = { Authorization = "Basic ${SECRET}" }',
        ),
        (
            "http = { url = 'http://x', status = 99 }",
            ".http.status[0] = 99 is out of range",
            "it goes from 100 to 599",
        ),
        ("tcp = 0", ".tcp = '0' is not a port from 1 to 65535", ""),
        ("tcp = 'x:'", ".tcp = '' is not a port from 1 to 65535", ""),
        ("tcp = 'x:http'", ".tcp = 'http' is not a port from 1 to 65535", ""),
        ("tcp = ''", ".tcp = '' is empty", ""),
        (
            "tcp = '::1:80'",
            ".tcp = '::1:80' is not an address",
            f"an IPv6 address goes into brackets; {ENDPOINTS}",
        ),
        (
            "tcp = true",
            ".tcp = true: expected a port, a string or a table, got a boolean",
            ENDPOINTS,
        ),
        ("tcp = { host = 'x' }", ".tcp = {host = 'x'} has no port", ENDPOINTS),
        ("tcp = { port = 1, hots = 'x' }", ".tcp.hots = 'x' is unknown here", ENDPOINTS),
        (
            "exec = []",
            ".exec = [] is empty",
            'it starts with the program to execute: "/usr/bin/env"',
        ),
        ("tcp = 1\nperiod = '50ms'", ".period = '50ms' is too short", "it is 100ms or more"),
        (
            "tcp = 1\nfailure_threshold = 0",
            ".failure_threshold = 0 is out of range",
            "it goes from 1 to 10000",
        ),
        ("tcp = '80{replcia}'", ".tcp holds '{replcia}', which means nothing here", None),
    ],
)
def test_what_is_no_probe(lines: str, what: str, hint: str | None, complaints: Complaints) -> None:
    """Where, what, and what to do."""
    said = complaints(f"[program.web]\ncommand = 'x'\n[program.web.liveness_probe]\n{lines}\n")
    problem, _, told_hint = said.partition("program 'web': ")[2].strip().partition("\n    hint: ")
    assert problem == f"liveness_probe{what}"
    if hint is not None:
        assert told_hint == hint


def test_headers_are_never_quoted(complaints: Complaints) -> None:
    """What is wrong with them is told without them: they may be secrets."""
    table = f"[program.web]\ncommand = 'x'\n[program.web.liveness_probe.http]\nurl = '{URL}'\n"
    said = complaints(f'{table}headers = {{ Token = "hu\\nsh" }}')
    assert "headers.Token holds a line break or another control character" in said
    assert "hu" not in said
    said = complaints(f"{table}headers = {{ 'To ken' = 'hush' }}")
    assert "'To ken' can't be the name of a header" in said
    assert "hush" not in said


def test_a_probe_is_a_programs_own(complaints: Complaints) -> None:
    """What would a probe of everything ask?"""
    said = complaints("[defaults.liveness_probe]\ntcp = 1\n")
    assert "defaults: liveness_probe can't be shared by all programs" in said


@pytest.mark.parametrize(
    "written",
    [8080, "db:5432", "[::1]:5432", "web{replica:02}:80{replica:02}", "[fd00::{replica:x}]:80"],
)
def test_an_endpoint_that_is_shown_can_be_written(written: object) -> None:
    """What a sample or a reference shows is no error when somebody copies it."""
    endpoint = network_kinds.ENDPOINT.read(written)
    shown = tomli.loads(f"x = {network_kinds.ENDPOINT.show(endpoint)}")["x"]
    assert network_kinds.ENDPOINT.read(shown) == endpoint
