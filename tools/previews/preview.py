"""Draws dashboards and takes pictures of them."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from tools.previews.browser import Browser, Tab
from tools.previews.errors import PreviewError
from tools.previews.page import DASHBOARDS, application

WIDTH = 1920
_FIRST_HEIGHT = 1080
_PATIENCE = 60.0  # seconds to draw one dashboard; only a failure ever waits so long


class Report(msgspec.Struct, frozen=True):
    """What the page says of itself, once it is drawn (grafana/preview/src/report.ts)."""

    height: int
    errors: list[str]
    overflows: list[str]
    empty: list[str]
    panels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One dashboard as it is to be drawn. Times are Unix seconds."""

    dashboard: str
    prometheus: str
    start: float
    end: float
    scrape_interval: int = 15
    variables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    theme: str = "dark"
    width: int = WIDTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG of the whole page, and what the page said."""

    shot: Shot
    report: Report
    png: bytes


def pictures(
    browser: Browser, built: Path, shots: Sequence[Shot], *, dashboards: Path = DASHBOARDS
) -> list[Picture]:
    """Draw them one after the other. Raises PreviewError if a page can't be drawn at all."""
    others = sorted(file.name for file in dashboards.glob("*.json"))

    async def draw() -> list[Picture]:
        found = []
        async with _served(application(built, dashboards)) as address:
            for shot in shots:
                async with browser.tab() as tab:
                    found.append(await _take(tab, f"{address}/?{_query(shot, others)}", shot))
        return found

    return asyncio.run(draw())


@asynccontextmanager
async def _served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _take(tab: Tab, address: str, shot: Shot) -> Picture:
    await tab.size(shot.width, _FIRST_HEIGHT)
    await tab.ask("Page.enable")
    await tab.ask("Page.navigate", {"url": address})
    try:
        async with asyncio.timeout(_PATIENCE):
            told = await tab.value(_DRAWN)
            if told is None:
                raise PreviewError(f"{address} has no script")
            report = msgspec.json.decode(told, type=Report)
            await tab.size(shot.width, report.height)
            answer = await tab.ask("Page.captureScreenshot", {"format": "png"})
    except TimeoutError:
        raise PreviewError(f"{shot.dashboard} was not drawn in {_PATIENCE:g} s") from None
    return Picture(shot=shot, report=report, png=base64.b64decode(answer["data"]))


# The promise is there as soon as the page's script has run; load comes after that.
_DRAWN = """
new Promise((resolve) =>
    document.readyState === 'complete' ? resolve() : addEventListener('load', resolve))
  .then(() => window.drawn)
  .then(JSON.stringify)
"""


def _query(shot: Shot, others: Sequence[str]) -> str:
    variables = [(f"var-{name}", one) for name, values in shot.variables.items() for one in values]
    return urlencode(
        [
            ("dashboard", shot.dashboard),
            ("others", ",".join(others)),
            ("prometheus", shot.prometheus),
            ("from", str(shot.start)),
            ("to", str(shot.end)),
            ("scrape", str(shot.scrape_interval)),
            ("width", str(shot.width)),
            ("theme", shot.theme),
            *variables,
        ]
    )
