"""A browser as a user has it, in front of a real daemon."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

from daemon import Daemon
from home import Home, Programs
from http_requests import free_port
from node_project import installed
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    ViewportSize,
    sync_playwright,
)

Theme = Literal["light", "dark"]
DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}
_PATIENCE = 60_000.0  # ms; only a failure takes as long


@dataclass(frozen=True, slots=True)
class Site:
    """A daemon and the address of its page."""

    daemon: Daemon
    url: str


class Begin(Protocol):
    """Starts a daemon whose page can be opened. It ends with the module of tests."""

    def __call__(self, programs: Programs | str, *, main: str = "", http: str = "") -> Site:
        """Begin. `http` has further settings of the listener, as in `username = "a"`."""


@contextmanager
def begun(directory: Path, programs: Programs | str, *, main: str, http: str) -> Iterator[Site]:
    """A daemon with this configuration in this directory, as long as the block lasts."""
    port = free_port()
    more = f", {http}" if http else ""
    home = Home(directory)
    written = Programs(programs) if isinstance(programs, str) else programs
    home.write(written, main=f'http = {{ listen = "127.0.0.1:{port}"{more} }}\n{main}')
    daemon = Daemon(home)
    try:
        yield Site(daemon, f"http://127.0.0.1:{port}/")
    finally:
        daemon.end()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            # Its own sandbox needs user namespaces, which containers rarely have.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        try:
            yield browser
        finally:
            browser.close()


class OpenPage(Protocol):
    """Opens pages, each in a context of its own: no cookies, nothing remembered."""

    complaints: "Complaints"

    def __call__(
        self, url: str, *, theme: Theme = "light", size: ViewportSize = DESK, **options: Any
    ) -> Page:
        """Open it. `options` are those of playwright's `new_context`."""


@dataclass
class Complaints:
    """What a browser complains of: scripts that fail, policies that are broken, all errors."""

    found: list[str] = field(default_factory=list)
    _excused: list[str] = field(default_factory=list)

    def excuse(self, text: str) -> None:
        """Let complaints pass that have this in them: a test has brought them about."""
        self._excused.append(text)

    def note(self, text: str) -> None:
        """Something that a user would find in the console."""
        self.found.append(text)

    def check(self) -> None:
        """See that there were none."""
        left = [text for text in self.found if not any(one in text for one in self._excused)]
        assert left == [], left


class Pages:
    """All pages of one test. It is an OpenPage."""

    def __init__(self, browser: Browser, ends: ExitStack) -> None:
        self._browser = browser
        self._ends = ends
        self.complaints = Complaints()

    def __call__(
        self, url: str, *, theme: Theme = "light", size: ViewportSize = DESK, **options: Any
    ) -> Page:
        """Open this address in a new context."""
        context = self._browser.new_context(color_scheme=theme, viewport=size, **options)
        self._ends.callback(context.close)
        context.set_default_timeout(_PATIENCE)
        page = context.new_page()
        self._listen(context, page, url)
        page.goto(url)
        return page

    def _listen(self, context: BrowserContext, page: Page, url: str) -> None:
        def on_console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                place = message.location.get("url", "")
                self.complaints.note(f"{message.type}: {message.text} ({place})")

        def on_error(error: Error) -> None:
            self.complaints.note(f"exception: {error}")

        def on_request(request: Request) -> None:
            if not request.url.startswith((url.partition("#")[0], "data:")):
                self.complaints.note(f"asked elsewhere: {request.url}")

        page.on("console", on_console)
        page.on("pageerror", on_error)
        context.on("request", on_request)


@cache
def _axe() -> str:
    return (installed() / "axe-core" / "axe.min.js").read_text()


def check_accessible(page: Page, *, leave_out: Sequence[str] = ()) -> None:
    """See that axe-core finds nothing wrong in what is shown now.

    `leave_out` are selectors of what is not looked at.
    """
    page.evaluate(_axe())
    told = page.evaluate(
        "(out) => axe.run({exclude: out.map((one) => [one])}, {resultTypes: ['violations']})",
        list(leave_out),
    )
    found = [
        f"{violation['id']}: {violation['help']}\n    {node['html'][:200]}\n"
        f"    {node['failureSummary']}"
        for violation in told["violations"]
        for node in violation["nodes"]
    ]
    assert found == [], "\n".join(found)
