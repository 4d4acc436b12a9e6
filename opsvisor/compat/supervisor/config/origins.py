"""Where the values of a program were written, by the names that its options have with us."""

from collections.abc import Mapping
from types import MappingProxyType

from opsvisor.compat.supervisor.config.environment import parse_environment
from opsvisor.compat.supervisor.config.ini import Entry, Section
from opsvisor.compat.supervisor.config.options import Program, Supervisord
from opsvisor.compat.supervisor.config.refused import Refused
from opsvisor.config.origins import How, Origin, Written

_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "command": ("command",),
        "process_name": ("process_name",),
        "priority": ("priority",),
        "autostart": ("startup",),
        "autorestart": ("restart",),
        "startsecs": ("min_uptime", "backoff_reset"),
        "startretries": ("start_retries",),
        "exitcodes": ("success_exit_codes",),
        "stopsignal": ("stop_signal",),
        "stopwaitsecs": ("kill_delay",),
        "killasgroup": ("kill_mode",),
        "stopasgroup": ("kill_mode",),
        "user": ("user",),
        "directory": ("working_dir",),
        "umask": ("umask",),
        "serverurl": ("environment.SUPERVISOR_SERVER_URL",),
        "socket": ("socket.listen",),
        "socket_mode": ("socket.mode",),
        "socket_owner": ("socket.owner",),
        "socket_backlog": ("socket.backlog",),
        "stdout_logfile": ("log.stdout",),
        "stderr_logfile": ("log.stderr",),
        **{
            f"{stream}_{theirs}": (f"log.{stream}.{ours}",)
            for stream in ("stdout", "stderr")
            for theirs, ours in {
                "logfile_maxbytes": "rotate_size",
                "logfile_backups": "rotate_keep",
                "capture_maxbytes": "message_limit",
                "events_enabled": "events",
                "syslog": "syslog",
            }.items()
        },
    }
)


def shared_origins(supervisord: Section, own: Section | None) -> Written:
    """What [supervisord] and [opsvisor] say of all programs."""
    found = _variables(supervisord.entries.get(Supervisord.ENVIRONMENT.name))
    if entry := supervisord.entries.get(Supervisord.STRIP_ANSI.name):
        found["log.strip_ansi"] = Origin(entry.where)
    for name in ("on_fatal", "on_exit"):
        if own is not None and (entry := own.own.get(name)):
            found[name] = Origin(entry.where)
    return {name: Origin(origin.place, How.DEFAULTS) for name, origin in found.items()}


def program_origins(section: Section, shared: Written) -> Written:
    """What the section of a program says of it, over what is said of all."""
    found = dict(shared)
    for key, names in _NAMES.items():
        if entry := section.entries.get(key):
            found |= dict.fromkeys(names, _origin(entry))
    merged = section.entries.get(Program.REDIRECT_STDERR.name)
    if merged is not None and "log.stderr" not in found:
        found["log.stderr"] = _origin(merged)
    found |= _variables(section.entries.get(Program.ENVIRONMENT.name))
    return found


def _variables(entry: Entry | None) -> dict[str, Origin]:
    """Of each variable that is set there."""
    if entry is None:
        return {}
    try:
        names = parse_environment(entry.value).values
    except Refused:  # only what is filled in makes it one that can be read
        return {}
    return {f"environment.{name}": _origin(entry) for name in names}


def _origin(entry: Entry) -> Origin:
    if "%(" in entry.value:
        return Origin(entry.where, How.TEMPLATE)
    return Origin(entry.where, How.DEFAULTS if entry.inherited else How.WRITTEN)
