"""The way in: a file of Supervisor's becomes the text of an opsvisor.toml, and a report."""

from collections.abc import Mapping
from pathlib import Path

from opsvisor.compat.supervisor.listeners.names import KINDS
from opsvisor.compat.supervisor.migrate.compare import compare
from opsvisor.compat.supervisor.migrate.control import check_control
from opsvisor.compat.supervisor.migrate.document import write_text
from opsvisor.compat.supervisor.migrate.findings import Finding, Findings
from opsvisor.compat.supervisor.migrate.made_up import load_anyway, without
from opsvisor.compat.supervisor.migrate.notes import take_notes
from opsvisor.compat.supervisor.migrate.source import Source, read_source
from opsvisor.compat.supervisor.migrate.tables import Tables, refuse_made_up, write_tables
from opsvisor.config.load import Additions, native_text
from opsvisor.config.problems import ConfigError, Place
from opsvisor.config.search import absolute
from opsvisor.config.settings import Loaded
from opsvisor.core.plan import Plan
from opsvisor.core.struct import Struct, replace


class Migration(Struct, frozen=True, kw_only=True):
    """The text of an opsvisor.toml. `differences` are what it can't say, `notes` are no loss.

    `has_values` says that values out of the environment stand in it, which may be secrets.
    """

    text: str
    has_values: bool
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
    source = read_source(path, load_anyway(path, environ, start), start=start)
    findings = Findings()
    tables = write_tables(source, findings)
    refuse_made_up(source, tables)
    check_control(source, findings)
    take_notes(source, tables, findings)
    _compare(source, tables, findings, start / target)
    return Migration(
        text=write_text(source, tables, findings),
        has_values=tables.has_values,
        files=source.ini.files,
        differences=tuple(findings.differences),
        notes=tuple(findings.notes),
    )


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
        findings.differ("", whole, without(source.made_up, str(difference)))


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
