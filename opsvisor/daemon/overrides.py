"""What flags mean for opsvisor.toml, which has no options of their names."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opsvisor.config.problems import Place, Problem
from opsvisor.config.settings import DaemonSettings, Loaded
from opsvisor.core.plan import Group, Plan
from opsvisor.core.spec import ProcessSpec
from opsvisor.daemon import flag_values

_NO_AUTO_LOGS = "logs are only written where opsvisor.toml says so: log.stdout, log.stderr"
_MEANINGLESS = {
    "directory": "the daemon stays in the foreground and where it is; programs have working_dir",
    "childlogdir": _NO_AUTO_LOGS,
    "nocleanup": _NO_AUTO_LOGS,
}


def override(loaded: Loaded, given: Mapping[str, Any]) -> Loaded:
    """The configuration with what flags say instead, and a warning for each that says nothing.

    `given` are values by the names of [supervisord].
    """
    useless = {name: why for name, why in _MEANINGLESS.items() if name in given}
    warnings = tuple(
        Problem(Place("command line"), f"--{name} has no effect with opsvisor.toml", why)
        for name, why in useless.items()
    )
    plan = _without_escapes(loaded.plan) if given.get("strip_ansi") else loaded.plan
    return replace(
        loaded,
        plan=plan,
        settings=_settings(loaded.settings, given),
        warnings=loaded.warnings + warnings,
    )


def _settings(settings: DaemonSettings, given: Mapping[str, Any]) -> DaemonSettings:
    log = settings.log
    path = given.get("logfile", log.path)
    to_syslog = path == flag_values.SYSLOG
    return replace(
        settings,
        echo_log=settings.echo_log and not given.get("silent", False),
        user=given.get("user", settings.user),
        umask=given.get("umask", settings.umask),
        log=replace(
            log,
            path=None if to_syslog else path,
            syslog=log.syslog or to_syslog,
            rotate_size=max(0, given.get("logfile_maxbytes", log.rotate_size)),
            rotate_keep=max(0, given.get("logfile_backups", log.rotate_keep)),
        ),
        log_level=given.get("loglevel", settings.log_level),
        pid_file=given.get("pidfile", settings.pid_file),
        identifier=given.get("identifier", settings.identifier),
        min_fds=given.get("minfds", settings.min_fds),
        min_procs=given.get("minprocs", settings.min_procs),
    )


def _without_escapes(plan: Plan) -> Plan:
    def stripped(spec: ProcessSpec) -> ProcessSpec:
        stderr = replace(spec.stderr, strip_ansi=True) if spec.stderr is not None else None
        return replace(spec, stdout=replace(spec.stdout, strip_ansi=True), stderr=stderr)

    def cleaned(group: Group) -> Group:
        return replace(group, processes=tuple(stripped(spec) for spec in group.processes))

    return replace(plan, groups=tuple(cleaned(group) for group in plan.groups))
