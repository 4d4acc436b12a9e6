"""Which daemon to talk to, and as whom: -s, -c FILE, $OPSVISOR_URL, the usual files, the default.

Only what a client needs is read here, and leniently: judging a whole file is the daemon's task,
and a mistake in a program's settings must not keep anybody from asking what is running.
"""

import errno
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from opsvisor.client import Client
from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.config.search import (
    OF_ROOT,
    UNTRUSTED_HINT,
    UNTRUSTED_OF_USER_HINT,
    absolute,
    default_paths,
    default_socket,
    find,
    socket_of_user,
    untrusted,
)

_PROMPT = "opsvisor"
_LOOPBACK = re.compile(r"https?://(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?/?")
_ANY_HOST = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to connect


class BadControlFile(ConfigError):  # noqa: N818 - the name says what happened
    """A file of Supervisor's doesn't say how to reach the daemon."""


class BadCredentials(ConfigError):  # noqa: N818 - the name says what happened
    """What the command line or the environment says about who asks can't be used."""


# Named tuples: making a dataclass costs a millisecond of every start.
class Wishes(NamedTuple):
    """What the command line says about the connection, None where it says nothing."""

    url: str | None = None
    config_file: str | None = None
    username: str | None = None
    password: str | None = None
    history_file: str | None = None
    token: str | None = None
    token_file: str | None = None
    ca_file: str | None = None
    cert: str | None = None
    key: str | None = None
    reason: str | None = None


class Connection(NamedTuple):
    """Where to connect and how to greet. `found` says in words where the URL came from."""

    url: str
    found: str
    username: str | None = None
    password: str | None = None
    prompt: str = _PROMPT
    history_file: str | None = None
    token: str | None = None
    ca_file: str | None = None
    cert: str | None = None
    key: str | None = None
    reason: str = ""


def client_of(connection: Connection) -> Client:
    """A client that has not yet connected. Raises BadUrl and BadTls."""
    return Client(
        connection.url,
        username=connection.username,
        password=connection.password,
        token=connection.token,
        ca_file=connection.ca_file,
        client_cert=connection.cert,
        client_key=connection.key,
        reason=connection.reason,
    )


def discover(wishes: Wishes, program: str, environ: Mapping[str, str]) -> Connection:
    """The connection that the command line, the environment and the files ask for.

    `program` is the path this program was called by: the search for files begins beside it.
    Raises ConfigError where a file that is needed can't be read, or where somebody else may have
    made the default socket: a stranger would be told the password, and believed.
    """
    if wishes.url is not None:
        known = _as_asked(wishes, program, environ)
    elif wishes.config_file is not None:
        known = _from_file(Path(wishes.config_file), environ)
    elif url := environ.get("OPSVISOR_URL"):
        found = "as OPSVISOR_URL says"
        known = Connection(url=url, found=found, history_file=_own_history(environ))
    elif path := find(program):
        known = _from_file(path, environ)
    else:
        known = _default(program, environ)
    _refuse_strangers(known.url)
    token = _token(wishes, environ)
    known = known if token is None else known._replace(username=None, password=None)
    return Connection(
        url=known.url,
        found=known.found,
        username=wishes.username if wishes.username is not None else known.username,
        password=wishes.password if wishes.password is not None else known.password,
        prompt=known.prompt,
        history_file=wishes.history_file or known.history_file,
        token=token,
        ca_file=wishes.ca_file or environ.get("OPSVISOR_CA_FILE") or None,
        cert=wishes.cert or environ.get("OPSVISOR_CERT") or None,
        key=wishes.key or environ.get("OPSVISOR_KEY") or None,
        reason=wishes.reason or "",
    )


def _token(wishes: Wishes, environ: Mapping[str, str]) -> str | None:
    """The token to show: of a flag, or of the environment unless a user name is given."""
    given = (wishes.username, wishes.token, wishes.token_file)
    if sum(one is not None for one in given) > 1:
        what = "-u, --token and --token-file are three ways to say who you are: give one of them"
        raise BadCredentials([Problem(Place("opsvisorctl"), what)])
    token, path, where = wishes.token, wishes.token_file, "--token"
    if wishes.username is None and token is None and path is None:
        token, path = environ.get("OPSVISOR_TOKEN"), environ.get("OPSVISOR_TOKEN_FILE")
        where = "OPSVISOR_TOKEN"
    if not token and not path:
        return None
    from opsvisor.config.tokens import check_token, read_token  # noqa: PLC0415 - few need it
    from opsvisor.config.units import Refused  # noqa: PLC0415 - few need it

    try:
        return check_token(token) if token else read_token(path or "")
    except Refused as why:
        what = f"{where} {why.says}" if token else f"the file of a token {why.says}"
        hint = why.hint.replace("the daemon's user", "you")
        raise BadCredentials([Problem(Place("opsvisorctl"), what, hint)]) from why


def _refuse_strangers(url: str) -> None:
    if not url.startswith("unix://"):
        return
    path = Path(url.removeprefix("unix://"))
    try:
        reason = untrusted(path)
    except OSError:  # connecting fails as well then, and explains itself
        return
    if reason:
        hint = UNTRUSTED_HINT if path == default_socket() else UNTRUSTED_OF_USER_HINT
        raise ConfigError([Problem(Place(str(path)), f"not trusted: {reason}", hint)])


def _as_asked(wishes: Wishes, program: str, environ: Mapping[str, str]) -> Connection:
    """The file's credentials go to another address only where both were named.

    supervisorctl sends those of a file that it finds wherever -s leads. On this machine so do we:
    `supervisorctl -s unix:///run/supervisor.sock` in a script has always been let in.
    """
    assert wishes.url is not None
    found = "as -s says"
    if wishes.config_file is not None:
        return _from_file(Path(wishes.config_file), environ)._replace(url=wishes.url, found=found)
    nothing_known = Connection(url=wishes.url, found=found, history_file=_own_history(environ))
    path = find(program)
    if path is None or path.suffix == ".toml" or not _is_local(wishes.url):
        return nothing_known
    try:
        return _from_file(path, environ)._replace(url=wishes.url, found=found)
    except ConfigError:  # nobody asked for this file
        return nothing_known


def _is_local(url: str) -> bool:
    """Whether this address is on this machine, as far as it can be seen."""
    return url.startswith("unix://") or _LOOPBACK.fullmatch(url) is not None


def _default(program: str, environ: Mapping[str, str]) -> Connection:
    looked = ", ".join(str(path) for path in default_paths(program))
    return Connection(
        url=f"unix://{default_socket()}",
        found=f"the default, as there is none of {looked}",
        history_file=_own_history(environ),
    )


def _from_file(path: Path, environ: Mapping[str, str]) -> Connection:
    if path.suffix == ".toml":
        return _from_toml(path, environ)
    # An INI file costs its parser only where there is one.
    from opsvisor.compat.supervisor.config.control_file import (  # noqa: PLC0415 - see above
        read_control_settings,
    )

    try:
        settings = read_control_settings(path, environ)
    except ConfigError as error:
        raise BadControlFile(error.problems) from error
    return Connection(
        url=settings.server_url,
        found=f"as {path} says",
        username=settings.username,
        password=settings.password,
        prompt=settings.prompt,
        history_file=str(settings.history_file) if settings.history_file else None,
    )


def _from_toml(path: Path, environ: Mapping[str, str]) -> Connection:
    document = _read_document(path)
    server = _table_of(document, "server")
    unix, http = server.get("unix"), server.get("http")
    if isinstance(unix, str):
        unix = {"path": unix}
    if isinstance(http, str):
        http = {"listen": http}
    if isinstance(unix, dict) and isinstance(unix.get("path"), str):
        written = _text(unix["path"], environ)
        url, table = f"unix://{absolute(path).parent / (written or '')}", unix
    elif isinstance(http, dict) and isinstance(http.get("listen"), str):
        scheme = "https" if http.get("tls_cert") else "http"
        url, table = _tcp_url(scheme, http["listen"]), http
    else:
        url, table = f"unix://{_unnamed_socket(_table_of(document, 'daemon').get('user'))}", {}
    return Connection(
        url=url,
        found=f"as {path} says",
        username=_text(table.get("username"), environ),
        password=_password(table.get("password"), environ),
        history_file=_own_history(environ),
    )


def _table_of(document: dict[str, object], name: str) -> dict[str, object]:
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def _unnamed_socket(user: object) -> Path:
    """That of a daemon whose file names no server but this user: root may have started it."""
    usual = default_socket()
    if user is None:
        return usual
    import pwd  # noqa: PLC0415 - few need it

    try:
        uid = int(str(user)) if str(user).isdecimal() else pwd.getpwnam(str(user)).pw_uid
    except (KeyError, ValueError, OverflowError):
        return usual
    of_root = socket_of_user(uid, OF_ROOT)
    if os.geteuid() == 0:
        return of_root
    # Not Path.exists: it raises where a directory on the way can't be entered.
    if not os.path.exists(of_root):  # noqa: PTH110 - see above
        return usual
    # After a crash of root's daemon its socket is still there, beside that user's own daemon.
    return usual if _is_left_behind(of_root) and os.path.exists(usual) else of_root  # noqa: PTH110 - see above


def _is_left_behind(path: Path) -> bool:
    """Whether nobody listens on this socket. One whose queue is full has a listener."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        return sock.connect_ex(str(path)) == errno.ECONNREFUSED


def _read_document(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([_problem(path, 0, error.strerror or str(error))]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([_problem(path, 0, f"not UTF-8: {error}")]) from error
    return _parse(path, text)


def _parse(path: Path, text: str) -> dict[str, object]:
    """The file, or what stands before its first mistake if that names the server.

    The daemon that runs has read an earlier version, and can say best what is wrong with this one.
    """
    import tomli  # noqa: PLC0415 - 5 ms that -s and INI files don't need

    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        mistake = error
    try:
        before = tomli.loads("\n".join(text.splitlines()[: mistake.lineno - 1]))
    except tomli.TOMLDecodeError:
        before = {}
    if "server" not in before:
        raise ConfigError([_problem(path, mistake.lineno, mistake.msg)]) from mistake
    return before


def _problem(path: Path, line: int, what: str) -> Problem:
    return Problem(Place(str(path), line), what)


def _tcp_url(scheme: str, listen: str) -> str:
    """A daemon that listens on every interface is asked on the loopback one."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    host = _ANY_HOST.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _text(value: object, environ: Mapping[str, str]) -> str | None:
    """A string with its variables filled in; as it is written if one of them isn't set here."""
    if not isinstance(value, str) or "${" not in value:
        return value if isinstance(value, str) else None
    from opsvisor.config.template import fill_variables  # noqa: PLC0415 - few files need it
    from opsvisor.config.units import Refused  # noqa: PLC0415 - few files need it

    try:
        return fill_variables(value, environ)
    except Refused:
        return value


def _password(value: object, environ: Mapping[str, str]) -> str | None:
    """A hash is of no use to a client: it has to send the password itself."""
    text = _text(value, environ)
    return None if text is None or text.startswith("{SHA}") else text


def _own_history(environ: Mapping[str, str]) -> str | None:
    """None where it is nowhere: who has neither HOME nor an entry in passwd has no home."""
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # noqa: PTH117 - as the next line
        base = os.path.expanduser("~/.local/state")  # noqa: PTH111 - Path raises without a home
    return f"{base}/opsvisor/history" if os.path.isabs(base) else None  # noqa: PTH117 - as above
