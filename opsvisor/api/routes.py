"""The route table: what the API is, as data."""

from typing import Annotated

from msgspec import Meta

from opsvisor import wire
from opsvisor.api import (
    config,
    discovery,
    downloads,
    events,
    groups,
    login,
    logs,
    many_logs,
    pages,
    processes,
    queries,
    samples,
    system,
    watch,
)
from opsvisor.api.route import Events, Link, PathParameter, Route
from opsvisor.config.settings import Access

__all__ = ["METRICS_PATHS", "PATH_PARAMETERS", "ROUTES", "Route"]

_PROCESS = "/api/v1/processes/{name}"
_DAEMON = "/api/v1/daemon"
_CONFIG = "/api/v1/config"
_SESSION = "/api/v1/session"

# Whatever stands in braces in a path.
PATH_PARAMETERS = {
    "name": PathParameter(
        kind=Annotated[str, Meta(min_length=1, examples=["web"])],
        meaning="A process: `name`, or `group:name` where its group has several",
    ),
    "stream": PathParameter(
        kind=Annotated[wire.StreamName, Meta(examples=["stdout"])],
        meaning="Which of its outputs",
    ),
    "asset": PathParameter(kind=Annotated[str, Meta(min_length=1)], meaning="A file of the page"),
}

# All that a listener for metrics has.
METRICS_PATHS = ("/metrics", "/healthz", "/readyz")

_TEXT = ("text/plain",)
_METRICS = ("text/plain", "application/openmetrics-text")
_NO_PROCESS = ("no_such_process",)
_NO_LOG = ("no_such_process", "no_log", "not_found")
_ENDING = ("shutting_down",)
_LOGIN = ("unauthorized", "too_many_attempts", "foreign_origin", "no_login", "wrong_host")
_LOG_EVENTS: Events = {"log": wire.LogPiece, "gap": wire.LogGap, "upgrade": wire.Upgrading}
_LOGS_EVENTS: Events = {
    "names": wire.LogNames,
    "log": wire.LogSaid,
    "gap": wire.LogLost,
    "remark": wire.LogRemark,
    "upgrade": wire.Upgrading,
}
_EVENTS: Events = {"message": wire.Event, "gap": wire.EventGap, "upgrade": wire.Upgrading}
_WATCH: Events = {
    "snapshot": wire.WatchSnapshot,
    "changed": wire.WatchChanged,
    "removed": wire.WatchRemoved,
    "daemon": wire.DaemonInfo,
    "samples": wire.WatchSamples,
    "upgrade": wire.Upgrading,
}


def _to_a_process(name: str) -> tuple[Link, ...]:
    """Everything that can be asked about the process that is named there."""
    about = {"name": name}
    what = "About the first of them"
    return (
        Link(operation_id="show_process", meaning=what, parameters=about),
        Link(operation_id="show_history", meaning=what, parameters=about),
        Link(
            operation_id="read_process_log",
            meaning=what,
            parameters={**about, "stream": "stdout"},
        ),
        Link(operation_id="write_stdin", meaning=what, parameters=about),
        Link(
            operation_id="act",
            meaning="Have it begin anew",
            body={"action": "restart", "names": [name], "wait": False},
        ),
        Link(operation_id="clear_logs", meaning="Empty its logs", body={"names": [name]}),
    )


_ON_FROM_THERE = {"offset": "$response.body#/offset"}

ROUTES = (
    Route(
        "GET",
        "/openapi.json",
        None,
        system.show_contract,
        content=("application/json",),
    ),
    Route("GET", "/", None, pages.index, content=("text/html", "text/plain"), in_contract=False),
    Route(
        "GET", "/static/{asset}", None, pages.asset, content=pages.CONTENT_TYPES, in_contract=False
    ),
    Route("GET", "/healthz", None, system.healthz, content=_TEXT),
    Route("GET", "/readyz", None, system.readyz, content=_TEXT, problems=("not_ready",)),
    Route(
        "GET",
        "/metrics",
        Access.METRICS,
        system.metrics,
        query=queries.MetricsQuery,
        content=_METRICS,
        is_whole=True,
    ),
    Route(
        "GET",
        "/api/v1/sd",
        Access.METRICS,
        discovery.list_targets,
        gives=list[wire.TargetGroup],
        is_whole=True,
    ),
    Route("GET", "/api/v1/me", Access.METRICS, login.show_me, gives=wire.Me),
    Route(
        "POST",
        _SESSION,
        None,
        login.log_in,
        takes=wire.LoginRequest,
        gives=wire.Me,
        problems=_LOGIN,
    ),
    Route(
        "DELETE",
        _SESSION,
        None,
        login.log_out,
        takes=wire.Nothing,
        gives=wire.LoggedOut,
        problems=("foreign_origin", "wrong_host"),
    ),
    Route("GET", _DAEMON, Access.READ, system.show_daemon, gives=wire.DaemonInfo),
    Route(
        "POST",
        f"{_DAEMON}/shutdown",
        Access.ADMIN,
        system.shut_down,
        takes=wire.Nothing,
        gives=wire.Agreed,
        status=202,
        problems=_ENDING,
        is_whole=True,
    ),
    Route(
        "POST",
        f"{_DAEMON}/reload",
        Access.ADMIN,
        system.reload,
        takes=wire.Nothing,
        gives=wire.Agreed,
        status=202,
        problems=("shutting_down", "bad_config"),
        is_whole=True,
    ),
    Route(
        "POST",
        f"{_DAEMON}/upgrade",
        Access.ADMIN,
        system.upgrade,
        takes=wire.Nothing,
        gives=wire.UpgradeResponse,
        status=202,
        problems=("shutting_down", "upgrade_refused"),
        is_whole=True,
    ),
    Route(
        "GET",
        f"{_DAEMON}/log",
        Access.READ,
        logs.read_daemon_log,
        gives=wire.LogText,
        query=queries.LogQuery,
        problems=("no_log",),
        links=(
            Link(
                operation_id="read_daemon_log",
                meaning="What was written since",
                parameters=_ON_FROM_THERE,
            ),
        ),
        is_whole=True,
    ),
    Route(
        "POST",
        f"{_DAEMON}/log/clear",
        Access.ADMIN,
        logs.clear_daemon_log,
        takes=wire.Nothing,
        gives=wire.ActionResponse,
        is_whole=True,
    ),
    Route(
        "GET",
        f"{_DAEMON}/log/follow",
        Access.READ,
        logs.follow_daemon_log,
        query=queries.FollowQuery,
        events=_LOG_EVENTS,
        is_whole=True,
    ),
    Route(
        "GET",
        "/api/v1/processes",
        Access.READ,
        processes.list_processes,
        gives=wire.ProcessList,
        query=queries.ProcessesQuery,
        problems=("no_such_process", "no_such_group"),
        links=_to_a_process("$response.body#/processes/0/name"),
    ),
    Route(
        "GET",
        _PROCESS,
        Access.READ,
        processes.show_process,
        gives=wire.ProcessDetail,
        problems=_NO_PROCESS,
    ),
    Route(
        "GET",
        f"{_PROCESS}/history",
        Access.READ,
        processes.show_history,
        gives=wire.History,
        problems=_NO_PROCESS,
    ),
    Route(
        "GET",
        f"{_PROCESS}/config",
        Access.READ,
        config.show_process_config,
        gives=wire.ProcessConfig,
        problems=_NO_PROCESS,
    ),
    Route(
        "GET",
        f"{_PROCESS}/samples",
        Access.READ,
        samples.show_samples,
        gives=wire.ProcessSamples,
        query=queries.SamplesQuery,
        problems=_NO_PROCESS,
    ),
    Route(
        "GET",
        f"{_PROCESS}/logs/{{stream}}",
        Access.READ,
        logs.read_process_log,
        gives=wire.LogText,
        query=queries.LogQuery,
        problems=_NO_LOG,
        links=(
            Link(
                operation_id="read_process_log",
                meaning="What was written since",
                parameters={
                    "name": "$request.path.name",
                    "stream": "$request.path.stream",
                    **_ON_FROM_THERE,
                },
            ),
        ),
    ),
    Route(
        "GET",
        f"{_PROCESS}/logs/{{stream}}/follow",
        Access.READ,
        logs.follow_process_log,
        query=queries.FollowQuery,
        events=_LOG_EVENTS,
        problems=_NO_LOG,
    ),
    Route(
        "GET",
        f"{_PROCESS}/logs/{{stream}}/download",
        Access.READ,
        downloads.download_process_log,
        content=_TEXT,
        problems=_NO_LOG,
    ),
    Route(
        "POST",
        f"{_PROCESS}/stdin",
        Access.OPERATE,
        processes.write_stdin,
        takes=wire.StdinRequest,
        gives=wire.StdinResponse,
        problems=("no_such_process", "stdin_unavailable", "stdin_full"),
    ),
    Route(
        "POST",
        "/api/v1/actions",
        Access.OPERATE,
        processes.act,
        takes=wire.ActionRequest,
        gives=wire.ActionResponse,
        problems=("bad_signal",),
    ),
    Route(
        "GET",
        "/api/v1/logs",
        Access.READ,
        many_logs.stream_logs,
        query=queries.LogsQuery,
        events=_LOGS_EVENTS,
        problems=("no_such_process", "no_such_group"),
    ),
    Route(
        "POST",
        "/api/v1/logs/clear",
        Access.OPERATE,
        logs.clear_logs,
        takes=wire.ClearRequest,
        gives=wire.ActionResponse,
    ),
    Route(
        "GET",
        "/api/v1/groups",
        Access.READ,
        groups.list_groups,
        gives=wire.GroupList,
        links=_to_a_process("$response.body#/groups/0/processes/0"),
    ),
    Route("GET", "/api/v1/programs", Access.READ, groups.list_programs, gives=wire.ProgramList),
    Route(
        "GET",
        f"{_CONFIG}/available",
        Access.READ,
        config.list_available,
        gives=wire.AvailableList,
        links=(
            Link(
                operation_id="remove_groups",
                meaning="Take its group out of use",
                body={"groups": ["$response.body#/processes/0/group"]},
            ),
            Link(
                operation_id="add_groups",
                meaning="Take its group into use",
                body={"groups": ["$response.body#/processes/0/group"]},
            ),
            Link(
                operation_id="apply",
                meaning="Take over what the files say of its group",
                body={"groups": ["$response.body#/processes/0/group"]},
            ),
        ),
    ),
    Route("GET", f"{_CONFIG}/diff", Access.READ, config.show_diff, gives=wire.ConfigDiff),
    Route(
        "POST",
        f"{_CONFIG}/reread",
        Access.ADMIN,
        config.reread,
        takes=wire.Nothing,
        gives=wire.ConfigDiff,
        problems=("shutting_down", "bad_config"),
    ),
    Route(
        "POST",
        f"{_CONFIG}/apply",
        Access.ADMIN,
        config.apply,
        takes=wire.ApplyRequest,
        gives=wire.ApplyResponse,
        problems=("shutting_down", "bad_config", "no_such_group"),
    ),
    Route(
        "POST",
        f"{_CONFIG}/groups/add",
        Access.ADMIN,
        config.add_groups,
        takes=wire.GroupRequest,
        gives=wire.GroupResponse,
        problems=_ENDING,
    ),
    Route(
        "POST",
        f"{_CONFIG}/groups/remove",
        Access.ADMIN,
        config.remove_groups,
        takes=wire.GroupRequest,
        gives=wire.GroupResponse,
        problems=_ENDING,
    ),
    Route(
        "GET",
        "/api/v1/events",
        Access.READ,
        events.follow_events,
        query=queries.EventsQuery,
        events=_EVENTS,
    ),
    Route(
        "GET",
        "/api/v1/samples",
        Access.READ,
        samples.list_samples,
        gives=wire.SampleList,
        query=queries.SamplesQuery,
    ),
    Route(
        "GET",
        "/api/v1/watch",
        Access.READ,
        watch.watch_everything,
        query=queries.WatchQuery,
        events=_WATCH,
    ),
)
