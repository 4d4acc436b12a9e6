"""[fcgi-program:x]: its socket, read as Supervisor reads it."""

import os
import pwd
from pathlib import Path

import pytest
from real_supervisor import RejectedBySupervisor, read
from supervisor_files import brief, load_text, problems, specs, write

from opsvisor.compat.supervisor.config.load import load
from opsvisor.core.spec import StdinMode, TcpSocketSpec, UnixSocketSpec
from opsvisor.runtime.sockets import _owner

HEAD = "[supervisord]\n"
FCGI = f"{HEAD}[fcgi-program:a]\ncommand=x\n"
SOMEBODY = pwd.getpwall()[-1]

ACCEPTED = [
    "socket=tcp://localhost:80",
    "socket=tcp://LOCALHOST:65535\nsocket_backlog=65535",
    "socket=unix:///run/../x//y.sock\nsocket_mode=0o666",
    "socket=unix:///x.sock\nsocket_owner=root:root\nsocket_backlog=1",
    "socket=unix:///~/x.sock\nsocket_owner=0",
    "socket=unix://%(here)s/%(program_name)s.sock",
    f"socket=unix:///x.sock\nuser={SOMEBODY.pw_name}",
    f"socket=unix:///x.sock\nuser={SOMEBODY.pw_name}\nsocket_owner=root",
    "socket=unix:///x.sock\nnumprocs=3\nprocess_name=%(process_num)s\npriority=5",
]
REFUSED = [
    "",
    "socket=",
    "socket=foo",
    "socket=TCP://a:80",
    "socket=tcp://:80",
    "socket=tcp://[::1]:80",
    "socket=tcp://localhost:0",
    "socket=tcp://localhost:99999",
    "socket=unix://",
    "socket=unix://run/x.sock",
    "socket=foo\nsocket_mode=0700",
    "socket=tcp://localhost:80\nsocket_owner=root",
    "socket=tcp://localhost:80\nsocket_backlog=0",
    "socket=tcp://localhost:80\nsocket_backlog=70000",
    "socket=tcp://localhost:80\nsocket_backlog=x",
    "socket=unix:///x.sock\nsocket_mode=9",
    "socket=unix:///x.sock\nsocket_owner=nosuch",
    "socket=unix:///x.sock\nsocket_owner=root:nosuch",
    "socket=unix:///x.sock\npriority=high",
]


@pytest.mark.parametrize("lines", ACCEPTED)
def test_the_same_socket_as_supervisor(tmp_path: Path, lines: str) -> None:
    """Address, backlog, mode and owner, and the processes that share it."""
    path = write(tmp_path, f"{FCGI}{lines}\n")
    (theirs,) = read(path).process_group_configs
    (ours,) = load(path, os.environ).plan.groups
    assert (ours.name, ours.priority) == (theirs.name, theirs.priority)
    assert [p.id.name for p in ours.processes] == [p.name for p in theirs.process_configs]
    wanted = theirs.socket_config
    for spec in ours.processes:
        assert spec.stdin is StdinMode.NULL
        assert spec.socket is not None
        assert (spec.socket.url, spec.socket.backlog) == (wanted.url, wanted.backlog)
        if isinstance(spec.socket, UnixSocketSpec):
            assert spec.socket.mode == wanted.mode
            assert _owner(spec) == wanted.owner


@pytest.mark.parametrize("lines", REFUSED)
def test_the_same_refusal_as_supervisor(tmp_path: Path, lines: str) -> None:
    """Word for word, the printed pair included."""
    path = write(tmp_path, f"{FCGI}{lines}\n")
    with pytest.raises(RejectedBySupervisor) as refused:
        read(path)
    assert [p.what for p in problems(tmp_path, f"{FCGI}{lines}\n")] == [str(refused.value)]


def test_all_interfaces(tmp_path: Path) -> None:
    """Supervisor accepts the star, and then dies of it."""
    loaded = load_text(tmp_path, f"{FCGI}socket=tcp://*:80\n")
    where = specs(loaded)["a:a"].socket
    assert where == TcpSocketSpec(host="", port=80)
    assert where.url == "tcp://*:80"


def test_the_command_and_the_socket_are_looked_at_together(tmp_path: Path) -> None:
    """Everything wrong with a section is told at once, each in its own way."""
    text = f"{HEAD}[fcgi-program:a]\nsocket=foo\nautostart=maybe\n"
    suffix = "in section 'fcgi-program:a' (file: 'supervisord.conf')"
    assert brief(problems(tmp_path, text), tmp_path) == [
        f"2: program section fcgi-program:a does not specify a command {suffix}",
        "3: ('Bad socket format %s', 'foo') in [fcgi-program:a] socket",
        f"4: not a valid boolean value: 'maybe' {suffix}",
    ]


def test_in_groups_it_keeps_its_socket(tmp_path: Path) -> None:
    """In each of several; the group it would have been alone is gone."""
    text = f"{FCGI}socket=unix:///x.sock\n[group:g]\nprograms=a\n[group:h]\nprograms=a\n"
    found = specs(load_text(tmp_path, text))
    assert list(found) == ["g:a", "h:a"]
    assert {spec.socket for spec in found.values()} == {UnixSocketSpec(path="/x.sock")}


def test_a_program_and_an_fcgi_program_of_one_name(tmp_path: Path) -> None:
    """Two groups of one name: one is run, and somebody is told of the other."""
    text = f"{FCGI}socket=unix:///x.sock\n[program:a]\ncommand=y\npriority=1\n"
    loaded = load_text(tmp_path, text)
    assert [spec.command for spec in specs(loaded).values()] == ["y"]
    assert [w.what for w in loaded.warnings] == [
        "[fcgi-program:a] is left out: another group is called 'a' too"
    ]


def test_slips_in_its_options_are_noticed(tmp_path: Path) -> None:
    """It knows what programs know, and its own."""
    loaded = load_text(tmp_path, f"{FCGI}socket=unix:///x.sock\nsocket_mod=0700\nstartsec=1\n")
    assert [w.what for w in loaded.warnings] == [
        "[fcgi-program:a] has no option 'socket_mod', it has no effect",
        "[fcgi-program:a] has no option 'startsec', it has no effect",
    ]


def test_programs_that_want_one_socket_are_warned_of(tmp_path: Path) -> None:
    """However they write it, and wherever they are; not for the members of one program."""
    text = (
        f"{FCGI}socket=unix:///run/x.sock\n[fcgi-program:b]\ncommand=x\n"
        "socket=unix:///run/../run/x.sock\n[group:g]\nprograms=b\n[group:h]\nprograms=b\n"
    )
    loaded = load_text(tmp_path, text)
    assert [(w.where.line, w.what) for w in loaded.warnings] == [
        (5, "[fcgi-program:b] listens at unix:///run/x.sock, as [fcgi-program:a] does")
    ]
