"""What flags mean for opsvisor.toml, whose options have other names."""

from collections.abc import Mapping
from typing import Any

from opsvisor.config.problems import Place, Problem
from opsvisor.config.settings import Loaded
from opsvisor.core.plan import Group, Plan
from opsvisor.core.spec import ProcessSpec
from opsvisor.core.struct import replace
from opsvisor.daemon.flag_values import SYSLOG

_SAME_VALUE = {
    "umask": "umask",
    "loglevel": "log_level",
    "logfile_maxbytes": "log_rotate_size",
    "logfile_backups": "log_rotate_keep",
    "minfds": "min_fds",
    "minprocs": "min_procs",
}
_TEXT = {  # in which the file may name variables, and a flag does not
    "directory": "working_dir",
    "logfile": "log",
    "pidfile": "pid_file",
    "identifier": "identifier",
    "childlogdir": "child_log_dir",
}
_TURNED_OFF = {"nodaemon": "daemonize", "silent": "echo_log", "nocleanup": "remove_auto_logs"}


def options_of_daemon(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of [daemon] and their values, for flags by the names of [supervisord]."""
    options: dict[str, Any] = {_TURNED_OFF[name]: False for name in given if name in _TURNED_OFF}
    for name, value in given.items():
        if name == "logfile" and value == SYSLOG:
            options |= {"log": None, "log_syslog": True}
        elif name in _TEXT:
            options[_TEXT[name]] = value.replace("${", "$${")
        elif name in _SAME_VALUE:
            options[_SAME_VALUE[name]] = max(0, value) if isinstance(value, int) else value
        elif name == "user":
            options["user"] = value.name
    return options


def finished(loaded: Loaded, given: Mapping[str, Any]) -> Loaded:
    """What no option of [daemon] says, and a warning where a flag has no effect."""
    warnings = loaded.warnings
    if "directory" in given and not loaded.settings.daemonize:
        what = "--directory has no effect in the foreground"
        hint = "programs have a working_dir; daemonize = true of [daemon] leaves the foreground"
        warnings = (*warnings, Problem(Place("command line"), what, hint))
    plan = _without_escapes(loaded.plan) if given.get("strip_ansi") else loaded.plan
    return replace(loaded, plan=plan, warnings=warnings)


def _without_escapes(plan: Plan) -> Plan:
    def stripped(spec: ProcessSpec) -> ProcessSpec:
        stderr = replace(spec.stderr, strip_ansi=True) if spec.stderr is not None else None
        return replace(spec, stdout=replace(spec.stdout, strip_ansi=True), stderr=stderr)

    def cleaned(group: Group) -> Group:
        return replace(group, processes=tuple(stripped(spec) for spec in group.processes))

    return replace(plan, groups=tuple(cleaned(group) for group in plan.groups))
