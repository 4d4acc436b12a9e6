"""What a configuration says, in words that the real Supervisor's reading and ours share."""

import shlex
import socket
from typing import Any

from real_supervisor import datatypes
from supervisor.options import (  # type: ignore[import-untyped]  # comes without annotations
    NotFound,
    ProcessException,
)
from supervisor.process import (  # type: ignore[import-untyped]  # comes without annotations
    Subprocess,
)

from opsvisor.config.settings import Loaded, TcpServer, UnixServer
from opsvisor.core.spec import KillMode, LogSpec, ProcessSpec, RestartMode, Startup


def our_groups(loaded: Loaded) -> list[Any]:
    """The plan in words that both sides have."""
    return [
        (g.name, g.priority, [our_process(spec) for spec in g.processes])
        for g in loaded.plan.groups
    ]


def their_groups(theirs: Any) -> list[Any]:
    """Supervisor's groups in the order it starts them."""
    groups = sorted(theirs.process_group_configs, key=lambda g: (g.priority, g.name))
    return [
        (
            g.name,
            g.priority,
            [
                their_process(g.name, config, theirs)
                for config in sorted(g.process_configs, key=lambda c: (c.priority, c.name))
            ],
        )
        for g in groups
    ]


def our_process(spec: ProcessSpec) -> dict[str, Any]:
    """One process, all that can be compared."""
    return {
        "name": spec.id.name,
        "command": spec.command,
        "argv": spec.command_problem or spec.argv,
        "priority": spec.priority,
        "autostart": spec.startup is Startup.ENABLED,
        "autorestart": spec.restart.mode,
        "startsecs": spec.min_uptime,
        "startretries": spec.restart.failed_starts_max,
        "exitcodes": spec.restart.success.codes,
        "stopsignal": spec.stop.signal,
        "stopwaitsecs": spec.stop.kill_delay,
        "stopasgroup": spec.stop.signal_mode is KillMode.GROUP,
        "killasgroup": spec.stop.kill_mode is KillMode.GROUP,
        "uid": spec.user.uid if spec.user else None,
        "umask": spec.umask,
        "directory": spec.working_dir,
        "environment": dict(spec.environment),
        "stdout": our_log(spec.stdout),
        "stderr": our_log(spec.stderr) if spec.stderr else "with stdout",
    }


def their_process(group: str, config: Any, theirs: Any) -> dict[str, Any]:
    """The same of Supervisor's."""
    try:
        argv: object = their_words(config)
    except ProcessException as why:
        argv = str(why)
    modes = {
        datatypes.RestartUnconditionally: RestartMode.ALWAYS,
        datatypes.RestartWhenExitUnexpected: RestartMode.ON_FAILURE,
        False: RestartMode.NO,
    }
    url = config.serverurl if config.serverurl is not None else theirs.serverurl
    return {
        "name": config.name,
        "command": config.command,
        "argv": argv,
        "priority": config.priority,
        "autostart": config.autostart,
        "autorestart": modes[config.autorestart],
        "startsecs": config.startsecs,
        "startretries": config.startretries,
        "exitcodes": frozenset(config.exitcodes),
        "stopsignal": config.stopsignal,
        "stopwaitsecs": config.stopwaitsecs,
        "stopasgroup": config.stopasgroup,
        "killasgroup": config.killasgroup,
        "uid": config.uid,
        "umask": config.umask,
        "directory": config.directory,
        "environment": {
            "SUPERVISOR_ENABLED": "1",
            "SUPERVISOR_PROCESS_NAME": config.name,
            "SUPERVISOR_GROUP_NAME": group,
            **({"SUPERVISOR_SERVER_URL": url} if url else {}),
            **config.environment,
        },
        "stdout": their_log(config, "stdout"),
        "stderr": "with stdout" if config.redirect_stderr else their_log(config, "stderr"),
    }


def their_words(config: Any) -> tuple[str, ...]:
    """Supervisor's words of a command. That it can't be found is no matter of configuration."""
    try:
        _, words = Subprocess(config).get_execv_args()
    except NotFound:
        return tuple(shlex.split(config.command))
    return tuple(words)


def our_log(log: LogSpec) -> tuple[object, int, int]:
    """Where it goes, when it is rotated, how many are kept."""
    return ("auto" if log.private else log.path), log.rotate_size, log.rotate_keep


def their_log(config: Any, stream: str) -> tuple[object, int, int]:
    """The same of Supervisor's."""
    path = getattr(config, f"{stream}_logfile")
    return (
        "auto" if path is datatypes.Automatic else path,
        getattr(config, f"{stream}_logfile_maxbytes"),
        getattr(config, f"{stream}_logfile_backups"),
    )


def our_daemon(loaded: Loaded) -> dict[str, Any]:
    """[supervisord], as far as both keep it."""
    found = loaded.settings
    return {
        "log": found.log.path,
        "size": found.log.rotate_size,
        "keep": found.log.rotate_keep,
        "level": found.log_level.value,
        "pidfile": found.pid_file,
        "nodaemon": not found.daemonize,
        "umask": found.umask if found.daemonize else None,
        "directory": found.working_dir if found.daemonize else None,
        "identifier": found.identifier,
        "uid": found.user.uid if found.user else None,
        "minfds": found.min_fds,
        "minprocs": found.min_procs,
    }


def their_daemon(theirs: Any) -> dict[str, Any]:
    """The same of Supervisor's; umask and directory only count in the background."""
    levels = {
        50: "critical",
        40: "error",
        30: "warn",
        20: "info",
        10: "debug",
        5: "trace",
        3: "blather",
    }
    return {
        "log": theirs.logfile,
        "size": theirs.logfile_maxbytes,
        "keep": theirs.logfile_backups,
        "level": levels[theirs.loglevel],
        "pidfile": theirs.pidfile,
        "nodaemon": theirs.nodaemon,
        "umask": None if theirs.nodaemon else theirs.umask,
        "directory": None if theirs.nodaemon else theirs.directory,
        "identifier": theirs.identifier,
        "uid": theirs.uid,
        "minfds": theirs.minfds,
        "minprocs": theirs.minprocs,
    }


def our_servers(loaded: Loaded) -> list[dict[str, Any]]:
    """The servers by their section."""
    return sorted(
        (our_server(s) for s in loaded.settings.servers), key=lambda s: str(s["section"])
    )


def our_server(server: UnixServer | TcpServer) -> dict[str, Any]:
    """One server in Supervisor's terms."""
    login = server.credentials
    common = {
        "section": server.name,
        "username": login.username if login else None,
        "password": login.password if login else None,
    }
    if isinstance(server, UnixServer):
        owner = server.owner or (-1, -1)
        return {**common, "file": server.path, "chmod": server.mode, "chown": owner}
    assert server.allow_anonymous
    return {**common, "host": server.host, "port": server.port}


def their_servers(theirs: Any) -> list[dict[str, Any]]:
    """The same of Supervisor's."""
    dropped = ("name", "family")
    configs = [{k: v for k, v in c.items() if k not in dropped} for c in theirs.server_configs]
    assert all(c["family"] in (socket.AF_UNIX, socket.AF_INET) for c in theirs.server_configs)
    return sorted(configs, key=lambda c: str(c["section"]))
