"""The daemon's side of its keeper: what is to be held, and what was taken back.

Theory of operation
-------------------
What is to be held are descriptors, each by its name. Most of them are those of programs: whoever
has them tells when one is `opened` and when it is to be let go of (`drop`), and can tell of all of
them whenever a keeper has to be sent everything (`list_by`), so no list of them is kept here.
Whatever else is to be held is in a table of ours (`keep`).

The keeper's own table follows: whatever has changed is sent at once, and what the socket does not
take is sent when it does. Until then there is one entry for each name, which says what is behind
it by then, or that nothing is. It waits for ten seconds at most, and then for nobody: see below.
Hence the one rule for callers: a name is dropped before its descriptor is closed, or in the same
turn of the loop.

A keeper is an improvement and not a condition. One that ends is replaced, and sent all that is to
be held; one that takes nothing for a while is ended first. After a few attempts in a row we go on
without: a crash then loses what only open descriptors can save (see `_WITHOUT`).

What names there are is in names.py.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from itertools import islice
from pathlib import Path

from opsvisor.core.spec import Pid
from opsvisor.runtime.keeper.keep import BATCH, HOLD, KILL, NAME_LIMIT, PACKET_LIMIT, to_send
from opsvisor.runtime.keeper.process import SOCKET, HandBack, UnreachableError, kill, reach, start
from opsvisor.runtime.reaper import OnExit

_FAREWELL_WITHIN = 1.0
_SETTLE_WITHIN = 1.0
_STUCK_AFTER = 10.0  # without taking anything, though we have something to send
_CROWDED = 0.05  # until the kernel may allow more descriptors on their way (ETOOMANYREFS)
_RESTART_DELAYS = (0.0, 1.0, 5.0, 30.0)  # then we do without
_HEALTHY_AFTER = 60.0  # a keeper that lived for so long was no failed attempt

_WITHOUT = (
    "if opsvisord crashes now, programs that end before it is back have no known exit status, and"
    " what they wrote last is lost"
)


class WhenAlone(Enum):
    """What a keeper does when its daemon has crashed."""

    HOLD = HOLD  # all that it has, for the next daemon
    KILL = KILL  # whatever it has a pidfd or a cgroup of


class Keeper:
    """A keeper process, and what it is to hold.

    `warn` is given a line for the log. `watch` is `Reaper.watch`, so that the end of the process
    is collected as that of no orphan.
    """

    def __init__(
        self,
        directory: Path,
        *,
        loop: asyncio.AbstractEventLoop,
        when_alone: WhenAlone,
        warn: Callable[[str], None],
        watch: Callable[[Pid, OnExit], None] | None = None,
    ) -> None:
        self._directory = directory
        self._loop = loop
        self._when_alone = when_alone
        self._warn = warn
        self._watch = watch
        self._programs: Callable[[], Mapping[str, int]] = dict
        self._held: dict[str, int] = {}  # of which `_programs` does not tell, or not yet
        self._unclaimed: dict[str, int] = {}
        self._changed: dict[str, int | None] = {}  # what these are now, in their order; None: gone
        self._orders: list[bytes] = []  # to be sent after what has changed
        self._answers: list[asyncio.Future[None]] = []  # that are due, in their order
        self._connection: socket.socket | None = None
        self._pid: Pid | None = None
        self._is_writing = False  # waiting until the socket takes more
        self._timers: dict[Callable[[], None], asyncio.Handle] = {}
        self._began = 0.0
        self._restarts = 0

    # -- life --------------------------------------------------------------------------------

    def open(self) -> None:
        """Take over the keeper of a daemon that is gone, with all it holds, or start one.

        What was taken back is to be claimed. Not for when programs run already: it takes a
        millisecond for 1,000 descriptors, but seconds if the old keeper does not answer.
        """
        try:
            connection = reach(self._directory)
        except UnreachableError as problem:
            self._warn(f"the keeper of the last daemon is not for us: {problem}")
            connection = None
        if connection is None:
            self._start()
        else:
            self._take_over(connection)

    def open_over(
        self, descriptor: int, pid: Pid, held: Mapping[str, int], *, unclaimed: Iterable[str] = ()
    ) -> None:
        """Go on with the keeper of the daemon that became us by exec.

        `descriptor` and `pid` are its, `held` is what it had there, by our own descriptors, of
        which those with the names in `unclaimed` are nobody's yet.
        """
        connection = socket.socket(fileno=descriptor)
        connection.set_inheritable(False)
        self._held.update(held)
        self._unclaimed.update({name: held[name] for name in unclaimed})
        self._connect(connection, pid)
        self.set_when_alone(self._when_alone)

    @property
    def descriptor(self) -> int | None:
        """The connection to the keeper: for `open_over`, after `settle`. None without keeper."""
        return None if self._connection is None else self._connection.fileno()

    @property
    def pid(self) -> Pid | None:
        """Which process it is, None without one."""
        return self._pid

    @property
    def kept(self) -> Mapping[str, int]:
        """What it is to hold, but for what others tell of: by our own descriptors."""
        return self._held

    def all_held(self) -> dict[str, int]:
        """All that it is to hold, by our own descriptors."""
        return {**self._programs(), **self._held}

    def list_by(self, programs: Callable[[], Mapping[str, int]]) -> None:
        """From now on this tells which descriptors of programs are `opened`, and not dropped."""
        self._programs = programs

    def set_when_alone(self, when_alone: WhenAlone) -> None:
        """Change what it does after a crash."""
        self._when_alone = when_alone
        if self._connection is not None:
            self._orders.append(b"*" + when_alone.value)
            self._send()

    def close(self) -> None:
        """Let it end: nobody is to come after us. Waits for that a few milliseconds, as a rule."""
        connection, pid = self._connection, self._pid
        self._disconnect()
        if connection is not None and pid is not None:
            connection.settimeout(_FAREWELL_WITHIN)
            try:
                connection.send(b".")
                while connection.recv(PACKET_LIMIT):
                    pass
            except ConnectionError:
                pass
            except OSError:  # it is stuck
                kill(pid)
            connection.close()
        with contextlib.suppress(OSError):
            (self._directory / SOCKET).unlink()

    def leave(self) -> None:
        """Part without a farewell: it does what it does after a crash."""
        connection = self._connection
        self._disconnect()
        if connection is not None:
            connection.close()

    # -- what is to be held ------------------------------------------------------------------

    def keep(self, name: str, descriptor: int) -> None:
        """Have this held. It must stay open here until `drop`."""
        self.keep_all({name: descriptor})

    def keep_all(self, descriptors: Mapping[str, int]) -> None:
        """As `keep`, at the price of one."""
        for name, descriptor in descriptors.items():
            _check(name)
            self._held[name] = descriptor
            self._note(name, descriptor)
        self._send()

    def opened(self, name: str, descriptor: int) -> None:
        """Have this held, of which whoever has the descriptors of programs tells from now on.

        Sent with the next `flush`. What is held already, as it was claimed, is not sent again.
        """
        _check(name)
        if self._held.pop(name, None) != descriptor:
            self._note(name, descriptor)

    def drop(self, *names: str) -> None:
        """Have these let go of, if they are held; in this turn of the loop or soon after."""
        for name in names:
            self._held.pop(name, None)
            self._unclaimed.pop(name, None)
            self._note(name, None)
        if self._changed:
            self._soon(self._send)

    def flush(self) -> None:
        """Send what was opened and dropped in this turn of the loop."""
        self._send()

    def claim(self, name: str) -> int | None:
        """What the keeper of a daemon before us held under that name; yours, and still held.

        Until it is dropped, or `opened`.
        """
        return self._unclaimed.pop(name, None)

    @property
    def unclaimed(self) -> Mapping[str, int]:
        """What was held for a daemon before us, and not claimed yet."""
        return self._unclaimed

    def drop_unclaimed(self) -> list[str]:
        """Close and have let go of what nobody claimed, and give its names.

        There is such a thing: what was on its way when the daemon crashed.
        """
        descriptors = dict(self._unclaimed)
        self.drop(*descriptors)
        for descriptor in descriptors.values():
            os.close(descriptor)
        return list(descriptors)

    async def settle(self) -> None:
        """Return when the keeper has done all that it was told, or after a second.

        Before an address is bound anew, or a program must see the end of its standard input.
        """
        if self._connection is None:
            return
        answer = self._loop.create_future()
        self._answers.append(answer)
        self._orders.append(b"?")
        self._send()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_WITHIN):
                await asyncio.shield(answer)

    def _note(self, name: str, descriptor: int | None) -> None:
        if self._connection is not None:  # another one will be sent everything
            self._changed[name] = descriptor

    # -- sending -----------------------------------------------------------------------------

    def _send(self) -> None:
        """Send what has changed, as far as the socket takes it now."""
        self._forget_timer(self._send)
        while (connection := self._connection) is not None and not self._is_writing:
            if self._changed:
                sent = self._send_changed(connection, list(islice(self._changed, BATCH)))
            elif self._orders:
                sent = self._send_packet(connection, self._orders[0], [])
                if sent:
                    del self._orders[0]
            else:
                return
            if not sent:
                return

    def _send_changed(self, connection: socket.socket, names: list[str]) -> bool:
        """Send what these are now; whether there may be more to send at once."""
        changed = self._changed
        lines = [("-" if changed[name] is None else "+") + name for name in names]
        descriptors = [one for name in names if (one := changed[name]) is not None]
        packet = "\0".join(lines).encode("utf-8", "surrogateescape")
        try:
            sent = self._send_packet(connection, packet, descriptors)
        except ValueError:  # a bug of ours, and only its own name should suffer
            closed = [name for name in names if not self._is_open(name)]
            self._warn(f"the keeper can't hold {', '.join(closed)}: closed already")
            for name in closed:
                self._held.pop(name, None)
                changed[name] = None
            return bool(closed)
        if sent:
            for name in names:
                del changed[name]
        return sent

    def _send_packet(
        self, connection: socket.socket, packet: bytes, descriptors: list[int]
    ) -> bool:
        """Whether it went; what hinders it is seen to. ValueError if a descriptor is none."""
        try:
            connection.sendmsg([packet], to_send(descriptors))
        except BlockingIOError:
            self._is_writing = True
            self._loop.add_writer(connection, self._writable, connection)
            self._later(_STUCK_AFTER, self._stuck)
            return False
        except OSError as error:
            match error.errno:
                case errno.EBADF:
                    raise ValueError(descriptors) from error
                case errno.ETOOMANYREFS:
                    self._later(_CROWDED, self._send)
                    self._later(_STUCK_AFTER, self._stuck)
                case _:
                    self._lost()
            return False
        self._forget_timer(self._stuck)
        return True

    def _is_open(self, name: str) -> bool:
        descriptor = self._changed[name]
        if descriptor is None:
            return True
        try:
            os.fstat(descriptor)
        except OSError:
            return False
        return True

    def _writable(self, connection: socket.socket) -> None:
        self._loop.remove_writer(connection)
        self._is_writing = False
        self._send()

    def _stuck(self) -> None:
        """It took nothing for long: stopped by a signal, say. Another one will do better."""
        self._forget_timer(self._stuck)
        assert self._pid is not None
        self._warn(f"the keeper (pid {self._pid}) takes nothing any more: ending it")
        kill(self._pid)  # connected as we are, the number is its own
        self._lost()

    # -- its answers, and its end ------------------------------------------------------------

    def _readable(self) -> None:
        assert self._connection is not None
        try:
            packet = self._connection.recv(PACKET_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._lost()
        elif packet == b"=":
            if self._answers and not (answer := self._answers.pop(0)).done():
                answer.set_result(None)
        elif packet[:1] == b"!":
            self._warn(
                f"the keeper could not take {packet[1:].decode()} descriptors"
                f" (raise ulimit -Hn, or LimitNOFILE= of the unit): {_WITHOUT}"
            )

    def _lost(self) -> None:
        """It is gone, and its table with it."""
        ended = self._pid
        self.leave()
        if self._loop.time() - self._began > _HEALTHY_AFTER:
            self._restarts = 0
        if self._restarts == 0:
            self._warn(f"the keeper (pid {ended}) has ended unasked: starting another")
        self._start_again()

    def _start_again(self) -> None:
        if self._restarts == len(_RESTART_DELAYS):
            self._warn(f"no keeper stays alive, going on without one: {_WITHOUT}")
            return
        self._later(_RESTART_DELAYS[self._restarts], self._start)
        self._restarts += 1

    # -- beginning ---------------------------------------------------------------------------

    def _start(self) -> None:
        """Start a keeper and send it all there is, or try again later."""
        self._forget_timer(self._start)
        try:
            connection, pid = start(self._directory, self._when_alone.value)
        except OSError as error:
            if self._restarts == 0:
                what = f": {error.filename}" if error.filename else ""
                self._warn(f"could not start a keeper ({error.strerror}{what}): trying again")
            self._start_again()
            return
        if self._watch is not None:
            with contextlib.suppress(
                OSError
            ):  # no descriptor for it; its end is told all the same
                self._watch(pid, lambda _pid, _outcome, _usage: None)
        self._connect(connection, pid)
        self._changed.update(self.all_held())
        self._send()

    def _take_over(self, connection: socket.socket) -> None:
        """Take back what a keeper holds, and be its owner, or end it and start another."""
        back = HandBack(connection)
        try:
            back.receive(self._when_alone.value)
        except (OSError, ValueError) as problem:
            self._warn(f"the keeper of the last daemon did not give back all it had: {problem}")
            back.give_up()
        self._held.update(back.descriptors)
        self._unclaimed.update(back.descriptors)
        if back.keeper:
            self._connect(connection, back.keeper)
            self._changed.update(dict.fromkeys(back.refused))
            self._send()
        else:
            self._start()

    def _connect(self, connection: socket.socket, pid: Pid) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._pid = pid
        self._began = self._loop.time()
        self._loop.add_reader(connection, self._readable)

    def _disconnect(self) -> None:
        """Forget the connection, without closing it."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._connection is not None:
            self._loop.remove_reader(self._connection)
            self._loop.remove_writer(self._connection)
        self._connection = self._pid = None
        self._is_writing = False
        self._orders.clear()
        self._changed.clear()  # another one is sent everything
        for answer in self._answers:  # who is gone holds nothing
            if not answer.done():
                answer.set_result(None)
        self._answers.clear()

    def _soon(self, what: Callable[[], None]) -> None:
        if what not in self._timers:
            self._timers[what] = self._loop.call_soon(what)

    def _later(self, delay: float, what: Callable[[], None]) -> None:
        if what not in self._timers:
            self._timers[what] = self._loop.call_later(delay, what)

    def _forget_timer(self, what: Callable[[], None]) -> None:
        if (timer := self._timers.pop(what, None)) is not None:
            timer.cancel()


def _check(name: str) -> None:
    assert 0 < len(name.encode("utf-8", "surrogateescape")) <= NAME_LIMIT, name
    assert "\0" not in name, name
