"""What `top` reads from the daemon and has it do: in threads, so that no key ever waits.

Three threads stay: one that watches, one that follows a log, one that asks small questions. Each
action has its own, since it may take as long as a program takes to stop. All talk to the screen
through `Inbox` only.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from opsvisor.client import ApiError, Client, NoDaemon, Stream
from opsvisor.client.calls import Watched
from opsvisor.client.many_logs import LogEvent
from opsvisor.config.problems import OpsvisorError
from opsvisor.ctl import postmortem
from opsvisor.ctl.log_lines import Line, Lines
from opsvisor.ctl.session import NO_THREAD, start_thread
from opsvisor.ctl.top.model import LOG_KEPT, Model
from opsvisor.ctl.top.orders import Act, FollowLog, LoadTree, LoadWhy, Order, Quit
from opsvisor.wire import LogLost, LogSaid

INTERVAL = 2.0  # seconds between samples
_FIRST_LINES = 200  # of a log, when it is opened
_SETTLED = 0.15  # seconds that somebody stays on a process before its log is opened
_RETRY = (0.5, 1.0, 2.0, 3.0)  # seconds between attempts to connect

News = Callable[[Model], list[Order]]


class Inbox:
    """News for the screen, from any thread. `wake` is called once until somebody has looked."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._news: deque[News] = deque()
        self._logged: deque[Line] = deque(maxlen=LOG_KEPT)  # a flood is not queued beyond that
        self._log_of = ("", "")  # the process, and what is to be remarked
        self._has_log = False

    def put(self, news: News) -> None:
        """Have this done to the model."""
        with self._lock:
            was_empty = self._is_empty()
            self._news.append(news)
        if was_empty:
            self._wake()

    def put_log(self, name: str, lines: list[Line], note: str = "") -> None:
        """What a process says."""
        with self._lock:
            was_empty = self._is_empty()
            if self._log_of[0] != name:
                self._logged.clear()
            self._logged.extend(lines)
            self._log_of = name, note
            self._has_log = True
        if was_empty:
            self._wake()

    def take(self) -> list[News]:
        """All that has come."""
        with self._lock:
            news = list(self._news)
            self._news.clear()
            if self._has_log:
                (name, note), lines = self._log_of, list(self._logged)
                news.append(lambda model: _logged(model, name, lines, note))
                self._logged.clear()
                self._has_log = False
        return news

    def _is_empty(self) -> bool:
        return not self._news and not self._has_log


def _logged(model: Model, name: str, lines: list[Line], note: str) -> list[Order]:
    model.logged(name, lines, note)
    return []


class Feeds:
    """Carries out orders, and puts what comes of them into an inbox."""

    def __init__(self, client: Client, inbox: Inbox) -> None:
        self._client = client
        self._inbox = inbox
        self._is_over = threading.Event()
        self._questions: queue.Queue[LoadTree | LoadWhy | None] = queue.Queue()
        self._asked: set[LoadTree | LoadWhy] = set()
        self._log = (0, "")  # which wish it is, counted, and what process is wished for
        self._log_changed = threading.Condition()
        self._streams: dict[str, Stream[Any]] = {}

    def begin(self) -> None:
        """Start reading. BadArguments where no thread can be made: `end` what was started."""
        for work in (self._watch, self._follow, self._answer):
            thread = threading.Thread(target=work, daemon=True, name=f"top{work.__name__}")
            start_thread(thread.start)

    def end(self) -> None:
        """Hang up. What was asked for goes on in the daemon."""
        self._is_over.set()
        self._questions.put(None)
        with self._log_changed:
            self._log_changed.notify_all()
        for stream in tuple(self._streams.values()):
            stream.hang_up()

    def carry_out(self, order: Order) -> None:
        """Begin with it; returns at once."""
        match order:
            case Act():
                self._begin_to(order)
            case LoadTree() | LoadWhy():
                if order not in self._asked:  # else one that waits will be answered anyway
                    self._asked.add(order)
                    self._questions.put(order)
            case FollowLog(name=name):
                with self._log_changed:
                    self._log = self._log[0] + 1, name
                    self._log_changed.notify_all()
                if (stream := self._streams.get("log")) is not None:
                    stream.hang_up()
            case Quit():
                pass

    def _begin_to(self, act: Act) -> None:
        try:
            threading.Thread(target=self._act, args=(act,), daemon=True).start()
        except RuntimeError:
            self._inbox.put(lambda model: _told(model.failed, act, NO_THREAD, time.time()))

    # -- the watch -----------------------------------------------------------------------------

    def _watch(self) -> None:
        client = self._client.another()
        attempt = 0
        while not self._is_over.is_set():
            why = "the daemon ended the connection"
            try:
                with client.watch(interval=INTERVAL) as stream:
                    self._streams["watch"] = stream
                    for told in stream:
                        attempt = 0
                        self._inbox.put(partial(_watched, told))
            except OpsvisorError as error:
                why = problem_first(error)
            if not self._is_over.is_set():
                self._inbox.put(partial(_lost, why))
            self._is_over.wait(_RETRY[min(attempt, len(_RETRY) - 1)])
            attempt += 1

    # -- the log -------------------------------------------------------------------------------

    def _follow(self) -> None:
        client = self._client.another()
        followed = self._log
        while not self._is_over.is_set():
            with self._log_changed:
                while self._log == followed and not self._is_over.is_set():
                    self._log_changed.wait()
                wanted = self._log
                if self._log_changed.wait(_SETTLED) and self._log != wanted:
                    continue  # somebody runs down the list
            followed = wanted
            if wanted[1] and not self._is_over.is_set():
                self._follow_one(client, wanted)

    def _follow_one(self, client: Client, wanted: tuple[int, str]) -> None:
        _, name = wanted
        try:
            with client.logs([name], last_lines=_FIRST_LINES, follow=True) as stream:
                self._streams["log"] = stream
                if self._log == wanted:  # else nobody could hang up yet
                    for lines, note in _read(stream):
                        self._inbox.put_log(name, lines, note)
        except OpsvisorError as error:
            self._inbox.put_log(name, [], str(error))
        else:
            self._inbox.put_log(name, [], "no longer followed")

    # -- questions and actions -----------------------------------------------------------------

    def _answer(self) -> None:
        client = self._client.another()
        while (question := self._questions.get()) is not None and not self._is_over.is_set():
            self._asked.discard(question)
            with suppress(NoDaemon):
                match question:
                    case LoadTree(name=name):
                        self._load_tree(client, name)
                    case LoadWhy(name=name):
                        self._load_why(client, name)

    def _load_tree(self, client: Client, name: str) -> None:
        with suppress(ApiError):  # it is gone: the watch tells of it
            members = client.process(name).tree
            self._inbox.put(lambda model: _told(model.tree, name, members))

    def _load_why(self, client: Client, name: str) -> None:
        try:
            lines = list(postmortem.lines(client.history(name), time.time()))
        except ApiError as error:
            lines = [str(error)]
        self._inbox.put(lambda model: _told(model.why, name, lines))

    def _act(self, act: Act) -> None:
        try:
            with self._client.another() as client:
                response = client.act(act.action, act.names, signal=act.signal)
        except OpsvisorError as error:
            why = str(error)
            self._inbox.put(lambda model: _told(model.failed, act, why, time.time()))
        else:
            results = response.results
            self._inbox.put(lambda model: _told(model.acted, act, results, time.time()))


def problem_first(error: OpsvisorError) -> str:
    """What is wrong, and behind it where: on a narrow screen the end is cut off."""
    if not isinstance(error, NoDaemon):
        return str(error)
    detail = f" ({error.detail})" if error.detail else ""
    return f"{error.reason.value}: {error.url}{detail}"


def _read(stream: Stream[LogEvent]) -> Iterator[tuple[list[Line], str]]:
    """Whole lines; one without an end is shown with what comes next."""
    lines = Lines()
    for event in stream:
        match event:
            case LogSaid():
                yield list(lines.feed(event, 0.0)), ""
            case LogLost(lost_bytes=lost):
                yield [], f"{lost} bytes were faster than this"
            case _:
                pass


def _told(method: Callable[..., None], *arguments: object) -> list[Order]:
    method(*arguments)
    return []


def _watched(told: Watched, model: Model) -> list[Order]:
    return model.watched(told, time.time())


def _lost(why: str, model: Model) -> list[Order]:
    model.lost(why)
    return []
