"""Fixtures shared by all tests."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon, StartDaemon
from home import Home, Programs
from hypothesis import settings
from orphans import inherit_no_orphans

# How long an example takes says more about the machine than about the code.
settings.register_profile("opsvisor", deadline=None)
# Chosen by --hypothesis-profile=long, a search in which nobody waits. It takes minutes a test, so
# it goes with -o faulthandler_timeout=0: Python 3.11 now and then crashes while it dumps stacks.
settings.register_profile("long", deadline=None, max_examples=5000)
# Chosen by --hypothesis-profile=quick, where something else is being tested: the same every time.
settings.register_profile("quick", deadline=None, max_examples=20, derandomize=True)
settings.load_profile("opsvisor")


_STATE_OF_DAEMONS = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Have all daemons of this run keep their state in a place of its own, and not in /run.

    And none of the programs that are run here inherit that signals are ignored, as a shell has its
    background jobs do.
    """
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)
    place = tempfile.mkdtemp(prefix="opsvisor-tests-")
    config.stash[_STATE_OF_DAEMONS] = place
    os.environ["RUNTIME_DIRECTORY"] = place


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing of it behind."""
    shutil.rmtree(config.stash[_STATE_OF_DAEMONS], ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that runs the real daemon, so that `-m 'not e2e'` leaves it out.

    The soak begins first, whatever the order: it takes as long as everything beside it.
    """
    for item in items:
        if {"e2e", "hostile"} & set(item.path.parts):
            item.add_marker("e2e")
    items.sort(key=lambda item: item.get_closest_marker("soak") is None)


@pytest.fixture(autouse=True)
def no_subreaper() -> Iterator[None]:
    """Be no subreaper after a test that has made us one: orphans of others would end here.

    They would be zombies for ever, which those who wait for their end take for processes.
    """
    yield
    inherit_no_orphans()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The directory a daemon lives in."""
    return Home(tmp_path)


@pytest.fixture
def start_daemon(home: Home) -> Iterator[StartDaemon]:
    """Start real daemons in this test's directory; each must end well and leave nothing behind."""
    ends = ExitStack()

    def start(
        programs: Programs | str,
        *,
        main: str = "",
        daemon: str = "",
        options: Sequence[str] = (),
        wrapper: Sequence[str] = (),
    ) -> Daemon:
        written = Programs(programs) if isinstance(programs, str) else programs
        home.write(written, main=main, daemon=daemon)
        running = Daemon(home, options=options, wrapper=wrapper)
        ends.callback(running.end)
        return running

    with ends:
        yield start


_TOGETHER = (
    "/test_conform_",
    "/test_debian_package",
    "/test_distributions",
    "/test_guard_daemon",
    "/test_proof_",
    "/test_site",
    "/web/",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute tests one by one, but keep those together that share what is dear to make.

    That is a pair of daemons, a browser, a package, a site: each worker would make its own.

    (pytest-xdist's own `--dist loadgroup` has no effect under pytest 9.2.)
    """
    if config.getvalue("dist") != "load":
        return None  # somebody knows better
    # Imported only where it is in use. It comes without annotations.
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # noqa: PLC0415

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # as above
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if any(mark in file for mark in _TOGETHER) else nodeid

        def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
            super().mark_test_complete(node, item_index, duration)
            # It counts what it has handed out at every turn: forget what is done.
            scope = self._split_scope(self.registered_collections[node][item_index])
            if all(self.assigned_work[node][scope].values()):
                del self.assigned_work[node][scope]

    return Scheduling(config, log)
