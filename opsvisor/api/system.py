"""The daemon itself: what it is, how it ends, whether it is well, and its metrics."""

import os
import platform
import pwd

from aiohttp import web

from opsvisor import wire
from opsvisor.api.context import (
    CONTROL,
    IS_READY,
    RENDER_METRICS,
    json_response,
    refuse_when_stopping,
)
from opsvisor.api.errors import ApiError, bad_config, config_problem
from opsvisor.config.problems import ConfigError
from opsvisor.runtime import clock


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
            processes=len(control.engine.views()),
            python=platform.python_version(),
            log_file=control.daemon_log.path or "",
            user=_user(),
        )
    )


async def shut_down(request: web.Request) -> web.Response:
    """Stop every process, then the daemon."""
    refuse_when_stopping(request.app[CONTROL])
    request.app[CONTROL].shut_down("requested by the API")
    return web.json_response({}, status=202)


async def reload(request: web.Request) -> web.Response:
    """Stop everything, read the files anew, start again. Refused if the files can't be used."""
    refuse_when_stopping(request.app[CONTROL])
    try:
        request.app[CONTROL].reload("requested by the API")
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
    """Prometheus metrics, as text or OpenMetrics."""
    gzip = "gzip" in request.headers.get("Accept-Encoding", "").lower()
    body, content_type = await request.app[RENDER_METRICS](request.headers.get("Accept", ""), gzip)
    headers = {"Content-Type": content_type}
    if gzip:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers)


async def index(request: web.Request) -> web.Response:
    """Where everything is, for somebody who opens the address in a browser."""
    control = request.app[CONTROL]
    lines = [
        f"opsvisord {control.version}, {len(control.engine.views())} processes",
        "",
        "/metrics            Prometheus metrics",
        "/api/v1/processes   how every process is",
        "/api/v1/daemon      the daemon itself",
        "/healthz /readyz    for probes",
        "",
        "opsvisorctl is the comfortable way in.",
    ]
    return web.Response(text="\n".join(lines) + "\n")


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
