"""The way in: a file of Supervisor's becomes a `Loaded`."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from opsvisor.compat.supervisor.config.daemon import read_servers, read_settings, server_url
from opsvisor.compat.supervisor.config.expansions import Names, environment_names
from opsvisor.compat.supervisor.config.groups import read_plan
from opsvisor.compat.supervisor.config.ini import Ini, read_all
from opsvisor.compat.supervisor.config.leftovers import warn_of_leftovers
from opsvisor.compat.supervisor.config.options import Supervisord
from opsvisor.compat.supervisor.config.origins import shared_origins
from opsvisor.compat.supervisor.config.own import KIND, METRICS_SECTION, check_own, read_own
from opsvisor.compat.supervisor.config.programs import Surroundings
from opsvisor.compat.supervisor.config.sections import Findings, SectionReader
from opsvisor.config.addresses import rivals
from opsvisor.config.auto_log import usual_folder
from opsvisor.config.collisions import collisions
from opsvisor.config.origins import Origins
from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.config.resolve_daemon import client_limits
from opsvisor.config.resolve_metrics import metrics_settings
from opsvisor.config.resolve_tls import tls_spec
from opsvisor.config.search import absolute
from opsvisor.config.settings import DaemonSettings, Loaded
from opsvisor.core.plan import Plan

_PROGRAMS = ("eventlistener", "fcgi-program", "program")


def load(
    path: Path,
    environ: Mapping[str, str],
    raw: bytes | None = None,
    *,
    start_directory: Path | None = None,
    given: Mapping[str, Any] = MappingProxyType({}),
    in_force: DaemonSettings | None = None,
    made_up: Sequence[str] = (),
) -> Loaded:
    """Read a configuration of Supervisor, or take `raw` for it, and everything it includes.

    `environ` is the environment the daemon was started with, and `start_directory` the folder:
    relative paths begin there, so that rereading finds what reading found although the daemon has
    gone to a folder of its own since. None is the current one. `given` are values for options of
    [supervisord] that the command line sets instead. `in_force` are the settings of a daemon that
    keeps them: what programs take over from those, they have from these. A folder with one of
    `made_up` in its path need not be there: nobody knows yet what it is called. The names that
    values may use are a superset of Supervisor's: `here` and `host_node_name` are known
    everywhere. Raises ConfigError with all problems at once; syntax errors come alone, because
    they make values doubtful.
    """
    start = absolute(start_directory or Path())
    path = start / path
    names: Names = {**environment_names(environ), "host_node_name": platform.node()}
    ini = read_all(path, names, raw)
    findings = Findings(ini.warnings, made_up=made_up)
    supervisord = ini.sections.get("supervisord")
    if supervisord is None:
        what = ".ini file does not include supervisord section"
        raise ConfigError([Problem(Place(str(path)), what, "add a line [supervisord]")])
    reader = SectionReader(supervisord, names, findings, start=start, given=given)
    environment = reader.get(Supervisord.ENVIRONMENT)
    reader.tell_doubts(Supervisord.ENVIRONMENT, environment)
    # From here on texts may also use what [supervisord] gives to all children.
    names = {**names, **environment_names(environment.values)}
    own = read_own(ini, names, findings, start=start)
    servers = read_servers(
        ini,
        names,
        findings,
        own.identities,
        start=start,
        tls=tls_spec(own.daemon),
        hosts=own.daemon.hosts,
    )
    metrics = metrics_settings(own.metrics, own.identities)
    limits = client_limits(own.limits)
    settings = read_settings(reader, servers, metrics, own.daemon, limits, start=start)
    origins = Origins()
    of_daemon = in_force or settings
    around = Surroundings(
        names=names,
        environment=environment.values,
        server_url=server_url(of_daemon.servers),
        identifier=of_daemon.identifier,
        config_path=str(path),
        start=start,
        child_log_dir=reader.get(Supervisord.CHILDLOGDIR) or usual_folder(),
        strip_ansi=reader.get(Supervisord.STRIP_ANSI),
        findings=findings,
        origins=origins,
        shared_origins=shared_origins(supervisord, ini.sections.get(KIND)),
    )
    plan = own.daemon.applied_to(read_plan(ini, around))
    _warn_of_collisions(ini, plan, settings, findings, start=start)
    check_own(own, settings, {group.name for group in plan.groups}, findings)
    for first, second in rivals(settings.listeners):
        name = METRICS_SECTION if second is metrics.server else second.name
        what = f"[{name}] is to listen where [{first.name}] does"
        findings.reject(ini.sections[name].where, what, "give each its own")
    warn_of_leftovers(ini, names, findings, start=start)
    findings.raise_problems(ini.files)
    return Loaded(
        plan=plan,
        settings=settings,
        files=ini.files,
        warnings=findings.warnings(ini.files),
        origins=origins,
    )


def _warn_of_collisions(
    ini: Ini, plan: Plan, settings: DaemonSettings, findings: Findings, *, start: Path
) -> None:
    """Note output that goes into a file of the daemon's. Supervisor writes it there.

    Its relative paths begin where the daemon goes on its way to the background.
    """
    base = start / (settings.working_dir or "")
    # The first of a name counts.
    sections = {s.label.strip(): s for kind in _PROGRAMS for s in reversed(ini.of_kind(kind))}
    for found in collisions(plan.specs().values(), settings, ini.files, start=base):
        section, key = sections[found.spec.program], f"{found.stream}_logfile"
        entry = section.entries.get(key)
        where = entry.where if entry else section.where
        findings.warn(where, f"{key} of [{section.name}] {found.why.says}", found.why.hint)
