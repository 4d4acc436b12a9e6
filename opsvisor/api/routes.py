"""The route table: what the API is, as data."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from opsvisor import wire
from opsvisor.api import config, discovery, events, groups, logs, processes, system
from opsvisor.config.settings import Access

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One route, and the `access` it needs: None is for everybody, credentials or not.

    `takes` is the type of the JSON body, `gives` that of the answer. `gives` None means: not JSON
    (a stream, text, or nothing).
    """

    method: str
    path: str
    access: Access | None
    handler: Handler
    takes: type[msgspec.Struct] | None = None
    gives: type[msgspec.Struct] | type[list[wire.TargetGroup]] | None = None


_PROCESS = "/api/v1/processes/{name}"
_DAEMON = "/api/v1/daemon"
_CONFIG = "/api/v1/config"

# All that a listener for metrics has.
METRICS_PATHS = ("/metrics", "/healthz", "/readyz")

ROUTES = (
    Route("GET", "/", Access.READ, system.index),
    Route("GET", "/healthz", None, system.healthz),
    Route("GET", "/readyz", None, system.readyz),
    Route("GET", "/metrics", Access.METRICS, system.metrics),
    Route(
        "GET",
        "/api/v1/sd",
        Access.METRICS,
        discovery.list_targets,
        gives=list[wire.TargetGroup],
    ),
    Route("GET", _DAEMON, Access.READ, system.show_daemon, gives=wire.DaemonInfo),
    Route("POST", f"{_DAEMON}/shutdown", Access.ADMIN, system.shut_down),
    Route("POST", f"{_DAEMON}/reload", Access.ADMIN, system.reload),
    Route("GET", f"{_DAEMON}/log", Access.READ, logs.read_daemon_log, gives=wire.LogText),
    Route(
        "POST",
        f"{_DAEMON}/log/clear",
        Access.ADMIN,
        logs.clear_daemon_log,
        gives=wire.ActionResponse,
    ),
    Route("GET", f"{_DAEMON}/log/follow", Access.READ, logs.follow_daemon_log),
    Route(
        "GET", "/api/v1/processes", Access.READ, processes.list_processes, gives=wire.ProcessList
    ),
    Route("GET", _PROCESS, Access.READ, processes.show_process, gives=wire.ProcessDetail),
    Route("GET", f"{_PROCESS}/history", Access.READ, processes.show_history, gives=wire.History),
    Route(
        "GET",
        f"{_PROCESS}/logs/{{stream}}",
        Access.READ,
        logs.read_process_log,
        gives=wire.LogText,
    ),
    Route("GET", f"{_PROCESS}/logs/{{stream}}/follow", Access.READ, logs.follow_process_log),
    Route(
        "POST",
        f"{_PROCESS}/stdin",
        Access.OPERATE,
        processes.write_stdin,
        takes=wire.StdinRequest,
        gives=wire.StdinResponse,
    ),
    Route(
        "POST",
        "/api/v1/actions",
        Access.OPERATE,
        processes.act,
        takes=wire.ActionRequest,
        gives=wire.ActionResponse,
    ),
    Route(
        "POST",
        "/api/v1/logs/clear",
        Access.OPERATE,
        logs.clear_logs,
        takes=wire.ClearRequest,
        gives=wire.ActionResponse,
    ),
    Route("GET", "/api/v1/groups", Access.READ, groups.list_groups, gives=wire.GroupList),
    Route("GET", "/api/v1/programs", Access.READ, groups.list_programs, gives=wire.ProgramList),
    Route(
        "GET", f"{_CONFIG}/available", Access.READ, config.list_available, gives=wire.AvailableList
    ),
    Route("GET", f"{_CONFIG}/diff", Access.READ, config.show_diff, gives=wire.ConfigDiff),
    Route("POST", f"{_CONFIG}/reread", Access.ADMIN, config.reread, gives=wire.ConfigDiff),
    Route(
        "POST",
        f"{_CONFIG}/apply",
        Access.ADMIN,
        config.apply,
        takes=wire.ApplyRequest,
        gives=wire.ApplyResponse,
    ),
    Route(
        "POST",
        f"{_CONFIG}/groups/add",
        Access.ADMIN,
        config.add_groups,
        takes=wire.GroupRequest,
        gives=wire.GroupResponse,
    ),
    Route(
        "POST",
        f"{_CONFIG}/groups/remove",
        Access.ADMIN,
        config.remove_groups,
        takes=wire.GroupRequest,
        gives=wire.GroupResponse,
    ),
    Route("GET", "/api/v1/events", Access.READ, events.follow_events),
)
