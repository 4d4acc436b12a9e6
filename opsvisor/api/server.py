"""Listening sockets, and the applications behind them."""

import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from opsvisor.config.problems import OpsvisorError
from opsvisor.config.search import UNTRUSTED_HINT, default_socket, untrusted
from opsvisor.config.settings import TcpServer, UnixServer
from opsvisor.runtime.socket_files import Occupant, bind_privately, occupant_of, permit

_BACKLOG = 128
# How long requests in flight may take to finish once the daemon ends, in seconds.
_SHUTDOWN_PATIENCE = 1.0

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
    ) -> None:
        self.settings = settings
        self._app = app
        self._listener = listener
        self._runner: web.AppRunner | None = None
        self._inode: int | None = None

    @property
    def url(self) -> str:
        """Where it listens, as opsvisorctl takes it."""
        return url_of(self.settings)

    def listen(self, *, on_stale: _ByPath = lambda _path: None) -> None:
        """Take the address, unless a listener was given. BindError if that can't be.

        Clients may connect from here on, and wait until `serve`. `on_stale` is told of a socket
        that nobody listens on, before it is removed.
        """
        self._listener = self._listener or bind(self.settings, on_stale=on_stale)
        if isinstance(self.settings, UnixServer):
            self._inode = Path(self.settings.path).stat().st_ino

    async def serve(self) -> None:
        """Answer, those first who have been waiting."""
        assert self._listener is not None, "listen comes first"
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            logger=_server_log(),
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_PATIENCE,
        )
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener, backlog=_BACKLOG).start()

    async def close(self) -> None:
        """Stop serving, and remove the socket file if it still is ours."""
        if self._runner is not None:
            await self._runner.cleanup()
        elif self._listener is not None:
            self._listener.close()
        if isinstance(self.settings, UnixServer) and self._inode is not None:
            path = Path(self.settings.path)
            with contextlib.suppress(OSError):
                if path.stat().st_ino == self._inode:  # noqa: ASYNC240 - once, at the end
                    path.unlink()  # noqa: ASYNC240 - once, at the end


def url_of(server: UnixServer | TcpServer) -> str:
    """`unix:///path` or `http://host:port`."""
    match server:
        case UnixServer():
            return f"unix://{server.path}"
        case TcpServer():
            host = _bare(server.host) or "0.0.0.0"  # noqa: S104 - shown, not bound
            return (
                f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"
            )


def _bare(host: str) -> str:
    """Without the brackets that an IPv6 address has in front of a port."""
    return host.removeprefix("[").removesuffix("]")


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
        raise BindError(
            f"cannot listen on {url_of(server)}: {error.strerror}\n"
            f"    hint: {_hint(server, error)}",
            error.errno,
        ) from error


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
    _make_directory(server, path)
    _take_over(server, path, on_stale)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bind_privately(listener, server.path)
        permit(str(path), mode=server.mode, owner=server.owner, file=path.lstat())
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


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
            raise _occupied(
                server,
                "another program is already listening there",
                "another opsvisord? opsvisorctl shutdown ends it",
                errno.EADDRINUSE,
            )
        case Occupant.UNREACHABLE:
            raise _occupied(
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
            raise _occupied(server, f"there is {what}", hint, errno.EEXIST)


def _occupied(server: UnixServer, what: str, hint: str, number: int) -> BindError:
    return BindError(f"cannot listen on {url_of(server)}: {what}\n    hint: {hint}", number)


def _hint(server: UnixServer | TcpServer, error: OSError) -> str:
    match server:
        case UnixServer():
            return f"is {Path(server.path).parent} a directory that this user may write to?"
        case TcpServer() if isinstance(error, PermissionError):
            return "ports below 1024 need root or CAP_NET_BIND_SERVICE"
        case TcpServer() if error.errno == errno.EADDRINUSE:
            return "another opsvisord or supervisord? see who listens: ss -ltnp"
        case TcpServer():
            return (
                f"is {server.host or 'every interface'} an address of this machine? see: ip addr"
            )
