"""The browser that draws previews: it tells what a page throws, and leaves nothing behind."""

import asyncio
import os
import shutil
from pathlib import Path

import psutil
import pytest

from tools.previews import Browser, PreviewError


def test_what_a_page_throws_is_told(browser: Browser) -> None:
    """With its words, of a promise too; a value comes back as it is."""
    assert _ask(browser, "Promise.resolve([1, 'two'])") == [1, "two"]
    for failing in ("throw Error('lost')", "Promise.reject(Error('lost'))"):
        with pytest.raises(PreviewError, match="lost"):
            _ask(browser, failing)


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    """No process of its own or of its helpers, who would go on writing into its profile."""
    directory = tmp_path / "browser"
    directory.mkdir()
    with Browser.start(directory) as browser:
        group = browser.pid
        _ask(browser, "navigator.userAgent")
        assert len(_alive(group)) > 1
    assert _alive(group) == []
    shutil.rmtree(directory)


def _ask(browser: Browser, expression: str) -> object:
    async def ask() -> object:
        async with browser.tab() as tab:
            return await tab.value(expression)

    return asyncio.run(ask())


def _alive(group: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        except ProcessLookupError:
            continue
    return found
