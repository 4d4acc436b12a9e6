"""Connections of clients, which may be handed to another process between two requests.

An upgrade must not cut off a client that is about to send its next request: it could not tell
whether that was read. A connection without a request on it is nothing but a socket, so it is
passed on as such, and what has arrived meanwhile is read by whoever gets it.

One that speaks TLS is more than a socket: keys and counters are in this process, and nowhere else.
So it is closed where another one would be passed on, and nothing is read from it any more. What
its client sends in that moment is not carried out, and it is told by TLS that we have closed.
"""

import asyncio
import socket

from aiohttp import web

_END_OF_HEAD = b"\r\n\r\n"


class Connection(web.RequestHandler):
    """One connection, which knows whether it is between two requests."""

    __slots__ = ("_is_unclear", "_owed")

    def __init__(
        self, server: web.Server, *, loop: asyncio.AbstractEventLoop, **rest: object
    ) -> None:
        super().__init__(server, loop=loop, **rest)  # type: ignore[arg-type]  # passed on as it is
        self._owed = 0  # bytes of a request's body that are still to come
        self._is_unclear = False  # whether something of a request may be with the parser

    def data_received(self, data: bytes) -> None:
        """Parse it, and keep an eye on where requests end."""
        known = self._request_count
        super().data_received(data)
        if data:
            self._follow(data, begun=self._request_count - known)

    def _follow(self, data: bytes, *, begun: int) -> None:
        """Note what of a request is still to come after this.

        The parser does not tell. Clients send a request in one piece, or its head and then its
        body; whoever does it otherwise has to connect anew after an upgrade, as with any server.
        """
        if not begun:
            self._owed -= len(data)
        elif begun == 1 and not self._owed:
            message, _ = self._messages[-1] if self._messages else (None, None)
            length = getattr(message, "headers", {}).get("Content-Length", "0")
            head, end, body = data.partition(_END_OF_HEAD)
            self._owed = int(length) - len(body) if head and end and length.isdecimal() else -1
            self._is_unclear |= bool(getattr(message, "chunked", True))
        else:
            self._is_unclear = True
        self._is_unclear |= self._owed < 0

    def comes_to_rest(self) -> bool:
        """Whether it is over, or is between two requests; then the next one is not read any more.

        That is for somebody else, or for us after `go_on`.
        """
        if self.transport is None or self.transport.is_closing():
            return True
        if not self._is_between_requests():
            return False
        if _speaks_tls(self.transport):
            self.transport.close()
        else:
            self.transport.pause_reading()
        return True

    def go_on(self) -> None:
        """Read again after a rest."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    @property
    def is_at_work(self) -> bool:
        """Whether a request is being answered, or is about to be."""
        return self._request_in_progress or bool(self._messages)

    def between_requests(self) -> socket.socket | None:
        """Its socket, if there is nothing of a request here, and all of the last answer is sent.

        Whatever the client sends next can be read by somebody else then, unless it is encrypted.
        """
        transport = self.transport
        if transport is None or not self._is_between_requests() or _speaks_tls(transport):
            return None
        found = transport.get_extra_info("socket")
        return found if found is not None and found.fileno() >= 0 else None

    def _is_between_requests(self) -> bool:
        transport = self.transport
        if transport is None or transport.is_closing() or self._force_close or self._close:
            return False
        is_waiting = self._waiter is not None and not self._waiter.done()
        if self._is_unclear or self._owed or self.is_at_work or not is_waiting:
            return False
        return not transport.get_write_buffer_size()


def _speaks_tls(transport: asyncio.BaseTransport) -> bool:
    return transport.get_extra_info("sslcontext") is not None
