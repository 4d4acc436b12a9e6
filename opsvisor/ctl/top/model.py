"""What `top` knows, and what keys and messages do to it. Pure: no terminal, no daemon, no clock.

A key changes the model at once, and may ask for something to be done outside: those are the
*orders* that `press` returns. What comes of them, and what the daemon tells, is fed in by the
methods below `press`.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple, assert_never

from msgspec.structs import replace

from opsvisor.core.harmless import harmless
from opsvisor.core.struct import Struct, field
from opsvisor.ctl import names as names_of
from opsvisor.ctl.log_lines import Line
from opsvisor.ctl.top.orders import (
    SIGNALS,
    Act,
    ActionName,
    FollowLog,
    LoadTree,
    LoadWhy,
    Order,
    Quit,
    outcome_of,
)
from opsvisor.ctl.top.rows import Row, Sort, in_order, passes, tree_rows
from opsvisor.wire import (
    ActionResult,
    DaemonInfo,
    ProcessStatus,
    TreeMember,
    WatchChanged,
    WatchRemoved,
    WatchSamples,
    WatchSnapshot,
)

LOG_KEPT = 2000  # lines of the pane
NOTE_LASTS = 12.0  # seconds that the outcome of an action stands there
_WHY = "Why: "


class Mode(Enum):
    """What keys mean now."""

    LIST = "list"
    FILTER = "filter"  # letters go into the filter
    CONFIRM = "confirm"  # y or n
    SIGNAL = "signal"  # letters choose a signal
    HELP = "help"
    WHY = "why"


class Link(Enum):
    """The connection to the daemon."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"


class Note(NamedTuple):
    """A line about what was done, until when it stands there."""

    text: str
    is_bad: bool
    until: float


class Model(Struct):
    """Everything that is on the screen. `wanted` are the names or patterns to show, () for all."""

    wanted: tuple[str, ...] = ()
    rows_shown: int = 10  # of the table, as the last picture had room for
    mode: Mode = Mode.LIST
    sort: Sort = Sort.STATE
    reverse: bool = False
    filter: str = ""
    selected: str = ""
    has_moved: bool = False  # until somebody does, the first row is the selected one
    top_row: int = 0
    marked: set[str] = field(default_factory=set)
    open_trees: set[str] = field(default_factory=set)
    trees: dict[str, list[TreeMember]] = field(default_factory=dict)
    pending: Act | None = None  # what is to be confirmed
    typed_signal: str = ""
    note: Note | None = None
    running: int = 0  # actions that were asked for and have no outcome yet
    log_name: str = ""
    log_is_open: bool = True
    log_lines: "deque[Line]" = field(default_factory=lambda: deque(maxlen=LOG_KEPT))
    log_back: int = 0  # lines scrolled up
    log_note: str = ""
    text_title: str = ""
    text: list[str] = field(default_factory=list)
    text_top: int = 0
    link: Link = Link.CONNECTING
    link_detail: str = ""
    heard_at: float = 0.0
    daemon: DaemonInfo | None = None
    clock_shift: float = 0.0  # what to add to our clock for the daemon's
    _processes: dict[str, ProcessStatus] = field(default_factory=dict)
    _visible: list[ProcessStatus] | None = None

    # -- questions -------------------------------------------------------------------------------

    @property
    def processes(self) -> list[ProcessStatus]:
        """Every process that is asked for, whatever the filter."""
        return list(self._processes.values())

    def visible(self) -> list[ProcessStatus]:
        """Those that pass the filter, in order."""
        if self._visible is None:
            found = [one for one in self._processes.values() if passes(one, self.filter)]
            self._visible = in_order(found, self.sort, reverse=self.reverse)
        return self._visible

    def rows(self) -> list[Row]:
        """The lines of the table, trees that are open included."""
        rows: list[Row] = []
        for status in self.visible():
            rows.append(Row(status))
            if status.name in self.open_trees:
                rows += tree_rows(status, self.trees.get(status.name, []))
        return rows

    def current(self) -> ProcessStatus | None:
        """The process that keys act on if none is marked."""
        visible = self.visible()
        return next((one for one in visible if one.name == self.selected), None)

    def targets(self) -> tuple[str, ...]:
        """The processes that keys act on."""
        if self.marked:
            return tuple(name for name in self._processes if name in self.marked)
        return (self.selected,) if self.current() is not None else ()

    def signals(self) -> list[str]:
        """Signals that begin with what was typed."""
        return [name for name in SIGNALS if name.startswith(_bare(self.typed_signal))]

    # -- keys ------------------------------------------------------------------------------------

    def press(self, key: str, now: float) -> list[Order]:
        """What this key does. A key is a character, or a name such as `up` or `escape`."""
        if key == "c-c":
            return [Quit()]
        return self._pressed(key, now) + self._followed()

    def _pressed(self, key: str, now: float) -> list[Order]:
        match self.mode:
            case Mode.LIST:
                return self._press_in_list(key, now)
            case Mode.FILTER:
                return self._press_in_filter(key)
            case Mode.CONFIRM:
                return self._press_in_confirm(key)
            case Mode.SIGNAL:
                return self._press_in_signal(key)
            case Mode.HELP | Mode.WHY:
                return self._press_in_text(key)
            case never:
                assert_never(never)

    def _press_in_list(self, key: str, now: float) -> list[Order]:
        self.has_moved = True
        if key in _MOVES:
            self._move(key)
            return []
        if (action := _ACTIONS.get(key)) is not None:
            return self._ask(action, now)
        return self._command(key)

    def _command(self, key: str) -> list[Order]:
        """The keys that neither move nor act on processes."""
        match key:
            case "/":
                return self._begin_filter()
            case " ":
                return self._mark()
            case "a":
                return self._mark_all()
            case "escape":
                return self._escape()
            case "<" | ">":
                step = 1 if key == ">" else -1
                return self._sort_by(_SORTS[(_SORTS.index(self.sort) + step) % len(_SORTS)])
            case "I":
                return self._turn()
            case "enter" | "right":
                return self._open_tree()
            case "left":
                return self._close_tree()
            case "l":
                return self._toggle_log()
            case "[" | "]":
                return self._scroll_log(5 if key == "[" else -5)
            case "w":
                return self._show_why()
            case "?" | "h":
                return self._show_help()
            case "q":
                return [Quit()]
            case _:
                return self._sort_by(_SORT_KEYS[key]) if key in _SORT_KEYS else []

    def _move(self, key: str) -> None:
        names = [one.name for one in self.visible()]
        if not names:
            return
        self.has_moved = True
        at = names.index(self.selected) if self.selected in names else 0
        steps = {
            "up": -1,
            "k": -1,
            "down": 1,
            "j": 1,
            "pageup": -self.rows_shown,
            "pagedown": self.rows_shown,
            "home": -len(names),
            "end": len(names),
        }
        self.selected = names[max(0, min(len(names) - 1, at + steps[key]))]

    def _ask(self, action: ActionName, now: float) -> list[Order]:
        """Start at once what can do no harm, and ask before the rest."""
        names = self.targets()
        if not names:
            self.say("no process is selected", now, is_bad=True)
            return []
        if action == "signal":
            self.mode, self.typed_signal = Mode.SIGNAL, ""
            self.pending = Act(action, names)
            return []
        if action == "start":
            return self._begin(Act(action, names))
        self.mode, self.pending = Mode.CONFIRM, Act(action, names)
        return []

    def _begin(self, act: Act) -> list[Order]:
        self.mode, self.pending = Mode.LIST, None
        self.marked.clear()
        self.running += 1
        return [act]

    def _press_in_confirm(self, key: str) -> list[Order]:
        if key in ("y", "Y") and self.pending is not None:
            return self._begin(self.pending)
        if key in ("n", "N", "escape", "q", "enter"):
            self.mode, self.pending = Mode.LIST, None
        return []

    def _press_in_signal(self, key: str) -> list[Order]:
        if key == "escape":
            self.mode, self.pending = Mode.LIST, None
        elif key == "backspace":
            self.typed_signal = self.typed_signal[:-1]
        elif key == "enter" and self.pending is not None and (found := self.signals()):
            typed = _bare(self.typed_signal)
            name = typed if typed in found else found[0]
            if typed or len(found) == 1:
                return self._begin(self.pending._replace(signal=name))
        elif len(key) == 1 and key.isalnum():
            longer = self.typed_signal + key.upper()
            if any(name.startswith(_bare(longer)) for name in SIGNALS):
                self.typed_signal = longer
        return []

    def _press_in_filter(self, key: str) -> list[Order]:
        if key in ("up", "down", "pageup", "pagedown"):
            self._move(key)
        elif key == "enter":
            self.mode = Mode.LIST
        elif key == "escape":
            self.mode = Mode.LIST
            self._set_filter("")
        elif key == "backspace":
            self._set_filter(self.filter[:-1])
        elif key == "c-u":
            self._set_filter("")
        elif len(key) == 1 and key.isprintable():
            self._set_filter(self.filter + key)
        return []

    def _press_in_text(self, key: str) -> list[Order]:
        """In the help and in `why`: look around, or leave."""
        step = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -10, "pagedown": 10, " ": 10}
        if key in step:
            self.text_top = max(0, min(len(self.text) - 1, self.text_top + step[key]))
        elif key in ("escape", "q", "enter", "?", "w"):
            self.mode = Mode.LIST
        return []

    def _set_filter(self, text: str) -> None:
        self.filter = text
        self._arrange()

    def _escape(self) -> list[Order]:
        if self.marked:
            self.marked.clear()
        elif self.filter:
            self._set_filter("")
        return []

    def _begin_filter(self) -> list[Order]:
        self.mode = Mode.FILTER
        return []

    def _mark(self) -> list[Order]:
        if self.current() is not None:
            self.marked ^= {self.selected}
            self._move("down")
        return []

    def _mark_all(self) -> list[Order]:
        shown = {one.name for one in self.visible()}
        self.marked = self.marked - shown if shown <= self.marked else self.marked | shown
        return []

    def _sort_by(self, sort: Sort) -> list[Order]:
        self.sort, self.reverse = sort, False
        self._arrange()
        return []

    def _turn(self) -> list[Order]:
        self.reverse = not self.reverse
        self._arrange()
        return []

    def _open_tree(self) -> list[Order]:
        if self.current() is None:
            return []
        if self.selected in self.open_trees:
            return self._close_tree()
        self.open_trees.add(self.selected)
        return [LoadTree(self.selected)]

    def _close_tree(self) -> list[Order]:
        self.open_trees.discard(self.selected)
        self.trees.pop(self.selected, None)
        return []

    def _toggle_log(self) -> list[Order]:
        self.log_is_open = not self.log_is_open
        return []

    def _scroll_log(self, lines: int) -> list[Order]:
        """Upwards, into the past; with a negative number down to what is said now."""
        self.log_back = max(0, min(self.log_back + lines, len(self.log_lines) - 1))
        return []

    def _show_help(self) -> list[Order]:
        self.mode, self.text_title, self.text_top = Mode.HELP, "Keys", 0
        self.text = [f"{keys:<14} {says}" for keys, says in HELP]
        return []

    def _show_why(self) -> list[Order]:
        if self.current() is None:
            return []
        self.mode, self.text_title, self.text_top = Mode.WHY, f"{_WHY}{self.selected}", 0
        self.text = ["asking ..."]
        return [LoadWhy(self.selected)]

    def _followed(self) -> list[Order]:
        """The log follows the selection."""
        name = self.selected if self.log_is_open and self.current() is not None else ""
        if name == self.log_name:
            return []
        self.log_name, self.log_back, self.log_note = name, 0, ""
        self.log_lines.clear()
        return [FollowLog(name)]

    # -- what is told ----------------------------------------------------------------------------

    def say(self, text: str, now: float, *, is_bad: bool = False) -> None:
        """Have a line stand there for a while."""
        self.note = Note(harmless(text), is_bad, now + NOTE_LASTS)

    def watched(
        self,
        told: WatchSnapshot | WatchChanged | WatchRemoved | WatchSamples | DaemonInfo,
        now: float,
    ) -> list[Order]:
        """What the daemon tells of its processes. `now` is Unix time."""
        self.heard_at = now
        was_lost = self.link is Link.LOST
        self.link, self.link_detail = Link.LIVE, ""
        match told:
            case WatchSnapshot(processes=processes, daemon=daemon):
                self._processes = {one.name: one for one in self._of_wanted(processes)}
                self.marked &= self._processes.keys()
                self.open_trees &= self._processes.keys()
                self._take(daemon, now)
                if was_lost:
                    self.say("connected again", now)
                    self.log_name = ""  # that stream has ended as well
            case WatchChanged(processes=processes):
                for one in self._of_wanted(processes):
                    self._processes[one.name] = one
            case WatchRemoved(names=gone):
                for name in gone:
                    self._processes.pop(name, None)
                    self.marked.discard(name)
                    self.open_trees.discard(name)
            case WatchSamples(samples=samples):
                for name, one in tuple(self._processes.items()):
                    usage = samples.get(name)
                    self._processes[name] = replace(
                        one,
                        cpu_usage=usage.cpu if usage else None,
                        rss_bytes=usage.rss if usage else None,
                    )
            case DaemonInfo():
                self._take(told, now)
        self._arrange()
        return self._reload_trees(told) + self._followed()

    def _take(self, daemon: DaemonInfo, now: float) -> None:
        self.daemon = daemon
        self.clock_shift = daemon.started_at + daemon.uptime - now

    def _of_wanted(self, processes: Sequence[ProcessStatus]) -> Iterable[ProcessStatus]:
        if not self.wanted:
            return processes
        found = {
            one.name: one for name in self.wanted for one in names_of.matching(name, processes)
        }
        return [one for one in processes if one.name in found]

    def _reload_trees(self, told: object) -> list[Order]:
        """Trees and `why` are as of the last samples; they are asked for only while shown."""
        if not isinstance(told, WatchSamples | WatchSnapshot):
            return []
        why = [LoadWhy(self.text_title.removeprefix(_WHY))] if self.mode is Mode.WHY else []
        return [*why, *(LoadTree(name) for name in sorted(self.open_trees))]

    def _arrange(self) -> None:
        self._visible = None
        visible = self.visible()
        if not self.has_moved or not any(one.name == self.selected for one in visible):
            self.selected = visible[0].name if visible else ""

    def lost(self, why: str) -> None:
        """The connection broke off; somebody is trying again."""
        self.link, self.link_detail = Link.LOST, harmless(why)

    def tree(self, name: str, members: list[TreeMember]) -> None:
        """Who runs for a process."""
        if name in self.open_trees:
            self.trees[name] = members

    def why(self, name: str, lines: list[str]) -> None:
        """The answer to LoadWhy."""
        if self.mode is Mode.WHY and self.text_title == f"{_WHY}{name}":
            self.text = lines

    def logged(self, name: str, lines: Iterable[Line], note: str = "") -> None:
        """What the process whose log is followed says."""
        if name != self.log_name:
            return
        before = len(self.log_lines)
        for line in lines:
            self.log_lines.append(line)
            if self.log_back:  # what somebody reads stays where it is
                self.log_back = min(self.log_back + 1, LOG_KEPT - 1)
        self.log_note = note or (self.log_note if len(self.log_lines) == before else "")

    def acted(self, act: Act, results: Sequence[ActionResult], now: float) -> None:
        """What became of an action."""
        self.running = max(0, self.running - 1)
        text, is_bad = outcome_of(act, results)
        self.say(text, now, is_bad=is_bad)

    def failed(self, act: Act, why: str, now: float) -> None:
        """An action could not even be asked for."""
        self.running = max(0, self.running - 1)
        self.say(f"{act.action}: {why}", now, is_bad=True)


def _bare(signal: str) -> str:
    """A signal, or the beginning of one, without the SIG that some type before it."""
    return "" if signal in ("SI", "SIG") else signal.removeprefix("SIG")


_SORTS = list(Sort)
_SORT_KEYS = {
    "S": Sort.STATE,
    "N": Sort.NAME,
    "C": Sort.CPU,
    "M": Sort.RSS,
    "T": Sort.SINCE,
    "R": Sort.RESTARTS,
}


_MOVES = frozenset({"up", "k", "down", "j", "pageup", "pagedown", "home", "end"})
_ACTIONS: dict[str, ActionName] = {"s": "start", "x": "stop", "r": "restart", "u": "signal"}
HELP = (
    ("up down j k", "select a process; PgUp, PgDn, Home and End as well"),
    ("/", "filter as you type: by name, state, label or trouble; Esc ends it"),
    ("space, a", "mark a process, all that are shown; actions mean those that are marked"),
    ("s", "start"),
    ("x", "stop (asks)"),
    ("r", "restart (asks)"),
    ("u", "send a signal: type its name, Enter"),
    ("Enter", "show who runs for it, and hide them again"),
    ("w", "why is it as it is?"),
    ("l", "show or hide its output; [ and ] scroll in it"),
    ("< >", "sort by another column; S state, N name, C CPU, M memory, T time, R restarts"),
    ("I", "turn the order around"),
    ("Esc", "unmark, end the filter"),
    ("q, Ctrl-C", "leave; nothing stops because of that"),
)
