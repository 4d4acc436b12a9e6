"""Take pictures of the daemon's own page, for docs/images: `make screenshots`.

A daemon lives for some minutes with examples/predicaments.toml, so that there is something to
see, and Debian's Chromium looks at it.
"""

import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import click
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tools.stack import Scenario
from tools.stack.program import Installed

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
LARGEST = 150_000  # bytes of a picture: they are in the repository for good
PNGQUANT = Installed(name="pngquant", package="pngquant")
_RESTART_EVERY = 60.0
_SETTLE = 5.0  # seconds until a page has its figures


DESK: ViewportSize = {"width": 1280, "height": 760}
PHONE: ViewportSize = {"width": 360, "height": 740}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture: of which page, in which size and colours, and what there must be to see."""

    name: str
    path: str
    shows: str
    theme: Literal["light", "dark"] = "light"
    size: ViewportSize = field(default_factory=lambda: DESK)
    steps: tuple[str, ...] = ()  # names of buttons that are pressed before


SHOTS = (
    Shot(name="page-overview", path="#/", shows="Needs attention"),
    Shot(name="page-overview-dark", path="#/", shows="Needs attention", theme="dark"),
    Shot(name="page-process", path="#/process/hanging", shows="hanging"),
    Shot(name="page-process-dark", path="#/process/broken", shows="broken", theme="dark"),
    Shot(name="page-daemon", path="#/daemon", shows="Loop lag", steps=("Look for changes",)),
    Shot(name="page-phone", path="#/", shows="Needs attention", size=PHONE),
    Shot(name="page-phone-dark", path="#/process/flaky", shows="flaky", size=PHONE, theme="dark"),
)


@click.command()
@click.option("--minutes", default=6.0, show_default=True, help="How long the daemon lives.")
@click.option("--url", help="Look at this daemon's page, and start none.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=IMAGES,
    help="Where the pictures go.  [default: docs/images]",
)
@click.option("--only", multiple=True, help="Only this picture; may be given more than once.")
def main(*, minutes: float, url: str | None, out: Path, only: tuple[str, ...]) -> None:
    """Take a picture of each page."""
    # Like Ctrl-C: whatever was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    shots = [shot for shot in SHOTS if not only or shot.name in only]
    out.mkdir(parents=True, exist_ok=True)
    if url is not None:
        _take(url, shots, out, minutes=0.0)
        return
    with tempfile.TemporaryDirectory() as directory, Scenario.start(Path(directory)) as host:
        host.hold_one_back()
        with host.visitors(restart_every=_RESTART_EVERY):
            _take(f"http://{host.address}/", shots, out, minutes=minutes)


def _take(url: str, shots: list[Shot], out: Path, *, minutes: float) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--force-color-profile=srgb", "--font-render-hinting=none"],
        )
        try:
            # The daemon measures for as long as somebody looks.
            watcher = browser.new_page()
            watcher.goto(url)
            time.sleep(minutes * 60)
            flawed = [_write(_picture(browser, url, shot), shot, out) for shot in shots]
        finally:
            browser.close()
    if any(flawed):
        sys.exit(1)


def _picture(browser: Browser, url: str, shot: Shot) -> bytes:
    context = browser.new_context(
        viewport=shot.size, color_scheme=shot.theme, timezone_id="UTC", locale="en-GB"
    )
    try:
        page = context.new_page()
        page.goto(url + shot.path)
        page.get_by_text(shot.shows).first.wait_for()
        for button in shot.steps:
            page.get_by_role("button", name=button).click()
        page.wait_for_timeout(_SETTLE * 1000)
        _check(page, shot)
        return page.screenshot()
    finally:
        context.close()


def _check(page: Page, shot: Shot) -> None:
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    if wide > shot.size["width"]:
        click.echo(f"{shot.name}: {wide} pixels wide, which is more than the screen", err=True)


def _write(png: bytes, shot: Shot, out: Path) -> bool:
    """Write it in 256 colours, a third of the size. Whether it is too large all the same."""
    command = [PNGQUANT.path(), "--quality=70-95", "--speed=1", "--strip", "-"]
    small = subprocess.run(command, input=png, capture_output=True, check=True).stdout
    file = out / f"{shot.name}.png"
    file.write_bytes(small)
    click.echo(f"{file}: {len(small)} bytes")
    return len(small) > LARGEST


if __name__ == "__main__":
    main()
