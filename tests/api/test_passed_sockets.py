"""Which listening sockets of a service manager are taken, for which server."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from http_requests import free_port

from opsvisor.api.passed import _is_host

_PROGRAM = """\
import json, os, sys
from opsvisor.api.passed import PassedSockets
from opsvisor.config.settings import TcpServer, UnixServer

servers = [
    UnixServer(name="unix", path=where)
    if where.startswith("/")
    else TcpServer(name="http", host=where.rpartition(":")[0], port=int(where.rpartition(":")[2]))
    for where in json.loads(sys.argv[1])
]
os.environ["LISTEN_PID"] = {"self": str(os.getpid())}.get(sys.argv[2], sys.argv[2])
passed = PassedSockets.take(os.environ)
lines = passed.close_unused(servers)
matched = [passed.copy_for(server) is not None for server in servers]
variables = sorted(name for name in os.environ if name.startswith("LISTEN_"))
if len(sys.argv) > 3:
    passed.pass_on(os.environ)
    if sys.argv[3] == "fail":
        passed.keep()
        matched = [passed.copy_for(server) is not None for server in servers]
    else:
        os.execv(sys.executable, [sys.executable, "-c", sys.argv[3], sys.argv[1], "self"])
leaking = [
    number for number in range(3, 10)
    if os.path.exists(f"/proc/self/fd/{number}") and os.get_inheritable(number)
]
print(json.dumps([matched, lines, variables, leaking]))
"""


def run(
    sockets: Sequence[socket.socket | int],
    *servers: str,
    pid: str = "self",
    then: str | None = None,
) -> tuple[list[bool], list[str], list[str], list[int]]:
    """What a process makes of these sockets.

    Whether each server got one, lines for the log, variables left, and what would be inherited.
    `then` is what it executes in its place, with the sockets; "fail" comes to nothing.
    """
    numbers = [one if isinstance(one, int) else one.fileno() for one in sockets]
    # As systemd does it: they are put at 3 and on, between fork and exec.
    moves = " ".join(f"{target}<&{source}" for target, source in enumerate(numbers, start=3))
    words = [json.dumps(servers), pid, *([] if then is None else [then])]
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {moves}', "bash", sys.executable, "-c", _PROGRAM, *words],
        pass_fds=numbers,
        env={
            **os.environ,
            "LISTEN_FDS": str(len(numbers)),
            "LISTEN_FDNAMES": ":".join(f"name{place}" for place in range(len(numbers))),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    matched, lines, variables, leaking = json.loads(done.stdout)
    return matched, lines, variables, leaking


def on_unix(path: Path) -> socket.socket:
    """A socket that listens at this path, above the numbers that are passed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return _high(listener)


def on_tcp(host: str, port: int) -> socket.socket:
    """A socket that listens on this port."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen()
    return _high(listener)


def _high(listener: socket.socket) -> socket.socket:
    copy = socket.socket(fileno=fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, 40))
    listener.close()
    return copy


def test_each_server_gets_the_socket_at_its_address(tmp_path: Path) -> None:
    """In whatever order they come."""
    port = free_port()
    with on_tcp("127.0.0.1", port) as tcp, on_unix(tmp_path / "s") as unix:
        servers = (str(tmp_path / "s"), f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}")
        assert run([tcp, unix], *servers) == ([True, True, False], [], [], [])


def test_what_nobody_is_to_listen_on_is_told_and_closed(tmp_path: Path) -> None:
    """With the name that the manager has for it."""
    with on_unix(tmp_path / "s") as mine, on_unix(tmp_path / "other") as other:
        matched, lines, _, _ = run([other, mine], str(tmp_path / "s"))
        assert matched == [True]
        (line,) = lines
        assert line.startswith(f"closed the socket {tmp_path}/other that was passed as 'name0': ")


def test_what_does_not_listen_is_refused(tmp_path: Path) -> None:
    """Datagrams, connections, and what is no socket."""
    with _high(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as datagrams:
        datagrams.bind(str(tmp_path / "s"))
        with (tmp_path / "file").open("w") as file:
            matched, lines, _, _ = run([datagrams, file.fileno()], str(tmp_path / "s"))
    assert matched == [False]
    assert lines == [
        f"a passed socket can't be used: {tmp_path}/s (name0): nothing listens there",
        "a passed socket can't be used: descriptor 4 (name1): Socket operation on non-socket",
    ]


def test_sockets_for_another_process_are_not_ours(tmp_path: Path) -> None:
    """The variables may have been inherited."""
    with on_unix(tmp_path / "s") as listener:
        assert run([listener], str(tmp_path / "s"), pid="1")[0] == [False]


def test_they_are_taken_again_after_an_exec_of_ourselves(tmp_path: Path) -> None:
    """Although one before it was closed meanwhile."""
    with on_unix(tmp_path / "s") as mine, on_unix(tmp_path / "other") as other:
        matched, lines, variables, leaking = run([other, mine], str(tmp_path / "s"), then=_PROGRAM)
    assert (matched, lines, variables, leaking) == ([True], [], [], [])


def test_an_exec_that_fails_passes_nothing_on_to_programs(tmp_path: Path) -> None:
    """They are ours as before, wherever they have moved."""
    paths = [tmp_path / name for name in ("other", "s", "t")]
    with on_unix(paths[0]) as other, on_unix(paths[1]) as first, on_unix(paths[2]) as second:
        wanted = [str(path) for path in paths[1:]]
        matched, _, _, leaking = run([other, first, second], *wanted, then="fail")
    assert (matched, leaking) == ([True, True], [])


@pytest.mark.parametrize(
    ("configured", "listening", "same"),
    [
        ("", "0.0.0.0", True),
        ("", "::", True),
        ("0.0.0.0", "::", True),
        ("", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", False),
        ("[::1]", "::1", True),
        ("[0:0::1]", "::1", True),
        ("localhost", "127.0.0.1", True),
        ("localhost", "127.0.0.2", False),
        ("no-such-name.invalid", "127.0.0.1", False),
    ],
)
def test_hosts(configured: str, listening: str, *, same: bool) -> None:
    """As bind(2) would take them; what listens everywhere is systemd's [::]."""
    assert _is_host(configured, listening) == same
