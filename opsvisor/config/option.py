"""How an option is declared: a field whose annotation carries its kind and its explanation.

`Annotated[what the code sees, Kind or Section, Doc, …]`: the Kind says how TOML values become what
the code sees; the field's default is the option's default.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, get_type_hints

from opsvisor.config.kind import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Doc:
    """What an option does, for the reference.

    `source` is the tool whose word for it was taken; `supervisor` are the options of
    supervisord.conf that say the same, which is also how a newcomer's slip is answered.
    """

    text: str
    source: str = ""
    supervisor: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table inside a table. A plain string in its place sets the option `shorthand`."""

    options: type
    shorthand: str = ""


@dataclass(frozen=True, slots=True)
class Required:
    """Marks an option that can't be left out. Its default is only a stand-in."""

    example: str


@dataclass(frozen=True, slots=True)
class PerProgram:
    """Marks an option that belongs to one program and can't be set in [defaults]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option as the rest of the package looks it up."""

    name: str
    kind: Kind | Section
    doc: Doc
    default: Any
    required: Required | None
    per_program: bool


@cache
def options_of(table: type) -> Mapping[str, Option]:
    """The options of one of schema's classes, by name, in the order of the reference."""
    hints = get_type_hints(table, include_extras=True)
    found = {}
    for entry in fields(table):
        kind, doc, *marks = hints[entry.name].__metadata__
        factory = entry.default_factory
        default = entry.default if factory is MISSING else factory()
        found[entry.name] = Option(
            name=entry.name,
            kind=kind,
            doc=doc,
            default=default,
            required=next((mark for mark in marks if isinstance(mark, Required)), None),
            per_program=any(isinstance(mark, PerProgram) for mark in marks),
        )
    return found
