"""What a service manager hears, on a real datagram socket."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from manager import Manager

from opsvisor.core.events import (
    Event,
    KillSurvived,
    StateChanged,
    SupervisorState,
    SupervisorStateChanged,
)
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.state import PublicState
from opsvisor.runtime.notify import Notifier, Reporter, told, without_manager

WEB, JOB = ProcessId("web", "web"), ProcessId("jobs", "one")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Somebody who hears."""
    with Manager(str(tmp_path / "notify")) as one:
        yield one


class Daemon:
    """A reporter, and the states that it reports of."""

    def __init__(self, manager: Manager, watchdog: float | None = None) -> None:
        self.states: dict[ProcessId, PublicState] = {}
        notifier = Notifier(manager.address, watchdog)
        manager.afterwards.callback(notifier.close)
        self.reporter = Reporter(
            notifier,
            loop=asyncio.get_running_loop(),
            states=lambda: self.states,
        )

    def becomes(self, process_id: ProcessId, state: PublicState) -> None:
        """A process changes its state."""
        old = self.states.get(process_id, PublicState.STOPPED)
        self.states[process_id] = state
        self.reporter.on_event(StateChanged(at=0, id=process_id, old=old, new=state, reason=""))

    def ends(self) -> None:
        """Everything is to be stopped."""
        self.reporter.on_event(_shutdown(SupervisorState.STOPPING))


def _shutdown(new: SupervisorState) -> Event:
    return SupervisorStateChanged(at=0, old=SupervisorState.RUNNING, new=new, reason="")


async def hear(manager: Manager) -> dict[str, str]:
    """The next message, while the loop goes on."""
    return await asyncio.to_thread(manager.next)


async def test_a_name_without_a_file_is_heard_too() -> None:
    """Managers in containers have such."""
    with Manager(f"@opsvisor-test-{uuid4().hex}") as manager:
        notifier = Notifier(manager.address)
        notifier.tell("READY=1", "STATUS=two lines")
        notifier.close()
        assert manager.next() == {"READY": "1", "STATUS": "two lines"}


@pytest.mark.parametrize("address", ["", "/nowhere/to/be/found", "relative", "vsock:2:1"])
async def test_nobody_there_is_no_problem(address: str) -> None:
    """Nothing is raised, whatever the variable names."""
    notifier = Notifier.of({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    notifier.tell("READY=1")
    notifier.close()


async def test_a_manager_that_does_not_read_holds_nothing_up(manager: Manager) -> None:
    """Its queue is full after some hundred messages; the rest is lost."""
    notifier = Notifier(manager.address)
    for number in range(10_000):
        notifier.tell(f"STATUS={number}")
    assert manager.next() == {"STATUS": "0"}
    notifier.close()


async def test_a_manager_that_was_restarted_is_heard_again(tmp_path: Path) -> None:
    """It has another socket under the same name."""
    address = str(tmp_path / "notify")
    notifier = Notifier(address)
    for word in ("before", "after"):
        with Manager(address) as manager:
            notifier.tell(f"STATUS={word}")
            assert manager.next() == {"STATUS": word}
    notifier.close()


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "18446744073709551615"}, None),  # systemd's infinity
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "٣"}, None),
        ({}, None),
    ],
)
def test_who_is_to_show_signs_of_life(variables: dict[str, str], interval: float | None) -> None:
    """This process, if it is named or nobody is; never without a socket."""
    assert Notifier.of({"NOTIFY_SOCKET": "/s", **variables}).watchdog == interval
    assert Notifier.of(variables).watchdog is None


def test_programs_are_told_nothing_of_a_manager() -> None:
    """A program that notifies by itself would speak in the daemon's name."""
    ours = dict.fromkeys(("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"), "x")
    sockets = dict.fromkeys(("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"), "x")
    assert without_manager({**ours, **sockets, "PATH": "/bin"}) == {"PATH": "/bin"}


async def test_signs_of_life_come_from_the_loop(manager: Manager) -> None:
    """As long as it turns, and not after."""
    daemon = Daemon(manager, watchdog=0.02)
    daemon.reporter.open()
    for _ in range(3):
        assert await hear(manager) == {"WATCHDOG": "1"}
    daemon.reporter.close()
    while not manager.silent():
        manager.next()
    await asyncio.get_running_loop().run_in_executor(None, _wait_for_nothing, manager, 0.1)


def _wait_for_nothing(manager: Manager, seconds: float) -> None:
    with pytest.raises(AssertionError, match="nothing comes"):
        manager.next(seconds)


async def test_a_burst_of_changes_is_one_message_and_the_rest_a_second_later(
    manager: Manager,
) -> None:
    """The first at once; what is the same as before is not said again."""
    daemon = Daemon(manager)
    began = asyncio.get_running_loop().time()
    daemon.reporter.ready()
    assert await hear(manager) == {"READY": "1", "STATUS": "0 running"}
    for number in range(100):
        daemon.becomes(ProcessId(f"p{number}", f"p{number}"), PublicState.STARTING)
    assert await hear(manager) == {"STATUS": "0 running, 100 starting"}
    daemon.becomes(WEB, PublicState.RUNNING)
    assert await hear(manager) == {"STATUS": "1 running, 100 starting"}
    assert asyncio.get_running_loop().time() - began >= 1.0
    daemon.becomes(WEB, PublicState.RUNNING)
    daemon.reporter.close()
    assert manager.silent()


async def test_stopping_asks_for_patience_until_only_the_unkillable_are_left(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops have their own limits. What survives SIGKILL has none."""
    monkeypatch.setattr("opsvisor.runtime.notify._EXTENSION", 0.06)
    daemon = Daemon(manager)
    daemon.becomes(WEB, PublicState.STOPPING)
    daemon.ends()
    assert await hear(manager) == {"STOPPING": "1"}
    for _ in range(3):
        await asyncio.to_thread(manager.until_told, "EXTEND_TIMEOUT_USEC", "60000")
    daemon.reporter.on_event(KillSurvived(at=0, id=WEB, pid=Pid(1), kills=1))
    while not manager.silent():
        manager.next()
    await asyncio.to_thread(_wait_for_nothing, manager, 0.3)
    daemon.reporter.close()


async def test_a_reload_says_when_it_began(manager: Manager) -> None:
    """In microseconds of the monotonic clock, as systemd checks."""
    daemon = Daemon(manager)
    daemon.reporter.on_event(_shutdown(SupervisorState.RELOADING))
    message = await hear(manager)
    assert message["RELOADING"] == "1"
    loop = asyncio.get_running_loop()
    assert 0 <= loop.time() - int(message["MONOTONIC_USEC"]) / 1e6 < 10
    daemon.reporter.close()


def test_how_things_are_in_one_line() -> None:
    """Counts of what is well, names of what is not."""
    assert told({}) == "0 running"
    many = {ProcessId(f"p{n}", f"p{n}"): PublicState.RUNNING for n in range(12)}
    assert told({**many, WEB: PublicState.FATAL}) == "12 running, 1 FATAL: web"
    states = {WEB: PublicState.STOPPED, JOB: PublicState.EXITED}
    assert told(states) == "0 running, 1 stopped, 1 exited"
    failing = dict.fromkeys(many, PublicState.BACKOFF)
    assert told(failing) == "0 running, 12 BACKOFF: p0, p1, p10, p11, p2 and 7 more"
    strange = ProcessId("a\nREADY=1", "a\nREADY=1")
    assert told({strange: PublicState.FATAL}) == "0 running, 1 FATAL: a?READY=1"
    assert told({WEB: PublicState.STOPPING}, is_ending=True) == "waiting for web"
    assert told({WEB: PublicState.STOPPED}, is_ending=True) == "everything is stopped"
