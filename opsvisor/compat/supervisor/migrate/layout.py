"""What stands where: what all programs share, the order of the options, and their comments."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from opsvisor.compat.supervisor.config.ini import Section
from opsvisor.compat.supervisor.migrate import toml_text
from opsvisor.compat.supervisor.migrate.comments import Comments, Remarks
from opsvisor.compat.supervisor.migrate.leaves import PROGRAM, Leaves, Path, Table
from opsvisor.core.struct import Struct

_WIDTH = 99

# The options of Supervisor's that became an option of ours, where the names differ.
_KEYS: Mapping[Path, tuple[str, ...]] = {
    ("group",): ("programs",),
    ("replicas",): ("numprocs",),
    ("first_replica",): ("numprocs_start",),
    ("startup",): ("autostart",),
    ("working_dir",): ("directory",),
    ("environment",): ("environment", "serverurl"),
    ("restart",): ("autorestart",),
    ("success_exit_codes",): ("exitcodes",),
    ("min_uptime",): ("startsecs",),
    ("backoff_reset",): ("startsecs",),
    ("start_retries",): ("startretries",),
    ("stop_signal",): ("stopsignal",),
    ("kill_delay",): ("stopwaitsecs",),
    ("kill_mode",): ("stopasgroup", "killasgroup"),
    ("events_buffer",): ("buffer_size",),
    ("log", "stdout"): (
        "stdout_logfile",
        "stdout_events_enabled",
        "stdout_capture_maxbytes",
        "stdout_syslog",
    ),
    ("log", "events"): ("stdout_events_enabled",),
    ("log", "message_limit"): ("stdout_capture_maxbytes",),
    ("log", "syslog"): ("stdout_syslog",),
    ("socket",): ("socket",),
    ("socket", "mode"): ("socket_mode",),
    ("socket", "owner"): ("socket_owner",),
    ("socket", "backlog"): ("socket_backlog",),
    ("log", "stderr"): (
        "stderr_logfile",
        "redirect_stderr",
        "stderr_logfile_maxbytes",
        "stderr_logfile_backups",
        "stderr_events_enabled",
        "stderr_capture_maxbytes",
        "stderr_syslog",
    ),
    ("log", "rotate_size"): ("stdout_logfile_maxbytes",),
    ("log", "rotate_keep"): ("stdout_logfile_backups",),
    ("log",): ("logfile",),
    ("log_level",): ("loglevel",),
    ("log_syslog",): ("logfile",),
    ("log_rotate_size",): ("logfile_maxbytes",),
    ("log_rotate_keep",): ("logfile_backups",),
    ("pid_file",): ("pidfile",),
    ("min_fds",): ("minfds",),
    ("min_procs",): ("minprocs",),
    ("daemonize",): ("nodaemon",),
    ("echo_log",): ("silent",),
    ("child_log_dir",): ("childlogdir",),
    ("remove_auto_logs",): ("nocleanup",),
    ("path",): ("file",),
    ("mode",): ("chmod",),
    ("owner",): ("chown",),
    ("listen",): ("port", "listen"),
}

# The option that stands for its whole table if it is the only one.
_SHORTHANDS = {"log": "path", "socket": "listen"}

# What makes up Supervisor's ways: said once in [defaults] even for a single program.
_WAYS = frozenset(
    {
        "early_exit",
        "start_backoff_step",
        "start_retries",
        "backoff_delay",
        "backoff_limit",
        "backoff_jitter",
        "backoff_reset",
        "restart_limit_count",
        "fatal_retry_delay",
        "kill_mode",
        "stdin",
    }
)
_WAYS_OF_ENVIRONMENT = "SUPERVISOR_"


class Statement(Struct, frozen=True):
    """One `key = value`, and the options of Supervisor's that it says."""

    text: str
    keys: tuple[str, ...]


def hoist(programs: Sequence[Leaves]) -> Leaves:
    """What [defaults] says, so that as little as possible has to be said in total.

    What one of the programs says by saying nothing can't have another default.
    """
    defaults: Leaves = {}
    for path in dict.fromkeys(path for leaves in programs for path in leaves):
        values = [leaves.get(path) for leaves in programs]
        if not PROGRAM.is_shared(path) or None in values:
            continue
        native = PROGRAM.default(path)
        without = sum(value != native for value in values)
        commonest, count = Counter(values).most_common(1)[0]
        lines = 1 + len(values) - count
        is_way = path[0] in _WAYS or path[-1].startswith(_WAYS_OF_ENVIRONMENT)
        if commonest != native and (lines < without or (is_way and lines == without)):
            defaults[path] = commonest
    return defaults


def unsaid(leaves: Leaves, defaults: Leaves, table: Table) -> Leaves:
    """The leaves that have to be written: those that say something else than the default."""
    return {
        path: text
        for path, text in leaves.items()
        if text is not None and text != defaults.get(path, table.default(path))
    }


def statements(leaves: Leaves) -> Iterator[Statement]:
    """The leaves as lines: variables and the options of a stream together if they fit."""
    tables: dict[Path, dict[Path, str]] = {}
    for path, text in leaves.items():
        assert text is not None
        tables.setdefault(path[:-1] if _is_inline(path) else path, {})[path] = text
    for table, inside in tables.items():
        if table in inside:
            yield Statement(f"{toml_text.key(*table)} = {inside[table]}", _keys(table))
        else:
            yield from _together(table, inside)


def _together(table: Path, inside: Mapping[Path, str]) -> Iterator[Statement]:
    keys, name = _keys(table), toml_text.key(*table)
    alone = _SHORTHANDS.get(table[0])
    if alone and list(inside) == [(*table, alone)]:
        yield Statement(f"{name} = {inside[*table, alone]}", keys)
        return
    pairs = ", ".join(f"{toml_text.key(path[-1])} = {text}" for path, text in inside.items())
    together = f"{name} = {{ {pairs} }}"
    if "\n" not in together and len(together) <= _WIDTH:
        yield Statement(together, keys)
        return
    for path, text in inside.items():
        yield Statement(f"{toml_text.key(*path)} = {text}", keys)


def _is_inline(path: Path) -> bool:
    return path[0] in {"environment", "socket"} or path[:2] in {
        ("log", "stdout"),
        ("log", "stderr"),
    }


def _keys(path: Path) -> tuple[str, ...]:
    return _KEYS.get(path) or (path[-1],)


def block(
    header: str,
    said: Sequence[Statement],
    section: Section | None,
    comments: Comments,
    notes: Sequence[str],
) -> list[str]:
    """One table, or with no header only the comments of a section."""
    if section is None:
        return [header, *(one.text for one in said)]
    own = comments.of_section(section.name)
    lines = [toml_text.comment(line) for line in own.above]
    lines += [toml_text.comment(f"NOTE: {note}") for note in notes]
    if header:
        lines.append(_with_remark(header, own))
    elif own.beside:
        lines.append(toml_text.comment("; ".join(own.beside)))
    return [*lines, *_body(said, section, comments)]


def _body(said: Sequence[Statement], section: Section, comments: Comments) -> Iterator[str]:
    """The statements in the order in which Supervisor's file says them, with its comments."""
    written = [key for key, entry in section.entries.items() if not entry.inherited]
    written.sort(key=lambda key: section.entries[key].where)
    at: dict[str, list[Statement]] = {}
    rest: list[Statement] = []
    for one in said:
        key = next((key for key in written if key in one.keys), None)
        (rest if key is None else at.setdefault(key, [])).append(one)
    for key in written:
        remarks = comments.of_key(section.name, key)
        lines = [one.text for one in at.get(key, ())]
        if lines:
            yield from (toml_text.comment(line) for line in remarks.above)
            yield _with_remark(lines[0], remarks)
            yield from lines[1:]
        else:  # what it says is the default here, or stands elsewhere
            orphans = [*remarks.above, *remarks.beside]
            yield from (
                toml_text.comment(f"{key}: {line}" if number == 0 else line)
                for number, line in enumerate(orphans)
            )
    yield from (one.text for one in rest)


def _with_remark(text: str, remarks: Remarks) -> str:
    if not remarks.beside:
        return text
    return f"{text}  {toml_text.comment('; '.join(remarks.beside))}"
