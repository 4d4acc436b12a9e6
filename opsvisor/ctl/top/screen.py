"""The terminal of `top`: keys go into the model, its picture comes out, and all is put back.

prompt_toolkit restores the terminal however its application ends. What it doesn't know of is
SIGTERM and SIGHUP, which would end us in the middle: they leave as `q` does.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from prompt_toolkit.application import Application
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from prompt_toolkit.output import ColorDepth

from opsvisor.client import Client
from opsvisor.ctl.log_lines import wants_colours
from opsvisor.ctl.top.feeds import Feeds, Inbox
from opsvisor.ctl.top.model import Mode, Model
from opsvisor.ctl.top.orders import Order, Quit
from opsvisor.ctl.top.picture import picture

_REDRAWN_AFTER = 0.1  # seconds at least: ten pictures a second are smooth
_COUNTED_AFTER = 1.0  # seconds; clocks and countdowns
_ESCAPE_IS_ALONE_AFTER = 0.05  # seconds: arrows begin with the same character
_NAMES = {
    Keys.ControlM: "enter",
    Keys.ControlJ: "enter",
    Keys.ControlH: "backspace",
    Keys.Escape: "escape",
    Keys.Up: "up",
    Keys.Down: "down",
    Keys.Left: "left",
    Keys.Right: "right",
    Keys.PageUp: "pageup",
    Keys.PageDown: "pagedown",
    Keys.Home: "home",
    Keys.End: "end",
    Keys.ControlC: "c-c",
    Keys.ControlU: "c-u",
}


def run(client: Client, names: tuple[str, ...], environ: Mapping[str, str] = os.environ) -> None:
    """Show it until somebody leaves. Raises what went wrong in drawing, the terminal restored."""
    asyncio.run(_Screen(client, names, environ).run())


class _Screen:
    def __init__(self, client: Client, names: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self._model = Model(wanted=names)
        self._inbox = Inbox(self._wake)
        self._feeds = Feeds(client, self._inbox)
        self._loop: asyncio.AbstractEventLoop | None = None
        colours = wants_colours(environ, on_terminal=True)
        self._application: Application[None] = Application(
            layout=Layout(Window(FormattedTextControl(self._draw, show_cursor=False))),
            key_bindings=self._bindings(),
            full_screen=True,
            min_redraw_interval=_REDRAWN_AFTER,
            refresh_interval=_COUNTED_AFTER,
            color_depth=None if colours else ColorDepth.DEPTH_1_BIT,
        )
        self._application.ttimeoutlen = _ESCAPE_IS_ALONE_AFTER
        self._application.timeoutlen = _ESCAPE_IS_ALONE_AFTER
        self._failure: BaseException | None = None

    async def run(self) -> None:
        """Until somebody leaves."""
        self._loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGHUP):
            self._loop.add_signal_handler(signum, self._leave)
        try:
            self._feeds.begin()
            # Its own handler of exceptions waits for a key, which nobody may be there to press.
            self._loop.set_exception_handler(self._on_exception)
            await self._application.run_async(set_exception_handler=False)
        finally:
            self._feeds.end()
        if self._failure is not None:
            raise self._failure

    def _on_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        self._fail(error if isinstance(error, BaseException) else RuntimeError(str(context)))

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._leave()

    def _leave(self) -> None:
        with suppress(Exception):  # it is leaving already
            self._application.exit()

    # -- what is drawn -------------------------------------------------------------------------

    def _draw(self) -> StyleAndTextTuples:
        size = self._application.output.get_size()
        drawn: StyleAndTextTuples = []
        try:
            lines = picture(self._model, size.columns, size.rows, time.time())
        except Exception as error:  # noqa: BLE001 - a bug must not leave the terminal in disorder
            self._fail(error)
            return []
        for number, line in enumerate(lines):
            if number:
                drawn.append(("", "\n"))
            drawn += line
        return drawn

    # -- what comes in -------------------------------------------------------------------------

    def _wake(self) -> None:
        """There is news. Called by any thread."""
        if self._loop is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # closed just now
                self._loop.call_soon_threadsafe(self._take_news)

    def _take_news(self) -> None:
        for news in self._inbox.take():
            self._carry_out(news(self._model))
        self._application.invalidate()

    def _press(self, key: str) -> None:
        self._carry_out(self._model.press(key, time.time()))
        self._application.invalidate()

    def _carry_out(self, orders: list[Order]) -> None:
        for order in orders:
            if isinstance(order, Quit):
                self._leave()
            else:
                self._feeds.carry_out(order)

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()
        for key, name in _NAMES.items():
            bindings.add(key, eager=True)(self._presses(name))

        @bindings.add(Keys.ControlZ)
        def suspend(event: KeyPressEvent) -> None:
            event.app.suspend_to_background()

        @bindings.add(Keys.ControlL)
        def redraw(event: KeyPressEvent) -> None:
            event.app.renderer.clear()

        @bindings.add(Keys.BracketedPaste)
        def paste(event: KeyPressEvent) -> None:
            """What is pasted is text: it goes into the filter, and is no keys."""
            if self._model.mode is Mode.FILTER:
                for char in event.data.split("\n", 1)[0][:200]:
                    self._press(char)

        @bindings.add(Keys.Any)
        def typed(event: KeyPressEvent) -> None:
            if len(event.data) == 1 and event.data.isprintable():
                self._press(event.data)

        return bindings

    def _presses(self, name: str) -> Callable[[KeyPressEvent], None]:
        def press(_event: KeyPressEvent) -> None:
            self._press(name)

        return press
