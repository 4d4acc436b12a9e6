"""[group:x], and the group that every other program forms on its own."""

from opsvisor.compat.supervisor.config.fcgi import read_fcgi_program, warn_of_shared_sockets
from opsvisor.compat.supervisor.config.ini import Ini, Section
from opsvisor.compat.supervisor.config.listeners import read_feed, read_listener
from opsvisor.compat.supervisor.config.options import EventListener, Program
from opsvisor.compat.supervisor.config.options import Group as GroupOptions
from opsvisor.compat.supervisor.config.programs import Surroundings, read_program
from opsvisor.compat.supervisor.config.refused import Refused
from opsvisor.compat.supervisor.config.sections import Findings, SectionReader
from opsvisor.compat.supervisor.config.values import name as valid_name
from opsvisor.config.conflicts import EVERY_PROCESS, NAMED_LIKE_ALL
from opsvisor.config.origins import Origin
from opsvisor.config.problems import ConfigError, Problem
from opsvisor.config.units import did_you_mean
from opsvisor.core.plan import Group, Plan
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.struct import replace

_PROCESSES_MAX = 50_000  # of all programs: each costs a kilobyte before it runs


def read_plan(ini: Ini, around: Surroundings) -> Plan:
    """All groups of a configuration. Programs that are members of groups have none of their own.

    A program may be a member of several groups and then runs in each of them.
    """
    plain = _by_name(ini.of_kind("program"), around.findings)
    fcgi = _by_name(ini.of_kind("fcgi-program"), around.findings)
    listeners = _by_name(ini.of_kind("eventlistener"), around.findings)
    ambiguous = frozenset(plain) & frozenset(fcgi)
    programs = {**plain, **fcgi}
    count = _Count()
    sections: list[Section] = []
    groups: list[Group] = []
    members: set[str] = set()
    for name, section in _by_name(ini.of_kind("group"), around.findings).items():
        reader = SectionReader(section, around.names, around.findings, start=around.start)
        wanted = _members(reader, programs, ambiguous, listeners)
        members.update(wanted)
        for program in wanted:
            place = reader.place(GroupOptions.PROGRAMS)
            around.origins.note_program(name, program, {"group": Origin(place)})
        processes = [
            spec
            for p in wanted
            for spec in count.taken(_processes(programs[p], name, around, as_member=True), reader)
        ]
        sections.append(section)
        groups.append(_group(reader, name, reader.get(GroupOptions.PRIORITY), processes))
    for name, section in (*plain.items(), *fcgi.items()):
        if name in members:
            continue
        reader = SectionReader(section, around.names, around.findings, start=around.start)
        processes = count.taken(_processes(section, name, around), reader)
        sections.append(section)
        groups.append(_group(reader, name, reader.get(Program.PRIORITY), processes))
    for name, section in listeners.items():
        reader = SectionReader(section, around.names, around.findings, start=around.start)
        feed = read_feed(reader)
        processes = count.taken(read_listener(section, name, around), reader)
        pool = _group(reader, name, reader.get(EventListener.PRIORITY), processes)
        sections.append(section)
        groups.append(replace(pool, feed=feed))
    _warn_of_names(groups, sections, around.findings)
    plan = Plan.of(_one_of_each_name(groups, sections, around.findings))
    warn_of_shared_sockets(plan, fcgi, around.findings)
    return plan


class _Count:
    """How many processes there are so far."""

    def __init__(self) -> None:
        self._total = 0

    def taken(self, processes: list[ProcessSpec], reader: SectionReader) -> list[ProcessSpec]:
        """These processes; ConfigError if they are too many, before more of them are made."""
        self._total += len(processes)
        if self._total > _PROCESSES_MAX:
            what = f"there are more than {_PROCESSES_MAX} processes up to [{reader.section.name}]"
            hint = "look at numprocs, and at what the groups have in common"
            raise ConfigError([Problem(reader.section.where, what, hint)])
        return processes


def _processes(
    section: Section, group: str, around: Surroundings, *, as_member: bool = False
) -> list[ProcessSpec]:
    """The processes of a program, of whichever kind."""
    is_fcgi = section.kind == "fcgi-program"
    read = read_fcgi_program if is_fcgi else read_program
    return read(section, group, around, as_member=as_member)


def _by_name(sections: list[Section], findings: Findings) -> dict[str, Section]:
    """Sections of one kind by what stands behind the colon; the first of a name counts."""
    found: dict[str, Section] = {}
    for section in sections:
        try:
            name = valid_name(section.label)
        except Refused as why:
            findings.reject(section.where, why.what, why.hint)
            continue
        if name in found:
            what = f"[{section.name}] is left out: [{found[name].name}] is called the same"
            findings.warn(section.where, what)
        found.setdefault(name, section)
    return found


def _members(
    reader: SectionReader,
    programs: dict[str, Section],
    ambiguous: frozenset[str],
    listeners: dict[str, Section],
) -> list[str]:
    """The programs of a group, in the order they are written."""
    group = reader.section.name
    wanted = []
    for name in reader.get(GroupOptions.PROGRAMS):
        if name in ambiguous:
            what = f"[{group}] name {name} is ambiguous (exists as program and fcgi-program)"
            reader.reject(GroupOptions.PROGRAMS, what, "rename one of the two")
        elif name in programs:
            wanted.append(name)
        else:
            what = f"[{group}] names unknown program or fcgi-program {name}"
            hint = did_you_mean(name, programs) or f"add a section [program:{name}]"
            if name in listeners:
                hint = "an event listener is a group of its own, leave it out here"
            reader.reject(GroupOptions.PROGRAMS, what, hint)
    return wanted


def _group(reader: SectionReader, name: str, priority: int, processes: list[ProcessSpec]) -> Group:
    """A group; of processes with the same name the last one counts, as with Supervisor."""
    by_id: dict[ProcessId, ProcessSpec] = {}
    for spec in processes:
        earlier = by_id.get(spec.id)
        if earlier is not None:
            what = f"[{reader.section.name}] has two processes called '{spec.id.name}'"
            hint = f"only that of program {spec.program} is run; give them different process_names"
            reader.warn(GroupOptions.PROGRAMS, what, hint)
        by_id[spec.id] = spec
    return Group(name=name, priority=priority, processes=tuple(by_id.values()))


def _warn_of_names(groups: list[Group], sections: list[Section], findings: Findings) -> None:
    """Note groups, and programs that are one, which supervisorctl can't address by their name."""
    for group, section in zip(groups, sections, strict=True):
        if group.name == EVERY_PROCESS:
            what = f"[{section.name}] {NAMED_LIKE_ALL.says}"
            hint = f"rename it: `supervisorctl stop {EVERY_PROCESS}` stops everything"
            findings.warn(section.where, what, hint)


def _one_of_each_name(
    groups: list[Group], sections: list[Section], findings: Findings
) -> list[Group]:
    """Of groups with the same name Supervisor runs the one that comes first by its priority."""
    chosen: dict[str, Group] = {}
    for group, section in sorted(zip(groups, sections, strict=True), key=lambda g: g[0].priority):
        if group.name in chosen:
            what = f"[{section.name}] is left out: another group is called '{group.name}' too"
            findings.warn(section.where, what, "rename one of the two")
        else:
            chosen[group.name] = group
    return list(chosen.values())
