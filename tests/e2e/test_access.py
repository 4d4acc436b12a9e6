"""Who gets in: credentials, foreign hosts, foreign forms, and addresses that must not be open."""

import base64
import hashlib
import http.client
import os
import stat
from collections.abc import Mapping

import pytest
from commands import run_program
from daemon import Daemon, StartDaemon
from home import Dialect, Home, Programs
from http_requests import Answer, free_port, request

from opsvisor.api.routes import ROUTES

PROGRAM = "[program.test]\ncommand = '$VICTIM'\n"
JSON = {"Content-Type": "application/json"}


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str = "",
) -> Answer:
    """A request over TCP."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    return request(connection, path, method=method, headers=headers, body=body)


def basic(username: str, password: str) -> dict[str, str]:
    """The header of these credentials."""
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def guarded(start_daemon: StartDaemon, dialect: Dialect, port: int) -> Daemon:
    """A daemon whose TCP server asks for a name and a password."""
    if dialect is Dialect.INI:
        return start_daemon(
            Programs("[program:test]\ncommand = $VICTIM\n", dialect),
            main=f"""
                [inet_http_server]
                port = 127.0.0.1:{port}
                username = ops
                password = s3cret
                """,
        )
    login = 'username = "ops", password = "s3cret"'
    return start_daemon(PROGRAM, main=f'http = {{ listen = "127.0.0.1:{port}", {login} }}')


@pytest.mark.parametrize("dialect", Dialect, ids=lambda d: d.value)
def test_password_guards_api_and_metrics(start_daemon: StartDaemon, dialect: Dialect) -> None:
    """Without the right credentials everything but the health checks is 401; with them, open."""
    port = free_port()
    daemon = guarded(start_daemon, dialect, port)
    for path in ("/metrics", "/api/v1/processes", "/no/such/page"):
        refused = ask(port, path)
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")
        assert "test" not in refused.text
        assert ask(port, path, headers=basic("ops", "wrong")).status == 401
        assert ask(port, path, headers=basic("root", "s3cret")).status == 401
    assert ask(port, "/metrics", headers=basic("ops", "s3cret")).text.startswith("# HELP")
    assert ask(port, "/api/v1/processes", headers=basic("ops", "s3cret")).status == 200
    assert ask(port, "/healthz").status == 200
    url = f"http://127.0.0.1:{port}"
    status = daemon.run("opsvisorctl", "-s", url, "-u", "ops", "-p", "s3cret", "status")
    assert status.out.startswith("test ")
    refused_ctl = daemon.run("opsvisorctl", "-s", url, "-u", "ops", "-p", "wrong", "status")
    assert refused_ctl.status != 0
    assert "test " not in refused_ctl.out


def test_hashed_password_is_taken(start_daemon: StartDaemon) -> None:
    """`{SHA}` and the digest stand for the password, and never open the door themselves."""
    port = free_port()
    digest = "{SHA}" + hashlib.sha1(b"s3cret").hexdigest()
    login = f'username = "ops", password = "{digest}"'
    start_daemon(PROGRAM, main=f'http = {{ listen = "127.0.0.1:{port}", {login} }}')
    assert ask(port, "/metrics", headers=basic("ops", "s3cret")).status == 200
    assert ask(port, "/metrics", headers=basic("ops", digest)).status == 401


def test_foreign_host_names_are_misdirected(start_daemon: StartDaemon) -> None:
    """DNS rebinding: without a password only addresses and localhost are answered, else 421."""
    port = free_port()
    start_daemon(PROGRAM, main=f'http.listen = "127.0.0.1:{port}"')
    assert ask(port, "/metrics", headers={"Host": "evil.example"}).status == 421
    assert ask(port, "/api/v1/processes", headers={"Host": f"evil.example:{port}"}).status == 421
    assert ask(port, "/metrics", headers={"Host": f"localhost:{port}"}).status == 200
    assert ask(port, "/metrics", headers={"Host": f"127.0.0.1:{port}"}).status == 200


def test_forms_of_foreign_pages_change_nothing(start_daemon: StartDaemon) -> None:
    """CSRF: no POST is taken that a plain HTML form could have sent, with a body or without."""
    port = free_port()
    daemon = start_daemon(PROGRAM, main=f'http.listen = "127.0.0.1:{port}"')
    changing = [
        (route.method, route.path.format(name="test")) for route in ROUTES if route.method != "GET"
    ]
    assert ("POST", "/api/v1/daemon/shutdown") in changing
    for method, path in changing:
        for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            headers = {"Content-Type": kind} if kind else {}
            refused = ask(port, path, method=method, headers=headers, body='{"names": ["test"]}')
            assert refused.status == 415
            assert "not_json" in refused.text
        assert ask(port, path, method=method).status == 415
    assert daemon.client.daemon().state == "running"
    assert {method for method, _ in changing} == {"POST", "DELETE"}


def test_open_address_without_password_is_refused(home: Home) -> None:
    """0.0.0.0 without credentials does not start: whoever wants that must say so."""
    home.write(Programs(PROGRAM), main=f'http.listen = "0.0.0.0:{free_port()}"')
    refused = run_program("opsvisord", "-c", str(home.config), directory=home.directory)
    assert refused.status == 2
    assert "would let anybody on the network control the programs" in refused.err
    assert f"{home.config}:" in refused.err
    assert not home.socket.exists()


def test_unix_socket_is_for_its_owner_only(start_daemon: StartDaemon, home: Home) -> None:
    """The socket is 0600 and the daemon's own, whatever the umask it was started with."""
    start_daemon(PROGRAM, wrapper=("sh", "-c", 'umask 0; exec "$@"', "sh"))
    found = home.socket.stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_uid == os.geteuid()


def test_unknown_paths_and_methods_are_problems_in_json(start_daemon: StartDaemon) -> None:
    """Whatever goes wrong is told as problem+json with a code."""
    daemon = start_daemon(PROGRAM)
    missing = daemon.http("/no/such/page")
    assert missing.status == 404
    assert missing.headers["Content-Type"].startswith("application/problem+json")
    wrong = daemon.http("/api/v1/actions")
    assert wrong.status == 405
    assert wrong.headers["Allow"] == "POST"
    nobody = daemon.http("/api/v1/processes/nobody")
    assert (nobody.status, "no_such_process" in nobody.text) == (404, True)
    broken = daemon.http("/api/v1/actions", method="POST", headers=JSON, body="{nonsense")
    assert (broken.status, "bad_request" in broken.text) == (400, True)
    huge = daemon.http("/api/v1/actions", method="POST", headers=JSON, body="x" * (2 << 20))
    assert (huge.status, "too_large" in huge.text) == (413, True)
