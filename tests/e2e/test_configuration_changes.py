"""Changed files under a running daemon: reread, update, reload; a mistake does nothing."""

import os
import re
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Self

import pytest
from daemon import PATIENCE, Daemon, StartDaemon, eventually
from home import Dialect, Programs, in_both_languages

from opsvisor.client import ApiError

TWO = """
    [program.web]
    command = "$VICTIM"
    min_uptime = "0s"
    [program.worker]
    command = "$VICTIM"
    min_uptime = "0s"
    """
TWO_PROGRAMS = in_both_languages(
    ini="""
        [program:web]
        command = $VICTIM
        startsecs = 0
        [program:worker]
        command = $VICTIM
        startsecs = 0
        """,
    toml=TWO,
)


def pids(daemon: Daemon) -> dict[str, int]:
    """The pids of all processes, which all are RUNNING."""
    names = list(daemon.statuses())
    return {name: daemon.until(name, "RUNNING").pid for name in names}


def with_line(text: str, program: str, *lines: str) -> str:
    """The configuration with these lines at the top of a program's section."""
    return re.sub(rf"(\[program[.:]{program}\])", "\n".join([r"\1", *lines]), dedent(text))


@TWO_PROGRAMS
def test_plan_that_outgrows_the_limit_of_descriptors(
    start_daemon: StartDaemon, programs: Programs
) -> None:
    """What an update adds gets descriptors too, as what was there at the start did."""
    daemon = start_daemon(programs)
    pids(daemon)
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (64, hard))
    daemon.home.rewrite(programs.text.replace("worker", "another"))
    assert daemon.ctl("update").status == 0
    assert "another" in pids(daemon)
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[0] == min(1024, hard)


@TWO_PROGRAMS
def test_bad_file_changes_nothing_and_says_so_everywhere(
    start_daemon: StartDaemon, programs: Programs
) -> None:
    """After a reread of a bad file: the API, the log and the metric tell; the processes go on."""
    daemon = start_daemon(programs)
    before = pids(daemon)
    daemon.home.rewrite(
        programs.text.replace("startsecs = 0", "startsecs = soon").replace('"0s"', '"soon"')
    )
    reread = daemon.ctl("reread")
    assert reread.status == 1
    assert reread.out.startswith("ERROR: CANT_REREAD: ")
    with pytest.raises(ApiError) as caught:
        daemon.client.apply()
    assert caught.value.problem.status == 422
    lines = [problem.line for problem in caught.value.problem.problems]
    assert lines == [4, 7]
    assert {problem.file for problem in caught.value.problem.problems} == {
        str(daemon.home.programs)
    }
    assert daemon.metric("opsvisor_config_last_reload_successful") == 0
    assert daemon.metric("opsvisor_config_reload_failures_total") == 2
    assert f"{daemon.home.programs}:4: " in daemon.log
    said = daemon.client.daemon()
    assert not said.last_reload_ok
    assert [problem.line for problem in said.last_reload_problems] == [4, 7]
    assert pids(daemon) == before

    daemon.home.rewrite(programs.text)
    assert daemon.ctl("reread").out == "No config updates to processes\n"
    assert daemon.metric("opsvisor_config_last_reload_successful") == 1
    assert daemon.client.daemon().last_reload_ok
    assert pids(daemon) == before


@TWO_PROGRAMS
def test_update_restarts_what_changed_and_nothing_else(
    start_daemon: StartDaemon, programs: Programs
) -> None:
    """A new environment for one program: a new pid for that one, with the new environment."""
    daemon = start_daemon(programs)
    before = pids(daemon)
    ours, supervisors = 'environment = { NEW = "yes" }', "environment = NEW=yes"
    line = ours if programs.dialect is Dialect.TOML else supervisors
    daemon.home.rewrite(with_line(programs.text, "web", line))
    assert daemon.ctl("update").out == "web: stopped\nweb: updated process group\n"
    after = pids(daemon)
    assert after["worker"] == before["worker"]
    assert after["web"] != before["web"]
    assert b"NEW=yes" in Path(f"/proc/{after['web']}/environ").read_bytes()
    assert daemon.status("worker").starts == 1
    assert daemon.metric("opsvisor_process_restarts_total", process="web", reason="config") == 1


def test_change_of_what_is_live_restarts_nothing(start_daemon: StartDaemon) -> None:
    """Restart and stop settings are taken over by the running process."""
    daemon = start_daemon(TWO)
    before = pids(daemon)
    daemon.home.rewrite(with_line(TWO, "web", 'kill_delay = "7s"', 'restart = "no"'))
    (change,) = daemon.client.reread().changed
    assert (change.name, change.restart) == ("web", False)
    update = daemon.ctl("update")
    assert update.out == "web: updated process group\n"
    assert pids(daemon) == before
    os.kill(before["web"], signal.SIGKILL)
    assert daemon.until("web", "EXITED").starts == 1


@TWO_PROGRAMS
def test_program_that_left_the_files_is_stopped_and_gone(
    start_daemon: StartDaemon, programs: Programs
) -> None:
    """`update` after a section was removed: stopped, removed, and unknown from then on."""
    daemon = start_daemon(programs)
    before = pids(daemon)
    header = "[program:worker]" if programs.dialect is Dialect.INI else "[program.worker]"
    daemon.home.rewrite(programs.text.split(header)[0])
    assert daemon.ctl("update").out == "worker: stopped\nworker: removed process group\n"
    assert not Path(f"/proc/{before['worker']}").exists()
    assert pids(daemon) == {"web": before["web"]}
    assert daemon.ctl("status", "worker").out == "worker: ERROR (no such process)\n"


@TWO_PROGRAMS
def test_sighup_begins_anew_in_the_same_process(
    start_daemon: StartDaemon, programs: Programs
) -> None:
    """SIGHUP with good files: the same daemon, everything restarted, new programs included."""
    daemon = start_daemon(programs)
    before = pids(daemon)
    started = daemon.client.daemon().started_at
    daemon.home.rewrite(programs.text.replace("worker", "digger"))
    daemon.signal(signal.SIGHUP)
    daemon.until_begun_anew(after=started)
    assert daemon.client.daemon().pid == daemon.pid
    after = pids(daemon)
    assert set(after) == {"web", "digger"}
    assert not set(after.values()) & set(before.values())
    assert not any(Path(f"/proc/{pid}").exists() for pid in before.values())
    assert "received SIGHUP indicating restart request" in daemon.log
    assert int(daemon.home.pid_file.read_text()) == daemon.pid


def test_sighup_with_a_broken_file_keeps_everything_running(start_daemon: StartDaemon) -> None:
    """A mistake in the files must not cost a single process when the daemon is told to reload."""
    daemon = start_daemon(TWO)
    before = pids(daemon)
    daemon.home.rewrite(TWO + "comand = 1\n")
    daemon.signal(signal.SIGHUP)
    daemon.until_logged("the configuration can't be used; everything goes on as it was")
    assert pids(daemon) == before
    assert daemon.client.daemon().state == "running"
    assert "did you mean 'command'?" in daemon.log
    reload = daemon.ctl("reload")
    assert reload.status != 0
    assert "comand" in reload.out + reload.err
    assert pids(daemon) == before


def test_reload_asks_first_in_its_interactive_form(start_daemon: StartDaemon) -> None:
    """At a terminal `reload` asks y/N; no leaves everything as it is, y begins anew."""
    daemon = start_daemon(Programs(_INI_PROGRAM, Dialect.INI))
    before = pids(daemon)
    started = daemon.client.daemon().started_at
    question = "Really restart the remote supervisord process y/N? "
    with Terminal(daemon) as terminal:
        terminal.type("n\n", after=question)
    assert pids(daemon) == before
    with Terminal(daemon) as terminal:
        terminal.type("y\n", after=question)
        terminal.until("Restarted supervisord")
    daemon.until_begun_anew(after=started)
    assert not set(pids(daemon).values()) & set(before.values())


_INI_PROGRAM = """
    [program:web]
    command = $VICTIM
    startsecs = 0
    """


class Terminal:
    """`opsvisorctl -i reload` on a terminal of its own."""

    def __init__(self, daemon: Daemon) -> None:
        self._ours, theirs = os.openpty()
        self._child = subprocess.Popen(
            [
                Path(sys.executable).with_name("opsvisorctl"),
                "-c",
                daemon.home.config,
                "-i",
                "reload",
            ],
            cwd=daemon.home.directory,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._text = ""

    def until(self, text: str) -> None:
        """Read until this has appeared."""
        while text not in self._text:
            readable, _, _ = select.select([self._ours], [], [], PATIENCE)
            assert readable, f"{text!r} does not come after {self._text!r}"
            self._text += os.read(self._ours, 4096).decode()

    def type(self, keys: str, *, after: str) -> None:
        """Type, once this has appeared."""
        self.until(after)
        os.write(self._ours, keys.encode())

    def __enter__(self) -> Self:
        """The terminal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the program to end."""
        try:
            assert self._child.wait(PATIENCE) == 0
        finally:
            self._child.kill()
            os.close(self._ours)


def test_what_the_daemon_is_to_become_restarts_no_program(start_daemon: StartDaemon) -> None:
    """Until it begins anew it listens where it did and is called as it was, for them, too."""
    text = """
        [program:web]
        command = sh -c 'echo $SUPERVISOR_SERVER_URL; exec sleep 1000'
        startsecs = 0
        """
    daemon = start_daemon(Programs(text, Dialect.INI))
    url = f"unix://{daemon.home.socket}"
    daemon.until_says("web", f"{url}\n")
    before = pids(daemon)
    config = daemon.home.config
    old = config.read_text()
    new = old.replace(f"file = {daemon.home.socket}\n", f"file = {daemon.home.socket}2\n")
    config.write_text(new.replace("[supervisord]\n", "[supervisord]\nidentifier = other\n"))
    update = daemon.ctl("update")
    assert (update.status, update.out) == (0, "")
    changed = "settings of opsvisord itself changed (identifier, servers): use reload"
    assert f"hint: {changed}\n" in update.err
    assert pids(daemon) == before
    daemon.ctl("restart", "web")
    eventually(lambda: daemon.output_of("web").split() == [url, url])
    began = daemon.client.daemon().started_at
    assert daemon.ctl("reload").status == 0
    daemon.client.close()
    daemon.home.socket, daemon._client = daemon.home.socket.with_name("s2"), None
    daemon.until_begun_anew(after=began)
    daemon.until_says("web", f"{url}2\n")
