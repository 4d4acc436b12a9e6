"""A parsed file: nested values, and the line each of them was written on."""

from collections.abc import Mapping, Sequence
from typing import Any

from opsvisor.config.problems import Place, Problem
from opsvisor.core.struct import Struct

# Names of tables, and positions in arrays, from the outside in.
KeyPath = tuple[str | int, ...]

# What a file that is included may define; everything else has one home, the main file.
SHARED_TABLES = ("program", "group")


class Document(Struct, frozen=True, kw_only=True):
    """The values of one file, or of several that were merged. `files` are in reading order."""

    files: tuple[str, ...]
    values: Mapping[str, Any]
    places: Mapping[KeyPath, Place]

    def place(self, path: KeyPath) -> Place:
        """Where `path` was written, or else the nearest table around it."""
        for length in range(len(path), 0, -1):
            found = self.places.get(path[:length])
            if found is not None:
                return found
        return Place(self.files[0])


def merge(main: Document, included: Sequence[Document]) -> tuple[Document, list[Problem]]:
    """`main` with the programs and groups of the included files; neither may be defined twice."""
    values = dict(main.values)
    for table in SHARED_TABLES:
        if isinstance(values.get(table), dict):
            values[table] = dict(values[table])
    places = dict(main.places)
    problems = []
    for document in included:
        for table, entries in document.values.items():
            where = document.place((table,))
            if table not in SHARED_TABLES:
                problems.append(_not_shared(where, table))
            elif not isinstance(entries, dict) or not isinstance(values.get(table, {}), dict):
                problems.append(Problem(where, f"{table} is not a table"))
            else:
                taken = values.setdefault(table, {})
                problems += _take_over(table, entries, taken, document=document, places=places)
    files = tuple(name for document in (main, *included) for name in document.files)
    return Document(files=files, values=values, places=places), problems


def _take_over(
    table: str,
    entries: Mapping[str, Any],
    taken: dict[str, Any],
    *,
    document: Document,
    places: dict[KeyPath, Place],
) -> list[Problem]:
    """Add `entries` and their places to what is already there."""
    problems = []
    fresh = entries.keys() - taken.keys()
    for name in entries:
        if name in fresh:
            taken[name] = entries[name]
        else:
            what = f"{table} '{name}' is already defined at {places[table, name]}"
            hint = "give it another name, or remove one of the two"
            problems.append(Problem(document.place((table, name)), what, hint))
    for path, place in document.places.items():
        if path[0] == table and (len(path) == 1 or path[1] in fresh):
            places.setdefault(path, place)
    return problems


def _not_shared(where: Place, name: str) -> Problem:
    if name == "include":
        return Problem(
            where, "an included file can't include others", "list them in the main file"
        )
    what = f"an included file can't hold '{name}'"
    return Problem(where, what, "only [program.…] and [group.…]; move this to the main file")
