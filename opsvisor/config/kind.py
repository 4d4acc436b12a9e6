"""What a kind of value is, and how the readers of all kinds look at what was written."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import Any

from opsvisor.config.units import Refused
from opsvisor.core.struct import Struct

_TYPE_NAMES: Mapping[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    list: "an array",
    dict: "a table",
    datetime: "a date",
    date: "a date",
    time: "a time",
}
LONG = 64  # bits: what TOML promises for integers, though tomli reads longer ones
_MOST_BITS = 4096  # that are shown as digits


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of value. `name` is what the reference calls it.

    A `secret` is never quoted in a message. `show` writes a value as TOML would have it.
    """

    name: str
    read: Callable[[Any], Any]
    show: Callable[[Any], str]
    secret: bool = False


class RefusedItem(Struct, frozen=True, kw_only=True):
    """One part of a collection that was refused: its key or position, its value, and why."""

    key: str | int
    value: Any
    why: Refused


class RefusedItems(ValueError):  # noqa: N818 - like Refused, it reads as what happened
    """Some parts of an array or table can't be used."""

    def __init__(self, items: list[RefusedItem]) -> None:
        self.items = tuple(items)
        super().__init__(", ".join(str(item.key) for item in items))


def type_name(value: Any) -> str:
    """What TOML calls the type of `value`, with its article."""
    return _TYPE_NAMES[type(value)]


def quote(value: Any) -> str:
    """`value` nearly as it was typed, on one line and not too long."""
    match value:
        case bool():
            text = str(value).lower()
        case list():
            text = f"[{', '.join(map(quote, value))}]"
        case dict():
            text = f"{{{', '.join(f'{key} = {quote(item)}' for key, item in value.items())}}}"
        case str():
            text = repr(value)
        case int() if value.bit_length() > _MOST_BITS:
            text = hex(value)  # str() refuses what has more than 4300 digits
        case _:
            text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - fits a terminal line


def expect(wanted: str, value: Any, hint: str = "") -> Refused:
    """What to raise for a value of the wrong type."""
    return Refused(f": expected {wanted}, got {type_name(value)}", hint)


def as_text(value: Any) -> str:
    """A string, perhaps an empty one. Raises Refused."""
    if not isinstance(value, str):
        raise expect("a string", value)
    if "\0" in value:
        raise Refused("holds a NUL character, which ends every string in the kernel's eyes")
    return value


def as_filled_text(value: Any) -> str:
    """A string that says something. Raises Refused."""
    if not as_text(value):
        raise Refused("is empty")
    return str(value)


def read_each(items: Mapping[Any, Any], read: Callable[[Any, Any], Any]) -> dict[Any, Any]:
    """Every item, read by its key and value; all refusals together."""
    done, refused = {}, []
    for key, item in items.items():
        try:
            done[key] = read(key, item)
        except Refused as why:
            refused.append(RefusedItem(key=key, value=item, why=why))
    if refused:
        raise RefusedItems(refused)
    return done


def as_array(value: Any, read: Callable[[Any], Any], wanted: str) -> list[Any]:
    """An array, each item by `read`. Raises Refused if it is none, or RefusedItems."""
    if not isinstance(value, list):
        raise expect(wanted, value)
    return list(read_each(dict(enumerate(value)), lambda _, item: read(item)).values())


def as_table(value: Any, read: Callable[[str, Any], Any], wanted: str) -> dict[str, Any]:
    """A table, each item by `read`. Raises Refused if it is none, or RefusedItems."""
    if not isinstance(value, dict):
        raise expect(wanted, value)
    return read_each(value, read)


def show_array(items: Any) -> str:
    """As TOML has it, on one line."""
    shown = (show_text(item) if isinstance(item, str) else str(item) for item in items)
    return f"[{', '.join(shown)}]"


def show_text(text: str) -> str:
    """As TOML has it."""
    return f'"{text}"'


def show_table(table: Mapping[str, Any]) -> str:
    """As TOML has it, on one line."""
    return f"{{{', '.join(f'{name} = {quote(value)}' for name, value in table.items())}}}"
