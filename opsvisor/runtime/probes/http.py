"""The http probe: what status does a GET of this URL have?

A client of our own, because a status is all there is to know: one connection, one request, one
head of at most 16 KiB. Redirects are answers, no proxy is asked, bodies are not read. What is not
HTTP/1 to the letter is a wrong answer (docs/decisions/0021).
"""

import asyncio
import re
import ssl
from functools import cache
from urllib.parse import SplitResult, urlsplit

from opsvisor import __version__
from opsvisor.core.probes import HttpProbe
from opsvisor.runtime.probes.answers import Answer, quoted, refused
from opsvisor.runtime.probes.connections import connect
from opsvisor.runtime.probes.names import Names

HEAD_LIMIT = 16 * 1024  # bytes
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r?\n")
_FIRST_FINAL, _SWITCHING_PROTOCOLS = 200, 101
_GOOD = range(200, 400)  # Kubernetes' idea of success
_PORTS = {"http": 80, "https": 443}


async def ask(probe: HttpProbe, names: Names) -> Answer:
    """Send the request, and judge the status that comes."""
    url = urlsplit(probe.url)
    assert url.hostname is not None
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=HEAD_LIMIT, loop=loop)
    try:
        transport = await connect(
            lambda: asyncio.StreamReaderProtocol(reader, loop=loop),
            url.hostname,
            url.port or _PORTS[url.scheme],
            names=names,
            tls=_verifying() if url.scheme == "https" else None,
        )
    except OSError as error:
        return refused(error)
    try:
        transport.write(request(url, probe.headers))
        status = await read_status(reader)
    except _NoStatusError as error:
        return Answer(ok=False, detail=str(error))
    except OSError as error:
        return refused(error)
    finally:
        transport.abort()
    return Answer(ok=status in (probe.statuses or _GOOD), detail=f"http {status}")


def request(url: SplitResult, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The request as it is sent. `headers` win over ours, whatever their case."""
    sent = {
        "host": ("Host", url.netloc.rpartition("@")[2]),
        "user-agent": ("User-Agent", f"opsvisor/{__version__}"),
        "accept": ("Accept", "*/*"),
        "connection": ("Connection", "close"),
    }
    sent |= {name.lower(): (name, value) for name, value in headers}
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.values())]
    return "\r\n".join([*lines, "", ""]).encode()


class _NoStatusError(Exception):
    """What came is no answer in HTTP. The text says what it is."""


async def read_status(reader: asyncio.StreamReader) -> int:
    """The status of the answer, past any interim ones. _NoStatusError if it is none."""
    left = HEAD_LIMIT
    while True:
        line = await _line(reader, left)
        left -= len(line)
        found = _STATUS_LINE.fullmatch(line)
        if found is None:
            raise _NoStatusError(f"no http answer: {quoted(line.decode('latin-1'))}")
        while line not in (b"\r\n", b"\n"):
            line = await _line(reader, left)
            left -= len(line)
        status = int(found[1])
        if status >= _FIRST_FINAL or status == _SWITCHING_PROTOCOLS:
            return status


async def _line(reader: asyncio.StreamReader, left: int) -> bytes:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        line = b" " * (left + 1)
    except asyncio.IncompleteReadError as error:
        if left == HEAD_LIMIT and not error.partial:
            raise _NoStatusError("connection closed without an answer") from error
        raise _NoStatusError("connection closed in the middle of an answer") from error
    if len(line) > left:
        raise _NoStatusError(f"the head of the answer is longer than {HEAD_LIMIT} bytes")
    return line


@cache
def _verifying() -> ssl.SSLContext:
    """The system's certificates, read once, and only if something is asked by https."""
    return ssl.create_default_context()
