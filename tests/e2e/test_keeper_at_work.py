"""The keeper of a real daemon: who waits is answered, who is killed is replaced, and it goes."""

import errno
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import Authority
from cells import Cell, can_have, cell
from daemon import Daemon, StartDaemon, eventually
from home import Home
from http_requests import free_port
from keepers import keeper_of, keepers_of
from procfs import descriptors_of, is_alive, own_pipes_of, status_of

from opsvisor.client import Client

PROGRAM = """
    [program.web]
    command = "$VICTIM 'count 1 5000'"
    stdin = "pipe"
    min_uptime = "0s"
    restart = "no"
    log = { stdout = "$HERE/web.log" }
    """
COUNTED = "".join(f"{number:09}\n" for number in range(1, 5001))
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


@pytest.fixture
def box() -> Iterator[Cell]:
    """A cgroup for the programs of a daemon."""
    with cell("") as one:
        yield one


def held_of_others(daemon: Daemon, keeper: int) -> int:
    """How many descriptors the keeper has, without pipes that nobody but the daemon has."""
    own = own_pipes_of(daemon.pid)
    return sum(one not in own for one in descriptors_of(keeper).values())


def switches_of(pid: int) -> int:
    """How often this process has waited for something."""
    return int(status_of(pid)["voluntary_ctxt_switches"])


def held_with(daemon: Daemon) -> Counter[str]:
    """What its keeper has that the daemon has too: all but the ways between them."""
    ours = set(descriptors_of(daemon.pid).values()) - {"/dev/null"}
    (keeper,) = keepers_of(daemon)
    return Counter(one for one in descriptors_of(keeper).values() if one in ours)


def asked(connection: socket.socket) -> socket.socket:
    """A connection on which somebody has asked, and waits."""
    connection.settimeout(20)
    connection.sendall(REQUEST)
    return connection


def answer_to(connection: socket.socket) -> bytes:
    """All that is answered."""
    with connection, connection.makefile("rb") as stream:
        return stream.read()


def unix_client(path: Path) -> socket.socket:
    """A connection to a unix socket."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(path))
    return client


def have_them_leave(daemon: Daemon, box: Cell) -> Path:
    """Have web make two processes that leave its group, once it is in its leaf: who is there."""
    leaf = box.folder / "opsvisord-web" / "cgroup.procs"
    eventually(lambda: leaf.exists() and leaf.read_text())
    daemon.client.write_stdin("web", "daemonise\nescape\n")
    daemon.until_says("web", "escaped")
    assert len(leaf.read_text().split()) == 3
    return leaf


def test_who_asks_while_there_is_no_daemon_is_answered_by_the_next(
    start_daemon: StartDaemon, home: Home
) -> None:
    """On all addresses, however often daemons crash; and the program writes its log on."""
    port = free_port()
    daemon = start_daemon(PROGRAM, main=f'http.listen = "127.0.0.1:{port}"')
    daemon.until_says("web", "000005000")
    keeper = keeper_of(daemon)
    for _ in range(2):
        daemon.crash()
        waiting = [
            asked(unix_client(home.socket)),
            asked(socket.create_connection(("127.0.0.1", port))),
        ]
        daemon.begin_again()
        for client in waiting:
            assert answer_to(client).startswith(b"HTTP/1.1 200 ")
    assert keeper_of(daemon) == keeper
    daemon.client.write_stdin("web", "say still here\n")
    daemon.until_says("web", "still here")
    assert (home.directory / "web.log").read_text() == f"{COUNTED}still here\n"
    assert "WARN" not in daemon.log.replace("stdin", "")


def test_another_address_with_the_same_port_can_be_taken(
    start_daemon: StartDaemon, home: Home
) -> None:
    """What was kept for an address that is not wanted any more is let go of first."""
    port = free_port()
    daemon = start_daemon(PROGRAM, main=f'http.listen = "127.0.0.1:{port}"')
    daemon.until("web", "RUNNING")
    daemon.crash()
    home.config.write_text(home.config.read_text().replace("127.0.0.1:", "localhost:"))
    daemon.begin_again()
    client = asked(socket.create_connection(("127.0.0.1", port)))
    assert answer_to(client).startswith(b"HTTP/1.1 200 ")
    assert f"http://localhost:{port}" in daemon.log


def test_a_socket_whose_file_was_replaced_is_made_anew(
    start_daemon: StartDaemon, home: Home
) -> None:
    """Nobody could reach the one that was kept."""
    daemon = start_daemon(PROGRAM)
    daemon.until("web", "RUNNING")
    daemon.crash()
    home.socket.unlink()
    daemon.begin_again()
    assert daemon.status("web").state == "RUNNING"


def test_a_keeper_that_is_killed_is_replaced_and_its_successor_does_as_well(
    start_daemon: StartDaemon, home: Home
) -> None:
    """With one warning in the log."""
    daemon = start_daemon(PROGRAM)
    pid = daemon.until("web", "RUNNING").pid
    daemon.until_says("web", "000005000")
    killed = keeper_of(daemon)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: keepers_of(daemon) not in ([], [killed]))
    daemon.crash()
    client = asked(unix_client(home.socket))
    daemon.begin_again()
    assert answer_to(client).startswith(b"HTTP/1.1 200 ")
    assert daemon.status("web").pid == pid
    daemon.client.write_stdin("web", "exit 7\n")
    daemon.until("web", "EXITED")
    assert (home.directory / "web.log").read_text() == COUNTED
    assert daemon.log.count(f"the keeper (pid {killed}) has ended unasked") == 1


@pytest.mark.parametrize("begun", ["anew", "after a crash", "after an upgrade"])
def test_a_successor_holds_all_that_the_one_before_had(
    start_daemon: StartDaemon, begun: str
) -> None:
    """Pipes of either kind, spare ones too, pidfds, and what the daemon and programs listen on."""
    port = free_port()
    daemon = start_daemon(
        f"""{PROGRAM}
        [program.api]
        command = "sleep 1000"
        min_uptime = "0s"
        socket = {{ listen = "tcp://127.0.0.1:{port}" }}
        """
    )
    daemon.until("web", "RUNNING")
    daemon.until("api", "RUNNING")
    if begun == "after a crash":
        daemon.crash()
        daemon.begin_again()
    elif begun == "after an upgrade":
        assert daemon.ctl("upgrade").status == 0
    eventually(lambda: daemon.has_pipes_ready)
    before, keeper = held_with(daemon), keeper_of(daemon)
    kinds = Counter(what.partition(":")[0] for what in before.elements())
    assert (kinds["anon_inode"], kinds["socket"]) == (2, 2)
    assert kinds["pipe"] > 5
    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: keepers_of(daemon) not in ([], [keeper]))
    eventually(lambda: held_with(daemon) == before)


def test_a_keeper_sleeps_while_commands_of_probes_come_and_go(
    start_daemon: StartDaemon, home: Home
) -> None:
    """Their ends are watched as those of programs are, but nobody is to hold anything of them."""
    daemon = start_daemon(
        """
        [program.web]
        command = "$VICTIM 'say up'"
        min_uptime = "0s"
        liveness_probe = { exec = ["sh", "-c", "echo >> $HERE/probed"], period = "100ms" }
        """
    )
    daemon.until_says("web", "up")
    probed = home.directory / "probed"
    eventually(lambda: probed.exists() and daemon.has_pipes_ready)
    keeper = keeper_of(daemon)
    before, asked = switches_of(keeper), len(probed.read_bytes())
    eventually(lambda: len(probed.read_bytes()) >= asked + 10)
    assert switches_of(keeper) <= before + 1  # it may have been at work when we looked


def test_programs_outlive_both(start_daemon: StartDaemon, home: Home) -> None:
    """Without what was kept they are taken back all the same, by what /proc tells."""
    daemon = start_daemon(PROGRAM)
    pid = daemon.until("web", "RUNNING").pid
    daemon.until_says("web", "000005000")
    keeper = keeper_of(daemon)
    os.kill(keeper, signal.SIGSTOP)  # it is not replaced, nor will it hold anything
    daemon.crash()
    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: not is_alive(keeper))
    daemon.begin_again()
    assert daemon.status("web").pid == pid
    assert (home.directory / "web.log").read_text() == COUNTED
    assert is_alive(keeper_of(daemon))


def test_a_daemon_that_reloads_has_one_keeper_and_one_that_ends_has_none(
    start_daemon: StartDaemon,
) -> None:
    """Neither of them leaves anything of it."""
    daemon = start_daemon(PROGRAM)
    began = daemon.client.daemon().started_at
    before = keeper_of(daemon)
    daemon.signal(signal.SIGHUP)
    daemon.until_begun_anew(after=began)
    daemon.until("web", "RUNNING")
    assert keeper_of(daemon) != before
    daemon.terminate()
    assert daemon.offspring() == {}


def test_told_to_kill_nothing_outlives_a_crash(start_daemon: StartDaemon) -> None:
    """Neither a program that ignores signals, nor its child, nor the keeper."""
    daemon = start_daemon(
        PROGRAM.replace("'count 1 5000'", "'ignore TERM' 'fork ' 'say ready'"),
        daemon='on_crash = "kill"',
    )
    daemon.until_says("web", "ready")
    assert len(daemon.offspring()) == 3
    daemon.crash()
    eventually(lambda: daemon.offspring() == {})
    daemon.begin_again()
    assert daemon.until("web", "RUNNING").starts >= 1


@pytest.mark.skipif(not can_have(""), reason="only root can make cgroups of version 2")
def test_told_to_kill_nothing_that_left_its_group_outlives_a_crash(
    box: Cell, start_daemon: StartDaemon
) -> None:
    """With a cgroup for each program: nobody leaves that."""
    daemon = start_daemon(PROGRAM, daemon=f'on_crash = "kill"\ncgroup = "{box.folder}"')
    leaf = have_them_leave(daemon, box)
    to_kill = str(leaf.with_name("cgroup.kill"))
    eventually(lambda: to_kill in descriptors_of(keeper_of(daemon)).values())
    daemon.crash()
    eventually(lambda: daemon.offspring() == {})
    daemon.begin_again()
    daemon.terminate()
    eventually(lambda: not leaf.exists() or not leaf.read_text())


def test_an_upgrade_keeps_its_keeper_and_all_it_holds(
    start_daemon: StartDaemon, home: Home
) -> None:
    """A crash of the new version costs no more than one of the old."""
    daemon = start_daemon(PROGRAM)
    pid = daemon.until("web", "RUNNING").pid
    daemon.until_says("web", "000005000")
    keeper = keeper_of(daemon)
    eventually(lambda: daemon.has_pipes_ready)
    held = held_of_others(daemon, keeper)
    upgraded = daemon.ctl("upgrade")
    assert upgraded.status == 0, upgraded
    assert keeper_of(daemon) == keeper
    eventually(lambda: held_of_others(daemon, keeper) == held)
    daemon.crash()
    client = asked(unix_client(home.socket))
    daemon.begin_again()
    assert answer_to(client).startswith(b"HTTP/1.1 200 ")
    assert keeper_of(daemon) == keeper
    assert daemon.status("web").pid == pid
    daemon.client.write_stdin("web", "say still here\n")
    daemon.until_says("web", "still here")
    assert (home.directory / "web.log").read_text() == f"{COUNTED}still here\n"


def test_an_upgrade_gives_up_an_address_for_good(start_daemon: StartDaemon, home: Home) -> None:
    """Where nobody listens any more, clients are refused, and don't wait for ever."""
    port = free_port()
    daemon = start_daemon(PROGRAM, main=f'http.listen = "127.0.0.1:{port}"')
    daemon.until("web", "RUNNING")
    configuration = home.config.read_text()
    home.config.write_text(configuration.replace(f'http.listen = "127.0.0.1:{port}"', ""))
    assert daemon.ctl("upgrade").status == 0

    def is_refused() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED

    eventually(is_refused)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("127.0.0.1:{port}", 'http.listen = ":{port}"'),
        ("127.0.0.1:{port}", 'http.listen = "127.0.0.1:{port}"\nhttp.tls_cert = "server.pem"'),
        (":{port}", 'http.listen = "127.0.0.1:{port}"\nhttp.tls_cert = "server.pem"'),
    ],
    ids=["everywhere", "with TLS", "both"],
)
def test_an_upgrade_takes_a_port_in_another_way(
    start_daemon: StartDaemon, home: Home, before: str, after: str
) -> None:
    """The keeper holds it in the old way, which must not keep the daemon from having it."""
    port = free_port()
    old, new = (text.replace("{port}", str(port)) for text in (f'http.listen = "{before}"', after))
    Authority(home.directory).issue("server.pem")
    daemon = start_daemon(PROGRAM, main=f"{old}\nhttp.allow_anonymous = true")
    pid = daemon.until("web", "RUNNING").pid
    keeper_of(daemon)
    home.config.write_text(home.config.read_text().replace(old, new))
    assert daemon.ctl("upgrade").status == 0
    assert daemon.status("web").pid == pid
    scheme = "https" if "tls" in new else "http"
    ca_file = str(home.directory / "ca.pem")
    with Client(f"{scheme}://127.0.0.1:{port}", ca_file=ca_file) as client:
        assert client.daemon().pid == daemon.pid


@pytest.mark.skipif(not can_have(""), reason="only root can make cgroups of version 2")
def test_an_upgrade_of_one_that_is_to_kill_costs_no_descriptors(
    box: Cell, start_daemon: StartDaemon
) -> None:
    """The files to kill by go over with the others; and they are of use after it."""
    daemon = start_daemon(PROGRAM, daemon=f'on_crash = "kill"\ncgroup = "{box.folder}"')
    leaf = have_them_leave(daemon, box)
    to_kill = str(leaf.with_name("cgroup.kill"))
    eventually(lambda: to_kill in descriptors_of(keeper_of(daemon)).values())
    for _ in range(2):
        assert daemon.ctl("upgrade").status == 0
        assert list(descriptors_of(daemon.pid).values()).count(to_kill) == 1
    daemon.crash()
    eventually(lambda: daemon.offspring() == {})
    daemon.begin_again()
    daemon.terminate()
