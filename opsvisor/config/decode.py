"""A Document becomes typed options. Nothing stops at the first problem: all of them are noted."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from opsvisor.config import kinds
from opsvisor.config.document import Document, KeyPath
from opsvisor.config.kind import RefusedItems, quote, type_name
from opsvisor.config.option import Option, Section, options_of
from opsvisor.config.problems import Place, Problem
from opsvisor.config.schema import (
    NAMED,
    TABLES,
    FileOptions,
    GroupOptions,
    ProgramOptions,
)
from opsvisor.config.schema_daemon import DaemonOptions, ServerOptions
from opsvisor.config.schema_metrics import IdentityOptions, MetricsOptions
from opsvisor.config.units import Refused, did_you_mean
from opsvisor.core.struct import Struct, field, replace

T = TypeVar("T")
_FEW = 12  # options of a table, which can all be named


class Origin(Struct, frozen=True):
    """Where an option was written, and what that part of the file is called in messages."""

    place: Place
    section: str


class Declared(Struct, Generic[T], frozen=True, kw_only=True):
    """The options of one table, inherited ones included, and where each was written.

    An option in `broken` was refused and has its default here: what would follow from it says
    nothing, so no further problems should be drawn from it.
    """

    options: T
    section: str
    place: Place
    origins: Mapping[KeyPath, Origin]
    broken: frozenset[KeyPath] = frozenset()

    def origin(self, *path: str | int) -> Origin:
        """Where the option at `path` was written; the table itself if it wasn't."""
        return self.origins.get(path, Origin(self.place, self.section))

    def problem(self, path: KeyPath, why: Refused, *, typed: str = "") -> Problem:
        """What is wrong with the option at `path`; `typed` quotes its value."""
        origin = self.origin(*path)
        what = _sentence(origin.section, _dotted(path), why.says, typed=typed)
        return Problem(origin.place, what, why.hint)

    def absolute(self, option: KeyPath, path: str) -> str:
        """`path`, which `option` holds, from the directory of the file it was written in."""
        directory = Path(self.origin(*option).place.file).parent
        # Not resolve(): the path should stay the one that people know, symlinks and all.
        return os.path.abspath(directory / path)  # noqa: PTH100 - pathlib has no equivalent

    def is_sound(self, *names: str) -> bool:
        """Whether none of these options was refused."""
        return not any((name,) in self.broken for name in names)


class Decoded(Struct, frozen=True, kw_only=True):
    """All that the files say."""

    programs: Mapping[str, Declared[ProgramOptions]]
    groups: Mapping[str, Declared[GroupOptions]]
    server: Declared[ServerOptions]
    daemon: Declared[DaemonOptions]
    metrics: Declared[MetricsOptions]
    identities: Mapping[str, Declared[IdentityOptions]]


class _Draft(Struct, frozen=True, kw_only=True):
    """The options that were written in one table, before defaults are added.

    `table` is where the table is in the document, `inner` the way from there to a table inside
    it. Tables among the values stay dicts, so that a program's can be laid over the defaults'.
    `shared` marks [defaults], where nothing is required and not everything is allowed.
    """

    section: str
    table: KeyPath
    inner: KeyPath = ()
    shared: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    broken: set[KeyPath] = field(default_factory=set)

    def inside(self, name: str) -> "_Draft":
        """The draft of a table inside this one; it notes origins and refusals here."""
        return replace(self, inner=(*self.inner, name), values=self.values.setdefault(name, {}))


def decode(document: Document) -> tuple[Decoded, list[Problem]]:
    """Everything in `document`, and all that is wrong with it."""
    reader = _Reader(document)
    reader.check_top()
    defaults = reader.single("defaults", shared=True)
    programs = {
        name: reader.declare(ProgramOptions, _over(defaults, draft))
        for name, draft in reader.named("program").items()
    }
    groups = {
        name: reader.declare(GroupOptions, draft) for name, draft in reader.named("group").items()
    }
    server = reader.declare(ServerOptions, reader.single("server"))
    decoded = Decoded(
        programs=programs,
        groups=groups,
        server=server,
        daemon=reader.declare(DaemonOptions, reader.single("daemon")),
        metrics=reader.declare(MetricsOptions, reader.single("metrics")),
        identities={
            name: reader.declare(IdentityOptions, draft)
            for name, draft in reader.named("identity").items()
        },
    )
    return decoded, reader.problems


def include_patterns(document: Document) -> tuple[str, ...]:
    """The files that `document` wants included. A wrong value is left for `decode` to tell."""
    try:
        patterns: tuple[str, ...] = kinds.PATHS.read(document.values.get("include", []))
    except (Refused, RefusedItems):
        return ()
    return patterns


class _Reader:
    """Reads the tables of one document and notes every problem."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[Problem] = []

    def check_top(self) -> None:
        """Note what is wrong outside of all tables."""
        top = {key: value for key, value in self._document.values.items() if key not in TABLES}
        self._read(FileOptions, top, _Draft(section="", table=()))

    def single(self, table: str, *, shared: bool = False) -> _Draft:
        """A table that exists once; an empty draft if it isn't there."""
        draft = _Draft(section=table, table=(table,), shared=shared)
        self._read_table(TABLES[table], self._document.values.get(table, {}), draft)
        return draft

    def named(self, table: str) -> dict[str, _Draft]:
        """All [table.X], by X. What isn't a table is noted and left out."""
        entries = self._document.values.get(table, {})
        if not isinstance(entries, dict):
            self._refuse(_Draft(section=table, table=(table,)), (), _no_table(entries, table))
            return {}
        drafts = {}
        for name, value in entries.items():
            draft = _Draft(section=f"{table} '{name}'", table=(table, name))
            try:
                kinds.check_name(name)
            except Refused as why:
                self._refuse(draft, (), why)
            if isinstance(value, dict):
                self._read(TABLES[table], value, draft)
                drafts[name] = draft
            else:
                self._refuse(draft, (), _no_table(value, table))
        return drafts

    def declare(self, table: type[T], draft: _Draft) -> Declared[T]:
        """The options of `draft`, and the defaults of all others."""
        return Declared(
            options=_build(table, draft.values),
            section=draft.section,
            place=self._document.place(draft.table),
            origins=draft.origins,
            broken=frozenset(draft.broken),
        )

    def _read_table(self, table: type, value: Any, draft: _Draft, *, shorthand: str = "") -> None:
        if isinstance(value, dict):
            self._read(table, value, draft)
        else:
            wanted = "a string or a table" if shorthand else "a table"
            self._refuse(draft, (), _no_table(value, wanted=wanted))

    def _read(self, table: type, raw: Mapping[str, Any], draft: _Draft) -> None:
        """Read the options in `raw` into `draft`."""
        options = options_of(table)
        for name, value in raw.items():
            option = options.get(name)
            if option is None:
                self._unknown(draft, name, table)
            elif draft.shared and option.per_program:
                hint = "set it in each [program.…]"
                self._refuse(draft, (name,), Refused("can't be shared by all programs", hint))
            else:
                path = (*draft.inner, name)
                draft.origins[path] = Origin(self._place(draft, (name,)), draft.section)
                for key in value if isinstance(value, dict) else ():
                    place = self._place(draft, (name, key))
                    draft.origins[*path, key] = Origin(place, draft.section)
                self._read_option(option, value, draft)
        for name, option in options.items():
            if option.required and name not in raw and not draft.shared:
                why = Refused("is missing", f"for example {option.required.example}")
                self._refuse(draft, (name,), why)

    def _read_option(self, option: Option, value: Any, draft: _Draft) -> None:
        name, kind = option.name, option.kind
        if isinstance(kind, Section):
            by_shorthand = isinstance(value, str) and kind.shorthand
            table = {kind.shorthand: value} if by_shorthand else value
            self._read_table(kind.options, table, draft.inside(name), shorthand=kind.shorthand)
            return
        try:
            draft.values[name] = kind.read(value)
        except Refused as why:
            self._refuse(draft, (name,), why, typed="" if kind.secret else quote(value))
        except RefusedItems as error:
            for item in error.items:
                typed = "" if kind.secret else quote(item.value)
                self._refuse(draft, (name, item.key), item.why, typed=typed)

    def _unknown(self, draft: _Draft, name: str, table: type) -> None:
        is_table = table is FileOptions and isinstance(self._document.values[name], dict)
        noun = "table" if is_table else "option"
        what = f"unknown {noun} '{_dotted((*draft.inner, name))}'"
        if draft.section:
            what = f"{draft.section}: {what}"
        self.problems.append(Problem(self._place(draft, (name,)), what, _suggest(name, table)))

    def _refuse(self, draft: _Draft, path: KeyPath, why: Refused, *, typed: str = "") -> None:
        inner = (*draft.inner, *path)
        draft.broken.add(inner[:1])
        what = _sentence(draft.section, _dotted(inner), why.says, typed=typed)
        self.problems.append(Problem(self._place(draft, path), what, why.hint))

    def _place(self, draft: _Draft, path: KeyPath) -> Place:
        return self._document.place((*draft.table, *draft.inner, *path))


def _over(defaults: _Draft, own: _Draft) -> _Draft:
    """A program's own options laid over the defaults; tables are merged key by key."""
    inherited = {path for path in defaults.broken if path not in own.origins}
    return replace(
        own,
        values=_merged(defaults.values, own.values),
        origins=defaults.origins | own.origins,
        broken=own.broken | inherited,
    )


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


def _build(table: type, values: Mapping[str, Any]) -> Any:
    """The options object; what isn't among the values has its default."""
    options = options_of(table)
    given = {}
    for name, value in values.items():
        kind = options[name].kind
        given[name] = _build(kind.options, value) if isinstance(kind, Section) else value
    return table(**given)


def _no_table(value: Any, named: str = "", *, wanted: str = "a table") -> Refused:
    hint = f"each {named} has a name: [{named}.web]" if named else ""
    return Refused(f": expected {wanted}, got {type_name(value)}", hint)


def _suggest(name: str, table: type) -> str:
    """Where the unknown option `name` may have been meant to go."""
    own_names: dict[str, str] = {}
    for option in options_of(table).values():
        inner = options_of(option.kind.options) if isinstance(option.kind, Section) else {}
        own_names |= dict.fromkeys(option.doc.supervisor, option.name)
        own_names |= {
            s: f"{option.name}.{i.name}" for i in inner.values() for s in i.doc.supervisor
        }
    if name in own_names:
        return f"Supervisor's {name} is called {own_names[name]} here"
    homes = [f"[{key}.…]" if key in NAMED else f"[{key}]" for key in TABLES]
    fits = [
        home for home, key in zip(homes, TABLES, strict=True) if name in options_of(TABLES[key])
    ]
    known = [*options_of(table), *(TABLES if table is FileOptions else ())]
    near = did_you_mean(name, known)
    if fits and table in (FileOptions, *TABLES.values()):  # not of a table within one of these
        elsewhere = f"it belongs into {' or '.join(fits)}"
        is_part = any(name in one for one in known)
        return f"{elsewhere}; or {near}" if near and is_part else elsewhere
    few = list(options_of(table))
    return near or (f"there are {', '.join(few)}" if len(few) <= _FEW else "")


def _dotted(path: KeyPath) -> str:
    """`log.stdout` or `command[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _sentence(section: str, key: str, says: str, *, typed: str = "") -> str:
    """Section, option, what was typed, and what about it: each may be empty but the last."""
    subject = f"{key} = {typed}" if typed else key
    start = ": ".join(part for part in (section, subject) if part)
    return f"{start}{says}" if says.startswith(":") else f"{start} {says}".lstrip()
