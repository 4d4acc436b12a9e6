"""The paths of Supervisor's server: /RPC2, /logtail, /mainlogtail, /ok.html."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import web

from opsvisor.compat.supervisor.observers import Log, Streaming
from opsvisor.compat.supervisor.rpc.faults import RpcFault
from opsvisor.compat.supervisor.rpc.sources import Sources
from opsvisor.compat.supervisor.rpc.table import Table, TellRemote
from opsvisor.compat.supervisor.rpc.tails import Tails
from opsvisor.compat.supervisor.rpc.xml import (
    Call,
    NotACallError,
    Value,
    decode_call,
    encode_answer,
    encode_fault,
)
from opsvisor.config.settings import LogLevel
from opsvisor.control.audit import ASKER, Asker
from opsvisor.control.control import Control

# What is smaller than this, in bytes or characters, is read and written faster than a thread is
# asked to.
_SMALL = 8 * 1024
_LONGEST_NAME = 200  # of what a client sent, in a line of the log


class Interface:
    """What every server of the daemon answers to Supervisor's clients."""

    def __init__(
        self,
        control: Control,
        log: Log,
        *,
        tell_remote: TellRemote,
        streaming: Streaming,
    ) -> None:
        sources = Sources(control)
        self._log = log
        self._table = Table(control, sources, log=log, tell=tell_remote)
        self._tails = Tails(control, sources, streaming)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """Its routes. As there, a path only has to begin like this, and errors have no JSON."""
        return [
            web.route("*", "/RPC2{rest:.*}", self._rpc),
            web.route("*", "/logtail{rest:.*}", self._tail),
            web.route("*", "/mainlogtail{rest:.*}", self._main_tail),
            web.route("*", "/ok.html", _ok),
        ]

    def end_streams(self) -> None:
        """End the streams that are open."""
        self._tails.end()

    def close(self) -> None:
        """End the streams that are open, and begin no more."""
        self._tails.close()

    async def _rpc(self, request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return error_page(HTTPStatus.BAD_REQUEST)
        if not request.body_exists and request.content_length is None:
            return error_page(HTTPStatus.LENGTH_REQUIRED)
        document = await request.read()
        try:
            call = await _decoded(document)
        except NotACallError as error:
            shown = document[:_LONGEST_NAME].decode("utf-8", "replace")
            self._log(LogLevel.ERROR, f"XML-RPC request data {shown!r} is invalid: {error}")
            return error_page(HTTPStatus.BAD_REQUEST)
        answer = await self._answer(call, ASKER.get()())
        return web.Response(body=answer, content_type="text/xml")

    async def _answer(self, call: Call, asker: Asker) -> bytes:
        name = f"{call.method[:_LONGEST_NAME]!a}"[1:-1]
        self._log(LogLevel.TRACE, f"XML-RPC method called: {name}()")
        try:
            value = await self._table.call(call.method, call.params, asker)
        except RpcFault as met:
            told = f"[{met.fault.value}] {met.text[:_LONGEST_NAME]!a}"
            self._log(LogLevel.TRACE, f"XML-RPC method {name}() returned fault: {told}")
            return encode_fault(met.fault.value, met.text)
        self._log(LogLevel.TRACE, f"XML-RPC method {name}() returned successfully")
        return await _encoded(value)

    async def _tail(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            return error_page(HTTPStatus.BAD_REQUEST)
        _, _, rest = request.path.lstrip("/").partition("/")
        name, _, channel = rest.partition("/")
        source = await self._tails.find(name, channel or "stdout")
        if source is None:
            return error_page(HTTPStatus.NOT_FOUND)
        return await self._tails.stream(request, source)

    async def _main_tail(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            return error_page(HTTPStatus.BAD_REQUEST)
        source = await self._tails.find_main()
        if source is None:
            return error_page(HTTPStatus.NOT_FOUND)
        return await self._tails.stream(request, source)


async def _decoded(document: bytes) -> Call:
    """The call in it; a long one is read in a thread."""
    if len(document) < _SMALL:
        return decode_call(document)
    return await asyncio.to_thread(decode_call, document)


async def _ok(request: web.Request) -> web.Response:
    """What load balancers ask for, to see whether somebody is there."""
    del request
    return web.Response(body=b"OK", content_type="text/plain")


async def _encoded(value: Value) -> bytes:
    """The answer as XML; a long one is written in a thread, it takes milliseconds."""
    if isinstance(value, bool | int) or (isinstance(value, str) and len(value) < _SMALL):
        return encode_answer(value)
    return await asyncio.to_thread(encode_answer, value)


def error_page(status: HTTPStatus) -> web.Response:
    """An error as Supervisor words it."""
    lines = (
        *("<head>", "<title>Error response</title>", "</head>"),
        *("<body>", "<h1>Error response</h1>"),
        *(f"<p>Error code {status.value}.", f"<p>Message: {status.phrase}.", "</body>", ""),
    )
    return web.Response(status=status, body="\r\n".join(lines).encode(), content_type="text/html")
