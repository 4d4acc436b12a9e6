"""The daemon itself: what it is, how it ends, whether it is well, and its metrics."""

import asyncio
import os
import platform
import pwd
import socket
import struct
from collections.abc import Mapping

from aiohttp import web

from opsvisor import wire
from opsvisor.api.context import (
    CONTROL,
    IS_READY,
    METRICS,
    json_response,
    refuse_when_stopping,
)
from opsvisor.api.errors import ApiError, bad_config, config_problem
from opsvisor.config.problems import ConfigError
from opsvisor.config.settings import Collector
from opsvisor.core.events import SupervisorState
from opsvisor.runtime import clock

# Seconds. No scraper waits for longer: Prometheus gives up after 10, unless told otherwise.
_ANSWER_TAKEN_WITHIN = 60.0


async def show_daemon(request: web.Request) -> web.Response:
    """The daemon itself."""
    control = request.app[CONTROL]
    configuration = control.configuration
    now = clock.now()
    return json_response(
        wire.DaemonInfo(
            version=control.version,
            identifier=configuration.settings.identifier,
            pid=os.getpid(),
            state=control.supervisor.state.value,
            started_at=control.started.wall,
            uptime=now.mono - control.started.mono,
            config_files=list(configuration.available.files),
            generation=control.supervisor.generation,
            last_reload_ok=configuration.last_load.ok,
            last_reload_at=configuration.last_load.at,
            last_reload_problems=[
                config_problem(problem) for problem in configuration.last_load.problems
            ],
            processes=len(control.engine.ids()),
            python=platform.python_version(),
            log_file=control.daemon_log.path or "",
            user=_user(),
        )
    )


async def shut_down(request: web.Request) -> web.Response:
    """Stop every process, then the daemon; also instead of beginning anew, during a reload."""
    control = request.app[CONTROL]
    if control.supervisor.state is not SupervisorState.RELOADING:
        refuse_when_stopping(control)
    control.shut_down("requested by the API")
    return web.json_response({}, status=202)


async def reload(request: web.Request) -> web.Response:
    """Stop everything, read the files anew, start again. Refused if the files can't be used."""
    control = request.app[CONTROL]
    refuse_when_stopping(control)
    try:
        await control.reload("requested by the API")
    except ConfigError as error:
        raise bad_config(error) from error
    return web.json_response({}, status=202)


async def healthz(request: web.Request) -> web.Response:
    """Whether the daemon answers at all."""
    del request
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """Whether the first plan has been carried out, and no shutdown has begun."""
    if not request.app[IS_READY]():
        raise ApiError("not_ready", "opsvisord is starting or shutting down")
    return web.Response(text="ok\n")


async def metrics(request: web.Request) -> web.Response:
    """Prometheus metrics, as text or OpenMetrics: all, or of the collectors that are asked for."""
    source = request.app[METRICS]
    collect = _asked_for(request, source.collectors)
    gzip = _takes_gzip(_list_in(request, "Accept-Encoding"))
    accept = _list_in(request, "Accept")
    headers = {
        "Content-Type": source.content_type(accept),
        "Vary": "Accept, Accept-Encoding",
        "Cache-Control": "no-store",  # a proxy's copy would be an outage that nobody sees
    }
    if gzip:
        headers["Content-Encoding"] = "gzip"
    if request.method == "HEAD":
        # RFC 9110, 9.3.2: what only comes of making the body, here its length, may be left out.
        return web.Response(headers=headers)
    body, _ = await source.render(accept, gzip=gzip, collect=collect)
    return _Exposition(request, body, headers)


class _Exposition(web.Response):
    """The answer to a scrape. It may be megabytes, so who does not read it is cut off.

    Else each such client would keep a connection and its answer for as long as it likes.
    """

    def __init__(self, request: web.Request, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(body=body, headers=headers)
        self._transport = request.transport

    async def write_eof(self, data: bytes = b"") -> None:
        """Send it, if it is taken in time."""
        try:
            async with asyncio.timeout(_ANSWER_TAKEN_WITHIN):
                await super().write_eof(data)
        except TimeoutError:
            if self._transport is not None:
                _hang_up(self._transport)
            raise ConnectionAbortedError("the answer to a scrape was not taken") from None


def _hang_up(transport: asyncio.Transport) -> None:
    """End a connection at once: a plain close waits for the client to read what was sent."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # socket(7): linger for no time, or the kernel goes on offering what it has.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def index(request: web.Request) -> web.Response:
    """Where everything is, for somebody who opens the address in a browser."""
    control = request.app[CONTROL]
    lines = [
        f"opsvisord {control.version}, {len(control.engine.ids())} processes",
        "",
        "/metrics            Prometheus metrics",
        "/api/v1/processes   how every process is",
        "/api/v1/daemon      the daemon itself",
        "/api/v1/sd          where its metrics are, for http_sd of Prometheus",
        "/healthz /readyz    for probes",
        "",
        "opsvisorctl is the comfortable way in.",
    ]
    return web.Response(text="\n".join(lines) + "\n")


def _list_in(request: web.Request, name: str) -> str:
    """A header that holds a list, which may be spread over several lines (RFC 9110, 5.3)."""
    return ",".join(request.headers.getall(name, ()))


def _asked_for(request: web.Request, offered: frozenset[Collector]) -> frozenset[Collector] | None:
    """The collectors of `?collect[]=state&collect[]=restarts`, None if there are none.

    Prometheus writes the name of a parameter as its configuration has it, and other exporters
    have taught people the brackets.
    """
    names = [*request.query.getall("collect[]", ()), *request.query.getall("collect", ())]
    by_name = {collector.value: collector for collector in Collector}
    for name in names:
        collector = by_name.get(name)
        if collector in offered:
            continue
        fault = "is switched off" if collector is not None else "is not a collector"
        known = ", ".join(one.value for one in Collector if one in offered)
        raise ApiError("bad_request", f"collect={name!r} {fault}", f"there are {known}")
    return frozenset(by_name[name] for name in names) if names else None


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether a client wants gzip (RFC 9110, 12.5.3): not at q=0, nor where it likes plain better.

    `*` stands for what is not named.
    """
    weights: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        coding, _, parameter = item.partition(";")
        # 8.4.1.3: x-gzip is another name for it.
        weights[coding.strip().removeprefix("x-")] = _weight(parameter)
    wanted = weights.get("gzip", weights.get("*", 0.0))
    return wanted > 0 and wanted >= weights.get("identity", 0.0)


def _weight(parameter: str) -> float:
    name, _, number = parameter.partition("=")
    if not name.strip():
        return 1.0
    try:
        return float(number) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0  # what can't be understood is not taken for a wish


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
