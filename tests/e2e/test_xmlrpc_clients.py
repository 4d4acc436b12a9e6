"""Clients of Supervisor's XML-RPC as they are in the wild, on the sockets of a real daemon."""

import http.client
import os
import signal
import threading
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import run_program
from daemon import Daemon, StartDaemon, eventually
from home import Dialect, Programs
from http_requests import UnixHttp, free_port, request
from supervisor import childutils  # type: ignore[import-untyped]  # comes without annotations
from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]  # as above

PROGRAMS = Programs(
    """\
    [program:web]
    command = $VICTIM
    startsecs = 0
    environment = SEEN="here"

    [program:slow]
    command = $VICTIM
    startsecs = 3
    autostart = false
    """,
    Dialect.INI,
)
INET = """
[inet_http_server]
port = 127.0.0.1:{port}
{more}
"""
PASSWORD = "username = ops\npassword = {SHA}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4"  # secret


@pytest.fixture
def port() -> int:
    """Where the daemon listens besides its unix socket."""
    return free_port()


@pytest.fixture
def daemon(start_daemon: StartDaemon, port: int) -> Daemon:
    """A daemon without a password, on both kinds of sockets."""
    running = start_daemon(PROGRAMS, main=INET.format(port=port, more=""))
    running.until("web", "RUNNING")
    return running


@pytest.fixture
def guarded(start_daemon: StartDaemon, port: int) -> Daemon:
    """One with a password for TCP."""
    return start_daemon(PROGRAMS, main=INET.format(port=port, more=PASSWORD))


def unix_proxy(path: Path) -> xmlrpc.client.ServerProxy:
    """Supervisor's own way to its unix socket; Datadog's agent has taken it over."""
    transport = SupervisorTransport(None, None, f"unix://{path}")
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)


@pytest.fixture(params=["tcp", "unix"])
def proxy(
    request: pytest.FixtureRequest, daemon: Daemon, port: int
) -> Iterator[xmlrpc.client.ServerProxy]:
    """A client of the standard library, over either socket."""
    if request.param == "tcp":
        one = xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}/RPC2")
    else:
        one = unix_proxy(daemon.home.socket)
    with one:
        yield one


def test_a_day_of_a_client(daemon: Daemon, proxy: xmlrpc.client.ServerProxy) -> None:
    """It looks around, stops, starts, reads what was printed, and meets a fault."""
    rpc: Any = proxy.supervisor
    assert rpc.getState() == {"statecode": 1, "statename": "RUNNING"}
    assert rpc.getPID() == daemon.pid
    assert [one["name"] for one in rpc.getAllProcessInfo()] == ["slow", "web"]
    assert rpc.stopProcess("web") is True
    assert rpc.getProcessInfo("web")["statename"] == "STOPPED"
    assert rpc.startProcess("web") is True
    rpc.sendProcessStdin("web", "say größer\n")
    daemon.until_says("web", "größer")
    assert rpc.tailProcessStdoutLog("web", 0, 100)[0].endswith("größer\n")
    with pytest.raises(xmlrpc.client.Fault, match="BAD_NAME: nobody") as caught:
        rpc.stopProcess("nobody")
    assert caught.value.faultCode == 10
    system: Any = proxy.system
    assert "supervisor.getState" in system.listMethods()


def test_who_waits_holds_up_nobody(daemon: Daemon) -> None:
    """A slow start is asked for on one connection while others are answered."""
    answers: list[object] = []

    def start() -> None:
        with unix_proxy(daemon.home.socket) as proxy:
            answers.append(proxy.supervisor.startProcess("slow"))

    waiting = threading.Thread(target=start)
    waiting.start()
    daemon.until("slow", "STARTING")
    with unix_proxy(daemon.home.socket) as proxy:
        other: Any = proxy.supervisor
        assert other.getProcessInfo("slow")["statename"] == "STARTING"
    assert answers == []
    waiting.join(20)
    assert answers == [True]


def test_a_stop_of_the_daemon_answers_who_waits(daemon: Daemon) -> None:
    """A start that is called off by it is told so, on a connection that is in order."""
    faults: list[xmlrpc.client.Fault] = []

    def start() -> None:
        with unix_proxy(daemon.home.socket) as proxy, pytest.raises(xmlrpc.client.Fault) as met:
            proxy.supervisor.startProcess("slow")
        faults.append(met.value)

    waiting = threading.Thread(target=start)
    waiting.start()
    daemon.until("slow", "STARTING")
    daemon.signal(signal.SIGTERM)
    waiting.join(20)
    assert [(fault.faultCode, fault.faultString) for fault in faults] == [
        (40, "ABNORMAL_TERMINATION: slow")
    ]
    assert daemon.wait() == 0


def test_with_a_password(guarded: Daemon, port: int) -> None:
    """In the URL, as xmlrpc.client takes it; without it, 401."""
    with xmlrpc.client.ServerProxy(f"http://ops:secret@127.0.0.1:{port}/RPC2") as good:
        assert good.supervisor.getVersion() == "3.0"
    with (
        xmlrpc.client.ServerProxy(f"http://ops:wrong@127.0.0.1:{port}/RPC2") as bad,
        pytest.raises(xmlrpc.client.ProtocolError) as caught,
    ):
        bad.supervisor.getVersion()
    assert caught.value.errcode == 401
    words = ("-s", f"http://127.0.0.1:{port}", "-u", "ops", "-p", "secret", "pid")
    ran = run_program("supervisorctl", *words, directory=guarded.home.directory)
    assert (ran.status, ran.out) == (0, f"{guarded.pid}\n")
    ran = run_program("supervisorctl", *words[:2], "pid", directory=guarded.home.directory)
    assert (ran.status, ran.out.splitlines()[0]) == (1, "Server requires authentication")


def test_telegraf(daemon: Daemon, port: int) -> None:
    """A client in Go: its requests as they are on the wire, three on one connection."""
    wire = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Content-Type": "text/xml", "User-Agent": "Go-http-client/1.1"}
    answers = []
    for method in ("getAllProcessInfo", "getState", "getIdentification"):
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><methodCall>'
            f"<methodName>supervisor.{method}</methodName></methodCall>"
        )
        wire.request("POST", "/RPC2", body, headers)
        response = wire.getresponse()
        assert response.status == 200
        ((value,), _) = xmlrpc.client.loads(response.read())
        answers.append(value)
    wire.close()
    processes, state, identification = answers
    assert isinstance(processes, list)
    assert {"name", "group", "pid", "exitstatus", "start", "state"} <= processes[0].keys()
    assert (state, identification) == ({"statecode": 1, "statename": "RUNNING"}, "supervisor")
    assert daemon.status("web").pid in {one["pid"] for one in processes}


def test_datadog(daemon: Daemon) -> None:
    """It reckons with these members of the struct, and with BAD_NAME for what is gone."""
    with unix_proxy(daemon.home.socket) as proxy:
        rpc: Any = proxy.supervisor
        info = rpc.getProcessInfo("web")
        assert info["now"] >= info["start"] > 0
        assert info["statename"] in ("RUNNING", "STARTING")
        assert rpc.getSupervisorVersion() == "4.3.0"
        with pytest.raises(xmlrpc.client.Fault) as caught:
            rpc.getProcessInfo("gone")
    assert caught.value.faultCode == 10


def test_a_script_of_supervisors_own_library(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What listeners call us by: the address in their environment."""
    pid = daemon.status("web").pid
    # Its exec may still be going on.
    environ = eventually(Path(f"/proc/{pid}/environ").read_bytes).decode().split("\0")
    for name, _, value in (entry.partition("=") for entry in environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.setenv(name, value)
    with childutils.getRPCInterface(os.environ) as rpc:
        assert rpc.supervisor.getProcessInfo("web")["pid"] == pid


def test_a_page_of_somebody_else_gets_nothing_done(daemon: Daemon, port: int) -> None:
    """It may post XML to us from the browser of an operator."""
    body = xmlrpc.client.dumps((), "supervisor.shutdown")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Content-Type": "text/plain", "Origin": "http://evil.example"}
    answer = request(connection, "/RPC2", method="POST", headers=headers, body=body)
    assert answer.status == 403
    assert daemon.status("web").state == "RUNNING"
    assert request(UnixHttp(daemon.home.socket), "/ok.html").text == "OK"


def test_none_of_it_is_there_unless_wanted(start_daemon: StartDaemon) -> None:
    """opsvisor.toml has to ask for it."""
    daemon = start_daemon("[program.web]\ncommand = '$VICTIM'\n")
    for path in ("/RPC2", "/logtail/web", "/ok.html"):
        assert daemon.http(path).status == 404


def test_our_own_files_can_have_it(start_daemon: StartDaemon) -> None:
    """With logs that are in memory only."""
    daemon = start_daemon(
        "[program.web]\ncommand = '$VICTIM \"say hello\"'\n", main="supervisor_interfaces = true\n"
    )
    daemon.until_says("web", "hello")
    with unix_proxy(daemon.home.socket) as proxy:
        rpc: Any = proxy.supervisor
        assert rpc.readProcessStdoutLog("web", 0, 0) == "hello\n"
        assert rpc.getAllConfigInfo()[0]["stdout_logfile"] == "none"
