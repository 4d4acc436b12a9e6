"""Values of the core's types as JSON, and back: what the memory and a hand-over are made of.

A value is written as its annotation says, so a type is described in one place, where it is made.

* a struct or named tuple: an object with all its fields, by `in_json` without those of an
  `omit_defaults` struct that are as usual. In reading, fields that are unknown
  are passed over and missing ones have their default: so what an older or a newer version wrote
  can be read as long as a field keeps its meaning. `in_json` makes an array of a named tuple, in
  which a field keeps its place as well.
* a union of several of those: the same with the name of the class under `"is"`.
* an enum: its value. A tuple, list or set: an array. A mapping: an object if its keys are texts or
  enums of texts, else an array of pairs. Bytes: base64.

What has to be written for 1,000 programs, or at each of their changes, is written often: how that
is done is found out once for each type. Most of it is written by msgspec, straight from objects
(`in_json`): that takes a quarter of what dicts of it and the standard library's encoder do.
"""

import base64
import binascii
import functools
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, NamedTuple, NewType, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from opsvisor.core.struct import Variant
from opsvisor.runtime.memory import records

__all__ = ["Undecodable", "decode", "encode", "in_json"]

_TAG = "is"

_Encode = Callable[[Any], Any]
_Decode = Callable[[Any], Any]


class Undecodable(ValueError):  # noqa: N818 - what is wrong, not that there is an error
    """What was read is no value of the type that was asked for; says where and why."""


class _Way(NamedTuple):
    """How values of one type are written and read. `encode` None: as they are.

    `prepare` makes of a value what msgspec writes as `encode` describes it, but for named tuples,
    None: as it is.
    """

    encode: _Encode | None
    decode: _Decode
    prepare: _Encode | None


def encode(kind: Any, value: Any) -> Any:
    """The value, which is of this type, as something that `json.dumps` takes."""
    way = _way(kind)
    return value if way.encode is None else way.encode(value)


def in_json(kind: Any, value: Any) -> bytes:
    """The value, which is of this type, as `encode` describes it, in ASCII and in one line.

    Without fields that are as usual, where a struct has `omit_defaults`, and with named tuples as
    arrays.

    All its numbers are finite, as those of clocks and of configurations are.
    """
    prepare = _way(kind).prepare
    text = records.simple_in_json(value if prepare is None else prepare(value))
    return text or records.in_json(encode(kind, value))


def decode(kind: Any, text: Any) -> Any:
    """The value of this type that was written so. Raises Undecodable."""
    way = _way(kind)
    try:
        return way.decode(text)
    except Undecodable:
        raise
    except (ArithmeticError, TypeError, ValueError) as error:
        # What only Python can't make of it: a float of a number with 400 digits, a set of objects.
        raise Undecodable(f"{_shown(text)} can't be a {kind.__name__}: {error}") from error


@functools.cache
def _way(kind: Any) -> _Way:
    if isinstance(kind, NewType):
        return _way(kind.__supertype__)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union(get_args(kind))
    if origin is not None:
        return _container(origin, get_args(kind))
    if kind in _PLAIN:
        return _Way(None, functools.partial(_plain, *_PLAIN[kind]), None)
    if kind is bytes:
        return _Way(lambda value: base64.b64encode(value).decode(), _bytes, None)
    if kind is type(None):
        return _Way(None, _none, None)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _Way(lambda value: value.value, functools.partial(_enum, kind), None)
    if _is_struct(kind) or hasattr(kind, "_field_defaults"):
        return _record(kind)
    raise TypeError(f"there is no way to write a {kind}")


# What is accepted in reading. `bool` is an `int` to Python, but not to us.
_PLAIN: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (float, int)),
    str: ("a text", (str,)),
}


def _plain(name: str, accepted: tuple[type, ...], text: Any) -> Any:
    if type(text) not in accepted:
        raise Undecodable(f"{_shown(text)} is not {name}")
    return float(text) if accepted[0] is float else text


def _none(text: Any) -> None:
    if text is not None:
        raise Undecodable(f"{_shown(text)} is not null")


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Undecodable(f"{_shown(text)} is not base64") from None


def _enum(kind: type[Enum], text: Any) -> Enum:
    try:
        return kind(text)
    except (TypeError, ValueError):
        raise Undecodable(f"{_shown(text)} is no {kind.__name__}") from None


# -- structs and named tuples --------------------------------------------------------------------


class _Field(NamedTuple):
    name: str
    way: _Way
    default: Callable[[], Any] | None  # None: it has to be there


def _record(kind: Any) -> _Way:
    fields = _fields_of(kind)
    encode_record = _as_dict(kind, [(field.name, field.way.encode) for field in fields])

    def decode_record(text: Any) -> Any:
        if isinstance(text, list) and not _is_struct(kind):
            text = dict(zip([field.name for field in fields], text, strict=False))
        if not isinstance(text, dict):
            raise Undecodable(f"{_shown(text)} is no {kind.__name__}")
        return kind(**{field.name: _field(field, text) for field in fields})

    return _Way(encode_record, decode_record, _prepared(kind, fields))


def _as_dict(kind: Any, fields: Sequence[tuple[str, _Encode | None]]) -> _Encode:
    """What makes a dict of a record, with what is to be done to each field."""
    of_all: _Encode = msgspec.structs.asdict if _is_struct(kind) else kind._asdict
    steps = [(name, step) for name, step in fields if step is not None]

    def as_dict(value: Any) -> dict[str, Any]:
        made: dict[str, Any] = of_all(value)
        for name, step in steps:
            made[name] = step(made[name])
        return made

    return as_dict if steps else of_all


def _prepared(kind: Any, fields: Iterable[_Field]) -> _Encode | None:
    """What prepares a record: it stays as it is, unless one of its fields does not."""
    steps = [(field.name, field.way.prepare) for field in fields if field.way.prepare is not None]
    as_dict = _as_dict(kind, ())

    def prepare_some(value: Any) -> Any:
        others: dict[str, Any] = {}
        for name, step in steps:
            there = getattr(value, name)
            if there is not None and (other := step(there)) is not there:
                others[name] = other
        return {**as_dict(value), **others} if others else value

    return prepare_some if steps else None


def _field(field: _Field, text: Mapping[str, Any]) -> Any:
    if field.name in text:
        try:
            return field.way.decode(text[field.name])
        except Undecodable as error:
            raise Undecodable(f"{field.name}: {error}") from None
    if field.default is None:
        raise Undecodable(f"{field.name} is missing")
    return field.default()


def _fields_of(kind: Any) -> tuple[_Field, ...]:
    hints = get_type_hints(kind)
    if not _is_struct(kind):
        defaults: dict[str, Any] = kind._field_defaults
        return tuple(
            _Field(name, _way(hints[name]), _giving(defaults[name]) if name in defaults else None)
            for name in kind._fields
        )
    return tuple(
        _Field(field.name, _way(hints[field.name]), _default_of(field))
        for field in msgspec.structs.fields(kind)
    )


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _default_of(field: msgspec.structs.FieldInfo) -> Callable[[], Any] | None:
    if field.default_factory is not msgspec.NODEFAULT:
        return cast("Callable[[], Any]", field.default_factory)
    return None if field.default is msgspec.NODEFAULT else _giving(field.default)


def _giving(value: Any) -> Callable[[], Any]:
    return lambda: value


# -- unions --------------------------------------------------------------------------------------


def _union(members: tuple[Any, ...]) -> _Way:
    others = tuple(member for member in members if member is not type(None))
    may_be_none = len(others) < len(members)
    way = _way(others[0]) if len(others) == 1 else _tagged(others)
    return _optional(way) if may_be_none else way


def _optional(way: _Way) -> _Way:
    return _Way(
        _unless_none(way.encode),
        lambda text: None if text is None else way.decode(text),
        _unless_none(way.prepare),
    )


def _unless_none(step: _Encode | None) -> _Encode | None:
    return None if step is None else lambda value: None if value is None else step(value)


def _tagged(members: tuple[Any, ...]) -> _Way:
    """One of several classes, which are told apart by their names."""
    ways = {member.__name__: _record(member) for member in members}
    assert len(ways) == len(members), f"two of these have one name: {members}"
    prepares = {
        member.__name__: _as_dict(member, [(f.name, f.way.prepare) for f in _fields_of(member)])
        for member in members
    }
    are_written_so = all(map(_says_what_it_is, members))

    def encode_tagged(value: Any) -> dict[str, Any]:
        name = type(value).__name__
        inner = ways[name].encode
        assert inner is not None
        return {_TAG: name, **inner(value)}

    def prepare_tagged(value: Any) -> dict[str, Any]:
        name = type(value).__name__
        return {_TAG: name, **prepares[name](value)}

    def decode_tagged(text: Any) -> Any:
        name = text.get(_TAG) if isinstance(text, dict) else None
        if not isinstance(name, str) or name not in ways:
            raise Undecodable(f"{_shown(text)} is none of {', '.join(ways)}")
        return ways[name].decode(text)

    return _Way(encode_tagged, decode_tagged, None if are_written_so else prepare_tagged)


def _says_what_it_is(kind: Any) -> bool:
    """Whether msgspec writes the name of the class along, and all else as it is: a Variant."""
    if not issubclass(kind, Variant):
        return False
    config = kind.__struct_config__
    assert (config.tag_field, config.tag) == (_TAG, kind.__name__)
    return all(field.way.prepare is None for field in _fields_of(kind))


# -- containers ----------------------------------------------------------------------------------


def _container(origin: Any, arguments: tuple[Any, ...]) -> _Way:
    if origin is tuple and arguments[-1:] != (...,):
        return _fixed(tuple(_way(argument) for argument in arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(*arguments)
    way = _way(arguments[0])
    if origin is tuple or origin is list:
        return _array(way, origin, in_order=True)
    if isinstance(origin, type) and issubclass(origin, AbstractSet):
        return _array(way, frozenset, in_order=False)
    raise TypeError(f"there is no way to write a {origin}")


def _array(way: _Way, build: Callable[[Any], Any], *, in_order: bool) -> _Way:
    inner, prepare = way.encode, way.prepare

    def encode_array(values: Any) -> list[Any]:
        texts = list(values) if inner is None else [inner(value) for value in values]
        return texts if in_order else sorted(texts, key=repr)  # the same set, the same text

    def prepare_array(values: Any) -> list[Any]:
        assert prepare is not None
        return [prepare(value) for value in values]

    def decode_array(texts: Any) -> Any:
        return build([way.decode(text) for text in _listed(texts)])

    if not in_order:
        return _Way(encode_array, decode_array, encode_array)
    return _Way(encode_array, decode_array, None if prepare is None else prepare_array)


def _fixed(ways: tuple[_Way, ...]) -> _Way:
    def encode_fixed(values: Any) -> list[Any]:
        return [
            value if way.encode is None else way.encode(value)
            for way, value in zip(ways, values, strict=True)
        ]

    def decode_fixed(texts: Any) -> Any:
        if len(_listed(texts)) != len(ways):
            raise Undecodable(f"{_shown(texts)} is not {len(ways)} values")
        return tuple(way.decode(text) for way, text in zip(ways, texts, strict=True))

    is_written_so = all(way.prepare is None for way in ways)
    return _Way(encode_fixed, decode_fixed, None if is_written_so else encode_fixed)


def _mapping(key_kind: Any, value_kind: Any) -> _Way:
    if key_kind is not str and not (isinstance(key_kind, type) and issubclass(key_kind, Enum)):
        pairs = _array(_fixed((_way(key_kind), _way(value_kind))), dict, in_order=True)
        assert pairs.encode is not None
        encode_pairs = pairs.encode

        def encode_items(values: Mapping[Any, Any]) -> Any:
            return encode_pairs(values.items())

        return _Way(encode_items, pairs.decode, encode_items)
    key, value = _way(key_kind), _way(value_kind)

    def encode_mapping(values: Mapping[Any, Any]) -> dict[str, Any]:
        return {
            (k if key.encode is None else key.encode(k)): (
                v if value.encode is None else value.encode(v)
            )
            for k, v in values.items()
        }

    def decode_mapping(texts: Any) -> dict[Any, Any]:
        if not isinstance(texts, dict):
            raise Undecodable(f"{_shown(texts)} is no mapping")
        return {key.decode(k): value.decode(v) for k, v in texts.items()}

    is_written_so = key.prepare is None and value.prepare is None
    return _Way(encode_mapping, decode_mapping, None if is_written_so else encode_mapping)


def _listed(texts: Any) -> list[Any]:
    if not isinstance(texts, list):
        raise Undecodable(f"{_shown(texts)} is no array")
    return texts


def _shown(text: Any) -> str:
    """What was found, in a few characters: it may be anything, and of any size."""
    shown = f"{text:.40}" if isinstance(text, str) else type(text).__name__
    return f"'{shown}'" if isinstance(text, str) else f"a value of type {shown}"
