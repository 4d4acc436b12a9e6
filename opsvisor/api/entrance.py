"""Who comes in at one server: by a header, by the session of a browser, or by who they are here.

Theory of operation
-------------------
What is shown in the header Authorization decides, right or wrong: who shows something wants to be
that. Else it is the session, and else the certificate that the connection began with, or the user
at the other end of a unix socket.

A browser sends the cookie of a session with whatever a page asks it to send. That it is not sent
for pages of other sites (SameSite=Strict) leaves those of other ports of this very host. So what
comes with a cookie must come from a page of ours: by Sec-Fetch-Site, which no page can forge and
browsers send over TLS and to localhost; else by Origin, without which nothing is changed. Nothing
is changed without a body that says it is JSON either, which a form can't send.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from aiohttp import web

from opsvisor.api.access import ANYBODY, Caller, Gate, Way
from opsvisor.api.attempts import Attempts
from opsvisor.api.context import CALLER, DECLARED, HttpObserver, source_of
from opsvisor.api.crowd import Visitor
from opsvisor.api.errors import ApiError
from opsvisor.api.hosts import is_foreign, is_own_origin
from opsvisor.api.route import READING
from opsvisor.api.sessions import Session, Sessions
from opsvisor.config.settings import ClientLimits, TcpServer, UnixServer

COOKIE = "opsvisor_session"
_LOOK_AGAIN_AFTER = 30.0  # seconds until somebody who is being answered has to be known anew


class Entrance:
    """Knows who may come in at one server, and who has."""

    def __init__(
        self,
        server: UnixServer | TcpServer,
        observer: HttpObserver,
        limits: ClientLimits,
        holds: Callable[[ssl.SSLObject], bool] = lambda _: True,
    ) -> None:
        """`holds` tells whether the certificate that a client has shown would be taken now."""
        self.gate = Gate(server, observer.warn)
        self._holds = holds
        self._observer = observer
        self._attempts = Attempts(limits.failed_logins, time.monotonic)
        self.sessions = Sessions(
            self._stamp_of,
            idle_timeout=limits.session_idle_timeout,
            lifetime=limits.session_lifetime,
            now=time.monotonic,
        )

    def identify(self, request: web.Request) -> Caller:
        """Who this is. ApiError if it is nobody, or somebody who has been wrong too often."""
        if not self._is_vouched_for(request):
            raise _outdated()
        if self.gate.is_open:
            return ANYBODY
        shown = request.headers.get("Authorization")
        if shown is not None:
            return self._by_what_is_shown(request, shown)
        caller = self._by_session(request) or self._by_connection(request)
        if caller is None:
            raise _who_are_you(self.gate)
        return caller

    def log_in(self, request: web.Request, shown: str) -> tuple[Caller, Session, str]:
        """Begin a session of whom this is shown by, with its key. ApiError as above."""
        if self.gate.is_open:
            raise ApiError(
                "no_login",
                "this server asks nobody who they are, so nobody can log in",
                "just ask; an [identity.NAME] in the configuration changes that",
            )
        if is_foreign(request) or not is_own_origin(request):
            raise _foreign(request)  # else a page could log people in as somebody else
        caller = request[CALLER] = self._by_what_is_shown(request, shown)
        if (before := self.session_of(request)) is not None:
            self.sessions.end(before)
        key, session = self.sessions.begin(caller.name)
        return caller, session, key

    def log_out(self, request: web.Request) -> None:
        """End the session that this comes with, if there is one."""
        session = self.session_of(request)
        if session is not None:
            if (caller := self._by_session(request)) is not None:
                request[CALLER] = caller
            self.sessions.end(session)

    def session_of(self, request: web.Request) -> Session | None:
        """The session whose key this shows. ApiError if a page of somebody else's shows it."""
        key = request.cookies.get(COOKIE)
        session = None if key is None else self.sessions.find(key)
        if session is None:
            return None
        is_change = request.method not in READING
        if is_foreign(request) or (is_change and not _is_of_our_page(request)):
            raise _foreign(request)
        return session

    @contextmanager
    def answering(self, request: web.Request, caller: Caller) -> Iterator[None]:
        """End what is done in the block as soon as this caller may not come in any more.

        Most requests are over long before that is looked at. Streams are not.
        """
        task = asyncio.current_task()
        assert task is not None
        secure = _secure(request)
        if secure is None and caller.way in (Way.OPEN, Way.LOCAL):
            yield  # nothing of that can be taken away from them while we live
            return
        session = self.session_of(request) if caller.is_by_session else None
        is_by_secret = caller.way in (Way.PASSWORD, Way.TOKEN)
        stamp = self._stamp_of(caller.name)

        def is_welcome() -> bool:
            if secure is not None and not self._holds(secure):
                return False
            if session is not None:
                return self.sessions.is_alive(session)
            return not is_by_secret or self._stamp_of(caller.name) == stamp

        using = nullcontext() if session is None else self.sessions.in_use(session, task)
        with _asking_again(is_welcome, task), using:
            yield

    def _by_what_is_shown(self, request: web.Request, shown: str) -> Caller:
        source = source_of(request)
        if seconds := self._attempts.wait(source, shown):
            self._observer.login_failed(source, True)
            raise _too_often(seconds)
        caller = self.gate.caller(shown)
        if caller is None:
            self._attempts.failed(source, shown)
            self._observer.login_failed(source, False)
            raise _who_are_you(self.gate)
        return caller

    def _by_session(self, request: web.Request) -> Caller | None:
        session = self.session_of(request)
        found = None if session is None else self.gate.named(session.name)
        return None if found is None else found[0].by(Way.SESSION)

    def _by_connection(self, request: web.Request) -> Caller | None:
        connection = request.protocol
        if (secure := _secure(request)) is not None:
            return self.gate.certified(secure)
        return self.gate.local(connection.peer) if isinstance(connection, Visitor) else None

    def _is_vouched_for(self, request: web.Request) -> bool:
        secure = _secure(request)
        return secure is None or self._holds(secure)

    def _stamp_of(self, name: str) -> bytes | None:
        found = self.gate.named(name)
        return None if found is None else found[1]


@contextmanager
def _asking_again(is_welcome: Callable[[], bool], task: asyncio.Task[Any]) -> Iterator[None]:
    """Cancel the task within half a minute of the answer being no, while the block lasts."""
    timers: list[asyncio.TimerHandle] = []
    loop = asyncio.get_running_loop()

    def look() -> None:
        if is_welcome():
            timers[:] = [loop.call_later(_LOOK_AGAIN_AFTER, look)]
        else:
            task.cancel()

    timers.append(loop.call_later(_LOOK_AGAIN_AFTER, look))
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


ENTRANCE = web.AppKey("entrance", Entrance)


def challenges(request: web.Request, gate: Gate) -> list[str]:
    """What stands in WWW-Authenticate (RFC 9110, 11.6.1) of a request that is nobody's.

    A browser asks for a user name and a password by itself when it sees Basic, also for what a
    page fetches. Ours has a form for that; and an answer must name some way in.
    """
    tokens = ['Bearer realm="default"'] if gate.takes_tokens else []
    if _is_fetched_by_page(request):
        return tokens or ['Session realm="default"']
    return ['Basic realm="default"', *tokens]


def _secure(request: web.Request) -> ssl.SSLObject | None:
    """The TLS of its connection."""
    transport = request.transport
    found = None if transport is None else transport.get_extra_info("ssl_object")
    return found if isinstance(found, ssl.SSLObject) else None


def _is_fetched_by_page(request: web.Request) -> bool:
    route = request.app[DECLARED].get(request.match_info.route)
    if route is not None and route.access is None:
        return True  # it is the login, which nobody else has a use for
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode is not None:
        return mode != "navigate"
    # Without TLS browsers say so to localhost only. Where one goes by itself it asks for HTML.
    is_browser = request.headers.get("User-Agent", "").startswith("Mozilla/")
    return is_browser and "text/html" not in request.headers.get("Accept", "")


def _is_of_our_page(request: web.Request) -> bool:
    """Whether it is known to come from a page of ours, and not only not from another."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return "Origin" in request.headers and is_own_origin(request)


def _foreign(request: web.Request) -> ApiError:
    where = request.headers.get("Origin") or "somewhere else"
    return ApiError(
        "foreign_origin",
        f"a session is for our own pages, and this comes from {where}",
        "a program shows a token or a password instead: Authorization",
    )


def _too_often(seconds: int) -> ApiError:
    return ApiError(
        "too_many_attempts",
        "too many wrong passwords or tokens from where you are: this one was not looked at",
        f"wait {seconds} s; a unix socket, or another address, is not affected",
        retry_after=seconds,
    )


def _outdated() -> ApiError:
    return ApiError(
        "unauthorized",
        "the certificate that this connection began with would not be taken any more",
        "connect again: with one that has not expired, and that client_ca vouches for",
        is_last=True,
    )


def _who_are_you(gate: Gate) -> ApiError:
    hint = "opsvisorctl -u NAME -p PASSWORD, or curl -u NAME"
    if not gate.takes_tokens:
        return ApiError("unauthorized", "this server asks for a user name and a password", hint)
    return ApiError(
        "unauthorized",
        "this server asks for a user name and a password, or for a token",
        f"{hint}, or curl -H 'Authorization: Bearer TOKEN'",
    )
