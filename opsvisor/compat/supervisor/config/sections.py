"""From the texts of a section to values, noting every problem instead of stopping at the first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, cast

from opsvisor.compat.supervisor.config.departure import Departure
from opsvisor.compat.supervisor.config.environment import Variables
from opsvisor.compat.supervisor.config.expansions import Names, expand, expand_log_path
from opsvisor.compat.supervisor.config.ini import Section
from opsvisor.compat.supervisor.config.options import Option
from opsvisor.compat.supervisor.config.refused import NotThere, Refused
from opsvisor.compat.supervisor.config.values import Kind
from opsvisor.config.problems import ConfigError, Place, Problem

T = TypeVar("T")

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Findings:
    """What is wrong, and what is only odd. The same finding twice is one finding.

    `made_up` are values that stand for others which nobody knows: no folder is missed that has
    one of them in its path.
    """

    def __init__(self, warnings: Sequence[Problem] = (), *, made_up: Sequence[str] = ()) -> None:
        self.made_up = made_up
        self._problems: dict[Problem, None] = {}
        self._warnings: dict[Problem, None] = dict.fromkeys(warnings)

    @property
    def problem_count(self) -> int:
        """How many problems there are by now."""
        return len(self._problems)

    def reject(self, where: Place, what: str, hint: str = "") -> None:
        """Note a problem: the configuration can't be used."""
        self._problems[Problem(where, what, hint)] = None

    def warn(self, where: Place, what: str, hint: str = "") -> None:
        """Note a warning: it can be used, but somebody should know."""
        self._warnings[Problem(where, what, hint)] = None

    def depart(self, where: Place, what: str, hint: str = "") -> None:
        """Note a warning of what Supervisor does otherwise."""
        self._warnings[Departure(where, what, hint)] = None

    def warnings(self, files: Sequence[str]) -> tuple[Problem, ...]:
        """All warnings, in the order of these files and their lines."""
        return _in_order(self._warnings, files)

    def raise_problems(self, files: Sequence[str]) -> None:
        """Raise ConfigError with all problems, in the order of these files and their lines."""
        if self._problems:
            raise ConfigError(_in_order(self._problems, files), self.warnings(files))


def _in_order(found: Mapping[Problem, None], files: Sequence[str]) -> tuple[Problem, ...]:
    rank = {file: number for number, file in enumerate(files)}
    return tuple(sorted(found, key=lambda p: (rank.get(p.where.file, -1), p.where.line)))


class SectionReader:
    """Reads the options of one section by their declared types.

    `names` are what its values may be expanded with; `%(here)s` always means the folder of the
    file that the value stands in. `suffix` is added to every refusal: Supervisor names the section
    in the errors of programs, and only there. A value that is refused is noted and read as the
    option's default, so that the rest of the section can be looked at too. `start` is the folder
    in which relative paths begin: never the current one, which the daemon changes on its way.
    `given` are values of options that count instead of what the section says, which is looked at
    all the same.
    """

    def __init__(
        self,
        section: Section,
        names: Names,
        findings: Findings,
        *,
        start: Path,
        suffix: str = "",
        given: Mapping[str, Any] = _NOTHING,
    ) -> None:
        self.section = section
        self._names = names
        self._findings = findings
        self._start = start
        self._suffix = suffix
        self._given = given

    def with_names(self, names: Names) -> "SectionReader":
        """The same reader with more names to expand."""
        merged = {**self._names, **names}
        return SectionReader(
            self.section, merged, self._findings, start=self._start, suffix=self._suffix
        )

    def has(self, option: Option[object]) -> bool:
        """Whether the option is written down, with whatever value."""
        return option.name in self.section.entries

    def place(self, option: Option[object]) -> Place:
        """Where the option stands, or the section if it doesn't."""
        entry = self.section.entries.get(option.name)
        return entry.where if entry else self.section.where

    def get(self, option: Option[T]) -> T:
        """The option's value, all names expanded."""
        value = self._read(option, expand)
        return cast("T", self._given[option.name]) if option.name in self._given else value

    def get_log_path(self, option: Option[T]) -> T:
        """The value of an option that Supervisor expands twice."""
        return self._read(option, expand_log_path)

    def get_unexpanded(self, option: Option[T]) -> T:
        """The value as it is written: Supervisor checks names before it expands them."""
        return self._read(option, _leave)

    def expand(self, text: str, option: Option[str]) -> str:
        """A text that `get_unexpanded` gave, with all names expanded."""
        entry = self.section.entries.get(option.name)
        here = {"here": entry.here} if entry else {}
        of = f"{self.section.name}.{option.name}"
        try:
            return expand(text, {**self._names, **here}, of=of, secret=option.secret)
        except Refused as why:
            self.reject(option, why.what, why.hint)
            return text

    def reject(self, option: Option[object], what: str, hint: str = "") -> None:
        """Note a problem with an option, or with what it says beside others."""
        self._findings.reject(self.place(option), what + self._suffix, hint)

    def warn(self, option: Option[object], what: str, hint: str = "") -> None:
        """Note something odd about an option."""
        self._findings.warn(self.place(option), what, hint)

    def tell_doubts(self, option: Option[Variables], variables: Variables) -> None:
        """Note where the variables of this section were likely misread."""
        tell = self._findings.depart if variables.differs else self._findings.warn
        for doubt in variables.doubts:
            tell(self.place(option), f"environment of [{self.section.name}]: {doubt}")

    def _read(self, option: Option[T], expander: "_Expander") -> T:
        entry = self.section.entries.get(option.name)
        if entry is None:
            return option.default
        try:
            # Only a value with a percent sign pays for the table of names.
            names = {**self._names, "here": entry.here} if "%" in entry.value else {}
            of = f"{self.section.name}.{option.name}"
            text = expander(entry.value, names, of=of, secret=option.secret)
            return self._read_kind(option.kind, text)
        except Refused as why:
            self.reject(option, why.what, why.hint or f"{option.name} takes {option.kind.takes}")
            return option.default

    def _read_kind(self, kind: Kind[T], text: str) -> T:
        try:
            return kind.read(text, self._start)
        except NotThere as why:
            if any(value in text for value in self._findings.made_up):
                return cast("T", why.value)
            raise


class _Expander(Protocol):
    def __call__(self, text: str, names: Names, *, of: str, secret: bool) -> str: ...


def _leave(text: str, names: Names, *, of: str, secret: bool) -> str:  # noqa: ARG001 - as expand
    return text
