"""[group:x], and the group that every other program forms on its own."""

from collections.abc import Iterable

from opsvisor.compat.supervisor import values
from opsvisor.compat.supervisor.ini import Ini, Section
from opsvisor.compat.supervisor.options import Group as GroupOptions
from opsvisor.compat.supervisor.programs import Surroundings, read_program
from opsvisor.compat.supervisor.refused import Refused, did_you_mean
from opsvisor.compat.supervisor.sections import Findings, SectionReader
from opsvisor.core.plan import Group, Plan
from opsvisor.core.spec import ProcessSpec


def read_plan(ini: Ini, around: Surroundings) -> Plan:
    """All groups of a configuration. Programs that are members of groups have none of their own.

    A program may be a member of several groups and then runs in each of them.
    """
    programs = _by_name(ini.of_kind("program"), around.findings)
    strangers = {section.label for section in ini.of_kind("fcgi-program")}
    members: set[str] = set()
    groups = []
    for name, section in _by_name(ini.of_kind("group"), around.findings).items():
        reader = SectionReader(section, around.names, around.findings)
        wanted = _members(reader, programs, strangers)
        members.update(wanted)
        processes = [spec for p in wanted for spec in read_program(programs[p], name, around)]
        priority = reader.get(GroupOptions.PRIORITY)
        groups.append((section, _group(section, name, priority, processes, around.findings)))
    for name, section in programs.items():
        if name not in members:
            processes = read_program(section, name, around)
            priority = SectionReader(section, around.names, around.findings)
            own_priority = priority.get(GroupOptions.PRIORITY)
            groups.append((section, _group(section, name, own_priority, processes, around.findings)))
    return Plan.of(_first_of_each_name(groups, around.findings))
