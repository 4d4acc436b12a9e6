"""The probes that a program's options ask for."""

from collections.abc import Callable
from urllib.parse import urlsplit

from opsvisor.config.decode import Declared
from opsvisor.config.document import KeyPath
from opsvisor.config.findings import Findings
from opsvisor.config.schema import ProgramOptions
from opsvisor.config.schema_probes import HttpOptions, ProbeOptions
from opsvisor.config.units import Refused
from opsvisor.core.probes import (
    ExecProbe,
    HttpProbe,
    ProbeHandler,
    ProbeKind,
    ProbeSpec,
    TcpProbe,
)

# Fills in names and variables of the text that an option holds.
Fill = Callable[[KeyPath, str], str]

_PORTS = range(1, 65536)
_URL_HINT = 'it looks like "http://127.0.0.1:8080/healthz"'
_HANDLER_HINT = 'a probe has exactly one of exec, http and tcp: http = "http://127.0.0.1:8080/"'


def probe_spec(
    program: Declared[ProgramOptions], kind: ProbeKind, fill: Fill, findings: Findings
) -> ProbeSpec | None:
    """The program's probe of this kind, if it has one. What is wrong goes to `findings`."""
    name = f"{kind.value}_probe"
    options: ProbeOptions | None = getattr(program.options, name)
    if options is None or not program.is_sound(name):
        return None
    given = [way for way in ("exec", "http", "tcp") if getattr(options, way) is not None]
    if len(given) != 1:
        says = (
            f"asks in {len(given)} ways at once: {', '.join(given)}" if given else "asks nothing"
        )
        findings.problems.append(program.problem((name,), Refused(says, _HANDLER_HINT)))
        return None
    (way,) = given
    path: KeyPath = (name, way)
    try:
        handler = _handler(options, path, fill)
    except _RefusedText as error:
        findings.problems.append(program.problem(error.path, error.why, typed=error.typed))
        return None
    return ProbeSpec(
        handler=handler,
        initial_delay=options.initial_delay,
        period=options.period,
        timeout=options.timeout,
        success_threshold=options.success_threshold,
        failure_threshold=options.failure_threshold,
    )


class _RefusedText(Exception):  # noqa: N818 - like Refused, it reads as what happened
    """A text can't be used, now that its names are filled in."""

    def __init__(self, path: KeyPath, why: Refused, text: str | None = None) -> None:
        super().__init__(str(why))
        self.path = path
        self.why = why
        self.typed = "" if text is None else f"'{text}'"


def _handler(options: ProbeOptions, path: KeyPath, fill: Fill) -> ProbeHandler:
    if options.exec is not None:
        return ExecProbe(argv=tuple(fill(path, word) for word in options.exec.argv))
    if options.http is not None:
        return _http(options.http, path, fill)
    assert options.tcp is not None
    port = fill(path, options.tcp.port)
    if not port.isdecimal() or not port.isascii() or int(port[:6]) not in _PORTS:
        raise _RefusedText(path, Refused("is not a port from 1 to 65535"), port)
    return TcpProbe(host=fill(path, options.tcp.host), port=int(port))


def _http(options: HttpOptions, path: KeyPath, fill: Fill) -> HttpProbe:
    url = fill((*path, "url"), options.url)
    why = _url_problem(url)
    if why is not None:
        # Unquoted where it may hold a password.
        raise _RefusedText((*path, "url"), why, None if "@" in url else url)
    headers = []
    for name, text in sorted(options.headers.items()):
        value = fill((*path, "headers", name), text)
        if not value.isprintable():
            why = Refused("holds a line break or another control character")
            raise _RefusedText((*path, "headers", name), why)  # unquoted: it may be a secret
        headers.append((name, value))
    return HttpProbe(url=url, statuses=options.status, headers=tuple(headers))


def _url_problem(url: str) -> Refused | None:
    """Why this can't be asked, if it can't."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return Refused("holds characters that no URL has", "write them as %20 and the like")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return Refused(f"is no URL: {str(error).lower()}", _URL_HINT)
    if parts.scheme not in ("http", "https"):
        return Refused("is no URL of http or https", _URL_HINT)
    if not parts.hostname or port == 0:
        return Refused("names no host and port to ask", _URL_HINT)
    if parts.username is not None:
        hint = 'send it along: headers = { Authorization = "Basic ${SECRET}" }'
        return Refused("holds a user name, which is not sent", hint)
    return None
