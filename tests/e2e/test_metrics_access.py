"""Who may read the metrics, and where: a listener of its own, and an identity for nothing else."""

import base64
import http.client
import json
import signal
import socket
from collections.abc import Mapping

from commands import run_program
from daemon import Daemon, StartDaemon
from home import Dialect, Home, Programs
from http_requests import Answer, free_port, request
from real_supervisord import supervisord

PROGRAM = "[program.test]\ncommand = '$VICTIM'\n"
JSON = {"Content-Type": "application/json"}


def ask(
    port: int, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Answer:
    """A request over TCP."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    return request(connection, path, method=method, headers=headers)


def basic(username: str, password: str) -> dict[str, str]:
    """The header of these credentials."""
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


def guarded(start_daemon: StartDaemon, home: Home, api: int, metrics: int) -> Daemon:
    """A daemon with both listeners, one identity for Prometheus and one for somebody on duty."""
    (home.directory / "prometheus.token").write_text("scrape-me\n")
    return start_daemon(
        PROGRAM,
        main=f"""
            http = "127.0.0.1:{api}"
            [metrics]
            listen = "127.0.0.1:{metrics}"
            [identity.prometheus]
            access = "metrics"
            token_file = "prometheus.token"
            [identity.duty]
            access = "operate"
            password = "s3cret"
            """,
    )


def test_a_listener_for_metrics_serves_nothing_else(start_daemon: StartDaemon) -> None:
    """On loopback it asks for nothing; the daemon's log says where it is."""
    port = free_port()
    daemon = start_daemon(PROGRAM, main=f'[metrics]\nlisten = "127.0.0.1:{port}"')
    daemon.until("test", "RUNNING")
    told = ask(port, "/metrics")
    assert told.status == 200
    assert 'opsvisor_process_up{group="test",process="test"} 1' in told.text
    for path in ("/healthz", "/readyz"):
        assert ask(port, path).text == "ok\n"
    for path in ("/", "/api/v1/processes", "/api/v1/daemon", "/RPC2", "/api/v1/events"):
        answer = ask(port, path)
        assert (answer.status, json.loads(answer.text)["code"]) == (404, "not_found")
    assert ask(port, "/api/v1/daemon/shutdown", method="POST", headers=JSON).status == 404
    assert f"metrics at http://127.0.0.1:{port}/metrics" in daemon.log
    assert daemon.status("test").state == "RUNNING"


def test_prometheus_can_scrape_and_nothing_else(start_daemon: StartDaemon, home: Home) -> None:
    """Its identity opens the metrics on both listeners, and no list of processes on either."""
    api, metrics = free_port(), free_port()
    daemon = guarded(start_daemon, home, api, metrics)
    prometheus = bearer("scrape-me")
    for port in (api, metrics):
        assert ask(port, "/metrics").status == 401
        assert ask(port, "/metrics", headers=bearer("wrong")).status == 401
        assert ask(port, "/metrics", headers=prometheus).status == 200
    for method, path in (
        ("GET", "/api/v1/processes"),
        ("GET", "/api/v1/processes/test/logs/stdout"),
        ("POST", "/api/v1/actions"),
        ("POST", "/api/v1/daemon/shutdown"),
    ):
        refused = ask(api, path, method=method, headers={**JSON, **prometheus})
        assert refused.status == 403
        problem = json.loads(refused.text)
        assert problem["code"] == "forbidden"
        assert "'prometheus' has 'metrics'" in problem["detail"]
        assert '"test"' not in refused.text
    # Who owns the socket goes on as before.
    assert daemon.ctl("status").out.startswith("test ")
    assert "scrape-me" not in daemon.log
    assert "s3cret" not in daemon.log
    assert (
        'code="403",handler="/api/v1/processes"' in ask(api, "/metrics", headers=prometheus).text
    )


def test_who_operates_can_restart_and_not_reconfigure(
    start_daemon: StartDaemon, home: Home
) -> None:
    """Opsvisorctl says what it takes, where that isn't enough."""
    api = free_port()
    daemon = guarded(start_daemon, home, api, free_port())
    url = f"http://127.0.0.1:{api}"
    login = ("opsvisorctl", "-s", url, "-u", "duty", "-p", "s3cret")
    daemon.until("test", "RUNNING")
    assert daemon.run(*login, "restart", "test").out == "test: stopped\ntest: started\n"
    refused = daemon.run(*login, "reread")
    assert refused.status == 1
    assert "this needs the access 'admin', and 'duty' has 'operate'" in refused.out
    assert 'access = "admin" in [identity.duty]' in refused.err
    assert daemon.run(*login, "shutdown").status == 1
    assert daemon.status("test").state == "RUNNING"


def test_a_token_is_changed_without_ending_anything(start_daemon: StartDaemon, home: Home) -> None:
    """The file is what counts, from one scrape to the next."""
    metrics = free_port()
    daemon = guarded(start_daemon, home, free_port(), metrics)
    pid = daemon.until("test", "RUNNING").pid
    token = home.directory / "prometheus.token"
    assert ask(metrics, "/metrics", headers=bearer("scrape-me")).status == 200
    token.write_text("another-one\n")
    assert ask(metrics, "/metrics", headers=bearer("scrape-me")).status == 401
    assert ask(metrics, "/metrics", headers=bearer("another-one")).status == 200
    token.unlink()
    assert ask(metrics, "/metrics", headers=bearer("another-one")).status == 401
    daemon.until_logged("identity 'prometheus' can't come in: token_file can't be read")
    assert daemon.status("test").pid == pid
    assert "another-one" not in daemon.log


def test_the_listener_comes_and_goes_with_a_reload(start_daemon: StartDaemon, home: Home) -> None:
    """One that can't be had keeps everything as it was."""
    port, taken = free_port(), free_port()
    daemon = start_daemon(PROGRAM, main=f'http = "127.0.0.1:{taken}"')
    written = home.config.read_text()
    home.config.write_text(f'{written}\n[metrics]\nlisten = "127.0.0.1:{port}"\n')
    began = daemon.client.daemon().started_at
    daemon.client.reload()
    daemon.until_begun_anew(after=began)
    assert ask(port, "/metrics").status == 200
    assert ask(taken, "/metrics").status == 200
    home.config.write_text(f'{written}\n[metrics]\nlisten = "127.0.0.1:{port}"\ncollectors = 1\n')
    refused = daemon.ctl("reload")
    assert "metrics: collectors = 1: expected an array of names" in refused.out + refused.err
    assert ask(port, "/metrics").status == 200


def test_a_reload_that_is_refused_is_a_failed_one(start_daemon: StartDaemon, home: Home) -> None:
    """After SIGHUP nobody sees an error: what could not begin anew must be told to Prometheus."""
    daemon = start_daemon(PROGRAM)
    pid = daemon.until("test", "RUNNING").pid
    written = home.config.read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home.config.write_text(f'{written}\n[metrics]\nlisten = "127.0.0.1:{port}"\n')
        daemon.signal(signal.SIGHUP)
        daemon.until_logged("the configuration can't be used; everything goes on as it was")
        assert daemon.metric("opsvisor_config_last_reload_successful") == 0
        assert daemon.metric("opsvisor_config_reloads_total") == 2
        assert daemon.metric("opsvisor_config_reload_failures_total") == 1
        said = daemon.client.daemon()
        assert not said.last_reload_ok
        (problem,) = said.last_reload_problems
        assert f"cannot listen on http://127.0.0.1:{port}: " in problem.what
        assert daemon.log.count("Address already in use") == 1
        assert daemon.status("test").pid == pid
    home.config.write_text(written)
    assert daemon.ctl("reread").status == 0
    assert daemon.metric("opsvisor_config_last_reload_successful") == 1


def test_open_metrics_must_be_meant(home: Home) -> None:
    """Beyond this machine nothing is told for nothing, unless the file says so by name."""
    home.write(Programs(PROGRAM), main='[metrics]\nlisten = ":9002"')
    refused = run_program("opsvisord", "-c", str(home.config), directory=home.directory)
    assert refused.status == 2
    assert "would let anybody on the network read the metrics" in refused.err
    assert "[identity.prometheus]" in refused.err


SUPERVISORS_FILE = """
    [opsvisor:metrics]
    listen = 127.0.0.1:{port}
    compat = node_supervisord
    [opsvisor:identity:prometheus]
    access = metrics
    token = scrape-me
    """


def test_one_file_serves_supervisord_and_opsvisord(start_daemon: StartDaemon, home: Home) -> None:
    """The real supervisord passes over what is said to us; we listen, and ask who it is."""
    port = free_port()
    program = Programs("[program:test]\ncommand = $VICTIM\n", Dialect.INI)
    main = SUPERVISORS_FILE.format(port=port)
    home.write(program, main=main)
    with supervisord(home):
        told = run_program(
            "supervisorctl", "-c", str(home.config), "status", directory=home.directory
        )
        assert told.out.startswith("test ")
    assert "opsvisor" not in home.output.read_text()
    start_daemon(program, main=main)
    assert ask(port, "/metrics").status == 401
    answer = ask(port, "/metrics", headers=bearer("scrape-me"))
    assert answer.status == 200
    assert "node_supervisord_up" in answer.text
    assert ask(port, "/RPC2", method="POST", headers=bearer("scrape-me")).status == 404
