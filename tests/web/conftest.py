"""Fixtures of the tests that look at the page in a browser."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from browsing import Begin, OpenPage, Pages, Site, begun, chromium
from home import Programs
from playwright.sync_api import Browser, expect

expect.set_options(timeout=60_000)  # ms; only a failure takes as long


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a module.

    Not for more: while playwright's loop runs, no test with a loop of its own can.
    """
    with chromium() as one:
        yield one


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open pages as somebody who has never been here; nothing may be wrong in the console."""
    with ExitStack() as ends:
        pages = Pages(browser, ends)
        yield pages
        pages.complaints.check()


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begin]:
    """Begin daemons that last as long as the module: each must end well."""
    numbers = count()
    with ExitStack() as ends:

        def start(programs: Programs | str, *, main: str = "", http: str = "") -> Site:
            directory = tmp_path_factory.mktemp(f"d{next(numbers)}")
            return ends.enter_context(begun(directory, programs, main=main, http=http))

        yield start
