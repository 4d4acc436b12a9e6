"""[program.X.socket], and what is said of output besides its file."""

import os
import pwd
from pathlib import Path

import pytest
from config_files import Complaints, Load

from opsvisor.config.load import native
from opsvisor.config.settings import UnixServer
from opsvisor.core.spec import ProcessSpec, StdinMode, TcpSocketSpec, UnixSocketSpec

ME = pwd.getpwuid(os.geteuid())


def only(load: Load, program: str) -> ProcessSpec:
    """The one process of a [program.web] with these lines."""
    (spec,) = load(f"[program.web]\ncommand = 'x'\n{program}").plan.specs().values()
    return spec


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("unix:///run/{program}.sock", UnixSocketSpec(path="/run/web.sock")),
        ("unix:///run//a/../x", UnixSocketSpec(path="/run/x")),
        ("tcp://LocalHost:80", TcpSocketSpec(host="localhost", port=80)),
        ("tcp://[::1]:80", TcpSocketSpec(host="::1", port=80)),
        ("tcp://*:80", TcpSocketSpec(host="", port=80)),
        ("tcp://:80", TcpSocketSpec(host="", port=80)),
    ],
)
def test_an_address_alone(written: str, spec: UnixSocketSpec | TcpSocketSpec, load: Load) -> None:
    """It takes the place of standard input; what it prints for people is read the same."""
    found = only(load, f"socket = '{written}'")
    assert (found.socket, found.stdin) == (spec, StdinMode.NULL)
    assert only(load, f"socket = '{spec.url}'").socket == spec


def test_everything_about_a_socket(load: Load) -> None:
    """As a table. A group that isn't named stays the file's own."""
    table = "[program.web.socket]\nlisten = 'unix:///x'\nmode = '0660'\nbacklog = 7\n"
    spec = only(load, f"{table}owner = '{ME.pw_name}'")
    assert spec.socket == UnixSocketSpec(path="/x", mode=0o660, owner=(ME.pw_uid, -1), backlog=7)
    spec = only(load, f"{table}owner = '{ME.pw_name}:0'")
    assert isinstance(spec.socket, UnixSocketSpec)
    assert spec.socket.owner == (ME.pw_uid, 0)


def test_an_owner_with_a_group_out_of_the_environment(tmp_path: Path) -> None:
    """The colon may be in the variable: what counts is the text it becomes."""
    path = tmp_path / "opsvisor.toml"
    path.write_text(
        "[server.unix]\npath = 's'\nowner = '${OWNER}'\n"
        "[program.web]\ncommand = 'x'\nsocket = { listen = 'unix:///x', owner = '${OWNER}' }\n"
    )
    loaded = native(path, {"OWNER": f"{ME.pw_name}:7"})
    (server,), (spec,) = loaded.settings.servers, loaded.plan.specs().values()
    assert isinstance(server, UnixServer)
    assert isinstance(spec.socket, UnixSocketSpec)
    assert server.owner == spec.socket.owner == (ME.pw_uid, 7)


def test_a_pipe_by_default_gives_way(load: Load) -> None:
    """Only who asks for both in one program is told that it can't be."""
    text = "defaults.stdin = 'pipe'\n[program.web]\ncommand = 'x'\nsocket = 'unix:///x'"
    (spec,) = load(text).plan.specs().values()
    assert spec.stdin is StdinMode.NULL


def test_replicas_may_have_a_socket_each(load: Load) -> None:
    """By a template in the address; without it they share one."""
    text = "[program.web]\ncommand = 'x'\nreplicas = 2\nsocket = 'tcp://a:900{replica}'"
    sockets = [spec.socket for spec in load(text).plan.specs().values()]
    assert sockets == [TcpSocketSpec(host="a", port=port) for port in (9000, 9001)]


LOOKS = 'it looks like "unix:///run/web.sock" or "tcp://127.0.0.1:9000"'
LONG = f"unix:///{'x' * 120}"


@pytest.mark.parametrize(
    ("lines", "what", "hint"),
    [
        ("socket = 'http://x:1'", "socket.listen = 'http://x:1' is no address of a socket", LOOKS),
        ("socket = 'unix://x'", "socket.listen = 'unix://x' is not an absolute path", LOOKS),
        (
            "socket.listen = 'tcp://x:0'",
            "socket.listen = 'tcp://x:0' has no port that could be told to anybody",
            LOOKS,
        ),
        (
            f"socket = '{LONG}'",
            f"socket.listen = '{LONG}' is too long for a socket",
            "the kernel takes 107 bytes",
        ),
        (
            "socket.listen = 'tcp://x:1'\nsocket.mode = '0777'",
            "socket.mode has no meaning for a socket on TCP",
            "leave it out",
        ),
        (
            "socket = 'unix:///x'\nstdin = 'pipe'",
            "stdin = 'pipe' is taken",
            "standard input is the socket; leave out one of the two",
        ),
        (
            "socket.mode = '0777'",
            "socket.listen is missing",
            'for example listen = "unix:///run/web.sock"',
        ),
    ],
)
def test_what_is_no_socket(lines: str, what: str, hint: str, complaints: Complaints) -> None:
    """Where, what, and what to do."""
    said = complaints(f"[program.web]\ncommand = 'x'\n{lines}\n")
    assert said.partition("program 'web': ")[2].strip() == f"{what}\n    hint: {hint}"


def test_an_owner_that_does_not_exist(complaints: Complaints) -> None:
    """As for the users of programs."""
    said = complaints(
        "[program.web]\ncommand = 'x'\nsocket.listen = 'unix:///x'\nsocket.owner = 'nosuch9'\n"
    )
    assert "socket.owner names a user that doesn't exist: 'nosuch9'" in said


def test_two_programs_on_one_socket(complaints: Complaints) -> None:
    """Each would take what is meant for the other."""
    one = "command = 'x'\nsocket = 'unix:///x'\n"
    said = complaints(f"[program.a]\n{one}[program.b]\n{one}")
    assert "program 'b': socket.listen = 'unix:///x' is the socket of program 'a' too" in said


def test_one_program_in_two_groups_shares_its_socket(load: Load) -> None:
    """All of its processes do, wherever they are."""
    text = "[program.a]\ncommand = 'x'\ngroup = ['g', 'h']\nsocket = 'unix:///x'"
    specs = load(text).plan.specs().values()
    assert {spec.socket for spec in specs} == {UnixSocketSpec(path="/x")}
    assert len(specs) == 2


def test_output_is_told_sent_and_searched_for_messages(load: Load) -> None:
    """For both streams, and for one alone."""
    text = (
        "[server]\nsupervisor_interfaces = true\n[program.web]\ncommand = 'x'\n"
        "[program.web.log]\nsyslog = true\nevents = true\nmessage_limit = '1K'\n"
        "stderr = { syslog = false, events = false, message_limit = 0 }\n"
    )
    (spec,) = load(text).plan.specs().values()
    assert spec.stderr is not None
    assert (spec.stdout.syslog, spec.stdout.told, spec.stdout.message_limit) == (True, True, 1024)
    assert (spec.stderr.syslog, spec.stderr.told, spec.stderr.message_limit) == (False, False, 0)


def test_what_is_told_needs_somebody_to_tell_it(complaints: Complaints) -> None:
    """A message is in no log: it would be lost in silence."""
    said = complaints(
        "[program.web]\ncommand = 'x'\nlog.message_limit = 9\nlog.stderr.events = true\n"
    )
    why = "needs Supervisor's protocol, which isn't spoken"
    assert f":3: program 'web': log.message_limit {why}" in said
    assert f":4: program 'web': log.stderr.events {why}" in said
    programs = "[program.a]\ncommand = 'x'\n[program.b]\ncommand = 'x'\n"
    said = complaints(f"[defaults]\nlog.events = true\n{programs}")
    assert said.count("log.events needs") == 1


def test_the_answers_of_a_listener_are_heard(load: Load) -> None:
    """They are no messages, whatever is said of output."""
    text = "[server]\nsupervisor_interfaces = true\n[program.web]\ncommand = 'x'\n"
    (spec,) = load(f"{text}events = ['EVENT']\nlog.message_limit = 9").plan.specs().values()
    assert (spec.stdout.told, spec.stdout.message_limit) == (True, 0)
    assert spec.stderr is not None
    assert (spec.stderr.told, spec.stderr.message_limit) == (False, 9)
