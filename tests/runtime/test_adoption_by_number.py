"""Numbers of processes that were given away again, as an adoption meets them."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from opsvisor.core.outcome import Outcome
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.adoption import Adoption, Found, RunMemento
from opsvisor.runtime.pidfd import UNKNOWN, birth_of

WEB = ProcessId("web", "web")


@pytest.fixture
def living() -> Iterator[Pid]:
    """A process that lives."""
    with subprocess.Popen(["sleep", "600"]) as child:
        yield Pid(child.pid)
        child.kill()


def test_a_kept_pidfd_of_an_earlier_process(living: Pid) -> None:
    """Its number was given to the run before the keeper heard of it: that one lives."""
    with subprocess.Popen(["true"]) as child:
        stale = os.pidfd_open(child.pid)
    born = birth_of(living)
    assert born is not None
    dropped: list[str] = []
    kept = {f"pid:{living}": stale}
    adoption = Adoption(claim=lambda name: kept.pop(name, None), drop=dropped.append)
    found = adoption.look_at(RunMemento(id=WEB, pid=living, born=born), living)
    assert isinstance(found, Found)
    assert (found.pid, found.born) == (living, born)
    assert found.pidfd is not None
    os.close(found.pidfd)
    assert dropped == [f"pid:{living}"]


def test_a_spawn_whose_number_is_somebody_elses(living: Pid) -> None:
    """It was made and noted, and is over: whoever has its number now must not be signalled."""
    found = Adoption().find_spawn(RunMemento(id=WEB, pid=living, born=1))
    assert found == UNKNOWN
    assert found.outcome == Outcome()
