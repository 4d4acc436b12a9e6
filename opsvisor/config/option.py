"""How an option is declared: a field whose annotation carries its kind and its explanation.

`Annotated[what the code sees, Kind or Section, Doc, …]`: the Kind says how TOML values become what
the code sees; the field's default is the option's default.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import NODEFAULT

from opsvisor.config.kind import Kind
from opsvisor.core.struct import Struct, fields


class Doc(Struct, frozen=True, kw_only=True):
    """What an option does, for the reference.

    `source` is the tool whose word for it was taken; `supervisor` are the options of
    supervisord.conf that say the same, which is also how a newcomer's slip is answered.
    """

    text: str
    source: str = ""
    supervisor: tuple[str, ...] = ()


class Section(Struct, frozen=True, kw_only=True):
    """A table inside a table. A plain string in its place sets the option `shorthand`."""

    options: type
    shorthand: str = ""


class Required(Struct, frozen=True):
    """Marks an option that can't be left out. Its default is only a stand-in."""

    example: str


class PerProgram(Struct, frozen=True):
    """Marks an option that belongs to one program and can't be set in [defaults]."""


class Option(Struct, frozen=True, kw_only=True):
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
    found = {}
    for entry in fields(table):
        kind, doc, *marks = entry.type.__metadata__
        factory = entry.default_factory
        default = entry.default if factory is NODEFAULT else factory()
        found[entry.name] = Option(
            name=entry.name,
            kind=kind,
            doc=doc,
            default=default,
            required=next((mark for mark in marks if isinstance(mark, Required)), None),
            per_program=any(isinstance(mark, PerProgram) for mark in marks),
        )
    return found
