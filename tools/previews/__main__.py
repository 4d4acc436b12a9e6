"""Take the pictures of docs/images: `make previews`.

By default it starts two daemons with examples/predicaments.toml and a Prometheus, lets them live
for some minutes, and then draws every dashboard. With --prometheus it draws what is there.
"""

import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from tools.previews import page
from tools.previews.browser import Browser
from tools.previews.errors import PreviewError
from tools.previews.fleet import SCRAPE_INTERVAL, fleet
from tools.previews.preview import Picture, Shot, pictures
from tools.stack.errors import StackError
from tools.stack.program import Installed

IMAGES = page.ROOT / "docs" / "images"
LARGEST = 400_000  # bytes of a picture: they are in the repository for good
PNGQUANT = Installed(name="pngquant", package="pngquant")

# Process shows one process. This one has something to tell in every row.
_SHOWN = {
    "opsvisor-process": {"instance": ["shop-1"], "group": ["hanging"], "process": ["hanging"]}
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A Prometheus, and the time that it is looked at."""

    url: str
    start: float
    end: float
    scrape_interval: int


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long the daemons live.")
@click.option("--prometheus", metavar="URL", help="Draw from this one, and start nothing.")
@click.option("--scrape-interval", default=SCRAPE_INTERVAL, show_default=True, help="Its, in s.")
@click.option("--theme", type=click.Choice(["dark", "light"]), default="dark", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=IMAGES,
    help="Where the pictures go.  [default: docs/images]",
)
@click.option(
    "--dashboards",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=page.DASHBOARDS,
    help="Draw these.  [default: grafana/dashboards]",
)
def main(
    *,
    minutes: float,
    prometheus: str | None,
    scrape_interval: int,
    theme: str,
    out: Path,
    dashboards: Path,
) -> None:
    """Draw every dashboard from a live Prometheus, and take a picture of each."""
    # Like Ctrl-C: whatever was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with ExitStack() as ends:
            directory = Path(ends.enter_context(tempfile.TemporaryDirectory()))
            page.install()
            page.check()
            page.build(directory / "page")
            browser = ends.enter_context(Browser.start(directory))
            if prometheus is None:
                lived = ends.enter_context(fleet(directory))
                lived.live_for(minutes * 60, tell=click.echo)
                prometheus, scrape_interval = lived.prometheus.url, SCRAPE_INTERVAL
            now = time.time()
            seen = _Seen(
                url=prometheus, start=now - minutes * 60, end=now, scrape_interval=scrape_interval
            )
            shots = [
                _shot(file, seen, theme) for file in sorted(dashboards.glob("opsvisor-*.json"))
            ]
            out.mkdir(parents=True, exist_ok=True)
            found = pictures(browser, directory / "page", shots, dashboards=dashboards)
            flawed = [_write(picture, out) for picture in found]
    except StackError as error:
        raise click.ClickException(str(error)) from None
    if any(flawed):
        sys.exit(1)


def _shot(file: Path, seen: _Seen, theme: str) -> Shot:
    return Shot(
        dashboard=file.name,
        prometheus=seen.url,
        start=seen.start,
        end=seen.end,
        scrape_interval=seen.scrape_interval,
        variables=_SHOWN.get(file.stem, {}),
        theme=theme,
    )


def _write(picture: Picture, out: Path) -> bool:
    """Write it, and say what is wrong with it, if anything is."""
    name = Path(picture.shot.dashboard).stem.replace("opsvisor-", "dashboard-")
    file = out / f"{name}.png"
    png = _smaller(picture.png)
    file.write_bytes(png)
    click.echo(f"{file}: {picture.report.panels} panels, {len(png)} bytes")
    for panel in picture.report.empty:
        click.echo(f"    nothing to show: {panel}")
    flaws = [*picture.report.errors, *picture.report.overflows]
    if len(png) > LARGEST:
        flaws.append(f"the picture has {len(png)} bytes, more than {LARGEST}")
    for flaw in flaws:
        click.echo(f"    {flaw}", err=True)
    return bool(flaws)


def _smaller(png: bytes) -> bytes:
    """The same picture in 256 colours, about a third of the size, which nobody sees."""
    command = [PNGQUANT.path(), "--quality=70-95", "--speed=1", "--strip", "-"]
    ran = subprocess.run(command, input=png, capture_output=True, check=False)
    if ran.returncode:
        raise PreviewError(f"pngquant failed: {ran.stderr.decode().strip()}")
    return ran.stdout


if __name__ == "__main__":
    main()
