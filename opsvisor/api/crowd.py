"""The connections of one listener: how many, for how long, and what one may cost.

Theory of operation
-------------------
Everybody who can reach a port can open connections, and each takes a descriptor that a program
may need. So each listener has a limit of its own: one that is full of strangers leaves the unix
socket of the operator as it was. A connection is in one of three ways:

- *waiting*: nothing of it is being answered. Its TLS handshake is not over, its head has not come
  in whole, or it is kept for a next request.
- *busy*: a request of it is being answered, which may take as long as that takes.
- *stuck*: what was written lies in our buffer, because the client does not read.

When a new one comes and there is no room, the waiting one makes it that has waited longest, then
the one that has been stuck longest. So a crowd that sends nothing, or reads nothing, costs nobody
anything: a client that sends its request at once is busy before its turn to go comes. If all are
at work the new one is told 503, except by root and our own user on a unix socket: for them a
connection of somebody else goes.

Once a second all of them are looked at (about 50 us for 256), rather than each having a timer: a
request that does not come in is answered 408, an answer that is read at less than a trickle is
cut off, and so is a connection that we closed but whose client does not take the rest: closing
waits for that, and it may never come.

What is held at once by all answers that nobody reads is bounded as well (UNREAD_MAX).
"""

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator
from enum import Enum
from typing import Any

from aiohttp import web

from opsvisor.api.connections import Connection
from opsvisor.api.errors import ApiError, problem_response
from opsvisor.config.settings import ClientLimits
from opsvisor.core.struct import Struct

# Bytes of answers that wait in our buffers, of one listener. A scrape of 1,000 processes is 3 MB.
UNREAD_MAX = 32 * 1024 * 1024
# Those that were told 503 may read it, so many at a time. Others find the connection closed.
REFUSED_MAX = 32
_LOOK_AGAIN_AFTER = 1.0  # seconds
_STUCK_AFTER = 1.0  # seconds until somebody who doesn't read may be made to go for another
_CLOSING_PATIENCE = 5.0  # seconds for the rest of an answer after we have closed
_TRICKLE = 1024.0  # bytes a second: any modem reads faster
_STREAMS_SHARE = 0.75  # of the connections: streams don't end, and others must find a place
# socket(7), tcp(7): a peer that has vanished without a word is noticed after a minute or two.
_SOCKET_OPTIONS = (
    (socket.SO_KEEPALIVE, socket.SOL_SOCKET, 1),
    (socket.TCP_KEEPIDLE, socket.IPPROTO_TCP, 60),
    (socket.TCP_KEEPINTVL, socket.IPPROTO_TCP, 15),
    (socket.TCP_KEEPCNT, socket.IPPROTO_TCP, 4),
    (socket.TCP_USER_TIMEOUT, socket.IPPROTO_TCP, 120_000),  # milliseconds
    # The kernel would take megabytes for a client that reads nothing, for each connection.
    (socket.TCP_NOTSENT_LOWAT, socket.IPPROTO_TCP, 256 * 1024),
)
_PEER = struct.Struct("iII")  # pid, uid, gid: SO_PEERCRED of unix(7)
_SO_PEERGROUPS = 59  # asm-generic/socket.h; the module socket does not know it
_GROUP = 4  # bytes of a gid_t
_GROUPS_ROOM = 1024  # bytes, the most that getsockopt of the module socket gives
_IPV6_NETWORK = 4  # of eight groups: whoever has one address of a /64 has all of them
_NO_ROOM = "all connections of this listener are in use"
_ROOM_HINT = "try again; [server.limits] connections raises the limit"


class Cut(Enum):
    """Why we ended a connection that its client kept."""

    MADE_ROOM = "made_room"
    SLOW_HANDSHAKE = "slow_handshake"
    SLOW_REQUEST = "slow_request"
    UNREAD_ANSWER = "unread_answer"


class Watcher:
    """Who wants to know of connections. This one doesn't. All must be quick."""

    def may_have(self, connections: int) -> None:
        """So many connections are held at most."""

    def opened(self) -> None:
        """A client has connected, and was let in."""

    def closed(self) -> None:
        """A connection that was let in is over."""

    def refused(self) -> None:
        """A client has connected, and there was no room for it."""

    def cut(self, why: Cut) -> None:
        """We ended a connection."""

    def handshake_failed(self, source: str, why: str) -> None:
        """A client and we found no way to speak TLS."""


class Peer(Struct, frozen=True):
    """Who is at the other end: an address, or the user at a unix socket.

    `name` is the same for all that one client can easily come from. `is_owner`: root, or our own
    user. `uid` is None of an address, and `gids` are all groups of a user, as the kernel had them
    when it connected.
    """

    name: str
    is_owner: bool = False
    uid: int | None = None
    gids: frozenset[int] = frozenset()


class Crowd:
    """All connections of one listener."""

    def __init__(self, limits: ClientLimits, watcher: Watcher | None = None) -> None:
        self.limits = limits
        self._watcher = watcher or Watcher()
        self.allow(limits.connections)
        self._open: dict[Visitor, None] = {}
        self._leaving: dict[Visitor, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __iter__(self) -> "Iterator[Visitor]":
        """All of them, those that were refused not included."""
        return iter(tuple(self._open))

    def __len__(self) -> int:
        """How many there are, those that were refused not counted."""
        return len(self._open)

    @property
    def streams_max(self) -> int:
        """How many of them may be streams."""
        return max(1, int(self.limit * _STREAMS_SHARE))

    @property
    def streams(self) -> int:
        """How many of them are streams."""
        return sum(one.is_stream for one in self._open)

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def allow(self, connections: int) -> None:
        """Hold at most so many from now on, and never more than the limit."""
        self.limit = min(connections, self.limits.connections)
        self._watcher.may_have(self.limit)

    def admit(self, new: "Visitor") -> bool:
        """Take it in, if need be in the place of another; False if there is no room."""
        self._watch()
        while len(self._open) >= self.limit:
            victim = self._victim(new.peer)
            if victim is None:
                self._watcher.refused()
                self._leaving[new] = None
                return False
            self.cut(victim, Cut.MADE_ROOM)
        self._open[new] = None
        self._watcher.opened()
        return True

    def has_left(self, one: "Visitor") -> None:
        """It is over, one way or another."""
        self._leaving.pop(one, None)
        if one in self._open:
            del self._open[one]
            self._watcher.closed()
        if not self._open and not self._leaving:
            self.close()  # nobody to look at: an idle daemon is not woken for it

    def cut(self, one: "Visitor", why: Cut) -> None:
        """End it at once."""
        self._watcher.cut(why)
        self.has_left(one)
        one.hang_up()

    def handshake_failed(self, one: "Visitor", why: str) -> None:
        """It and we found no way to speak TLS."""
        self._watcher.handshake_failed(one.peer.name, why)

    def too_many_refused(self) -> bool:
        """Whether those that were refused are so many that no more can be told."""
        return len(self._leaving) > REFUSED_MAX

    def unread_grew(self) -> None:
        """Somebody does not read: see that all of those together don't hold too much."""
        stuck = [one for one in self._open if one.stuck_since is not None]
        total = sum(one.unread for one in stuck)
        while total > UNREAD_MAX and len(stuck) > 1:
            longest = min(stuck, key=lambda one: one.stuck_since or 0.0)
            total -= longest.unread
            stuck.remove(longest)
            self.cut(longest, Cut.UNREAD_ANSWER)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _victim(self, newcomer: Peer) -> "Visitor | None":
        now = self.now()
        waiting = [
            one for one in self._open if one.waiting_since is not None and not one.is_at_work
        ]
        if waiting:
            return min(waiting, key=lambda one: one.waiting_since or 0.0)
        stuck = [
            one
            for one in self._open
            if one.stuck_since is not None and now - one.stuck_since > _STUCK_AFTER
        ]
        if stuck:
            return min(stuck, key=lambda one: one.stuck_since or 0.0)
        if newcomer.is_owner:
            return next((one for one in self._open if not one.peer.is_owner), None)
        return None

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_AGAIN_AFTER, self._look)

    def _look(self) -> None:
        self._timer = None
        self._watch()
        now = self.now()
        for one in tuple(self._leaving):
            if one.is_old(now):
                self.has_left(one)
                one.hang_up()
        for one in tuple(self._open):
            why = one.overdue(now, self.limits)
            if why is Cut.SLOW_REQUEST:
                self._watcher.cut(why)
                one.say_too_slow()
            elif why is not None:
                self.cut(one, why)


class Visitor(Connection):
    """One connection. aiohttp reads its requests and writes the answers; we look at the time."""

    __slots__ = (
        "_began",
        "_closing_since",
        "_crowd",
        "_is_refused",
        "_unread_then",
        "arriving",
        "head_since",
        "is_stream",
        "peer",
        "stuck_since",
        "waiting_since",
    )

    def __init__(self, crowd: Crowd, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._crowd = crowd
        self._began = crowd.now()
        self._closing_since: float | None = None
        self.head_since: float | None = None
        self._is_refused = False
        self._unread_then = 0
        self.arriving: asyncio.Transport | None = None
        self.is_stream = False
        self.peer = Peer("")
        self.stuck_since: float | None = None
        self.waiting_since: float | None = self._began

    # -- what asyncio tells ------------------------------------------------------------------

    def arrive(self, transport: asyncio.Transport) -> bool:
        """Somebody has connected who has yet to agree on TLS; False if there is no room.

        `connection_made` follows where that comes to an end. What is refused is not told so: each
        handshake costs a millisecond, which those who are too many must not be able to spend.
        """
        self.peer = peer_of(transport)
        if self._crowd.admit(self):
            self.arriving = transport
            return True
        self._crowd.has_left(self)
        hang_up(transport)
        return False

    def leave(self) -> None:
        """It did not come to TLS."""
        self.arriving = None
        self._crowd.has_left(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected, and speaks TLS by now if that is spoken here."""
        if self.arriving is not None:
            self.arriving = None
            super().connection_made(transport)
            return
        assert isinstance(transport, asyncio.Transport)
        self.peer = peer_of(transport)
        if self._crowd.admit(self):
            super().connection_made(transport)
            return
        self._is_refused = True
        self.transport = transport
        if self._crowd.too_many_refused():
            hang_up(transport)
            return
        transport.write(_raw_problem(ApiError("too_many_connections", _NO_ROOM, _ROOM_HINT)))
        # Half open until they have read it: a socket that is closed with something unread in it
        # is reset, and takes what we said along.
        transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        if self._is_refused:
            return
        if self.waiting_since is not None and self.head_since is None:
            self.head_since = self._crowd.now()
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is over."""
        self._crowd.has_left(self)
        if not self._is_refused:
            super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads less than we write."""
        super().pause_writing()
        self._note_unread()
        self._crowd.unread_grew()

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        self.stuck_since = None

    # -- what our own middleware tells --------------------------------------------------------

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """A request has come in whole, but for its body, and is answered while this lasts."""
        self.waiting_since = self.head_since = None
        try:
            yield
        finally:
            self.is_stream = False
            self.waiting_since = self._crowd.now()

    def begin_stream(self) -> None:
        """The answer has no end. ApiError if there are too many of these."""
        if self._crowd.streams >= self._crowd.streams_max:
            raise ApiError(
                "too_many_streams",
                f"this listener has {self._crowd.streams_max} streams open already",
                "close one, or raise [server.limits] connections",
            )
        self.is_stream = True

    def comes_to_rest(self) -> bool:
        """As that of every connection; one that is yet to agree on TLS has asked for nothing."""
        if self.arriving is not None:
            self.hang_up()
            return True
        return super().comes_to_rest()

    @property
    def limits(self) -> ClientLimits:
        """What it may cost."""
        return self._crowd.limits

    # -- what becomes of it -------------------------------------------------------------------

    @property
    def unread(self) -> int:
        """Bytes that we hold for it."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def is_old(self, now: float) -> bool:
        """Whether it has had the time to read that it was refused."""
        return now - self._began >= _LOOK_AGAIN_AFTER

    def overdue(self, now: float, limits: ClientLimits) -> Cut | None:
        """What it has taken too long for, if anything."""
        if self.arriving is not None:
            is_late = now - self._began > limits.request_timeout
            return Cut.SLOW_HANDSHAKE if is_late else None
        if self.transport is None:
            return None
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            return Cut.UNREAD_ANSWER if now - self._closing_since > _CLOSING_PATIENCE else None
        if self.stuck_since is not None and now - self.stuck_since > limits.answer_timeout:
            taken = self._unread_then - self.unread
            if taken < (now - self.stuck_since) * _TRICKLE:
                return Cut.UNREAD_ANSWER
            self._note_unread()
        if self.head_since is not None and now - self.head_since > limits.request_timeout:
            return Cut.SLOW_REQUEST
        return None

    def say_too_slow(self) -> None:
        """Answer 408 (RFC 9110, 15.5.9), and close."""
        if self.transport is not None and not self.transport.is_closing():
            detail = f"the request did not come within {self.limits.request_timeout:g} s"
            self.transport.write(_raw_problem(ApiError("too_slow", detail, "send it at once")))
        self.force_close()

    def hang_up(self) -> None:
        """End it without waiting for the client to read anything."""
        transport = self.transport or self.arriving
        if transport is not None:
            hang_up(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP gets an answer as all other errors have, and the log nothing.

        aiohttp's would tell its own name and version, and what it found in the request.
        """
        del message
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun: there can't be another")
        if status == web.HTTPBadRequest.status_code:
            error = ApiError("no_http", "this is not HTTP, or its head is too large", _NO_HTTP)
        else:
            self.log_exception("Error handling request", exc_info=exc)
            error = ApiError("internal", "opsvisord has hit a bug of its own", "its log has more")
        response = problem_response(error)
        response.headers["Server"] = SERVER
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer. What aiohttp refuses before it asks us is told as all other errors."""
        if isinstance(resp, web.HTTPExpectationFailed):
            detail = "what the header Expect asks for can't be had"
            hint = "leave it out, or say 100-continue"
            resp = problem_response(ApiError("bad_expectation", detail, hint))
        return await super().finish_response(request, resp, start_time)

    def _note_unread(self) -> None:
        self.stuck_since = self._crowd.now()
        self._unread_then = self.unread


SERVER = "opsvisord"  # not the versions of what we are made of, which is what aiohttp says
_NO_HTTP = "a request line and up to 128 headers, of 8190 bytes each, as RFC 9112 has them"


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Who is at the other end."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return Peer("")
    if sock.family == socket.AF_UNIX:
        try:
            told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        except OSError:  # gone already
            return Peer("")
        _, uid, gid = _PEER.unpack(told)
        gids = frozenset((gid, *_more_groups(sock)))
        return Peer(f"uid {uid}", is_owner=uid in (0, os.geteuid()), uid=uid, gids=gids)
    for option, level, value in _SOCKET_OPTIONS:
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, value)
    address = transport.get_extra_info("peername")
    return Peer(_source(address[0]) if address else "")


def _more_groups(sock: socket.socket) -> tuple[int, ...]:
    """The supplementary groups of who is at the other end; none where the kernel can't tell."""
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_ROOM)
    except OSError:  # gone already, before Linux 4.13, or of more groups than we look at
        return ()
    return struct.unpack(f"{len(told) // _GROUP}I", told)


def _source(address: str) -> str:
    """An address, of IPv6 its network: a host has 2**64 of them."""
    if ":" not in address:
        return address
    if address.startswith("::ffff:"):
        return address.removeprefix("::ffff:")
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return socket.inet_ntop(socket.AF_INET6, packed[: _IPV6_NETWORK * 2] + bytes(8)) + "/64"


def hang_up(transport: asyncio.Transport) -> None:
    """End a connection at once: a plain close waits for the client to read what was sent."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # socket(7): linger for no time, or the kernel goes on offering what it has.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _raw_problem(error: ApiError) -> bytes:
    """A whole answer, for where there is no request that aiohttp could answer."""
    response = problem_response(error)
    assert isinstance(response.body, bytes)
    head = (
        f"HTTP/1.1 {response.status} {response.reason}",
        f"Server: {SERVER}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(response.body)}",
        "Connection: close",
    )
    return "\r\n".join([*head, "", ""]).encode() + response.body
