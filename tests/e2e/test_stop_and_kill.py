"""Ending programs: asked, made to, in order, with all their descendants."""

import itertools
import os
import signal

import pytest
from daemon import StartDaemon, eventually
from procfs import children_of, is_alive, is_gone, members_of


def test_stop_right_after_start_is_never_lost(start_daemon: StartDaemon) -> None:
    """SIGTERM the instant after the spawn ends the program: it never waits for SIGKILL.

    A signal that arrives between fork and exec must not find a handler of the daemon's, nor be
    blocked for good. The core's kill_delay is far beyond what forty rounds may take together.
    """
    daemon = start_daemon(
        """
        [program.web]
        command = ["sleep", "1000"]
        startup = "disabled"
        kill_delay = "60s"
        """
    )
    for _ in range(40):
        daemon.client.act("start", ["web"], wait=False)
        (stopped,) = daemon.client.act("stop", ["web"]).results
        assert stopped.result in ("ok", "not_running")
    status = daemon.status("web")
    assert (status.state, status.pid) == ("STOPPED", 0)
    assert status.starts == 40
    assert daemon.metric("opsvisor_process_up", process="web") == 0


def test_program_that_ignores_term_is_killed_after_kill_delay(start_daemon: StartDaemon) -> None:
    """SIGTERM first, SIGKILL one kill_delay later, and the log says so."""
    daemon = start_daemon(
        """
        [program.web]
        command = "$VICTIM 'ignore TERM'"
        kill_delay = "500ms"
        """
    )
    daemon.until_says("web", "ignoring TERM")
    (stopped,) = daemon.client.act("stop", ["web"]).results
    assert stopped.result == "ok"
    events = daemon.events_until(lambda e: e.kind == "process_exited")
    sent = {e.detail["signum"]: e.at for e in events if e.kind == "signal_sent"}
    assert 0.5 <= sent[signal.SIGKILL] - sent[signal.SIGTERM] < 1.4
    assert "WARN killing 'web' (" in daemon.log
    assert daemon.status("web").exit_signal == signal.SIGKILL


def test_suspended_program_can_be_stopped(start_daemon: StartDaemon) -> None:
    """A program in SIGSTOP sees its SIGTERM, long before the kill_delay is over."""
    daemon = start_daemon(
        """
        [program.web]
        command = "$VICTIM 'finish TERM 1'"
        min_uptime = "0s"
        kill_delay = "60s"
        """
    )
    daemon.until_says("web", "will finish on TERM")
    daemon.client.act("signal", ["web"], signal="STOP")
    daemon.client.act("stop", ["web"])
    assert daemon.status("web").exit_code == 0
    assert daemon.output_of("web").endswith("finished\n")


def test_group_kill_reaches_the_grandchildren(start_daemon: StartDaemon) -> None:
    """kill_mode = "group": children that share the process group end with the program."""
    daemon = start_daemon(
        """
        [program.web]
        command = "$VICTIM fork fork"
        """
    )
    eventually(lambda: daemon.output_of("web").count("child ") == 2)
    parent = daemon.status("web").pid
    family = [parent, *children_of(parent)]
    assert len(family) == 3
    daemon.client.act("stop", ["web"])
    eventually(lambda: all(is_gone(pid) for pid in family))


def test_process_kill_leaves_the_children_alone(start_daemon: StartDaemon) -> None:
    """kill_mode = "process" signals the program only; what it left is still seen to be alive."""
    daemon = start_daemon(
        """
        [program.web]
        command = "$VICTIM fork"
        stdin = "pipe"
        kill_mode = "process"
        """
    )
    child = int(daemon.until_says("web", "child ").split()[-1])
    daemon.client.act("stop", ["web"])
    assert is_alive(child)
    # The daemon is its reaper now; and the keeper has its name a moment after it began.
    eventually(lambda: children_of(daemon.pid) == [child])
    os.kill(child, signal.SIGKILL)
    eventually(lambda: is_gone(child))


def test_shutdown_goes_through_the_priorities_backwards(start_daemon: StartDaemon) -> None:
    """Started last, stopped first: each level waits until the one above it has ended."""
    daemon = start_daemon(
        """
        [program.first]
        command = "$VICTIM"
        priority = 1
        [program.second]
        command = "$VICTIM 'ignore TERM'"
        priority = 2
        kill_delay = "300ms"
        [program.third]
        command = "$VICTIM"
        priority = 3
        """
    )
    daemon.until_says("second", "ignoring TERM")
    assert daemon.terminate() == 0
    lines = [line for line in daemon.log.splitlines() if "spawned:" in line or "stopped:" in line]
    spawned = [line.split("'")[1] for line in lines if "spawned:" in line]
    stopped = [line.split("stopped: ")[1].split()[0] for line in lines if "stopped:" in line]
    assert spawned == ["first", "second", "third"]
    assert stopped == ["third", "second", "first"]
    assert "waiting for first, second, third to die" in daemon.log


def test_orphans_are_adopted_and_reaped(start_daemon: StartDaemon) -> None:
    """Grandchildren whose parents end become children of the daemon, and never stay zombies."""
    daemon = start_daemon(
        """
        [program.web]
        command = "$VICTIM orphan orphan orphan"
        min_uptime = "0s"
        """
    )
    said = eventually(
        lambda: text if (text := daemon.output_of("web")).count("orphan ") == 3 else ""
    )
    orphans = [int(line.split()[1]) for line in said.splitlines()]
    eventually(lambda: daemon.metric("opsvisor_orphans_reaped_total") == 3)
    assert all(is_gone(pid) for pid in orphans)
    eventually(lambda: children_of(daemon.pid) == [daemon.status("web").pid])


def test_signal_storm_of_deaths_loses_none(start_daemon: StartDaemon) -> None:
    """Thirty programs killed at once are thirty exits, and thirty restarts."""
    daemon = start_daemon(
        """
        [program.web]
        command = ["sleep", "1000"]
        replicas = 30
        min_uptime = "0s"
        """
    )
    eventually(lambda: all(one.state == "RUNNING" for one in daemon.statuses().values()))
    before = {name: one.pid for name, one in daemon.statuses().items()}
    assert len(before) == 30
    daemon.client.act("signal", ["all"], signal="KILL")
    seen = itertools.count(1)
    daemon.events_until(lambda e: e.kind == "process_exited" and next(seen) == 30)
    eventually(lambda: all(one.state == "RUNNING" for one in daemon.statuses().values()))
    after = daemon.statuses()
    assert not set(before.values()) & {one.pid for one in after.values()}
    assert all(one.restarts == 1 for one in after.values())


def test_child_in_a_session_of_its_own_is_adopted_and_reaped(start_daemon: StartDaemon) -> None:
    """What left the group outlives its stop, if asked to; its end is seen and attributed."""
    daemon = start_daemon(
        """
        [program.web]
        command = "$VICTIM escape"
        kill_mode = "group"
        """,
        options=["-e", "debug"],
    )
    child = int(daemon.until_says("web", "escaped ").split()[-1])
    daemon.metric("opsvisor_process_tree_processes", process="web")
    daemon.client.act("stop", ["web"])
    eventually(lambda: children_of(daemon.pid) == [child])
    os.kill(child, signal.SIGKILL)
    daemon.until_logged(f"reaped an orphan of web pid {child} (terminated by SIGKILL)")
    assert is_gone(child)


STRAY = """
[program.web]
command = ["sh", "-c", "(trap '' TERM; echo $$; while :; do sleep 1; done) & exec sleep 1000"]
kill_delay = "1s"
"""


def test_a_stop_is_over_when_the_last_member_of_the_group_is(start_daemon: StartDaemon) -> None:
    """A member that ignores TERM outlives its leader, but not the stop: SIGKILL reaches it."""
    daemon = start_daemon(STRAY)
    daemon.until("web", "RUNNING")
    members = members_of(group=daemon.status("web").pid)
    assert len(members) > 1
    assert daemon.ctl("stop", "web").out == "web: stopped\n"
    assert not [pid for pid in members if is_alive(pid)]
    daemon.until_logged("killing 'web'")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have programs of another user")
def test_who_may_not_be_signalled_is_named_when_the_daemon_ends(
    start_daemon: StartDaemon,
) -> None:
    """As a program with setuid of a daemon that isn't root: nobody looks after it afterwards."""
    daemon = start_daemon(
        """
        [program.web]
        command = "sleep 1000"
        user = "nobody"

        [program.api]
        command = "sleep 1000"
        """,
        wrapper=["setpriv", "--bounding-set=-kill"],
    )
    pid = daemon.until("web", "RUNNING").pid
    try:
        assert daemon.terminate() == 0
        assert is_alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
    (line,) = [line for line in daemon.log.splitlines() if "left running" in line]
    assert line.endswith(
        f" CRIT web (pid {pid}) is left running, and runs twice after the next start unless you"
        " end it: can't signal it: SIGTERM: Operation not permitted"
    )
