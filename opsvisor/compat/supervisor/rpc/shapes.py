"""The structs of Supervisor's answers, with their members in its order."""

import math
from collections.abc import Iterable

from opsvisor.compat.supervisor.rpc.faults import Fault, RpcFault
from opsvisor.compat.supervisor.rpc.xml import INT_MAX, Value, capped
from opsvisor.control.describe import describe
from opsvisor.core.instant import Instant
from opsvisor.core.outcome import ExitCause
from opsvisor.core.plan import Group
from opsvisor.core.spec import KillMode, LogSpec, ProcessId, ProcessSpec, RestartMode, Startup
from opsvisor.core.state import PublicState
from opsvisor.core.struct import replace
from opsvisor.core.view import ProcessView

Struct = dict[str, Value]

# States in which the last run is over, and no other is on its way.
_OVER = (PublicState.STOPPED, PublicState.EXITED, PublicState.FATAL)
# What Supervisor has for any end without an exit code: a signal, or one it can't make out.
_NO_CODE = -1
_URL_VARIABLE = "SUPERVISOR_SERVER_URL"
_AUTORESTART: dict[RestartMode, Value] = {
    RestartMode.ALWAYS: True,
    RestartMode.ON_FAILURE: "unexpected",
    RestartMode.NO: False,
}


def process_info(view: ProcessView, now: Instant) -> Struct:
    """One process as getProcessInfo tells it. Times are Unix seconds, 0 for never."""
    stdout = view.spec.stdout.path or ""
    stderr = (view.spec.stderr.path or "") if view.spec.stderr else ""
    return {
        "name": view.id.name,
        "group": view.id.group,
        "start": _started(view),
        "stop": capped(view.ended.wall) if view.ended else 0,
        "now": capped(now.wall),
        "state": view.state.code,
        "statename": view.state.name,
        "spawnerr": _spawn_error(view),
        "exitstatus": _exit_status(view),
        "logfile": stdout,
        "stdout_logfile": stdout,
        "stderr_logfile": stderr,
        "pid": view.pid or 0,
        "description": describe(view, now),
    }


def process_config(
    group: Group, spec: ProcessSpec, *, in_use: bool, own_url: str, carried_out: bool = False
) -> Struct:
    """One process as the configuration has it.

    `in_use`: its group runs. `carried_out`: as this very reading of the files has it, which is
    when Supervisor knows the path of a log that it names itself. `own_url` is the server that
    processes are told of if they name none.
    """
    merged = LogSpec(path=None)  # where standard error goes to standard output
    # What a listener prints is told to nobody but its pool.
    stdout = spec.stdout if group.feed is None else replace(spec.stdout, told=False)
    url = dict(spec.environment).get(_URL_VARIABLE, own_url)
    retries = spec.restart.failed_starts_max
    return {
        "autostart": spec.startup is Startup.ENABLED,
        # Since 4.4. Whoever knows 4.3 only looks for other keys.
        "autorestart": _AUTORESTART[spec.restart.mode],
        "directory": spec.working_dir or "none",
        "uid": spec.user.uid if spec.user else "none",
        "command": spec.command,
        "exitcodes": sorted(spec.restart.success.codes),
        "group": group.name,
        "group_prio": group.priority,
        "inuse": in_use,
        "killasgroup": spec.stop.kill_mode is KillMode.GROUP,
        "name": spec.id.name,
        "process_prio": spec.priority,
        "redirect_stderr": spec.stderr is None,
        "startretries": INT_MAX if retries is None else retries,
        "startsecs": math.ceil(spec.min_uptime),
        **_log_config("stdout", stdout, carried_out=carried_out),
        "stopsignal": spec.stop.signal,
        "stopwaitsecs": math.ceil(spec.stop.kill_delay),
        **_log_config("stderr", spec.stderr or merged, carried_out=carried_out),
        "serverurl": "none" if url == own_url else url,
    }


def result(process_id: ProcessId, fault: RpcFault | None) -> Struct:
    """One line of what became of many."""
    return {
        "name": process_id.name,
        "group": process_id.group,
        "status": Fault.SUCCESS.value if fault is None else fault.fault.value,
        "description": "OK" if fault is None else fault.text,
    }


def names_in_order(groups: Iterable[Group], wanted: Iterable[str]) -> list[Value]:
    """Those of the groups that are wanted, by name, in the order of the plan."""
    chosen = frozenset(wanted)
    return [group.name for group in groups if group.name in chosen]


def _log_config(stream: str, log: LogSpec, *, carried_out: bool) -> Struct:
    path = log.path or "none"
    if log.private and not carried_out:
        path = "auto"
    return {
        f"{stream}_capture_maxbytes": log.message_limit,
        f"{stream}_events_enabled": log.told,
        f"{stream}_logfile": path,
        f"{stream}_logfile_backups": log.rotate_keep,
        f"{stream}_logfile_maxbytes": log.rotate_size,
        f"{stream}_syslog": log.syslog,
    }


def _started(view: ProcessView) -> int:
    """When it was last started, or last failed to be: there an attempt counts as a start."""
    started = view.started.wall if view.started else 0
    if view.spawn_error and view.state in (PublicState.BACKOFF, PublicState.FATAL):
        never_made = view.last_outcome is None or started == 0
        started = view.since.wall if never_made else started
    return capped(started)


def _exit_status(view: ProcessView) -> int:
    """-1 for a signal; 0 while it runs, and after a run that ended before it was up."""
    outcome = view.last_outcome
    early = view.last_cause is ExitCause.START_FAILURE
    if outcome is None or early or view.state not in _OVER:
        return 0
    return _NO_CODE if outcome.code is None else outcome.code


def _spawn_error(view: ProcessView) -> str:
    """For a signal, Supervisor has the number where our own text names it."""
    outcome = view.last_outcome
    if outcome is not None and outcome.code is None and view.spawn_error == str(outcome):
        return f"Bad exit code {_NO_CODE}"
    return view.spawn_error
