"""What a person sees while something takes long: how much is done, and what is waited for.

Nothing for scripts, and nothing where it is over at once.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from opsvisor.client import ApiError, NoDaemon, Stream, Watched
from opsvisor.ctl import render
from opsvisor.ctl.present import SELDOM, Present
from opsvisor.ctl.session import Session
from opsvisor.wire import ProcessStatus

if TYPE_CHECKING:  # 25 ms, which only who waits on a terminal pays
    from rich.console import RenderableType

_PATIENCE = 0.5  # seconds: what is over sooner needs no progress
_NAMES_SHOWN = 6
_A_SECOND = 8  # times that the screen is drawn anew
# Now and before, the latter None for who was not there.
IsDone = Callable[[ProcessStatus, ProcessStatus], bool]


class Standing(NamedTuple):
    """How far it is: who is waited for, the one that is as it is for longest first."""

    done: int
    total: int
    waiting: list[ProcessStatus]


def standing(
    before: Collection[ProcessStatus], now: dict[str, ProcessStatus], is_done: IsDone
) -> Standing:
    """Who of those that were there before is done. Who is gone is done."""
    pairs = [(now[one.name], one) for one in before if one.name in now]
    waiting = [present for present, past in pairs if not is_done(present, past)]
    waiting.sort(key=lambda one: (one.since, one.name))
    return Standing(len(before) - len(waiting), len(before), waiting)


class Progress:
    """Shows on a terminal how far something is while it goes on (a context manager).

    `doing` is what goes on: `stopping`. `concerned` are the processes as they were before.
    `present` is how they are now, where somebody else keeps that up to date.
    """

    def __init__(
        self,
        session: Session,
        doing: str,
        concerned: Sequence[ProcessStatus],
        is_done: IsDone,
        *,
        present: Present | None = None,
    ) -> None:
        self._session = session
        self._doing = doing
        self._concerned = concerned
        self._is_done = is_done
        self._is_told = present is not None
        self._present = present or Present({one.name: one for one in concerned})
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._stream: Stream[Watched] | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Begin to watch. A daemon that can't be watched is no reason not to ask it."""
        if not self._session.output.for_people or not self._concerned:
            return self
        if not self._is_told:
            try:
                self._stream = self._session.client.watch(interval=SELDOM)
            except (ApiError, NoDaemon):
                return self
            if not self._begin(self._watch, self._stream):
                return self
        self._begin(self._draw)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the display away; who gives up is told what goes on without them.

        Whoever keeps the present up to date knows best what to say then.
        """
        self._over.set()
        if self._stream is not None:
            self._stream.hang_up()
        for thread in self._threads:
            thread.join()
        if self._stream is not None:
            self._stream.close()
        if isinstance(error, KeyboardInterrupt) and not self._is_told:
            for line in self._left_behind():
                self._session.output.remark(line)

    def until_hung_up(self) -> None:
        """Wait until the daemon ends what is watched: it does so once everything is stopped."""
        for thread in self._threads[:1]:
            thread.join()

    @property
    def seconds(self) -> float:
        """For how long it has been going on."""
        return time.monotonic() - self._begun

    def _begin(self, work: Callable[..., None], *arguments: object) -> bool:
        """Whether there is a thread for it."""
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # too many processes: no reason not to stop one
            return False
        self._threads.append(thread)
        return True

    def _watch(self, stream: Stream[Watched]) -> None:
        try:
            for told in stream:
                self._present.take(told)
        except (NoDaemon, ValueError):  # whoever asked for the action hears of it
            pass

    def _draw(self) -> None:
        if self._over.wait(_PATIENCE):
            return
        from rich.console import Console  # noqa: PLC0415 - see TYPE_CHECKING above
        from rich.live import Live  # noqa: PLC0415 - see TYPE_CHECKING above

        live = Live(
            console=Console(highlight=False),
            transient=True,
            refresh_per_second=_A_SECOND,
            get_renderable=self._picture,
        )
        with live:
            self._over.wait()

    def _standing(self) -> Standing:
        return standing(self._concerned, self._present.processes, self._is_done)

    def _picture(self) -> "RenderableType":
        from rich.console import Group  # noqa: PLC0415 - see TYPE_CHECKING above
        from rich.progress_bar import ProgressBar  # noqa: PLC0415 - see TYPE_CHECKING above
        from rich.table import Table  # noqa: PLC0415 - see TYPE_CHECKING above
        from rich.text import Text  # noqa: PLC0415 - see TYPE_CHECKING above

        from opsvisor.ctl.table import STATE_STYLES  # noqa: PLC0415 - see TYPE_CHECKING above

        done, total, waiting = self._standing()
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_row(
            Text(self._doing, style="bold"),
            ProgressBar(total=total, completed=done, width=24),
            Text(f"{done} of {total}"),
            Text(render.short_span(self.seconds), style="dim"),
        )
        now = time.time()
        names = Table.grid(padding=(0, 2, 0, 0), expand=True)
        names.add_column(no_wrap=True, overflow="ellipsis")
        names.add_column(no_wrap=True)
        names.add_column(no_wrap=True, justify="right")
        # What is remarked has the room that is left: the others aren't cut for its sake.
        names.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for one in waiting[:_NAMES_SHOWN]:
            names.add_row(
                Text(f"  {render.printable(one.name)}"),
                Text(one.state, style=STATE_STYLES.get(one.state, "")),
                Text(f"for {render.short_span(now - one.since)}" if one.since else ""),
                Text(_remark(one, now), style="dim"),
            )
        more = len(waiting) - _NAMES_SHOWN
        rest = [Text(f"  and {more} more", style="dim")] if more > 0 else []
        return Group(line, names, *rest)

    def _left_behind(self) -> list[str]:
        waiting = self._standing().waiting
        if not waiting:
            return []
        named = ", ".join(one.name for one in waiting[:_NAMES_SHOWN])
        more = f" and {len(waiting) - _NAMES_SHOWN} more" if len(waiting) > _NAMES_SHOWN else ""
        return [f"still {self._doing}: {named}{more}"]


def _remark(one: ProcessStatus, now: float) -> str:
    if one.retry_at:
        return f"tried again in {render.short_span(one.retry_at - now)}: {one.reason}"
    if one.state == "RUNNING" and not one.ready:
        return "; ".join(render.probe_troubles(one)[:1]) or "not ready"
    return ""


def is_down(now: ProcessStatus, _: ProcessStatus) -> bool:
    """Whether a stop is over."""
    return not now.pid and now.state not in {"STARTING", "STOPPING", "BACKOFF"}


def is_settled(now: ProcessStatus, before: ProcessStatus) -> bool:
    """Whether a start is over, well or not."""
    if now.state == "RUNNING":
        return True
    return now.since > before.since and now.state in {"BACKOFF", "FATAL", "EXITED"}


def is_replaced(now: ProcessStatus, before: ProcessStatus) -> bool:
    """Whether a restart is over, well or not."""
    if now.state == "RUNNING":
        return now.pid != before.pid
    return now.since > before.since and now.state in {"BACKOFF", "FATAL", "EXITED"}


# What takes its time: what goes on then, and when it is over for a process.
LASTING: Mapping[str, tuple[str, IsDone]] = {
    "start": ("starting", is_settled),
    "stop": ("stopping", is_down),
    "restart": ("restarting", is_replaced),
}
