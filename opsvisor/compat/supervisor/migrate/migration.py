"""The way in: a file of Supervisor's becomes the text of an opsvisor.toml, and a report."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from opsvisor.compat.supervisor.config.ini import Section
from opsvisor.compat.supervisor.config.load import load
from opsvisor.compat.supervisor.config.options import KNOWN_KEYS
from opsvisor.compat.supervisor.listeners.names import KINDS
from opsvisor.compat.supervisor.migrate import layout, toml_text
from opsvisor.compat.supervisor.migrate.compare import compare
from opsvisor.compat.supervisor.migrate.control import check_control
from opsvisor.compat.supervisor.migrate.daemon import DaemonTable, write_daemon, write_server
from opsvisor.compat.supervisor.migrate.expressions import names_in
from opsvisor.compat.supervisor.migrate.findings import Finding, Findings
from opsvisor.compat.supervisor.migrate.leaves import PROGRAM, Leaves
from opsvisor.compat.supervisor.migrate.programs import (
    CannotSay,
    ProgramTable,
    split,
    usable_name,
    write_table,
)
from opsvisor.compat.supervisor.migrate.source import Source, read_source
from opsvisor.config.load import native_text
from opsvisor.config.problems import ConfigError, Place
from opsvisor.config.resolve_daemon import is_too_long
from opsvisor.config.settings import Loaded, UnixServer
from opsvisor.core.plan import EventFeed, Group, Plan
from opsvisor.core.spec import ProcessId, ProcessSpec

_PROGRAM_KINDS = ("program", "eventlistener", "fcgi-program")
_SHARED_PRIORITY = 999
_UNKNOWN = re.compile(r"contains names \('ENV_([A-Za-z_][A-Za-z0-9_]*)'\)")
_MOVED = "update leaves stopped what was stopped by hand, where supervisorctl's started it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
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
    start = (start or Path()).absolute()
    loaded, environ, assumed = _load(path, environ, start)
    source = read_source(path, loaded, environ, start=start)
    return _Migration(source, start / target).run(assumed)


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
            first = first or error
            found = [_missing(problem.what) for problem in error.problems]
            # [supervisord] may set what the others miss, once it can be read itself.
            wanted = {name for is_first, name in found if is_first} or {n for _, n in found}
            new = wanted - {"", *known}
            if not new:
                raise first from None
            assumed |= {name: f"value-of-{name}" for name in new}


def _missing(what: str) -> tuple[bool, str]:
    """The variable that a problem is about, "" if about none; and whether [supervisord] has it."""
    found = _UNKNOWN.search(what)
    return ("'supervisord." in what, found[1]) if found else (False, "")


class _Migration:
    """One migration on its way."""

    def __init__(self, source: Source, target: Path) -> None:
        self._source = source
        self._target = target
        self._findings = Findings()
        self._tables: dict[str, list[ProgramTable]] = {}  # by section
        self._taken: set[str] = set()
        self._sockets: dict[str, str] = {}  # who listens where, by address
        self._specs = source.loaded.plan.specs()
        self._groups = self._name_groups()
        self._written_out: dict[str, list[Place]] = {}  # where `%(here)s` was, by what it is
        # What is left out, once that is told: processes, groups, and all servers but these.
        self._left_out: set[ProcessId] = set()
        self._empty: set[str] = set()
        self._servers: set[str] = set()

    def run(self, assumed: Sequence[str]) -> Migration:
        source, findings = self._source, self._findings
        self._note_whole(assumed)
        seen: set[tuple[str, str]] = set()
        for section in source.ini.sections.values():
            name = (section.kind, section.label.strip())
            # Of sections that are called the same but for blanks the first counts.
            if section.kind in _PROGRAM_KINDS and ":" in section.name and name not in seen:
                self._tables[section.name] = self._write_program(section)
                seen.add(name)
            self._note_unknown(section)
        self._find_empty_groups()
        daemon, servers = self._write_daemon()
        check_control(source, findings)
        written: list[ProgramTable | DaemonTable] = [*self._all_tables(), daemon, *servers]
        for table in written:
            self._note_frozen(table)
            if isinstance(table, ProgramTable):
                self._note_relative(table)
        for section in source.ini.of_kind("group"):
            for key, entry in section.entries.items():
                self._note_names(section, key, names_in(entry.value))
        self._note_folders()
        text = self._text(daemon, servers)
        self._compare(text)
        if findings.differences or findings.notes:  # now that all are known
            text = self._text(daemon, servers)
        return Migration(
            text=text,
            files=source.ini.files,
            differences=tuple(findings.differences),
            notes=tuple(findings.notes),
        )

    # -- programs and groups -----------------------------------------------------------------

    def _name_groups(self) -> dict[str, str]:
        """What each group is called here: as before, unless that is no name here."""
        names: dict[str, str] = {}
        for group in self._source.loaded.plan.groups:
            names[group.name] = _unique(usable_name(group.name), set(names.values()))
        return names

    def _all_tables(self) -> Iterator[ProgramTable]:
        for tables in self._tables.values():
            yield from tables

    def _write_program(self, section: Section) -> list[ProgramTable]:
        label = section.label.strip()
        groups = [group for group in self._source.loaded.plan.groups if _holds(group, section)]
        specs = [
            spec
            for group in groups
            for spec in group.processes
            if spec.program == label and self._can_start(spec, section)
        ]
        if not specs:
            return self._write_empty(section, groups)
        taken_by = self._socket_taken_by(specs)
        if taken_by:
            self._leave_out(section, specs, f"[{taken_by}] listens at its socket")
            return []
        self._sockets |= {spec.socket.url: section.name for spec in specs if spec.socket}
        feed = groups[0].feed if section.kind == "eventlistener" else None
        name = self._name(label)
        try:
            return [self._write_table(section, specs, name, feed)]
        except CannotSay as why:
            self._taken.discard(name)
            differs = f"{why.option} differs between its processes in a way that no template says"
            if feed is not None or specs[0].socket is not None:
                self._leave_out(section, specs, f"they share an input, and {differs}")
                return []
            tables = self._write_apart(section, specs)
            self._differ(
                section,
                f"[{section.name}] is written as {len(tables)} programs, as {differs}",
                "metrics and the API call each of them a program of its own",
            )
            return tables

    def _leave_out(self, section: Section, specs: Sequence[ProcessSpec], why: str) -> None:
        self._left_out.update(spec.id for spec in specs)
        self._differ(section, f"the processes of [{section.name}] are left out: {why}")

    def _socket_taken_by(self, specs: Sequence[ProcessSpec]) -> str:
        """The section of another program that listens at the same address, "" if none does."""
        urls = {spec.socket.url for spec in specs if spec.socket is not None}
        return next((self._sockets[url] for url in sorted(urls) if url in self._sockets), "")

    def _write_apart(self, section: Section, specs: Sequence[ProcessSpec]) -> list[ProgramTable]:
        """A table for each group, or where that doesn't help, for each process."""
        tables: list[ProgramTable] = []
        for group in dict.fromkeys(spec.id.group for spec in specs):
            members = [spec for spec in specs if spec.id.group == group]
            name = self._name(members[0].program)
            try:
                tables.append(self._write_table(section, members, name))
            except CannotSay:
                self._taken.discard(name)
                tables += [
                    self._write_table(section, [spec], self._name(spec.id.name))
                    for spec in members
                ]
        return tables

    def _write_table(
        self,
        section: Section,
        specs: Sequence[ProcessSpec],
        name: str,
        feed: EventFeed | None = None,
    ) -> ProgramTable:
        return write_table(self._source, section, specs, name=name, groups=self._groups, feed=feed)

    def _can_start(self, spec: ProcessSpec, section: Section) -> bool:
        problem = spec.command_problem
        if not problem and (not spec.argv or not spec.argv[0]):
            problem = "its command begins with an empty word"
        elif not problem and _has_nul(spec):
            problem = "a NUL character ends every string in the kernel's eyes"
        if not problem:
            return True
        self._left_out.add(spec.id)
        self._differ(section, f"{spec.id} can never start, {problem}: it is left out")
        return False

    def _write_empty(self, section: Section, groups: Sequence[Group]) -> list[ProgramTable]:
        """A program of no processes, in a group of its own that can be addressed all the same."""
        label = section.label.strip()
        own = next((g for g in groups if g.name == label and not g.processes), None)
        command = section.entries.get("command")
        if own is None or command is None:
            return []
        marked = self._source.mark(command, {}, {"program_name": label, "group_name": label})
        words = marked.process(marked.text) if marked else None
        if words is None or not any(split(words)[:1]):
            return []
        name = self._name(label)
        leaves: Leaves = {
            ("command",): toml_text.string(words),
            ("replicas",): "0",
            ("priority",): str(own.priority),
        }
        if own.feed is not None:
            leaves["events",] = toml_text.array(own.feed.kinds)
            leaves["events_buffer",] = str(own.feed.buffer_size)
        self._findings.note(
            section.name,
            section.where,
            f"[{section.name}] has no processes: only its command is"
            " written, and what else it says is left out",
        )
        return [
            ProgramTable(
                name=name,
                section=section,
                groups=(self._groups[own.name],),
                priority=own.priority,
                leaves=leaves,
                ids={},
                frozen={},
            )
        ]

    def _name(self, wanted: str) -> str:
        name = _unique(usable_name(wanted), self._taken)
        self._taken.add(name)
        return name

    def _find_empty_groups(self) -> None:
        """Tell of groups without programs, which are no groups here."""
        used = {group for table in self._all_tables() for group in table.groups}
        sections = {section.name: section for section in self._source.ini.sections.values()}
        for group in self._source.loaded.plan.groups:
            if self._groups[group.name] in used:
                continue
            self._empty.add(group.name)
            kinds = ("group", *_PROGRAM_KINDS)
            section = next(
                s for s in sections.values() if s.kind in kinds and s.label.strip() == group.name
            )
            self._differ(section, f"group {group.name} has no program that could run: left out")

    def _group_priority(self, group: Group) -> int | None:
        """The priority that has to be written: other than the one a group has by itself."""
        name = self._groups[group.name]
        members = [table for table in self._all_tables() if name in table.groups]
        if not members:
            return None
        own = members[0].priority if len(members) == 1 else _SHARED_PRIORITY
        return None if group.priority == own else group.priority

    # -- the daemon --------------------------------------------------------------------------

    def _write_daemon(self) -> tuple[DaemonTable, list[DaemonTable]]:
        source = self._source
        daemon = write_daemon(source, self._findings)
        servers = []
        kinds: set[type] = set()
        for server in source.loaded.settings.servers:
            section = source.ini.sections[server.name]
            if type(server) in kinds:
                hint = "there is one socket and one port at most"
                self._differ(section, f"[{section.name}] is a second server: left out", hint)
            elif isinstance(server, UnixServer) and is_too_long(server.path):
                what = f"[{section.name}] has too long a path: no daemon can listen, left out"
                self._differ(section, what)
            elif server.credentials is not None and not server.credentials.password:
                what = f"[{section.name}] has an empty password, which is none here: left out"
                self._differ(section, what, "give it a password in both files")
            else:
                kinds.add(type(server))
                self._servers.add(server.name)
                servers.append(write_server(source, server))
        if not servers:
            what = "no server is configured, but an opsvisord always has a socket for its user"
            self._differ(source.ini.sections["supervisord"], what)
        return daemon, servers

    # -- what there is to tell ---------------------------------------------------------------

    def _differ(self, section: Section, what: str, hint: str = "") -> None:
        self._findings.differ(section.name, section.where, what, hint)

    def _note_whole(self, assumed: Sequence[str]) -> None:
        ini, findings = self._source.ini, self._findings
        whole = Place(ini.path)
        findings.note("", whole, _MOVED)
        for name in assumed:
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
        if any(_has_auto(spec) for spec in self._specs.values()):
            what = "logs called AUTO begin anew: the letters in their names are others"
            findings.note("", whole, what)
        for warning in self._source.loaded.warnings:
            hint = f"; {warning.hint}" if warning.hint else ""
            findings.note("", warning.where, f"{warning.what}{hint}")

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
        if isinstance(table, ProgramTable) and table.variables_in_command:
            what = "command: a variable is one word now, whatever blanks are in it"
            where = table.section.entries["command"].where
            self._findings.note(table.section.name, where, what)

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
            elif name in self._source.carried_by_daemon:
                what = f"{key}: %({name})s is written as the value it has today"
                hint = "only texts may name variables, as ${NAME}"
                self._findings.differ(section.name, entry.where, what, hint)

    def _note_folders(self) -> None:
        """Tell of `%(here)s` once for each folder: a large file uses it everywhere."""
        for folder, places in self._written_out.items():
            times = f"{len(places)} times" if len(places) > 1 else "once"
            self._findings.note("", min(places), f"%(here)s is written as {folder}, {times}")

    def _compare(self, text: str) -> None:
        """Load what was written, and tell what isn't the same and wasn't told yet."""
        source, findings = self._source, self._findings
        whole = Place(source.ini.path)
        try:
            written = native_text(text, self._target, source.environ, event_kinds=lambda: KINDS)
        except ConfigError as error:
            for problem in error.problems:
                findings.differ("", whole, f"opsvisord refuses what was written: {problem.what}")
            return
        ids = {old: new for table in self._all_tables() for old, new in table.ids.items()}
        for old, new in ids.items():
            if old != new:
                findings.differ(
                    "", whole, f"{old} is called {new}: a character can't be in a name"
                )
        before, after = self._without_what_is_told(written)
        for difference in compare(
            before, after, start=source.start, base=source.base, ids=ids, groups=self._groups
        ):
            findings.differ("", whole, str(difference))

    def _without_what_is_told(self, written: Loaded) -> tuple[Loaded, Loaded]:
        """Both configurations without what was left out, and told about, before."""
        loaded = self._source.loaded
        kept = tuple(s for s in loaded.settings.servers if s.name in self._servers)
        made_up = () if kept else written.settings.servers
        groups = [
            replace(
                group,
                processes=tuple(s for s in group.processes if s.id not in self._left_out),
            )
            for group in loaded.plan.groups
            if group.name not in self._empty
        ]
        before = replace(
            loaded,
            plan=Plan(groups=tuple(groups)),
            settings=replace(loaded.settings, servers=kept or made_up),
        )
        return before, written

    # -- the text ----------------------------------------------------------------------------

    def _text(self, daemon: DaemonTable, servers: Sequence[DaemonTable]) -> str:
        ini = self._source.ini
        defaults = layout.hoist([table.leaves for table in self._all_tables() if table.ids])
        by_section = {table.section.name: table for table in servers}
        has_general = has_defaults = False
        blocks = [self._banner()]
        file = ini.path
        for section in ini.sections.values():
            if section.name in self._tables and not has_defaults:
                has_defaults = True
                blocks.append(self._defaults(defaults) if defaults else [])
            if section.where.file != file:
                file = section.where.file
                blocks.append([toml_text.comment(f"from {self._short(file)}")])
            if section.name == "supervisord":
                blocks.append(self._table(daemon, "[daemon]"))
                if not servers:
                    blocks.append(_GENERAL_SERVER)
            elif section.name in by_section:
                table = by_section[section.name]
                blocks.append(self._table(table, f"[{toml_text.key(*table.header)}]"))
                if not has_general:
                    blocks.append(_GENERAL_SERVER)
                    has_general = True
            elif section.name in self._tables:
                blocks += self._programs(section, defaults)
            elif section.kind == "group":
                blocks.append(self._group(section))
            else:
                blocks.append(self._block(section, "", []))
        for ended, last in self._source.comments.ends.items():
            is_other = last and ended != ini.path
            above = [f"from the end of {self._short(ended)}:"] if is_other else []
            blocks.append([toml_text.comment(line) for line in (*above, *last)])
        return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"

    def _banner(self) -> list[str]:
        notes = [
            f"NOTE: {finding}" for finding in self._findings.differences if not finding.section
        ]
        return [
            toml_text.comment(f"Migrated from {self._source.ini.path} by opsvisorctl migrate."),
            *(toml_text.comment(note) for note in notes),
        ]

    def _notes(self, section: Section) -> list[str]:
        return [
            f"{finding.what}" + (f" ({finding.hint})" if finding.hint else "")
            for finding in self._findings.differences
            if finding.section == section.name
        ]

    def _block(self, section: Section, header: str, said: Sequence[layout.Statement]) -> list[str]:
        return layout.block(header, said, section, self._source.comments, self._notes(section))

    def _table(self, table: DaemonTable, header: str) -> list[str]:
        leaves = layout.unsaid(table.leaves, {}, table.table)
        return self._block(table.section, header, list(layout.statements(leaves)))

    @staticmethod
    def _defaults(defaults: Leaves) -> list[str]:
        variables = {path[1:]: text for path, text in defaults.items() if path[0] == "environment"}
        options = {path: text for path, text in defaults.items() if path[0] != "environment"}
        lines = ["# What all programs share: Supervisor's ways, and what is alike."]
        if options:
            lines += ["[defaults]", *(one.text for one in layout.statements(options))]
        if variables:
            lines += ["", "[defaults.environment]"] if options else ["[defaults.environment]"]
            lines += [one.text for one in layout.statements(variables)]
        return lines

    def _programs(self, section: Section, defaults: Leaves) -> list[list[str]]:
        blocks: list[list[str]] = []
        for table in self._tables[section.name]:
            leaves = layout.unsaid(table.leaves, defaults, PROGRAM)
            if ("socket", "listen") in leaves:
                leaves.pop(("stdin",), None)
            said = list(layout.statements(leaves))
            header = f"[{toml_text.key('program', table.name)}]"
            if blocks:  # its comments stand above the first
                blocks.append([header, *(one.text for one in said)])
            else:
                blocks.append(self._block(section, header, said))
            blocks += [
                self._group_of_program(group)
                for group in self._source.loaded.plan.groups
                if group.name == table.section.label.strip() and table.groups == (table.name,)
            ]
        return blocks or [self._block(section, "", [])]

    def _group(self, section: Section) -> list[str]:
        label = section.label.strip()
        group = next((g for g in self._source.loaded.plan.groups if g.name == label), None)
        priority = self._group_priority(group) if group else None
        if group is None or priority is None:
            return self._block(section, "", [])
        header = f"[{toml_text.key('group', self._groups[group.name])}]"
        said = [layout.Statement(f"priority = {priority}", ("priority",))]
        return self._block(section, header, said)

    def _group_of_program(self, group: Group) -> list[str]:
        """The table of a group that has no section of its own, if it needs one."""
        priority = self._group_priority(group)
        if priority is None or any(
            group.name == section.label.strip() for section in self._source.ini.of_kind("group")
        ):
            return []
        return [f"[{toml_text.key('group', self._groups[group.name])}]", f"priority = {priority}"]

    def _short(self, file: str) -> str:
        """A file as seen from the main one, if it is near."""
        short = os.path.relpath(file, Path(self._source.ini.path).parent)
        return file if short.startswith("..") else short


_GENERAL_SERVER = [
    "[server]",
    "supervisor_interfaces = true  # XML-RPC, and the protocol of event listeners",
]


def _holds(group: Group, section: Section) -> bool:
    """Whether processes of a group may come from this section."""
    label = section.label.strip()
    if section.kind == "eventlistener":
        return group.feed is not None and group.name == label
    if group.feed is not None:
        return False
    is_fcgi = section.kind == "fcgi-program"
    own = [spec for spec in group.processes if spec.program == label]
    if not own:
        return group.name == label and not group.processes
    return any((spec.socket is not None) == is_fcgi for spec in own)


def _has_nul(spec: ProcessSpec) -> bool:
    logs = (spec.stdout, spec.stderr)
    texts = [spec.command, spec.working_dir, *(log.path for log in logs if log is not None)]
    return any("\0" in text for text in (*texts, *sum(spec.environment, ())) if text)


def _has_auto(spec: ProcessSpec) -> bool:
    return spec.stdout.private or (spec.stderr is not None and spec.stderr.private)


def _unique(name: str, taken: set[str]) -> str:
    number, unique = 2, name
    while unique in taken:
        unique = f"{name}_{number}"
        number += 1
    return unique
