"""A headless Chromium, driven by the DevTools protocol over its own WebSocket.

No driver and no browser of a package registry: Debian's chromium, and aiohttp, which we have.
https://chromedevtools.github.io/devtools-protocol/
"""

import itertools
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
import psutil

from tools.previews.errors import PreviewError
from tools.stack.ending import Ended
from tools.stack.program import Installed, Program
from tools.stack.waiting import until

CHROMIUM = Installed(name="chromium", package="chromium")


class Browser(Ended):
    """A Chromium that runs. A context manager: stopped at the end."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @classmethod
    def start(cls, directory: Path) -> Self:
        """Start it, with its profile in `directory`; it is ready then."""
        profile = directory / "chromium"
        profile.mkdir(parents=True)
        command = [
            CHROMIUM.path(),
            "--headless",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            # Its own sandbox needs user namespaces, which containers rarely have; it only ever
            # opens our own page.
            "--no-sandbox",
            # /dev/shm of a container is too small for it.
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            "--hide-scrollbars",
            # The same picture on every machine.
            "--force-color-profile=srgb",
            "--font-render-hinting=none",
        ]
        program = Program("chromium", command, log=directory / "chromium.log")
        return cls(program.until_ready("/json/version"))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._program.pid

    @asynccontextmanager
    async def tab(self) -> AsyncIterator["Tab"]:
        """A new tab, closed at the end."""
        base = f"http://{self._program.address}/json"
        async with aiohttp.ClientSession() as session:
            async with session.put(f"{base}/new?about:blank") as response:
                page = await response.json(content_type=None)
            # A picture of a long page is larger than aiohttp's limit of 4 MiB for a message.
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
            async with session.get(f"{base}/close/{page['id']}"):
                pass

    def stop(self) -> None:
        """End it, with its helpers: they write into its profile after it has ended."""
        self._program.stop()
        until(lambda: not any(_is_of_group(one, self.pid) for one in psutil.process_iter()))


def _is_of_group(process: psutil.Process, group: int) -> bool:
    try:
        # A zombie does nothing any more, and nobody may be there to wait for it.
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


class Tab:
    """One page, and what is asked of it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def ask(self, method: str, parameters: Mapping[str, object] | None = None) -> Any:
        """Call a method of the protocol, for its result. Raises PreviewError if it is refused."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters or {}})
        async for message in self._socket:
            answer = json.loads(message.data)
            if answer.get("id") != number:
                continue  # an event
            if "error" in answer:
                raise PreviewError(f"{method}: {answer['error']['message']}")
            return answer["result"]
        raise PreviewError(f"{method}: Chromium hung up")

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives; a promise is waited for."""
        answer = await self.ask(
            "Runtime.evaluate",
            {"expression": expression, "awaitPromise": True, "returnByValue": True},
        )
        if "exceptionDetails" in answer:
            thrown = answer["exceptionDetails"]
            words = thrown.get("exception", {}).get("description") or thrown["text"]
            raise PreviewError(f"the page failed: {words}")
        return answer["result"].get("value")

    async def size(self, width: int, height: int) -> None:
        """Make the page so many pixels large."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
