"""What a program finds around itself: user, limits, signals, descriptors, environment."""

import os
import pwd
from pathlib import Path

import pytest
from daemon import Daemon, StartDaemon
from procfs import (
    descriptors_of,
    environment_of,
    group_and_session,
    limit_of,
    nice_of,
    status_of,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")

# 32 and 33 belong to the C library: it lets nobody set them, and its own posix_spawn, which make
# uses, leaves 32 ignored in all that it starts.
OF_THE_C_LIBRARY = 0b11 << 31
SLEEPER = """
    [program.web]
    command = ["sleep", "1000"]
    min_uptime = "0s"
    """


def executed(daemon: Daemon, name: str) -> int:
    """The pid of a process that has become `sleep`, as they have when they are RUNNING."""
    pid = daemon.until(name, "RUNNING").pid
    assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    return pid


@needs_root
def test_user_and_its_groups_are_taken_on(start_daemon: StartDaemon) -> None:
    """`user` gives the child that uid and gid, in all four kinds, and no group of root's."""
    nobody = pwd.getpwnam("nobody")
    daemon = start_daemon(SLEEPER + 'user = "nobody"')
    status = status_of(executed(daemon, "web"))
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert set(status["Groups"].split()) == {
        str(group) for group in os.getgrouplist("nobody", nobody.pw_gid)
    }


@needs_root
def test_limits_are_set_before_root_is_given_up(start_daemon: StartDaemon) -> None:
    """What only root may ask for (nice -5) holds for a program of nobody's."""
    daemon = start_daemon(
        SLEEPER
        + """
        user = "nobody"
        nice = -5
        oom_score_adj = 100
        rlimits = { nofile = [64, 128], core = "unlimited" }
        """
    )
    pid = executed(daemon, "web")
    assert status_of(pid)["Uid"].split()[0] == str(pwd.getpwnam("nobody").pw_uid)
    assert nice_of(pid) == -5
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "100\n"
    assert limit_of(pid, "Max open files") == ("64", "128")
    assert limit_of(pid, "Max core file size") == ("unlimited", "unlimited")


@pytest.mark.parametrize("more", ["", "nice = 1"], ids=["without a fork", "forked"])
def test_child_surroundings_are_as_configured(
    start_daemon: StartDaemon, tmp_path: Path, more: str
) -> None:
    """Directory, umask, environment and env_file hold, with a fork of our own and without."""
    (tmp_path / "work").mkdir()
    (tmp_path / "web.env").write_text("FROM_FILE=yes\nBOTH=file\n")
    daemon = start_daemon(
        SLEEPER
        + f"""
        working_dir = "$HERE/work"
        umask = "027"
        env_file = "$HERE/web.env"
        environment = {{ BOTH = "table", OWN = "a b" }}
        {more}
        """
    )
    pid = executed(daemon, "web")
    assert Path(f"/proc/{pid}/cwd").readlink() == tmp_path / "work"
    assert status_of(pid)["Umask"] == "0027"
    variables = environment_of(pid)
    assert {name: variables[name] for name in ("FROM_FILE", "BOTH", "OWN")} == {
        "FROM_FILE": "yes",
        "BOTH": "table",
        "OWN": "a b",
    }
    assert variables["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("more", ["", "nice = 1"], ids=["without a fork", "forked"])
def test_child_has_process_group_of_its_own_or_session(
    start_daemon: StartDaemon, more: str
) -> None:
    """Each child leads a process group in the daemon's session; with new_session, a session."""
    daemon = start_daemon(
        SLEEPER
        + f"""
        {more}
        [program.alone]
        command = ["sleep", "1000"]
        min_uptime = "0s"
        new_session = true
        {more}
        """
    )
    pid = executed(daemon, "web")
    assert group_and_session(pid) == (pid, os.getsid(daemon.pid))
    pid = executed(daemon, "alone")
    assert group_and_session(pid) == (pid, pid)


@pytest.mark.parametrize("more", ["", "nice = 1"], ids=["without a fork", "forked"])
@pytest.mark.parametrize(
    "wrapper",
    [
        (),
        ("nohup",),
        ("sh", "-c", "trap '' INT QUIT TERM USR1 CHLD PIPE; exec \"$@\"", "sh"),
    ],
    ids=["plain", "nohup", "ignoring"],
)
def test_child_begins_with_default_signals(
    start_daemon: StartDaemon, wrapper: tuple[str, ...], more: str
) -> None:
    """Nothing ignored, blocked or caught, whatever whoever started the daemon had ignored."""
    daemon = start_daemon(SLEEPER + more, wrapper=wrapper)
    status = status_of(executed(daemon, "web"))
    assert int(status["SigIgn"], 16) & ~OF_THE_C_LIBRARY == 0
    assert int(status["SigBlk"], 16) == 0
    assert int(status["SigCgt"], 16) == 0


@pytest.mark.parametrize("more", ["", "nice = 1"], ids=["without a fork", "forked"])
def test_child_has_three_descriptors_and_no_more(start_daemon: StartDaemon, more: str) -> None:
    """Nothing of the daemon's (sockets, logs, other pipes) is open in a child."""
    daemon = start_daemon(SLEEPER + more)
    held = descriptors_of(executed(daemon, "web"))
    assert held.keys() == {0, 1, 2}
    assert held[0] == "/dev/null"
    assert held[1].startswith("pipe:")
    assert held[2].startswith("pipe:")
    assert held[1] != held[2]


def test_child_does_not_inherit_what_the_daemon_was_given(start_daemon: StartDaemon) -> None:
    """A descriptor that somebody left open for the daemon ends there."""
    wrapper = ("sh", "-c", 'exec 7</etc/passwd "$@"', "sh")
    daemon = start_daemon(SLEEPER, wrapper=wrapper)
    assert 7 in descriptors_of(daemon.pid)
    assert descriptors_of(executed(daemon, "web")).keys() == {0, 1, 2}


def test_stdin_pipe_carries_text(start_daemon: StartDaemon) -> None:
    """With stdin = "pipe" a client can write to the program; without, it is told why not."""
    daemon = start_daemon(
        """
        [program.open]
        command = "$VICTIM"
        min_uptime = "0s"
        stdin = "pipe"
        [program.closed]
        command = "$VICTIM"
        min_uptime = "0s"
        """
    )
    daemon.until("open", "RUNNING")
    assert daemon.client.write_stdin("open", "say grüße\n").written == 12
    daemon.until_says("open", "grüße\n")
    daemon.until("closed", "RUNNING")
    answer = daemon.http(
        "/api/v1/processes/closed/stdin",
        method="POST",
        headers={"Content-Type": "application/json"},
        body='{"text": "x"}',
    )
    assert answer.status == 409
    assert "stdin_unavailable" in answer.text
