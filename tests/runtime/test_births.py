"""When a process of ours was born, by the clock and by /proc."""

import os
from collections.abc import Iterator

import pytest

from opsvisor.core.spec import Pid
from opsvisor.runtime import pidfd
from opsvisor.runtime.pidfd import Births, birth_of, this_tick

FAR = 10**9  # ticks


@pytest.fixture
def child() -> Iterator[tuple[Pid, int]]:
    """A process, and a tick that was before it."""
    since = this_tick()
    pid = Pid(os.posix_spawnp("true", ["true"], os.environ))
    yield pid, since
    os.waitpid(pid, 0)


def unseen(_pid: Pid) -> None:
    """For a test in which nobody may ask /proc."""
    raise AssertionError("asked /proc")


def test_both_say_the_same(child: tuple[Pid, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is looked at; after that, the clock is believed if it has not gone on."""
    pid, since = child
    births, real = Births(), birth_of(pid)
    assert real is not None
    assert births.of(pid, since) == real
    monkeypatch.setattr(pidfd, "birth_of", unseen)
    monkeypatch.setattr(pidfd, "this_tick", lambda: real)
    assert births.of(pid, real) == real
    with pytest.raises(AssertionError):
        births.of(pid, real - 1)


@pytest.mark.parametrize("ahead", [FAR, -FAR])
def test_another_clock_is_not_believed(
    child: tuple[Pid, int], monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """One that has been put before that of the kernel."""
    pid, _ = child
    births, real = Births(), birth_of(pid)
    monkeypatch.setattr(pidfd, "this_tick", lambda: FAR + ahead)
    for _ in range(3):
        assert births.of(pid, FAR + ahead) == real


def test_who_is_gone_has_no_birth(child: tuple[Pid, int]) -> None:
    """And says nothing about the clock."""
    pid, since = child
    births = Births()
    gone = Pid(os.posix_spawnp("true", ["true"], os.environ))
    os.waitpid(gone, 0)
    assert births.of(gone, since) == 0
    assert births.of(pid, since) == birth_of(pid)
