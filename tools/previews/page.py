"""The page: its packages installed, built, and served together with the dashboards."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from tools.previews.errors import PreviewError

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "grafana" / "preview"
DASHBOARDS = ROOT / "grafana" / "dashboards"
_PATIENCE = 300  # seconds, for a slow line


def install() -> None:
    """Install the packages that package-lock.json names, unless they are there already.

    npm ci starts from nothing, so that what is there is exactly what the lock says. Whoever comes
    while another process installs them waits for it.
    """
    lock = (SOURCE / "package-lock.json").read_bytes()
    mark = SOURCE / "node_modules" / ".installed"
    wanted = hashlib.sha256(lock).hexdigest()
    with _alone():
        if mark.exists() and mark.read_text() == wanted:
            return
        _run("npm", "ci", "--no-progress")
        mark.write_text(wanted)


def check() -> None:
    """Check the types. Raises PreviewError with the compiler's words."""
    _run("npm", "run", "--silent", "check")


def build(directory: Path) -> Path:
    """Bundle the page into `directory`, with the dashboards beside it."""
    _run("npm", "run", "--silent", "build", "--", str(directory))
    return directory


def application(built: Path, dashboards: Path) -> web.Application:
    """Serves the built page, and the dashboards below dashboards/."""

    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(built / "index.html")

    app = web.Application()
    app.router.add_get("/", index)
    app.router.add_static("/dashboards", dashboards)
    app.router.add_static("/", built)
    return app


@contextmanager
def _alone() -> Iterator[None]:
    """No other process is in here while the block lasts."""
    directory = os.open(SOURCE, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _run(*command: str) -> None:
    if shutil.which("npm") is None:
        raise PreviewError("there is no npm on this machine", "install Node.js 20 or later")
    ran = subprocess.run(
        command, cwd=SOURCE, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    if ran.returncode:
        raise PreviewError(f"{' '.join(command)} failed:\n{ran.stdout}{ran.stderr}")
