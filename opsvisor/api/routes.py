"""The route table: what the API is, as data."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from opsvisor import wire
from opsvisor.api import config, events, groups, logs, processes, system

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `takes` is the type of the JSON body, `gives` that of the answer.

    `gives` None means: not JSON (a stream, text, or nothing).
    """

    method: str
    path: str
    handler: Handler
    takes: type[msgspec.Struct] | None = None
    gives: type[msgspec.Struct] | None = None


_PROCESS = "/api/v1/processes/{name}"
_DAEMON = "/api/v1/daemon"
_CONFIG = "/api/v1/config"

# Answered without credentials: they tell no more than that somebody is here.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})

ROUTES = (
    Route("GET", "/", system.index),
    Route("GET", "/healthz", system.healthz),
    Route("GET", "/readyz", system.readyz),
    Route("GET", "/metrics", system.metrics),
    Route("GET", _DAEMON, system.show_daemon, gives=wire.DaemonInfo),
    Route("POST", f"{_DAEMON}/shutdown", system.shut_down),
    Route("POST", f"{_DAEMON}/reload", system.reload),
    Route("GET", f"{_DAEMON}/log", logs.read_daemon_log, gives=wire.LogText),
    Route("POST", f"{_DAEMON}/log/clear", logs.clear_daemon_log, gives=wire.ActionResponse),
    Route("GET", f"{_DAEMON}/log/follow", logs.follow_daemon_log),
    Route("GET", "/api/v1/processes", processes.list_processes, gives=wire.ProcessList),
    Route("GET", _PROCESS, processes.show_process, gives=wire.ProcessDetail),
    Route("GET", f"{_PROCESS}/history", processes.show_history, gives=wire.History),
    Route("GET", f"{_PROCESS}/logs/{{stream}}", logs.read_process_log, gives=wire.LogText),
    Route("GET", f"{_PROCESS}/logs/{{stream}}/follow", logs.follow_process_log),
    Route(
        "POST",
        f"{_PROCESS}/stdin",
        processes.write_stdin,
        takes=wire.StdinRequest,
        gives=wire.StdinResponse,
    ),
    Route(
        "POST",
        "/api/v1/actions",
        processes.act,
        takes=wire.ActionRequest,
        gives=wire.ActionResponse,
    ),
    Route(
        "POST",
        "/api/v1/logs/clear",
        logs.clear_logs,
        takes=wire.ClearRequest,
        gives=wire.ActionResponse,
    ),
    Route("GET", "/api/v1/groups", groups.list_groups, gives=wire.GroupList),
    Route("GET", "/api/v1/programs", groups.list_programs, gives=wire.ProgramList),
    Route("GET", f"{_CONFIG}/available", config.list_available, gives=wire.AvailableList),
    Route("GET", f"{_CONFIG}/diff", config.show_diff, gives=wire.ConfigDiff),
    Route("POST", f"{_CONFIG}/reread", config.reread, gives=wire.ConfigDiff),
    Route(
        "POST",
        f"{_CONFIG}/apply",
        config.apply,
        takes=wire.ApplyRequest,
        gives=wire.ApplyResponse,
    ),
    Route(
        "POST",
        f"{_CONFIG}/groups/add",
        config.add_groups,
        takes=wire.GroupRequest,
        gives=wire.GroupResponse,
    ),
    Route(
        "POST",
        f"{_CONFIG}/groups/remove",
        config.remove_groups,
        takes=wire.GroupRequest,
        gives=wire.GroupResponse,
    ),
    Route("GET", "/api/v1/events", events.follow_events),
)
