"""The page, built once for the tests of a worker, and a browser to open it in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.previews import Browser, page


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built page."""
    page.install()
    return page.build(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium."""
    with Browser.start(tmp_path_factory.mktemp("browser")) as running:
        yield running
