"""What there is to tell of a migration besides the fields that differ."""

from collections.abc import Iterable

from opsvisor.compat.supervisor.config.departure import Departure
from opsvisor.compat.supervisor.config.ini import Section
from opsvisor.compat.supervisor.config.options import KNOWN_KEYS
from opsvisor.compat.supervisor.migrate.daemon import DaemonTable
from opsvisor.compat.supervisor.migrate.expressions import names_in
from opsvisor.compat.supervisor.migrate.findings import Findings
from opsvisor.compat.supervisor.migrate.made_up import PATHS
from opsvisor.compat.supervisor.migrate.programs import ProgramTable, Standing
from opsvisor.compat.supervisor.migrate.source import Source
from opsvisor.compat.supervisor.migrate.tables import Tables
from opsvisor.config.problems import Place
from opsvisor.core.spec import ProcessSpec

_MOVED = "update leaves stopped what was stopped by hand, where supervisorctl's started it again"

_ONLY_TEXTS = "only texts may name variables, as ${NAME}"
_TEXTS = PATHS | {"command", "environment", "process_name", "serverurl", "user"}


def take_notes(source: Source, tables: Tables, findings: Findings) -> None:
    """Note all of it."""
    _Notes(source, findings).take(tables)


class _Notes:
    def __init__(self, source: Source, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self._specs = source.loaded.plan.specs()
        self._written_out: dict[str, list[Place]] = {}  # where `%(here)s` was, by what it is

    def take(self, tables: Tables) -> None:
        self._note_whole()
        for section in self._source.ini.sections.values():
            self._note_unknown(section)
        for table in tables.of_programs():
            self._note_frozen(table)
            self._note_relative(table)
            self._note_trusted(table)
            self._note_variables(table)
        for other in tables.of_daemon():
            self._note_frozen(other)
            self._note_trusted(other)
        for section in self._source.ini.of_kind("group"):
            for key, entry in section.entries.items():
                self._note_names(section, key, names_in(entry.value))
        self._note_folders()
        if tables.has_values:
            what = "values out of the environment stand in it: it is for its owner's eyes"
            self._findings.note("", Place(self._source.ini.path), what)

    def _note_whole(self) -> None:
        ini, findings = self._source.ini, self._findings
        whole = Place(ini.path)
        findings.note("", whole, _MOVED)
        for name in sorted(self._source.made_up):
            what = (
                f"{name} isn't set here; ${{{name}}} is written, and checked with a made-up value"
            )
            findings.note("", whole, what)
        included = [file for file in ini.files if file != ini.path]
        if included:
            count = f"{len(included)} file{'s' if len(included) > 1 else ''}"
            what = f"what [include] finds, {count}, is written into this one"
            findings.note(
                "include", ini.sections["include"].where, what, "files added later aren't"
            )
        self._note_folders_included()
        if any(_has_auto(spec) for spec in self._specs.values()):
            what = "logs called AUTO begin anew: the letters in their names are others"
            findings.note("", whole, what)
        for warning in self._source.loaded.warnings:
            tell = findings.differ if isinstance(warning, Departure) else findings.note
            tell(self._section_at(warning.where), warning.where, warning.what, warning.hint)

    def _note_folders_included(self) -> None:
        """Tell where other files would be found tomorrow, or elsewhere."""
        include = self._source.ini.sections.get("include")
        entry = include.entries.get("files") if include else None
        for name in sorted(set(names_in(entry.value))) if entry else ():
            assert entry is not None
            if name == "here":
                continue
            what = f"files: what %({name})s finds today is written into this file, nothing else"
            hint = "migrate once for each value that it has anywhere"
            self._findings.differ("include", entry.where, what, hint)

    def _section_at(self, where: Place) -> str:
        """What the section is called in which this place is, "" if it is in none."""
        for section in self._source.ini.sections.values():
            if where in (section.where, *(entry.where for entry in section.own.values())):
                return section.name
        return ""

    def _note_unknown(self, section: Section) -> None:
        known = KNOWN_KEYS.get(section.kind)
        if known is None:
            return
        for key, entry in section.entries.items():
            if key not in known and not entry.inherited:
                what = f"[{section.name}] says {key}, which means nothing to Supervisor: left out"
                self._findings.note(section.name, entry.where, what)

    def _note_relative(self, table: ProgramTable) -> None:
        """Tell which paths began wherever the daemon was."""
        specs = [self._specs[process_id] for process_id in table.ids]
        for key, paths in (
            ("directory", [spec.working_dir for spec in specs]),
            ("stdout_logfile", [spec.stdout.path for spec in specs]),
            ("stderr_logfile", [spec.stderr.path if spec.stderr else None for spec in specs]),
        ):
            entry = table.section.entries.get(key)
            if entry and any(path and not path.startswith("/") for path in paths):
                what = f"{key} is relative: it began where supervisord was, in {self._source.base}"
                self._findings.note(table.section.name, entry.where, what)

    def _note_frozen(self, table: ProgramTable | DaemonTable) -> None:
        """Tell which names became what they mean today."""
        for key, names in table.frozen.items():
            self._note_names(table.section, key, names)

    def _note_trusted(self, table: ProgramTable | DaemonTable) -> None:
        """Tell which paths may begin where nobody can see it yet."""
        for key, name in table.trusted.items():
            what = (
                f"{key}: {name} isn't set here; what is written is only the same if it is an"
                " absolute path"
            )
            hint = f"set {name} while you migrate to have it checked"
            where = table.section.entries[key].where
            self._findings.differ(table.section.name, where, what, hint)

    def _note_variables(self, table: ProgramTable) -> None:
        """Tell where blanks no longer make two words of one."""
        name_of = table.section.name
        where = table.section.entries["command"].where
        for name, standing in table.variables.items():
            if standing is Standing.AS_WORDS:
                what = f"command: {name} is one word now, and was as many as are in it"
                hint = "if there are several in it, write them out"
                self._findings.differ(name_of, where, what, hint)
            elif name in self._source.made_up:
                what = (
                    f"command: {name} isn't set here, and whatever is in it can't be more than one"
                    " word now"
                )
                hint = f"set {name} while you migrate to have it checked"
                self._findings.differ(name_of, where, what, hint)
            else:
                what = "command: a variable is one word now, whatever blanks are in it"
                self._findings.note(name_of, where, what)

    def _note_names(self, section: Section, key: str, names: Iterable[str]) -> None:
        entry = section.entries.get(key)
        for name in sorted(names) if entry else ():
            assert entry is not None
            if name == "here":
                self._written_out.setdefault(entry.here, []).append(entry.where)
            elif name == "numprocs":
                what = f"{key}: %({name})s is written as the number that it is now"
                self._findings.note(section.name, entry.where, what)
            elif name == "host_node_name":
                what = f"{key}: %({name})s is written as the name of this machine"
                self._findings.differ(section.name, entry.where, what)
            # What is made up is never written: that is refused.
            elif name in self._source.carried_by_daemon and name[4:] not in self._source.made_up:
                what = f"{key}: %({name})s is written as the value it has today"
                takes_it = key in _TEXTS
                hint = f"${{{name[4:]}}} would not do" if takes_it else _ONLY_TEXTS
                self._findings.differ(section.name, entry.where, what, hint)

    def _note_folders(self) -> None:
        """Tell of `%(here)s` once for each folder: a large file uses it everywhere."""
        for folder, places in self._written_out.items():
            times = f"{len(places)} times" if len(places) > 1 else "once"
            self._findings.note("", min(places), f"%(here)s is written as {folder}, {times}")


def _has_auto(spec: ProcessSpec) -> bool:
    return spec.stdout.private or (spec.stderr is not None and spec.stderr.private)
