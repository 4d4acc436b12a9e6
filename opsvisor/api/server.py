"""Listening sockets, and the applications behind them."""

import asyncio
import contextlib
import errno
import logging
import os
import select
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from opsvisor.api.connections import Connection
from opsvisor.api.context import REQUESTS, STREAMS, TURNSTILE
from opsvisor.api.crowd import Crowd, Visitor, Watcher
from opsvisor.api.entrance import ENTRANCE
from opsvisor.api.sessions import Sessions
from opsvisor.api.tls import Certificates, Handshakes
from opsvisor.config.listening import PATH_HINT, is_too_long
from opsvisor.config.problems import OpsvisorError
from opsvisor.config.search import UNTRUSTED_HINT, default_socket, untrusted
from opsvisor.config.settings import ClientLimits, TcpServer, UnixServer
from opsvisor.core.struct import replace
from opsvisor.runtime.socket_files import Occupant, bind_privately, occupant_of, permit

# Connections that the kernel holds for us, and those that we take in one turn of the loop: each
# costs 0.1 ms, and asyncio takes as many at once as it was told of.
_BACKLOG = 1024
_TAKEN_AT_ONCE = 16
# Seconds for which the rest of a body is read that nobody wants. A close with something unread
# would be a reset, which may take our answer along.
_LINGERING = 2.0
# How long requests in flight may take to finish once the daemon ends, in seconds.
_SHUTDOWN_PATIENCE = 1.0

_PROBED_FOR = 1.0  # seconds, for a look at who listens
# What a keeper keeps for another state directory than ours, it gives to nobody here.
_OR_KEPT = "; what one that crashed has left? ps -C opsvisor-keeper -f names its state_dir"
_WHO_LISTENS = f"another opsvisord or supervisord? see who listens: ss -ltnp{_OR_KEPT}"

_USUAL_LIMITS = ClientLimits()

_ByPath = Callable[[str], None]


class BindError(OpsvisorError):
    """A server can't listen where it was told to. `errno` says why, as the system would."""

    def __init__(self, message: str, errno: int | None) -> None:
        self.errno = errno
        super().__init__(message)


class _OfOurOwn(logging.Filter):
    """Lets pass what is wrong with us, and not what is wrong with a request.

    aiohttp logs both alike. A client that sends no HTTP gets its 400; for each such request a
    traceback on standard error, with bytes of the client's choice, tells nobody anything.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


def _server_log() -> logging.Logger:
    log = logging.Logger("opsvisor.http")  # noqa: LOG001 - of its own, no global of that name
    log.addFilter(_OfOurOwn())
    return log


class HttpServer:
    """One listening socket with its application."""

    def __init__(
        self,
        settings: UnixServer | TcpServer,
        app: web.Application,
        listener: socket.socket | None = None,
        *,
        limits: ClientLimits = _USUAL_LIMITS,
        watcher: Watcher | None = None,
        is_passed: bool = False,
        certificates: Certificates | None = None,
    ) -> None:
        """`is_passed`: the listener belongs to whoever started us, and so does its file.

        With `certificates` TLS is spoken, and nothing else.
        """
        self.is_passed = is_passed
        self.settings = settings
        self._app = app
        self._listener = listener
        self.crowd = Crowd(limits, watcher)
        self._handshakes: Handshakes | None = None
        if certificates is not None:
            turnstile = app.get(TURNSTILE)
            turn = turnstile.turn if turnstile is not None else None
            self._handshakes = Handshakes(certificates, limits, self.crowd, turn)
        self._log = _server_log()
        self._runner: web.AppRunner | None = None
        self._accepting: asyncio.Server | None = None
        self._inode: int | None = None

    @property
    def url(self) -> str:
        """Where it listens, as opsvisorctl takes it."""
        return url_of(self.settings)

    @property
    def listener(self) -> socket.socket:
        """The listening socket, which is there from `listen` on."""
        assert self._listener is not None, "listen comes first"
        return self._listener

    @property
    def is_listening(self) -> bool:
        """Whether it has a socket already."""
        return self._listener is not None

    def take_back(self, listener: socket.socket) -> None:
        """Be given, before `listen`, what a daemon before us listened on. OSError if it's none."""
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(errno.EINVAL, "it does not listen")
        if isinstance(self.settings, UnixServer):
            path, mode, owner = self.settings.path, self.settings.mode, self.settings.owner
            permit(path, mode=mode, owner=owner, file=Path(path).lstat())
        self._listener = listener

    def listen(self, *, on_stale: _ByPath = lambda _path: None) -> None:
        """Take the address, unless a listener was given. BindError if that can't be.

        Clients may connect from here on, and wait until `serve`. `on_stale` is told of a socket
        that nobody listens on, before it is removed.
        """
        self._listener = self._listener or bind(self.settings, on_stale=on_stale)
        if isinstance(self.settings, UnixServer) and not self.is_passed:
            self._inode = Path(self.settings.path).stat().st_ino

    async def serve(self, connections: Iterable[socket.socket] = ()) -> None:
        """Answer, those first who have been waiting; also on these `connections` of clients."""
        if self._runner is None:
            self._runner = web.AppRunner(
                self._app, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_PATIENCE
            )
            await self._runner.setup()
        self._stop_accepting()
        loop = asyncio.get_running_loop()
        waiting = self._take_waiting()
        # A copy: asyncio closes what it has accepted on.
        self._accepting = await loop.create_server(
            self._new_connection, sock=self.listener.dup(), backlog=_TAKEN_AT_ONCE
        )
        self.listener.listen(_BACKLOG)  # asyncio has just made it as long as its own
        for connection in (*connections, *waiting):
            await loop.connect_accepted_socket(self._new_connection, connection)

    def _take_waiting(self) -> list[socket.socket]:
        """Accept all who have connected so far, and hang up on those who have gone.

        What somebody asked for who then gave up, perhaps an hour ago, when there was no daemon,
        must not be done now: they were told that it failed. A client that has only closed its
        sending side looks the same, and has to ask again.
        """
        self.listener.setblocking(False)
        waiting = []
        for _ in range(_BACKLOG):
            try:
                connection, _address = self.listener.accept()
            except ConnectionAbortedError:
                continue
            except OSError:  # nobody any more, or no descriptors: asyncio goes on from here
                break
            if _has_gone(connection):
                connection.close()
            else:
                connection.setblocking(False)
                waiting.append(connection)
        return waiting

    def _new_connection(self) -> asyncio.Protocol:
        visitor = self._new_visitor()
        return visitor if self._handshakes is None else self._handshakes.for_(visitor)

    def _new_visitor(self) -> Visitor:
        assert self._runner is not None
        server = self._runner.server
        assert server is not None
        return Visitor(
            self.crowd,
            server,
            loop=asyncio.get_running_loop(),
            logger=self._log,
            access_log=None,
            keepalive_timeout=self.crowd.limits.idle_timeout,
            lingering_time=_LINGERING,
            auto_decompress=False,
        )

    def pause(self) -> None:
        """Accept nobody any more: who connects waits, for us or for whom we hand the listener."""
        if self._accepting is None:
            return
        loop = asyncio.get_running_loop()
        for listening in self._accepting.sockets:
            # Not closed: whoever was accepted in this turn of the loop would be lost with it.
            loop.remove_reader(listening.fileno())

    def _stop_accepting(self) -> None:
        if self._accepting is not None:
            self._accepting.close()
            self._accepting = None

    @property
    def sessions(self) -> Sessions | None:
        """Who has logged in here; None where nobody can."""
        entrance = self._app.get(ENTRANCE)
        return None if entrance is None else entrance.sessions

    def end_streams(self) -> None:
        """Ask the readers of streams to come back, which another process will answer."""
        streams = self._app.get(STREAMS)
        if streams is not None:
            streams.is_upgrading = True
            streams.end()

    async def go_on(self) -> None:
        """Accept clients again after a pause: nobody took over."""
        streams = self._app.get(STREAMS)
        if streams is not None:
            streams.is_upgrading = False
        for connection in self._connections:
            connection.go_on()
        await self.serve()

    def requests(self) -> list[asyncio.Task[Any]]:
        """What is being answered now, streams left out."""
        requests, streams = self._app.get(REQUESTS), self._app.get(STREAMS)
        if requests is None or streams is None:
            return []
        return list(requests.open - streams.open)

    def put_off_requests(self) -> None:
        """Answer all requests at once, however long they wanted to wait."""
        requests = self._app.get(REQUESTS)
        if requests is not None:
            requests.put_off()

    def comes_to_rest(self) -> bool:
        """Whether no request is being answered, and none will be; to be asked until that is so."""
        arriving = [one for one in self.crowd if one.arriving is not None]
        resting = [one.comes_to_rest() for one in (*arriving, *self._connections)]
        return all(resting)

    @property
    def is_at_work(self) -> bool:
        """Whether any request is being answered."""
        return any(connection.is_at_work for connection in self._connections)

    def between_requests(self) -> list[socket.socket]:
        """The connections that can be handed to another process as they are."""
        found = (connection.between_requests() for connection in self._connections)
        return [one for one in found if one is not None]

    @property
    def _connections(self) -> list[Connection]:
        server = None if self._runner is None else self._runner.server
        if server is None:
            return []
        return [one for one in server.connections if isinstance(one, Connection)]

    def leave_descriptors(self, connections: int) -> None:
        """Hold no more connections than this: programs need the descriptors."""
        self.crowd.allow(connections)

    async def close(self, *, leave_file: bool = False) -> None:
        """Stop serving, and remove the socket file if it still is ours, unless it is to be left.

        A client of a file that is there is refused, or waits if somebody still holds the socket.
        """
        self._stop_accepting()
        self.crowd.close()
        if self._handshakes is not None:
            await self._handshakes.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._listener is not None:
            self._listener.close()
        if leave_file:
            return
        if isinstance(self.settings, UnixServer) and self._inode is not None:
            path = Path(self.settings.path)
            with contextlib.suppress(OSError):
                if path.stat().st_ino == self._inode:  # noqa: ASYNC240 - once, at the end
                    path.unlink()  # noqa: ASYNC240 - once, at the end


def url_of(server: UnixServer | TcpServer) -> str:
    """`unix:///path`, `http://host:port` or `https://host:port`."""
    match server:
        case UnixServer():
            return f"unix://{server.path}"
        case TcpServer():
            scheme = "http" if server.tls is None else "https"
            host = _bare(server.host) or "0.0.0.0"  # noqa: S104 - shown, not bound
            shown = f"[{host}]" if ":" in host else host
            return f"{scheme}://{shown}:{server.port}"


def listener_of(server: UnixServer | TcpServer) -> str:
    """What its listening socket is known by: its URL without TLS, of which a socket knows nothing.

    So the same one goes on where TLS is switched on or off. Whoever is connected does not.
    """
    return url_of(replace(server, tls=None) if isinstance(server, TcpServer) else server)


def _bare(host: str) -> str:
    """Without the brackets that an IPv6 address has in front of a port."""
    return host.removeprefix("[").removesuffix("]")


def _has_gone(connection: socket.socket) -> bool:
    """Whether the client has hung up, whatever it sent before."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


def bind(
    server: UnixServer | TcpServer, *, on_stale: _ByPath = lambda _path: None
) -> socket.socket:
    """A listening socket, not inherited by programs. BindError if another daemon has it."""
    try:
        match server:
            case UnixServer():
                return _bind_unix(server, on_stale)
            case TcpServer():
                return _bind_tcp(server)
    except OSError as error:
        raise _not_bound(server, error) from error


def _not_bound(server: UnixServer | TcpServer, error: OSError) -> BindError:
    what = f"cannot listen on {url_of(server)}: {error.strerror or error}"
    return BindError(f"{what}\n    hint: {_hint(server, error)}", error.errno)


def fail_without_interface(server: UnixServer | TcpServer) -> None:
    """BindError if nobody can listen on this host. Of its port nothing is known: that is ours."""
    if isinstance(server, TcpServer):
        try:
            _bind_tcp(replace(server, port=0)).close()
        except OSError as error:
            raise _not_bound(server, error) from error


def fail_if_taken(server: UnixServer | TcpServer) -> None:
    """BindError if somebody listens there, without touching the address."""
    match server:
        case UnixServer():
            with contextlib.suppress(OSError):
                if occupant_of(server.path, follow_symlinks=True) is Occupant.LISTENER:
                    raise _taken(server)
        case TcpServer():
            host = _bare(server.host) or "localhost"
            with contextlib.suppress(OSError):
                socket.create_connection((host, server.port), _PROBED_FOR).close()
                raise BindError(
                    f"cannot listen on {url_of(server)}: {os.strerror(errno.EADDRINUSE)}\n"
                    f"    hint: {_WHO_LISTENS}",
                    errno.EADDRINUSE,
                )


def _bind_tcp(server: TcpServer) -> socket.socket:
    host = _bare(server.host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, server.port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_unix(server: UnixServer, on_stale: _ByPath) -> socket.socket:
    path = Path(server.path)
    if is_too_long(server.path):
        raise _refused(server, "the path is too long", PATH_HINT, errno.ENAMETOOLONG)
    _make_directory(server, path)
    _take_over(server, path, on_stale)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bind_privately(listener, server.path)
        _permit(server, path)
        listener.listen(_BACKLOG)
    except (OSError, BindError):
        listener.close()
        raise
    return listener


def _permit(server: UnixServer, path: Path) -> None:
    try:
        permit(str(path), mode=server.mode, owner=server.owner, file=path.lstat())
    except PermissionError as error:
        if server.owner is None:
            raise
        user, group = server.owner
        what = f"may not give the socket to uid {user}, gid {group}"
        hint = "only root may give files away; leave out its owner (chown), or take one of yours"
        raise _refused(server, what, hint, error.errno or errno.EPERM) from error


def _make_directory(server: UnixServer, path: Path) -> None:
    """The directory of the socket; that of the default one is ours alone, or nothing is opened."""
    if path != default_socket():
        path.parent.mkdir(mode=0o755, exist_ok=True)
        return
    with contextlib.suppress(FileExistsError):  # what is there is judged next
        path.parent.mkdir(mode=0o700)
    if reason := untrusted(path):
        message = f"cannot listen on {url_of(server)}: {reason}\n    hint: {UNTRUSTED_HINT}"
        raise BindError(message, errno.EPERM)


def _take_over(server: UnixServer, path: Path, on_stale: _ByPath) -> None:
    """Remove a socket that nobody listens on any more. BindError if there is anything else.

    A link is judged by where it leads, and it alone is removed: what it names stays.
    """
    match occupant_of(server.path, follow_symlinks=True):
        case Occupant.NOBODY if not path.is_symlink():
            pass
        case Occupant.STALE:
            on_stale(server.path)
            path.unlink(missing_ok=True)
        case Occupant.LISTENER:
            raise _taken(server)
        case Occupant.UNREACHABLE:
            raise _refused(
                server,
                "there is a socket that we may not connect to",
                "if nobody listens on it, remove it",
                errno.EACCES,
            )
        case Occupant.NOBODY | Occupant.OTHER_FILE as found:
            what = (
                "a link that leads nowhere"
                if found is Occupant.NOBODY
                else "a file that is not a socket"
            )
            hint = "move it away, or choose another path"
            raise _refused(server, f"there is {what}", hint, errno.EEXIST)


def _taken(server: UnixServer) -> BindError:
    what = "another program is already listening there"
    hint = f"another opsvisord? opsvisorctl shutdown ends it{_OR_KEPT}"
    return _refused(server, what, hint, errno.EADDRINUSE)


def _refused(server: UnixServer, what: str, hint: str, number: int) -> BindError:
    return BindError(f"cannot listen on {url_of(server)}: {what}\n    hint: {hint}", number)


def _hint(server: UnixServer | TcpServer, error: OSError) -> str:
    match server:
        case UnixServer():
            return f"is {Path(server.path).parent} a directory that this user may write to?"
        case TcpServer() if isinstance(error, PermissionError):
            return "ports below 1024 need root or CAP_NET_BIND_SERVICE"
        case TcpServer() if error.errno == errno.EADDRINUSE:
            return _WHO_LISTENS
        case TcpServer():
            return (
                f"is {server.host or 'every interface'} an address of this machine? see: ip addr"
            )
