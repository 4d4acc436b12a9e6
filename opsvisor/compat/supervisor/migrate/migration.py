"""The way in: a file of Supervisor's becomes the text of an opsvisor.toml, and a report."""

import re
from collections.abc import Mapping
from pathlib import Path

from opsvisor.compat.supervisor.config.load import load
from opsvisor.compat.supervisor.listeners.names import KINDS
from opsvisor.compat.supervisor.migrate.compare import compare
from opsvisor.compat.supervisor.migrate.control import check_control
from opsvisor.compat.supervisor.migrate.document import write_text
from opsvisor.compat.supervisor.migrate.findings import Finding, Findings
from opsvisor.compat.supervisor.migrate.notes import take_notes
from opsvisor.compat.supervisor.migrate.source import Source, read_source
from opsvisor.compat.supervisor.migrate.tables import Tables, write_tables
from opsvisor.config.load import Additions, native_text
from opsvisor.config.problems import ConfigError, Place, Problem
from opsvisor.config.search import absolute
from opsvisor.config.settings import Loaded
from opsvisor.core.plan import Plan
from opsvisor.core.struct import Struct, replace

_UNKNOWN = re.compile(r"contains names \('ENV_([A-Za-z_][A-Za-z0-9_]*)'\)")


class Migration(Struct, frozen=True, kw_only=True):
    """The text of an opsvisor.toml. `differences` are what it can't say, `notes` are no loss."""

    text: str
    files: tuple[str, ...]
    differences: tuple[Finding, ...]
    notes: tuple[Finding, ...]


def migrate(
    path: Path, environ: Mapping[str, str], *, start: Path | None = None, target: Path
) -> Migration:
    """What the file at `path` asks for, as the text of a file at `target`.

    `start` is the directory supervisord was started in; None is the current one. Raises
    ConfigError if Supervisor's file can't be used.
    """
    start = absolute(start or Path())
    loaded, environ, assumed = _load(path, environ, start)
    source = read_source(path, loaded, environ, start=start)
    findings = Findings()
    tables = write_tables(source, findings)
    check_control(source, findings)
    take_notes(source, tables, findings, assumed)
    _compare(source, tables, findings, start / target)
    return Migration(
        text=write_text(source, tables, findings),
        files=source.ini.files,
        differences=tuple(findings.differences),
        notes=tuple(findings.notes),
    )


def _load(
    path: Path, environ: Mapping[str, str], start: Path
) -> tuple[Loaded, Mapping[str, str], tuple[str, ...]]:
    """The configuration, the environment it was read in, and variables that aren't set here.

    They may be the daemon's secrets, and whoever migrates need not know them: they are given
    values, and end as `${NAME}`.
    """
    assumed: dict[str, str] = {}
    first: ConfigError | None = None
    while True:
        known = {**environ, **assumed}
        try:
            return load(path, known, start_directory=start), known, tuple(sorted(assumed))
        except ConfigError as error:
            _refuse_unknown_folders(error)
            first = first or error
            found = [_missing(problem.what) for problem in error.problems]
            # [supervisord] may set what the others miss, once it can be read itself.
            wanted = {name for is_first, name in found if is_first} or {n for _, n in found}
            new = wanted - {"", *known}
            if not new:
                raise first from None
            assumed |= {name: f"value-of-{name}" for name in new}


def _refuse_unknown_folders(error: ConfigError) -> None:
    """Raise ConfigError if files are looked for where only a variable knows.

    With a value that is made up, [include] finds nothing: all its programs would be lost.
    """
    problems = [
        Problem(
            problem.where,
            f"files: {name} isn't set here, so nobody can tell what [include] finds",
            f"set {name} while you migrate, to what opsvisord will find it set to",
        )
        for problem in error.problems
        if (name := _missing(problem.what)[1]) and "'include.files'" in problem.what
    ]
    if problems:
        raise ConfigError(problems) from None


def _missing(what: str) -> tuple[bool, str]:
    """The variable that a problem is about, "" if about none; and whether [supervisord] has it."""
    found = _UNKNOWN.search(what)
    return ("'supervisord." in what, found[1]) if found else (False, "")


def _compare(source: Source, tables: Tables, findings: Findings, target: Path) -> None:
    """Load what would be written, and tell what isn't the same and wasn't told yet."""
    whole = Place(source.ini.path)
    text = write_text(source, tables, findings)
    try:
        written = native_text(text, target, source.environ, Additions(event_kinds=lambda: KINDS))
    except ConfigError as error:
        for problem in error.problems:
            findings.differ("", whole, f"opsvisord refuses what was written: {problem.what}")
        return
    ids = {old: new for table in tables.of_programs() for old, new in table.ids.items()}
    for old, new in ids.items():
        if old != new:
            what = f"{old} is called {new}: a character can't be in a name"
            findings.differ("", whole, what)
    for difference in compare(
        _without_what_is_told(source.loaded, written, tables),
        written,
        start=source.start,
        base=source.base,
        ids=ids,
        groups=tables.groups,
    ):
        findings.differ("", whole, str(difference))


def _without_what_is_told(loaded: Loaded, written: Loaded, tables: Tables) -> Loaded:
    """What was migrated, without what was left out, and told about, before."""
    names = {table.section.name for table in tables.servers}
    kept = tuple(server for server in loaded.settings.servers if server.name in names)
    groups = [
        replace(group, processes=tuple(s for s in group.processes if s.id not in tables.left_out))
        for group in loaded.plan.groups
        if group.name not in tables.empty
    ]
    return replace(
        loaded,
        plan=Plan(groups=tuple(groups)),
        # Without a server there is the default one.
        settings=replace(loaded.settings, servers=kept or written.settings.servers),
    )
