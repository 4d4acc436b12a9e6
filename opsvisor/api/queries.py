"""What may be asked for in query strings: declared once, for handlers and for the contract.

A field is a parameter. One of a list type may be given more than once. `Meta` holds its limits
and its description. What is given must be right: nothing is ignored in silence, and a number is
written as people write one.
"""

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, inspect
from multidict import MultiMapping

from opsvisor import wire
from opsvisor.api.errors import ApiError
from opsvisor.config.settings import Collector

_Q = TypeVar("_Q", bound="Query")
_Reader = Callable[[str, str], object]

_WHOLE = re.compile(r"[+-]?[0-9]{1,100}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,3})?")
_FARTHEST = 2**62  # no file is as long, and no system call refuses it
_LONGEST_SHOWN = 40  # characters of what somebody sent


_SINCE = "What was written at this time (Unix seconds) or later, and maybe some seconds before it"
# Which of them are switched on, only the daemon knows that is asked.
_Collector = Annotated[str, wire.one_of(*(collector.value for collector in Collector))]


class Query(msgspec.Struct, kw_only=True, frozen=True):
    """The parameters of one route's query string."""


class NoQuery(Query, kw_only=True, frozen=True):
    """None at all."""


class ProcessesQuery(Query, kw_only=True, frozen=True):
    """Which processes, and how much about them."""

    name: Annotated[
        list[str],
        Meta(
            description="Only these: `name`, `group:name`, `group:*`, a glob or `all`; may be"
            " given more than once"
        ),
    ] = []
    resources: Annotated[
        Literal["0", "1"],
        Meta(description="`0`: leave out what must be read from /proc, which is quicker"),
    ] = "1"


class SamplesQuery(Query, kw_only=True, frozen=True):
    """Which of the remembered samples."""

    since: Annotated[
        float, Meta(ge=0, description="Only those after this moment, in Unix seconds")
    ] = 0.0
    points: Annotated[
        int,
        Meta(
            ge=1,
            le=300,
            description="At most so many: several become one, with their mean CPU and last memory",
        ),
    ] = 300


class WatchQuery(Query, kw_only=True, frozen=True):
    """How often to measure while somebody watches."""

    interval: Annotated[
        float, Meta(ge=1, le=3600, description="Seconds from one event `samples` to the next")
    ] = 2.0


class LogQuery(Query, kw_only=True, frozen=True):
    """Which part of a log. `since` goes before `lines`, `offset` and `bytes`, in this order."""

    lines: Annotated[int, Meta(ge=0, description="The last lines, this many")] | None = None
    bytes: Annotated[int, Meta(ge=0, description="The last bytes, this many")] = 1600  # as `tail`
    offset: (
        Annotated[
            int, Meta(description="From this byte on; counted from the end where it is negative")
        ]
        | None
    ) = None
    length: Annotated[
        int, Meta(ge=0, description="With `offset`: at most this many bytes, 0 for all there are")
    ] = 0
    since: Annotated[float, Meta(ge=0, description=_SINCE)] | None = None


class FollowQuery(Query, kw_only=True, frozen=True):
    """Where to begin following a log."""

    bytes: Annotated[int, Meta(ge=0, description="Begin with the last bytes, this many")] = 0
    since: (
        Annotated[float, Meta(ge=0, description=f"{_SINCE}, as far as memory has it")] | None
    ) = None


class LogsQuery(Query, kw_only=True, frozen=True):
    """Which logs, from where on, and whether to go on. `lines` is of what `since` has, if both."""

    name: Annotated[
        list[str],
        Meta(
            description="Of these: `name`, `group:name`, `group:*`, a glob or `all`; may be given"
            " more than once. Of all if there is none"
        ),
    ] = []
    stream: Annotated[list[wire.StreamName], Meta(description="Only these outputs")] = []
    lines: (
        Annotated[int, Meta(ge=0, le=1_000_000, description="Of each log the last lines")] | None
    ) = None
    since: Annotated[float, Meta(ge=0, description=_SINCE)] | None = None
    follow: Annotated[
        Literal["0", "1"],
        Meta(description="`1`: go on with what is written, also by processes that come later"),
    ] = "0"


class EventsQuery(Query, kw_only=True, frozen=True):
    """Where to begin with events."""

    replay: Annotated[
        int, Meta(ge=0, description="Begin with the last events, this many of those remembered")
    ] = 0


class MetricsQuery(Query, kw_only=True, frozen=True):
    """Which metrics."""

    collect: Annotated[
        list[_Collector],
        Meta(description="Only what this collector has; may be given more than once"),
    ] = []
    # Prometheus writes the name of a parameter as its configuration has it, and other exporters
    # have taught people the brackets.
    bracketed: Annotated[
        list[_Collector], Meta(description="`collect`, as other exporters spell it")
    ] = msgspec.field(default_factory=list, name="collect[]")


def parse_query(given: MultiMapping[str], kind: type[_Q], *, strict: bool) -> _Q:
    """What is asked for. ApiError where a value can't be used, or (if `strict`) a name."""
    readers = _readers(kind)
    if strict and (unknown := next((name for name in given if name not in readers), None)):
        raise ApiError(
            "bad_request",
            f"no such parameter: {unknown[:_LONGEST_SHOWN]!r}",
            f"there are {', '.join(readers)}" if readers else "this takes none",
        )
    values: dict[str, object] = {}
    for name, (is_list, read) in readers.items():
        texts = given.getall(name, [])
        if is_list:
            values[name] = [read(name, text) for text in texts]
        elif len(texts) > 1:
            raise ApiError("bad_request", f"{name} is given {len(texts)} times", "give it once")
        elif texts:
            values[name] = read(name, texts[0])
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ApiError("bad_request", f"in the query string: {error}") from error


@cache
def _readers(kind: type[Query]) -> dict[str, tuple[bool, _Reader]]:
    """How to read each parameter, and whether there may be several of it."""
    told = inspect.type_info(kind)
    assert isinstance(told, inspect.StructType)
    readers: dict[str, tuple[bool, _Reader]] = {}
    for one in told.fields:
        plain = _plain(one.type)
        is_list = isinstance(plain, inspect.ListType)
        readers[one.encode_name] = (
            is_list,
            _reader(plain.item_type if isinstance(plain, inspect.ListType) else plain),
        )
    return readers


def _plain(told: inspect.Type) -> inspect.Type:
    """The type without its description, and without the None of what may be left out."""
    match told:
        case inspect.Metadata():
            return _plain(told.type)
        case inspect.UnionType():
            return next(_plain(one) for one in told.types if not isinstance(one, inspect.NoneType))
        case _:
            return told


def _reader(told: inspect.Type) -> _Reader:
    match told:
        case inspect.IntType():
            return _whole_number
        case inspect.FloatType():
            return _number
        case _:
            return _text


def _text(_: str, text: str) -> str:
    return text


def _whole_number(name: str, text: str) -> int:
    # int() also takes "1_000" and digits of every script, and of many digits its time.
    if _WHOLE.fullmatch(text) is None:
        raise _no_number(name, text, "whole number")
    return max(-_FARTHEST, min(int(text), _FARTHEST))


def _number(name: str, text: str) -> float:
    # float() also takes "inf" and "nan", and makes that of what is too large.
    if _NUMBER.fullmatch(text) is None or not math.isfinite(number := float(text)):
        raise _no_number(name, text, "number")
    return number


def _no_number(name: str, text: str, what: str) -> ApiError:
    return ApiError("bad_request", f"{name}={text[:_LONGEST_SHOWN]!r} is not a {what}")
