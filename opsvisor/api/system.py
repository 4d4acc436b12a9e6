"""The daemon itself: what it is, how it ends, whether it is well, and its metrics."""

import asyncio
import os
import platform
import pwd
from collections.abc import Mapping

from aiohttp import web

from opsvisor import wire
from opsvisor.api.access import Scope
from opsvisor.api.context import (
    CONTRACT,
    CONTROL,
    IS_READY,
    METRICS,
    caller_of,
    json_response,
    query_of,
    refuse_when_stopping,
)
from opsvisor.api.crowd import hang_up
from opsvisor.api.errors import ApiError, bad_config, config_problem
from opsvisor.api.negotiation import list_in, takes_gzip
from opsvisor.api.queries import MetricsQuery
from opsvisor.config.problems import ConfigError
from opsvisor.config.settings import Collector
from opsvisor.control.control import Control
from opsvisor.control.describe import describe_place
from opsvisor.control.upgrades import Upgraded, UpgradeRefusedError
from opsvisor.core.events import SupervisorState
from opsvisor.runtime import clock

# Seconds. No scraper waits for longer: Prometheus gives up after 10, unless told otherwise.
_ANSWER_TAKEN_WITHIN = 60.0


async def show_daemon(request: web.Request) -> web.Response:
    """The daemon itself."""
    return json_response(daemon_info(request.app[CONTROL], caller_of(request).groups))


def daemon_info(control: Control, scope: Scope) -> wire.DaemonInfo:
    """The daemon as it is now, for who is there for these groups.

    Which files there are and what is wrong in them is told only to whom all of it is about.
    """
    configuration, is_whole = control.configuration, scope is None
    now, last = clock.now(), control.upgraded()
    return wire.DaemonInfo(
        version=control.version,
        identifier=configuration.settings.identifier,
        pid=os.getpid(),
        state=control.supervisor.state.value,
        started_at=control.started.wall,
        uptime=now.mono - control.started.mono,
        config_files=list(configuration.available.files) if is_whole else [],
        generation=control.supervisor.generation,
        last_reload_ok=configuration.last_load.ok,
        last_reload_at=configuration.last_load.at,
        last_reload_problems=[
            config_problem(problem) for problem in configuration.last_load.problems if is_whole
        ],
        processes=sum(scope is None or one.group in scope for one in control.engine.ids()),
        python=platform.python_version(),
        log_file=(control.daemon_log.path or "") if is_whole else "",
        user=_user(),
        upgrades=0 if last is None else last.count,
        last_upgrade=None if last is None else _told(last),
        containment=describe_place(control.engine.limits.place),
    )


async def shut_down(request: web.Request) -> web.Response:
    """Stop every process, then the daemon; also instead of beginning anew, during a reload."""
    control = request.app[CONTROL]
    if control.supervisor.state is not SupervisorState.RELOADING:
        refuse_when_stopping(control)
    control.shut_down("requested by the API")
    return json_response(wire.Agreed(), status=202)


async def reload(request: web.Request) -> web.Response:
    """Stop everything, read the files anew, start again. Refused if the files can't be used.

    What only shows when the daemon begins with them, an address that somebody else has taken in
    that moment, say, does not leave the programs down: it begins with what it had, and says so.
    """
    control = request.app[CONTROL]
    refuse_when_stopping(control)
    try:
        await control.reload("requested by the API")
    except ConfigError as error:
        raise bad_config(error) from error
    return json_response(wire.Agreed(), status=202)


async def upgrade(request: web.Request) -> web.Response:
    """Replace the daemon by the version that is installed now; refused if that can't take over.

    Programs run on. Who asks next is answered by the new version.
    """
    control = request.app[CONTROL]
    refuse_when_stopping(control)
    try:
        coming = await control.upgrade("requested by the API")
    except UpgradeRefusedError as error:
        raise ApiError(
            "upgrade_refused", str(error), "nothing has changed; mend that and ask again"
        ) from error
    return json_response(
        wire.UpgradeResponse(
            from_version=coming.from_version, to_version=coming.to_version, pid=os.getpid()
        ),
        status=202,
    )


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
    gzip = takes_gzip(list_in(request, "Accept-Encoding"))
    accept = list_in(request, "Accept")
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
                hang_up(self._transport)
            raise ConnectionAbortedError("the answer to a scrape was not taken") from None


async def show_contract(request: web.Request) -> web.Response:
    """This description of the API, as OpenAPI 3.1.

    It is the same for everybody: what somebody may not do is described as well.
    """
    # It takes 20 ms to make, once.
    body = await asyncio.to_thread(request.app[CONTRACT])
    return web.Response(body=body, content_type="application/json")


def _asked_for(request: web.Request, offered: frozenset[Collector]) -> frozenset[Collector] | None:
    """The collectors of `?collect[]=state&collect[]=restarts`, None if there are none."""
    query = query_of(request, MetricsQuery)
    names = [*query.bracketed, *query.collect]
    by_name = {collector.value: collector for collector in Collector}
    for name in names:
        collector = by_name.get(name)
        if collector in offered:
            continue
        fault = "is switched off" if collector is not None else "is not a collector"
        known = ", ".join(one.value for one in Collector if one in offered)
        raise ApiError("bad_request", f"collect={name!r} {fault}", f"there are {known}")
    return frozenset(by_name[name] for name in names) if names else None


def _told(last: Upgraded) -> wire.Upgraded:
    return wire.Upgraded(from_version=last.from_version, at=last.at, silence=last.silence)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
