"""Which of those that bear the mark of a process is the run that was intended, if any of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from daemon import eventually

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.adoption import Adoption, Found, RunMemento
from opsvisor.runtime.pidfd import birth_of, this_tick

WEB = ProcessId("web", "web")

# Forks when told to. The words say what its child sheds of it.
ELDER = """
import os, signal, sys
sys.stdin.readline()
if os.fork() == 0:
    parent = os.getpid()
    if "parent" in sys.argv and os.fork():
        os._exit(0)
    while os.getppid() == parent:
        pass  # it says nothing before that has ended
    if "group" in sys.argv:
        os.setpgid(0, 0)
    if "session" in sys.argv:
        os.setsid()
    print(os.getpid(), flush=True)
    signal.pause()
if "parent" in sys.argv:
    os.wait()
signal.pause()
"""


@pytest.fixture
def family(subreaper: None) -> Iterator[ExitStack]:
    """Ends and reaps all that is put into it."""
    del subreaper
    with ExitStack() as stack:
        yield stack


def elder_and_child(family: ExitStack, *shed: str, leads: str) -> tuple[Pid, Pid, int, int]:
    """Both pids, the tick in between their births, and the pipe that is the output of both."""
    children: list[Pid] = []
    family.callback(lambda: [os.waitpid(child, 0) for child in children])  # ours by then
    elder = family.enter_context(
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", ELDER, *shed],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=leads == "session",
            process_group=0 if leads == "group" else None,
        )
    )
    family.callback(elder.kill)
    assert elder.stdin is not None
    assert elder.stdout is not None
    until_later_than(Pid(elder.pid))
    since = this_tick()
    elder.stdin.write(b"\n")
    elder.stdin.flush()
    child = Pid(int(elder.stdout.readline()))
    children.append(child)
    family.callback(os.kill, child, signal.SIGKILL)
    return Pid(elder.pid), child, since, os.fstat(elder.stdout.fileno()).st_ino


def until_later_than(pid: Pid) -> None:
    """Let the tick pass in which this process was born."""
    born = birth_of(pid)
    assert born is not None
    eventually(lambda: this_tick() > born)


@pytest.mark.parametrize(
    ("leads", "shed"),
    [
        ("session", ("session",)),  # its parent tells
        ("group", ("parent",)),  # its group
        ("session", ("parent", "group")),  # its session
        ("session", ("parent", "session")),  # its pipe
    ],
)
def test_who_comes_of_an_earlier_run(family: ExitStack, leads: str, shed: tuple[str, ...]) -> None:
    """It is not the run that was intended before it was born: that was not made."""
    elder, child, since, pipe = elder_and_child(family, *shed, leads=leads)
    earlier = (pipe, 1) if shed == ("parent", "session") else (1,)
    run = RunMemento(id=WEB, is_intended=True, intended_at=since, stdout=earlier)
    assert Adoption(marked=lambda _id: [elder, child]).find_spawn(run) is None


def test_who_has_a_pipe_of_the_run(family: ExitStack) -> None:
    """Nobody but that run was given one: whoever its parent is, it comes of it."""
    elder, child, since, pipe = elder_and_child(family, leads="group")
    run = RunMemento(id=WEB, is_intended=True, intended_at=since, stdout=(pipe,))
    found = Adoption(marked=lambda _id: [elder, child]).find_spawn(run)
    assert isinstance(found, Found)
    assert found.pid == child


def test_who_has_nothing_but_the_mark(family: ExitStack) -> None:
    """It may be the run: that may have shed all else."""
    elder, child, since, _ = elder_and_child(family, "parent", "session", leads="session")
    run = RunMemento(id=WEB, is_intended=True, intended_at=since, stdout=(1,))
    found = Adoption(marked=lambda _id: [elder, child]).find_spawn(run)
    assert isinstance(found, Found)
    assert found.pid == child


@pytest.mark.parametrize("has_pipe", [True, False])
def test_an_orphan_that_is_older(family: ExitStack, *, has_pipe: bool) -> None:
    """Who has a pipe of the run, or leads a group as it was made to, comes before one without."""
    orphan = family.enter_context(subprocess.Popen(["sleep", "600"]))
    family.callback(orphan.kill)
    since = birth_of(Pid(orphan.pid))
    assert since is not None
    until_later_than(Pid(orphan.pid))
    run, pipe = a_run(family, with_pipe=has_pipe, leads=not has_pipe)
    marked = [Pid(orphan.pid), run]
    memento = RunMemento(id=WEB, is_intended=True, intended_at=since, stdout=(pipe,))
    found = Adoption(marked=lambda _id: marked).find_spawn(memento)
    assert isinstance(found, Found)
    assert found.pid == run


def test_a_run_that_has_redirected_its_output_since(family: ExitStack) -> None:
    """It comes before what it has sent away earlier, which still has the pipe."""
    run, _ = a_run(family, with_pipe=False, leads=True)
    since = birth_of(run)
    assert since is not None
    until_later_than(run)
    sent_away, pipe = a_run(family, with_pipe=True, leads=True)
    memento = RunMemento(id=WEB, is_intended=True, intended_at=since, stdout=(pipe,))
    found = Adoption(marked=lambda _id: [run, sent_away]).find_spawn(memento)
    assert isinstance(found, Found)
    assert found.pid == run


def a_run(family: ExitStack, *, with_pipe: bool, leads: bool) -> tuple[Pid, int]:
    """A process that has a pipe as its output, or leads a group; and that pipe, or another."""
    reader, writer = os.pipe()
    family.callback(os.close, reader)
    child = family.enter_context(
        subprocess.Popen(
            ["sleep", "600"],
            stdout=writer if with_pipe else subprocess.DEVNULL,
            process_group=0 if leads else None,
        )
    )
    os.close(writer)
    family.callback(child.kill)
    return Pid(child.pid), os.fstat(reader).st_ino
