"""Which tables are written: for each program one, if one can say it; and the daemon's own."""

from collections.abc import Iterator, Mapping, Sequence

from opsvisor.compat.supervisor.config.ini import Section
from opsvisor.compat.supervisor.config.options import KNOWN_KEYS
from opsvisor.compat.supervisor.migrate import toml_text
from opsvisor.compat.supervisor.migrate.daemon import (
    DaemonTable,
    write_daemon,
    write_own,
    write_server,
)
from opsvisor.compat.supervisor.migrate.expressions import VARIABLE, names_in
from opsvisor.compat.supervisor.migrate.findings import Findings
from opsvisor.compat.supervisor.migrate.leaves import Leaves
from opsvisor.compat.supervisor.migrate.made_up import refusal
from opsvisor.compat.supervisor.migrate.programs import (
    ProgramTable,
    split,
    usable_name,
    write_table,
)
from opsvisor.compat.supervisor.migrate.source import Source
from opsvisor.compat.supervisor.migrate.wording import CONSTANT, CannotSay
from opsvisor.config.listening import is_too_long
from opsvisor.config.problems import ConfigError, Problem
from opsvisor.config.resolve import SHARED_GROUP_PRIORITY
from opsvisor.config.settings import UnixServer
from opsvisor.core.plan import EventFeed, Group
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.struct import Struct

_PROGRAM_KINDS = ("program", "eventlistener", "fcgi-program")
# What is still said of a program without processes.
_OF_NO_PROCESS = frozenset({"command", "numprocs", "priority", "events", "buffer_size"})


class Tables(Struct, frozen=True, kw_only=True):
    """All that is written. Programs are by the name of their section; `groups` are new names.

    `left_out` and `empty` are processes and groups that can't be written, which is told by now.
    """

    programs: Mapping[str, Sequence[ProgramTable]]
    groups: Mapping[str, str]
    daemon: DaemonTable
    servers: Sequence[DaemonTable]
    own: Sequence[DaemonTable]
    left_out: frozenset[ProcessId]
    empty: frozenset[str]

    def of_programs(self) -> Iterator[ProgramTable]:
        """The tables of all programs, in order."""
        for tables in self.programs.values():
            yield from tables

    def of_daemon(self) -> tuple[DaemonTable, ...]:
        """The tables about the daemon itself."""
        return (self.daemon, *self.servers, *self.own)

    @property
    def has_values(self) -> bool:
        """Whether values out of the environment were written."""
        tables: list[ProgramTable | DaemonTable] = [*self.of_programs(), *self.of_daemon()]
        frozen = (name for table in tables for names in table.frozen.values() for name in names)
        return any(name.startswith(VARIABLE) for name in frozen)

    def group_priority(self, group: Group) -> int | None:
        """The priority that has to be written: other than the one a group has by itself."""
        name = self.groups[group.name]
        members = [table for table in self.of_programs() if name in table.groups]
        if not members:
            return None
        own = members[0].priority if len(members) == 1 else SHARED_GROUP_PRIORITY
        return None if group.priority == own else group.priority


def write_tables(source: Source, findings: Findings) -> Tables:
    """The tables for this configuration. What can't be said goes to `findings`."""
    return _Writer(source, findings).write()


def refuse_made_up(source: Source, tables: Tables) -> None:
    """Raise ConfigError if anything is written that was made up."""
    tables_of_all: list[ProgramTable | DaemonTable]
    tables_of_all = [*tables.of_programs(), *tables.of_daemon()]
    written = [text for table in tables_of_all for text in table.leaves.values()]
    written += [table.name for table in tables.of_programs()]
    names = [
        n for n, value in source.made_up.items() if any(value in text for text in written if text)
    ]
    if not names:
        return
    frozen = [
        (key, table.section.entries[key], names)
        for table in tables_of_all
        for key, names in table.frozen.items()
        if key in table.section.entries
    ]
    problems: dict[Problem, None] = {}
    for name in names:
        direct = [(key, entry) for key, entry, held in frozen if f"ENV_{name}" in held]
        # It may have come by way of another variable, whose value it is part of.
        by_way = [
            (key, entry)
            for key, entry, held in frozen
            if any(one.startswith("ENV_") for one in held)
        ]
        problems |= {refusal(key, entry, [name]): None for key, entry in direct or by_way}
    assert problems, "what is written out has a name that was frozen"
    raise ConfigError(tuple(problems))


class _Writer:
    """Goes through the sections, and gives each program a name and a table."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self._programs: dict[str, list[ProgramTable]] = {}
        self._taken: set[str] = set()
        self._sockets: dict[str, str] = {}  # who listens where, by address
        self._left_out: set[ProcessId] = set()
        self._groups: dict[str, str] = {}
        for group in source.loaded.plan.groups:
            name = _unique(usable_name(group.name), set(self._groups.values()))
            self._groups[group.name] = name

    def write(self) -> Tables:
        seen: set[tuple[str, str]] = set()
        for section in self._source.ini.sections.values():
            name = (section.kind, section.label.strip())
            # Of sections that are called the same but for blanks the first counts.
            if section.kind in _PROGRAM_KINDS and ":" in section.name and name not in seen:
                self._programs[section.name] = self._write_program(section)
                seen.add(name)
        empty = self._find_empty_groups()
        return Tables(
            programs=self._programs,
            groups=self._groups,
            daemon=write_daemon(self._source, self._findings),
            servers=self._write_servers(),
            own=tuple(write_own(self._source)),
            left_out=frozenset(self._left_out),
            empty=frozenset(empty),
        )

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
        # Of no process nobody has read it, so nobody has asked for its variables yet.
        unread = {
            name: f"${{{name[4:]}}}"
            for name in names_in(command.value)
            if name.startswith("ENV_") and name not in self._source.names
        }
        names = {**unread, "program_name": label, "group_name": label}
        marked = self._source.mark(command, {**self._source.carried, **unread}, names)
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
        rest = sorted(section.own.keys() & KNOWN_KEYS[section.kind] - _OF_NO_PROCESS)
        if rest:
            what = f"[{section.name}] has no processes, and no use for {', '.join(rest)}: left out"
            self._differ(section, what)
        return [
            ProgramTable(
                name=name,
                section=section,
                groups=(self._groups[own.name],),
                priority=own.priority,
                leaves=leaves,
                ids={},
                frozen={"command": marked.frozen - CONSTANT} if marked else {},
            )
        ]

    def _name(self, wanted: str) -> str:
        name = _unique(usable_name(wanted), self._taken)
        self._taken.add(name)
        return name

    def _find_empty_groups(self) -> Iterator[str]:
        """Tell of groups without programs, which are no groups here."""
        used = {
            group for tables in self._programs.values() for one in tables for group in one.groups
        }
        kinds = ("group", *_PROGRAM_KINDS)
        for group in self._source.loaded.plan.groups:
            if self._groups[group.name] not in used:
                section = next(
                    section
                    for section in self._source.ini.sections.values()
                    if section.kind in kinds and section.label.strip() == group.name
                )
                what = f"group {group.name} has no program that could run: left out"
                self._differ(section, what)
                yield group.name

    def _write_servers(self) -> list[DaemonTable]:
        source = self._source
        servers: list[DaemonTable] = []
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
                servers.append(write_server(source, server))
        if not servers:
            what = "no server is configured, but an opsvisord always has a socket for its user"
            self._differ(source.ini.sections["supervisord"], what)
        return servers

    def _differ(self, section: Section, what: str, hint: str = "") -> None:
        self._findings.differ(section.name, section.where, what, hint)


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


def _unique(name: str, taken: set[str]) -> str:
    number, unique = 2, name
    while unique in taken:
        unique = f"{name}_{number}"
        number += 1
    return unique
