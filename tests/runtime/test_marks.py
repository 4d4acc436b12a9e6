"""The mark that all bear who come of a process."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.marks import Marks, bearers, mark_of

WEB, API = ProcessId("web", "web"), ProcessId("web", "api")
LIMIT = resource.RLIMIT_RTTIME
READER = ["sh", "-c", "echo; read line"]


@contextmanager
def running(marks: Marks, process_id: ProcessId, words: list[str]) -> Iterator[Pid]:
    """A program with the mark of this process, which has begun."""
    with marks.handed_on(process_id):
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    try:
        yield Pid(child.pid)
    finally:
        child.communicate(b"\n")


def test_marks_differ_between_processes_and_daemons() -> None:
    """And are always the same for one process of one daemon, whoever runs it."""
    marks = Marks(7)
    assert marks.of(WEB) == Marks(7).of(WEB)
    assert len({marks.of(WEB), marks.of(API), Marks(8).of(WEB), Marks().of(WEB)}) == 4
    assert Marks().seed != Marks().seed
    assert all(1 << 62 <= Marks(n + 1).of(WEB) < 1 << 63 for n in range(100))


def test_a_mark_survives_whatever_a_program_does() -> None:
    """No variables, a session of its own, another program: it is found, and nobody else is."""
    marks = Marks()
    words = ["setsid", "--wait", "env", "-i", "/bin/sh", "-c", READER[2]]
    before = resource.getrlimit(LIMIT)
    with running(marks, WEB, words) as pid, running(marks, API, READER) as other:
        found = bearers([marks.of(WEB), marks.of(API)])
        assert pid in found[marks.of(WEB)]
        assert found[marks.of(API)] == [other]
        assert mark_of(other) == marks.of(API)
    assert resource.getrlimit(LIMIT) == before


def test_the_daemon_itself_is_never_found() -> None:
    """Its own limit is the mark while it spawns."""
    marks = Marks()
    with marks.handed_on(WEB):
        assert mark_of(Pid(os.getpid())) == marks.of(WEB)
        assert bearers([marks.of(WEB)]) == {marks.of(WEB): []}
    assert mark_of(Pid(os.getpid())) is None


def test_who_is_gone_bears_no_mark() -> None:
    """And is no error."""
    child = subprocess.Popen(["true"])
    child.wait()
    assert mark_of(Pid(child.pid)) is None


def test_where_the_limit_is_lower_there_are_no_marks() -> None:
    """An administrator's limit stands: the program runs, without a mark."""
    code = (
        "import resource, sys\n"
        "from opsvisor.core.spec import ProcessId\n"
        "from opsvisor.runtime.marks import Marks, mark_of\n"
        "import os\n"
        "resource.setrlimit(resource.RLIMIT_RTTIME, (5000, 5000))\n"
        "with Marks().handed_on(ProcessId('a', 'a')):\n"
        "    print(mark_of(os.getpid()), resource.getrlimit(resource.RLIMIT_RTTIME))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None (5000, 5000)\n"


def test_who_ends_while_the_machine_is_looked_at_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pid that is listed and gone by the time it is asked."""
    marks = Marks()
    with running(marks, WEB, READER) as pid:
        monkeypatch.setattr(os, "listdir", lambda _: ["self", "4194303", str(pid)])
        assert bearers([marks.of(WEB)]) == {marks.of(WEB): [pid]}
