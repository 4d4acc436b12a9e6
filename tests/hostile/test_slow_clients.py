"""Clients that send or read next to nothing, or go away without a word."""

import os
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack, suppress

import pytest
from daemon import StartDaemon, eventually
from siege import PROGRAMS, Besieged, Way, besieged, drip, is_closed, many, read_answer

WAYS = pytest.mark.parametrize("way", Way, ids=lambda way: way.value)
LISTENERS = {Way.UNIX: "unix", Way.TCP: "http"}
FLOOD = """
[program.web]
command = "$VICTIM"
stdin = "pipe"
min_uptime = "0s"
backoff_delay = "0s"

[program.flood]
command = ["sh", "-c", "while :; do printf '%08000d\\\\n' 1; done"]
log = { rotate_size = "1M", rotate_keep = 1 }
"""


@WAYS
def test_heads_byte_by_byte(start_daemon: StartDaemon, way: Way) -> None:
    """Slow loris: a head that doesn't come in time is 408, and costs nobody anything till then."""
    with besieged(start_daemon) as one, many(one, way, 50) as clients:
        drip(clients, b"GET /metrics HTTP/1.1\r\nX-Padding: ", every=0.02, rounds=20)
        one.check()
        answer = read_answer(clients[-1])
        assert answer is not None
        assert (answer.status, answer.code) == (408, "too_slow")
        eventually(lambda: all(map(is_closed, clients)))
        cuts = one.metric(
            "opsvisor_http_connections_cut_total", LISTENERS[way], reason="slow_request"
        )
        assert cuts >= 40


@WAYS
def test_bodies_byte_by_byte(start_daemon: StartDaemon, way: Way) -> None:
    """The head was whole: its handler is not there yet, and the body has a time as well."""
    head = (
        b"POST /api/v1/actions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )
    with besieged(start_daemon) as one, many(one, way, 50) as clients:
        for client in clients:
            client.sendall(head)
        drip(clients, b'{"names": ["web"', every=0.02, rounds=20)
        one.check()
        answer = read_answer(clients[0])
        assert answer is not None
        assert (answer.status, answer.code) == (408, "too_slow")
        eventually(lambda: all(map(is_closed, clients)))


@WAYS
def test_connections_that_say_nothing(start_daemon: StartDaemon, way: Way) -> None:
    """They are ended after a while, and hundreds that vanish at once leave nothing behind."""
    with besieged(start_daemon) as one, many(one, way, 20) as clients:
        for _ in range(300):
            gone = one.connect(way)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.close()  # a reset, as of a host that went down
        one.check()
        eventually(lambda: all(map(is_closed, clients)))


@WAYS
def test_a_thousand_idle_connections(start_daemon: StartDaemon, way: Way) -> None:
    """Who waits longest makes room: all are served, no more than the limit are held."""
    name = LISTENERS[way]
    with besieged(start_daemon) as one, ExitStack() as stack:
        for number in range(1000):
            client = stack.enter_context(one.connect(way))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = read_answer(client)
            assert answer is not None, number
            assert answer.status == 200
            if number % 250 == 0:
                one.check()
        assert one.metric("opsvisor_http_connections", name) <= 64
        made_room = one.metric("opsvisor_http_connections_cut_total", name, reason="made_room")
        assert made_room >= 900
        assert one.metric("opsvisor_http_connections_refused_total", name) == 0
        assert one.daemon.log.count("to make room") <= 2
        one.check()


@WAYS
def test_a_thousand_silent_connections_at_once(start_daemon: StartDaemon, way: Way) -> None:
    """The same with those that never ask for anything, faster than anybody can look."""
    with besieged(start_daemon) as one, many(one, way, 1000):
        one.check()
        assert one.metric("opsvisor_http_connections", LISTENERS[way]) <= 64


STREAMS = ("/api/v1/events?replay=2000", "/api/v1/processes/flood/logs/stdout/follow?bytes=99999")


@WAYS
def test_streams_that_nobody_reads(start_daemon: StartDaemon, way: Way) -> None:
    """They may be so many, and each is cut off as soon as it has not been read for a while."""
    name = LISTENERS[way]
    with besieged(start_daemon, programs=FLOOD) as one, many(one, way, 60, buffer=4096) as clients:
        for number, client in enumerate(clients):
            path = STREAMS[number % len(STREAMS)]
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        one.check()
        last = read_answer(clients[-1])
        assert last is not None
        assert (last.status, last.code) == (503, "too_many_streams")

        def all_of_the_flood_are_cut() -> bool:
            cut = one.metric("opsvisor_http_connections_cut_total", name, reason="unread_answer")
            return cut >= 20

        eventually(all_of_the_flood_are_cut)
        one.check()
        one.daemon.client.act("stop", ["flood"])


@WAYS
def test_supervisors_streams_that_nobody_reads(start_daemon: StartDaemon, way: Way) -> None:
    """As above, of the paths that supervisorctl follows logs by."""
    with (
        besieged(start_daemon, programs=FLOOD, main="supervisor_interfaces = true") as one,
        many(one, way, 40, buffer=4096) as clients,
    ):
        for number, client in enumerate(clients):
            path = ("/logtail/flood", "/mainlogtail")[number % 2]
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        one.check()

        def are_cut() -> bool:
            name = LISTENERS[way]
            return (
                one.metric("opsvisor_http_connections_cut_total", name, reason="unread_answer")
                >= 15
            )

        eventually(are_cut)
        one.daemon.client.act("stop", ["flood"])


@WAYS
def test_answers_that_are_read_a_byte_a_second(start_daemon: StartDaemon, way: Way) -> None:
    """Pipelined scrapes whose answers are not taken: bounded, and cut off after a while."""
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500
    with besieged(start_daemon) as one, many(one, way, 20, buffer=4096) as clients:
        for client in clients:
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.send(request)
        for _ in range(3):
            for client in clients:
                with suppress(BlockingIOError):
                    client.recv(1)
            one.check()

        def are_cut() -> bool:
            name = LISTENERS[way]
            return (
                one.metric("opsvisor_http_connections_cut_total", name, reason="unread_answer")
                >= 20
            )

        eventually(are_cut)


def fill(one: Besieged, stack: ExitStack, count: int) -> None:
    """Take so many connections that are all at work: an action that waits for its end."""
    body = b'{"action": "stop", "names": ["slow"]}'
    head = (
        b"POST /api/v1/actions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    for _ in range(count):
        client = stack.enter_context(one.connect(Way.TCP))
        client.sendall(head + body)


SLOW = """
[program.slow]
command = "$VICTIM 'ignore TERM'"
kill_delay = "15s"
restart = "no"
"""
_AS_NOBODY = """
import os, socket, sys
os.chdir(sys.argv[1])
os.setresuid(65534, 65534, 65534)
kept = []
for _ in range(int(sys.argv[2])):
    one = socket.socket(socket.AF_UNIX)
    one.connect("s")
    body = b'{"action": "stop", "names": ["slow"]}'
    one.sendall(b"POST /api/v1/actions HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json"
                b"\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    kept.append(one)
print("full", flush=True)
sys.stdin.read()
"""
EIGHT = '[server.limits]\nconnections = 8\nidle_timeout = "4s"\n'


def test_a_listener_whose_connections_are_all_at_work(start_daemon: StartDaemon) -> None:
    """Then one more is told 503; the unix socket is as reachable as ever."""
    with ExitStack() as stack:
        one = stack.enter_context(besieged(start_daemon, limits=EIGHT, programs=PROGRAMS + SLOW))
        one.daemon.until_says("slow", "ignoring TERM")
        clients = stack.enter_context(ExitStack())
        fill(one, clients, 8)
        eventually(lambda: one.daemon.metric("opsvisor_http_requests_in_flight") >= 9)
        answer = one.ask(Way.TCP, "/metrics")
        assert (answer.status, answer.code) == (503, "too_many_connections")
        assert one.metric("opsvisor_http_connections_refused_total", "http") == 1
        one.check_restarts()
        assert "all connections are in use" in one.daemon.log
        clients.close()
        one.daemon.client.act("signal", ["slow"], signal="KILL")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_always_finds_room_at_the_unix_socket(start_daemon: StartDaemon) -> None:
    """Others may be let in by its mode, and take all of it: one of theirs goes for root's."""
    with besieged(start_daemon, limits=EIGHT, programs=PROGRAMS + SLOW) as one:
        one.daemon.until_says("slow", "ignoring TERM")
        one.daemon.client.close()
        one.daemon.home.socket.chmod(0o666)
        one.daemon.home.directory.chmod(0o711)
        crowd = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _AS_NOBODY, str(one.daemon.home.directory), "8"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert crowd.stdout is not None
            assert crowd.stdout.readline() == b"full\n"
            one.check_answers()
            one.check_restarts()
        finally:
            crowd.communicate(timeout=20)
        one.daemon.client.act("signal", ["slow"], signal="KILL")
