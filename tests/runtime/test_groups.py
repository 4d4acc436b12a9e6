"""What is left of a process group."""

import os
import signal
import subprocess

from daemon import eventually

from opsvisor.core.spec import Pid
from opsvisor.runtime import groups


def test_a_group_is_known_again_by_who_stayed() -> None:
    """Its number is its own while a member that was there is there; pids alone prove nothing."""
    command = ["sh", "-c", "sleep 1000 & sleep 1000 & wait"]
    shell = subprocess.Popen(command, process_group=0, stdout=subprocess.DEVNULL)
    try:
        group = Pid(shell.pid)
        eventually(lambda: len(groups.members_of(group)) == 3)
        seen = groups.members_of(group)
        assert groups.has_members(group)
        assert groups.is_same(seen, groups.members_of(group))
        assert not groups.is_same({pid: born - 1 for pid, born in seen.items()}, seen)
        assert not groups.is_same(seen, {})
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def test_a_group_without_members_has_none() -> None:
    """A number that nobody has."""
    shell = subprocess.Popen(["true"], process_group=0)
    shell.wait()
    assert not groups.has_members(Pid(shell.pid))
    assert groups.members_of(Pid(shell.pid)) == {}
