"""opsvisorctl and opsvisord together: every command once against the real thing."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from ctl_runs import Ctl

from opsvisor import wire
from opsvisor.client import Client, LogPiece

pytestmark = pytest.mark.e2e

_LIMIT = 60.0
_CONFIG = """\
[server]
unix = "o"
[program.echo]
command = "/bin/cat"
stdin = "pipe"
min_uptime = "0s"
[program.bad]
command = "/nonexistent/x"
startup = "disabled"
[program.crash]
command = "/bin/sh -c 'echo oops >&2; exit 3'"
startup = "disabled"
restart = "no"
[program.off]
command = "/bin/sleep 1000"
startup = "disabled"
min_uptime = "0s"
[program.w]
command = "/bin/sleep 1000"
replicas = 2
min_uptime = "0s"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of the daemon, where opsvisorctl finds it."""
    path = tmp_path / "opsvisor.toml"
    path.write_text(_CONFIG)
    return path


@pytest.fixture
def opsvisord(config: Path) -> Iterator[subprocess.Popen[str]]:
    """A daemon that has begun to listen; it is shut down afterwards."""
    with subprocess.Popen(
        [sys.executable, "-m", "opsvisor", "daemon", "-n", "-c", str(config)],
        cwd=config.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as daemon:
        assert daemon.stdout is not None
        said = list[str]()
        for line in daemon.stdout:
            said.append(line)
            if "opsvisord started" in line:
                break
        else:
            pytest.fail("".join(said))
        rest = threading.Thread(target=daemon.stdout.read)  # or its pipe would fill
        rest.start()
        try:
            yield daemon
        finally:
            daemon.terminate()
            assert daemon.wait(_LIMIT) == 0
            rest.join()


@pytest.mark.usefixtures("opsvisord")
def test_a_day_at_work(run: Ctl) -> None:
    """Start, stop, restart and signal, in supervisorctl's words."""
    assert run("start", "off", "off", "bad", "nope", "g:*")[:2] == (
        2,
        (
            "off: started\noff: ERROR (already started)\nbad: ERROR (no such file)\n"
            "nope: ERROR (no such process)\ng: ERROR (no such group)\n"
        ),
    )
    assert run("stop", "off", "off")[:2] == (0, "off: stopped\noff: ERROR (not running)\n")
    stopped_then_started = [f"w:w_{n}: {what}" for what in ("stopped", "started") for n in (0, 1)]
    restarted = run("restart", "w:*")
    assert restarted.status == 0
    assert sorted(restarted.out.splitlines()) == sorted(stopped_then_started)
    assert run("signal", "CONT", "w:w_0", "off")[:2] == (
        7,
        "w:w_0: signalled\noff: ERROR (not running)\n",
    )
    assert run("signal", "NOPE", "w:w_0")[:2] == (1, "w:w_0: ERROR (bad signal name)\n")
    lines = run("status").out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["bad", "STOPPED"],
        ["crash", "STOPPED"],
        ["echo", "RUNNING"],
        ["off", "STOPPED"],
        ["w:w_0", "RUNNING"],
        ["w:w_1", "RUNNING"],
    ]
    measured = run("metrics", "w:*")
    assert measured.status == 0
    assert 'opsvisor_process_up{group="w",process="w_0"} 1\n' in measured.out
    assert 'opsvisor_supervisor_state{state="running"} 1\n' in run("metrics").out
    assert re.fullmatch(r"w:w_0 {28}RUNNING   pid \d+, uptime 0:00:\d\d", lines[4])
    assert run("status", "w*").status == 0
    assert run("status", "nope").status == 4


@pytest.mark.usefixtures("opsvisord")
def test_a_restart_that_cannot_work_stops_nothing(run: Ctl, config: Path) -> None:
    """What has lost its executable goes on, and only the failure is told."""
    tool = config.parent / "tool"
    tool.write_text("#!/bin/sh\nexec sleep 1000\n")
    tool.chmod(0o755)
    with config.open("a") as file:
        file.write(f'[program.fleeting]\ncommand = "{tool}"\nmin_uptime = "0s"\n')
    run("update")
    before = run("pid", "fleeting").out
    tool.unlink()
    assert run("restart", "fleeting", "off")[:2] == (
        1,
        "off: ERROR (not running)\nfleeting: ERROR (no such file)\noff: started\n",
    )
    assert run("pid", "fleeting") == (0, before, "")


def test_numbers_and_versions(run: Ctl, opsvisord: subprocess.Popen[str]) -> None:
    """Pid without a name is the daemon's; JSON carries the same."""
    assert run("pid").out == f"{opsvisord.pid}\n"
    told = msgspec.json.decode(run("--json", "version").out, type=wire.DaemonInfo)
    assert told.pid == opsvisord.pid
    assert run("version").out == f"{told.version}\n"
    assert run("pid", "off") == (7, "0\n", "")


@pytest.mark.usefixtures("opsvisord")
def test_changing_the_configuration(run: Ctl, config: Path) -> None:
    """A new group, one gone, one changed; then a mistake, which changes nothing."""
    text = config.read_text().replace("[program.off]", "[program.new]")
    config.write_text(text.replace("replicas = 2", "replicas = 1"))
    assert run("reread")[:2] == (0, "new: available\noff: disappeared\nw: changed\n")
    assert run("add", "nope")[:2] == (1, "ERROR: no such process/group: nope\n")
    assert run("remove", "w")[:2] == (1, "ERROR: process/group still running: w\n")
    assert run("update")[:2] == (
        0,
        (
            "off: stopped\noff: removed process group\n"
            "w: stopped\nw: updated process group\nnew: added process group\n"
        ),
    )
    assert run("update")[:2] == (0, "")
    assert run("reread")[:2] == (0, "No config updates to processes\n")
    assert run("avail").out.splitlines()[-1] == (
        "w                                in use    auto      999:999"
    )
    config.write_text(f"{text}commnd = 1\n")
    ran = run("reread")
    assert ran.status == 1
    assert ran.out.startswith("ERROR: CANT_REREAD: ")
    assert ran.err.startswith(f"{config}:")
    assert "did you mean 'command'?" in ran.err
    assert run("update").out.startswith("error: <class 'xmlrpc.client.Fault'>, <Fault 92: ")
    config.write_text(f"{text}x = = 1\n")
    ran = run("reread")
    assert ran.out.startswith("ERROR: CANT_REREAD: ")
    assert ran.err.startswith(f"{config}:")


@pytest.mark.usefixtures("opsvisord")
def test_logs(run: Ctl, config: Path) -> None:
    """What a process said can be read, followed and cleared."""
    url = f"unix://{config.parent}/o"
    with Client(url) as client, client.follow_log("echo") as log:
        assert client.write_stdin("echo", "hello\n").written == 6
        piece = next(iter(log))
    assert isinstance(piece, LogPiece)
    assert piece.text == "hello\n"
    assert run("tail", "echo") == (0, "hello\n\n", "")
    assert run("tail", "-3", "echo") == (0, "lo\n\n", "")
    assert run("clear", "echo", "nope")[:2] == (
        1,
        "echo: cleared\nnope: ERROR (no such process)\n",
    )
    assert run("tail", "echo") == (0, "\n", "")
    assert run("tail", "nope")[:2] == (1, "nope: ERROR (no such process name)\n")
    assert "opsvisord started" in run("maintail").out
    assert run("tail", "-f", "nope")[:2] == (0, "==> Press Ctrl-C to exit <==\n")


@pytest.mark.usefixtures("opsvisord")
def test_why(run: Ctl) -> None:
    """The run that failed and its last words."""
    run("start", "crash")
    ran = run("why", "crash")
    assert ran.status == 0
    assert ran.out.startswith("crash is ")
    for text in ("exit status 3", "Last lines of stderr", "  oops"):
        assert text in ran.out
    assert run("why", "nope") == (1, "nope: ERROR (no such process)\n", "")


@pytest.mark.usefixtures("opsvisord")
def test_a_name_that_is_no_text_is_no_name(run: Ctl) -> None:
    """A shell can have any bytes for an argument, the JSON of the API can't."""
    for command in ("start", "stop", "status", "why", "tail", "clear", "metrics"):
        ran = run(command, "b\udcff")
        assert ran.status != 0, command
        assert ran.out.startswith("b\\udcff: ERROR (no such process"), command
        assert ran.err == "", command


@pytest.mark.usefixtures("opsvisord")
def test_events(run: Ctl, config: Path) -> None:
    """What happened before can be asked for, and what happens arrives."""
    run("start", "off")
    with Client(f"unix://{config.parent}/o") as client, client.events(500) as events:
        for event in events:
            assert isinstance(event, wire.Event)
            if event.process == "off" and event.kind == "process_spawned":
                break
        run("stop", "off")
        for event in events:
            assert isinstance(event, wire.Event)
            if event.process == "off" and event.kind == "process_exited":
                break
        else:
            pytest.fail("the stream ended before the stop was told")


@pytest.mark.usefixtures("opsvisord")
def test_talking_to_a_process(config: Path) -> None:
    """`fg` passes lines on and ends with its input; a process without one is refused."""

    def talk(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "opsvisor", "ctl", "-c", str(config), "fg", name],
            input="hello\n",
            capture_output=True,
            check=False,
            text=True,
            timeout=_LIMIT,
        )

    done = talk("echo")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("==> Press Ctrl-C to exit <==\n")
    assert done.stdout.endswith("Exiting foreground\n")
    assert talk("off").stdout == "ERROR: process not running\n"
    refused = talk("w:w_0")
    assert refused.returncode == 1
    assert "stdin" in refused.stdout + refused.stderr


def test_the_end(run: Ctl, opsvisord: subprocess.Popen[str]) -> None:
    """After a shutdown nobody answers, and nothing is left of the socket."""
    assert run("shutdown")[:2] == (0, "Shut down\n")
    assert opsvisord.wait(_LIMIT) == 0
    ran = run("shutdown")
    assert ran.status == 1
    assert ran.out.endswith("no such file (already shut down?)\n")


@pytest.mark.usefixtures("opsvisord")
def test_a_change_is_seen_carried_out_and_waited_for(run: Ctl, config: Path) -> None:
    """diff, apply and wait together: what scripts that deploy are made of."""
    assert run("wait", "w:*", "echo", "--timeout", "10s").status == 0
    assert run("diff")[:2] == (0, "nothing to apply\n")
    changed = _CONFIG.replace('"/bin/sleep 1000"\nreplicas = 2', '"/bin/sleep 1001"\nreplicas = 2')
    job = '[program.job]\ncommand = "/bin/true"\nrestart = "no"\n'
    config.write_text(f"{changed}{job}")
    seen = run("diff")
    assert seen.status == 6
    assert seen.out == (
        "~ w:w_0 and 1 more: restart\n"
        '    - command = "/bin/sleep 1000"\n'
        '    + command = "/bin/sleep 1001"\n'
        "+ job: is added\n"
        "1 to add, 2 to change (2 of them restart)\n"
    )
    done = run("apply")
    assert done.status == 0, done.out
    assert done.out.splitlines()[-4:] == [
        "w:w_0: restarted",
        "w:w_1: restarted",
        "job: started",
        "applied: generation 2",
    ]
    assert run("wait", "job", "--for", "exited", "--timeout", "10s")[:2] == (0, "job: exited\n")
    assert run("wait", "job", "--timeout", "10s").status == 8
    assert run("wait", "off", "--timeout", "10ms").status == 124
    config.write_text(f"{changed}{job}".replace("/bin/true", "/nonexistent/y"))
    failed = run("apply")
    assert failed.status == 0, failed.out  # a job that is done is not started anew
    assert run("start", "job").status == 1
