"""The tables as the text of a file: in the order of the source, and with its comments."""

import os
from collections.abc import Sequence
from pathlib import Path

from opsvisor.compat.supervisor.config.ini import Section
from opsvisor.compat.supervisor.migrate import layout, toml_text
from opsvisor.compat.supervisor.migrate.daemon import DaemonTable
from opsvisor.compat.supervisor.migrate.findings import Findings
from opsvisor.compat.supervisor.migrate.leaves import PROGRAM, Leaves
from opsvisor.compat.supervisor.migrate.source import Source
from opsvisor.compat.supervisor.migrate.tables import Tables
from opsvisor.core.plan import Group

_GENERAL_SERVER = [
    "[server]",
    "supervisor_interfaces = true  # XML-RPC, and the protocol of event listeners",
]


def write_text(source: Source, tables: Tables, findings: Findings) -> str:
    """The whole file. The differences of `findings` stand in it, above what they are about."""
    return _Document(source, tables, findings).text()


class _Document:
    def __init__(self, source: Source, tables: Tables, findings: Findings) -> None:
        self._source = source
        self._tables = tables
        self._findings = findings

    def text(self) -> str:
        ini, tables = self._source.ini, self._tables
        defaults = layout.hoist([table.leaves for table in tables.of_programs() if table.ids])
        by_section = {table.section.name: table for table in tables.servers}
        own = {table.section.name: table for table in tables.own}
        has_general = has_defaults = False
        blocks = [self._banner()]
        file = ini.path
        for section in ini.sections.values():
            if section.name in tables.programs and not has_defaults:
                has_defaults = True
                blocks.append(self._defaults(defaults) if defaults else [])
            if section.where.file != file:
                file = section.where.file
                blocks.append([toml_text.comment(f"from {self._short(file)}")])
            if section.name == "supervisord":
                blocks.append(self._table(tables.daemon, "[daemon]"))
                if not tables.servers:
                    blocks.append(_GENERAL_SERVER)
            elif section.name in by_section:
                table = by_section[section.name]
                blocks.append(self._table(table, f"[{toml_text.key(*table.header)}]"))
                if not has_general:
                    blocks.append(_GENERAL_SERVER)
                    has_general = True
            elif section.name in own:
                table = own[section.name]
                blocks.append(self._table(table, f"[{toml_text.key(*table.header)}]"))
            elif section.name in tables.programs:
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
        for table in self._tables.programs[section.name]:
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
        priority = self._tables.group_priority(group) if group else None
        if group is None or priority is None:
            return self._block(section, "", [])
        header = f"[{toml_text.key('group', self._tables.groups[group.name])}]"
        said = [layout.Statement(f"priority = {priority}", ("priority",))]
        return self._block(section, header, said)

    def _group_of_program(self, group: Group) -> list[str]:
        """The table of a group that has no section of its own, if it needs one."""
        priority = self._tables.group_priority(group)
        if priority is None or any(
            group.name == section.label.strip() for section in self._source.ini.of_kind("group")
        ):
            return []
        return [
            f"[{toml_text.key('group', self._tables.groups[group.name])}]",
            f"priority = {priority}",
        ]

    def _short(self, file: str) -> str:
        """A file as seen from the main one, if it is near."""
        short = os.path.relpath(file, Path(self._source.ini.path).parent)
        return file if short.startswith("..") else short
