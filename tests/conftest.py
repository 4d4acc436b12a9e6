"""Fixtures shared by all tests."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from daemon import Daemon, StartDaemon
from home import Home, Programs
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("opsvisor", deadline=None)
# Chosen by --hypothesis-profile=long: a search for hours in which nobody waits.
settings.register_profile("long", deadline=None, max_examples=5000)
# Chosen by --hypothesis-profile=quick, where something else is being tested: the same every time.
settings.register_profile("quick", deadline=None, max_examples=20, derandomize=True)
settings.load_profile("opsvisor")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that runs the real daemon, so that `-m 'not e2e'` leaves it out."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker("e2e")


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
