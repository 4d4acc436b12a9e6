"""What a service manager such as systemd is told: sd_notify(3), without its library.

Theory of operation
-------------------
A manager that wants to be told names a datagram socket in $NOTIFY_SOCKET. A message is one
datagram of NAME=VALUE lines, sent without waiting: if the manager does not read, a message is lost
rather than supervision held up. Where nobody asked, nothing is sent and no timer runs.

`Notifier` is the socket and lives as long as the process, through all reloads. `Reporter` tells
the life of one configuration: it listens to events and has a timer for each thing it owes. One
beats for the watchdog, if that was asked for, on the very loop whose health it vouches for; one
waits to say how things are, once, when much happens in a short time; one asks for patience while
everything is being stopped.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping

from opsvisor.core.events import (
    Event,
    KillSurvived,
    ProcessAdded,
    ProcessExited,
    ProcessRemoved,
    StateChanged,
    SupervisorState,
    SupervisorStateChanged,
)
from opsvisor.core.spec import ProcessId
from opsvisor.core.state import PublicState

# For the daemon alone. A program that notifies by itself must not speak in our name.
_OURS = frozenset(
    {
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
    }
)
# Between two messages of how things are, in seconds: `systemctl status` is read by people.
_STATUS_INTERVAL = 1.0
# Names in such a message; the rest are counted.
_NAMES_MAX = 5
_STATUS_MAX = 400  # characters
_MICROSECONDS = 1_000_000
_DIGITS_MAX = 15  # more microseconds than anybody's patience; "infinity" has twenty
# How much more time to end is asked for at once, in seconds; and again after a third of it.
_EXTENSION = 15.0

_ALIVE = frozenset({PublicState.STARTING, PublicState.RUNNING, PublicState.STOPPING})
_COUNTED = {
    PublicState.RUNNING: "running",
    PublicState.STARTING: "starting",
    PublicState.STOPPING: "stopping",
    PublicState.STOPPED: "stopped",
    PublicState.EXITED: "exited",
}


def without_manager(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for programs: without what a service manager says to the daemon alone."""
    return {name: value for name, value in environment.items() if name not in _OURS}


class Notifier:
    """The socket of a service manager; silent where there is none."""

    def __init__(self, address: str = "", watchdog: float | None = None) -> None:
        """`watchdog` is the longest time between two signs of life, in seconds."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = watchdog if address else None
        self._socket: socket.socket | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Notifier":
        """The one that is named there. What can't be one is taken for none."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):  # vsock: is for virtual machines
            return cls()
        return cls(address, _watchdog(environment))

    @property
    def is_heard(self) -> bool:
        """Whether anybody wants to be told anything."""
        return bool(self._address)

    def tell(self, *lines: str) -> None:
        """Send these NAME=VALUE lines in one message. Never waits, never raises."""
        if not self.is_heard:
            return
        with contextlib.suppress(OSError):  # whoever does not read misses something
            if self._socket is None:
                flags = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
                self._socket = socket.socket(socket.AF_UNIX, flags)
            message = "\n".join(lines).encode("utf-8", "replace")
            # By address each time: a manager that was restarted has a new socket there.
            self._socket.sendto(message, socket.MSG_NOSIGNAL, self._address)

    def close(self) -> None:
        """Release the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def main_pid(self, pid: int) -> None:
        """Another process is the service from here on: told by the one that was so far."""
        self.tell(f"MAINPID={pid}")

    def reloading(self) -> None:
        """All that was ready is no more, until `ready`."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={now}")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for so much more time, counted from now, to become ready or to end."""
        self.tell(f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}")


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """The longest time between two signs of life, if they are expected of this very process."""
    pid = environment.get("WATCHDOG_PID", str(os.getpid()))
    wanted = environment.get("WATCHDOG_USEC", "")
    is_number = wanted.isascii() and wanted.isdecimal() and len(wanted) <= _DIGITS_MAX
    if pid != str(os.getpid()) or not is_number:
        return None
    return int(wanted) / _MICROSECONDS or None


class Reporter:
    """Tells how one life of the daemon goes, from events and from the states of processes."""

    def __init__(
        self,
        notifier: Notifier,
        *,
        loop: asyncio.AbstractEventLoop,
        states: Callable[[], Mapping[ProcessId, PublicState]],
    ) -> None:
        self._notifier = notifier
        self._loop = loop
        self._states = states
        self._is_ready = False
        self._is_ending = False
        self._unkillable: set[ProcessId] = set()
        self._said = ""
        self._said_at = -_STATUS_INTERVAL
        self._saying: asyncio.Handle | None = None
        self._beating: asyncio.TimerHandle | None = None
        self._extending: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to show signs of life, if they are wanted."""
        if self._notifier.watchdog is not None:
            self._beat()

    def close(self) -> None:
        """Say what was still to be said, and stop all timers."""
        for handle in (self._saying, self._beating, self._extending):
            if handle is not None:
                handle.cancel()
        if self._saying is not None:
            self._say()

    def ready(self) -> None:
        """Everything listens, and what shall run was asked to."""
        self._is_ready = True
        self._notifier.tell("READY=1", f"STATUS={self._sentence()}")

    def leaving(self) -> None:
        """The daemon ends, and its programs run on."""
        alive = sum(state in _ALIVE for state in self._states().values())
        self._said = f"leaving {alive} running for the next daemon"
        self._notifier.tell("STOPPING=1", f"STATUS={self._said}")
        self._is_ending = True

    def on_event(self, event: Event) -> None:
        """Take note of what is worth telling."""
        match event:
            case SupervisorStateChanged(new=SupervisorState.STOPPING):
                self._notifier.tell("STOPPING=1")
                self._ending()
            case SupervisorStateChanged(new=SupervisorState.RELOADING):
                self._notifier.reloading()
                self._ending()
            case KillSurvived():
                self._unkillable.add(event.id)
            case ProcessExited():
                self._unkillable.discard(event.id)
            case StateChanged() | ProcessAdded() | ProcessRemoved():
                self._say_soon()
            case _:
                pass

    # -- how things are ----------------------------------------------------------------------

    def _say_soon(self) -> None:
        if self._saying is not None:
            return
        if self._loop.time() >= self._said_at + _STATUS_INTERVAL:
            self._saying = self._loop.call_soon(self._say)  # after all that happens in this turn
        else:
            self._saying = self._loop.call_at(self._said_at + _STATUS_INTERVAL, self._say)

    def _say(self) -> None:
        self._saying = None
        self._said_at = self._loop.time()
        sentence = self._sentence()
        if sentence != self._said and (self._is_ready or self._is_ending):
            self._said = sentence
            self._notifier.tell(f"STATUS={sentence}")

    def _sentence(self) -> str:
        return told(self._states(), is_ending=self._is_ending)

    # -- time --------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Twice as often as it is wanted, as sd_watchdog_enabled(3) recommends."""
        assert self._notifier.watchdog is not None
        self._notifier.tell("WATCHDOG=1")
        self._beating = self._loop.call_later(self._notifier.watchdog / 2, self._beat)

    def _ending(self) -> None:
        self._is_ending = True
        self._say_soon()
        if self._extending is None:
            self._extend()

    def _extend(self) -> None:
        """Ask for more time while stops go on, each of which has its kill delay.

        What survives SIGKILL may do so for ever: for that alone nobody shall wait.
        """
        alive = {i for i, state in self._states().items() if state in _ALIVE}
        if alive <= self._unkillable:
            return
        self._notifier.extend_timeout(_EXTENSION)
        self._extending = self._loop.call_later(_EXTENSION / 3, self._extend)


def told(states: Mapping[ProcessId, PublicState], *, is_ending: bool = False) -> str:
    """How the processes are, in one line: `12 running, 1 FATAL: web`.

    What needs somebody comes with its name. In capitals is what Supervisor calls a state.
    """
    if is_ending:
        alive = [i for i, state in states.items() if state in _ALIVE]
        return _named("waiting for", alive) if alive else "everything is stopped"
    counts = Counter(states.values())
    parts = [
        f"{counts[state]} {word}"
        for state, word in _COUNTED.items()
        if counts[state] or state is PublicState.RUNNING
    ]
    for state in (PublicState.BACKOFF, PublicState.FATAL, PublicState.UNKNOWN):
        if counts[state]:
            members = [i for i, is_in in states.items() if is_in is state]
            parts.append(_named(f"{counts[state]} {state.value}:", members))
    return ", ".join(parts)[:_STATUS_MAX]


def _named(what: str, members: list[ProcessId]) -> str:
    names = [_printable(str(member)) for member in sorted(members)]
    shown = ", ".join(names[:_NAMES_MAX])
    more = len(names) - _NAMES_MAX
    return f"{what} {shown} and {more} more" if more > 0 else f"{what} {shown}"


def _printable(name: str) -> str:
    """A name of a file of Supervisor's may hold anything; a line break would end the message."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
