"""How one table says a value for all processes of a program, or that it can't."""

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from opsvisor.compat.supervisor.config.expansions import Names
from opsvisor.compat.supervisor.config.ini import Entry, Section
from opsvisor.compat.supervisor.config.options import KNOWN_KEYS
from opsvisor.compat.supervisor.migrate.expressions import (
    Marked,
    escape_process,
    names_in,
    variable_at_front,
)
from opsvisor.compat.supervisor.migrate.leaves import PROGRAM, Leaves, Path
from opsvisor.compat.supervisor.migrate.source import Source
from opsvisor.config.template import fill
from opsvisor.config.units import Refused
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.struct import Struct, field

T = TypeVar("T")

# Names that are the same for everybody who reads the file: what is written out stays right.
CONSTANT = frozenset({"process_num", "program_name", "group_name"})


def written_entries(section: Section) -> Iterator[tuple[str, Entry]]:
    """The entries that mean something: what nobody knows is left out."""
    known = KNOWN_KEYS.get(section.kind)
    for key, entry in section.entries.items():
        if known is None or key in known:
            yield key, entry


def is_path(filled: str, wanted: str) -> bool:
    """Whether this is the absolute path that is wanted, before a reader has put it in order."""
    return filled.startswith("/") and os.path.abspath(filled) == wanted  # noqa: PTH100 - Path keeps `..`


class CannotSay(Exception):  # noqa: N818 - it says what happened
    """One table can't say what all these processes are: `option` differs in no regular way."""

    def __init__(self, option: str) -> None:
        self.option = option
        super().__init__(option)


class Wording(Struct):
    """A table as it is put together, and what its templates follow from.

    Whoever writes a kind of table derives from this, and says which options it has.

    `processes` are the names of the processes here, as soon as they are known. `carried` are the
    templates that names of the file become, `own_values` what its own `environment=` holds.
    `frozen` are the names, by the option of the section, that became today's values, and `trusted`
    variables that paths begin with, and that nobody knows to be absolute.
    """

    source: Source
    section: Section
    specs: Sequence[ProcessSpec]
    name: str
    groups: Mapping[str, str]
    leaves: Leaves = field(default_factory=dict)
    frozen: dict[str, frozenset[str]] = field(default_factory=dict)
    trusted: dict[str, str] = field(default_factory=dict)
    processes: dict[ProcessId, str] = field(default_factory=dict)
    carried: dict[str, str] = field(default_factory=dict)
    own_values: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> ProcessSpec:
        """The process that stands for all where they must be alike."""
        return self.specs[0]

    def put(self, path: Path, value: Any) -> None:
        """Write an option; nothing of it if it has no value."""
        text = PROGRAM.show(path, value)
        if text is not None:
            self.leaves[path] = text

    def same(self, path: Path, value_of: Callable[[ProcessSpec], Any]) -> None:
        """An option without templates: it must be the same for all."""
        self.put(path, self.alike(".".join(path), value_of))

    def alike(self, option: str, value_of: Callable[[ProcessSpec], T]) -> T:
        """What all processes have in common."""
        value = value_of(self.first)
        if any(value_of(spec) != value for spec in self.specs):
            raise CannotSay(option)
        return value

    def path(
        self,
        path: Path,
        key: str,
        value_of: Callable[[ProcessSpec], str | None],
        *,
        is_log: bool = False,
    ) -> None:
        """An absolute path; one that is relative begins where the daemon is started."""
        if not self.alike(key, lambda spec: bool(value_of(spec))):
            return
        marked = self.mark(key, doubled=is_log)
        written: list[str | None] = []
        if marked is not None:
            text = os.path.expanduser(marked.text) if is_log else marked.text  # noqa: PTH111 - as the reader
            written = [marked.process(self._absolute(text))]
            if marked.begins(text):  # which is absolute by itself, if its value is
                written.insert(0, marked.process(text))

        def wanted(spec: ProcessSpec) -> str:
            return self._absolute(value_of(spec) or "")

        template = self.choose(key, wanted, written, marked=marked, is_right=is_path)
        if (variable := variable_at_front(template)) in self.source.made_up:
            self.trusted[key] = variable
        self.put(path, template)

    def _absolute(self, text: str) -> str:
        return os.path.abspath(self.source.base / text)  # noqa: PTH100 - Path keeps `..`

    def choose(
        self,
        key: str,
        value_of: Callable[[ProcessSpec], str],
        candidates: Iterable[str | None],
        *,
        marked: Marked | None = None,
        with_process: bool = True,
        is_right: Callable[[str, str], bool] = operator.eq,
    ) -> str:
        """The first template that gives the right value for each process, or the value itself."""
        for template in candidates:
            if template is not None and all(
                filled is not None and is_right(filled, value_of(spec))
                for spec in self.specs
                for filled in [self.fill(template, spec, with_process=with_process)]
            ):
                self.frozen[key] = marked.frozen - CONSTANT if marked else frozenset()
                return template
        literal = value_of(self.first)
        if any(value_of(spec) != literal for spec in self.specs):
            raise CannotSay(key)
        self.frozen[key] = self.names_of(key)
        return escape_process(literal)

    def names_of(self, key: str) -> frozenset[str]:
        """The names in the text of an option whose values may be others tomorrow."""
        entry = self.section.entries.get(key)
        return frozenset(names_in(entry.value)) - CONSTANT if entry else frozenset()

    def mark(
        self, key: str, carried: Mapping[str, str] | None = None, *, doubled: bool = False
    ) -> Marked | None:
        """The text of an option with its names marked; of the paths of logs `%%%%` is one `%`."""
        entry = self.section.entries.get(key)
        if entry is None:
            return None
        names = self.names_of_first()
        known = self.carried if carried is None else carried
        return self.source.mark(entry, known, names, doubled=doubled)

    def names_of_first(self) -> Names:
        """What the names of the file stand for, for the first process."""
        spec = self.first
        return {
            "program_name": spec.program,
            "group_name": spec.id.group,
            "process_num": spec.replica,
            "numprocs": sum(other.id.group == spec.id.group for other in self.specs),
            **{f"ENV_{name}": value for name, value in self.own_values.items()},
        }

    def fill(self, template: str, spec: ProcessSpec, *, with_process: bool = True) -> str | None:
        """What a template gives for a process, None if it is none."""
        names: dict[str, str | int] = {
            "replica": spec.replica,
            "program": self.name,
            "group": self.groups[spec.id.group],
        }
        if with_process:
            names["process"] = self.processes[spec.id]
        try:
            return fill(template, names, self.source.environ)
        except Refused:
            return None
