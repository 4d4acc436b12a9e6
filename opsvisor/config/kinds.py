"""What kinds of values options have: how each is read from TOML, and written back.

Types in messages are named as TOML names them. `read` raises `Refused` for a value as a whole and
`RefusedItems` for parts of an array or table, all of them at once.
"""

import re
import resource
import shlex
import signal
from enum import Enum
from math import isfinite
from typing import Any

from opsvisor.config import units
from opsvisor.config.kind import (
    LONG,
    Kind,
    as_array,
    as_filled_text,
    as_table,
    as_text,
    expect,
    show_array,
    show_table,
    show_text,
)
from opsvisor.config.units import Refused, did_you_mean
from opsvisor.core.spec import ExitSet, ResourceLimit
from opsvisor.core.struct import Struct

_NAME = re.compile(r"[\w.+@-]+")
_EVENT_KIND = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_NO_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_UNLIMITED = "unlimited"
_NEVER = "never"
_PERCENT = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)%", re.ASCII)
_CPUS_MAX = 8192  # CONFIG_NR_CPUS of the largest machines
_CGROUP_WORDS = ("auto", "off")
_LABELS_MAX = 30  # one metric can carry; Prometheus keeps them all for each process
# What the daemon needs for itself, and what the kernel sends for a fault of the daemon's own.
_NOT_FORWARDED = frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGCHLD,
        signal.SIGPIPE,
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGSYS,
        signal.SIGABRT,
        signal.SIGXCPU,
        signal.SIGXFSZ,
        signal.SIGRTMIN,
    }
)
INTEGER_MAX = 2**31 - 1  # where nothing else bounds a number


class Command(Struct, frozen=True, kw_only=True):
    """What is executed, word by word, and the string it was split from, if it was one."""

    text: str = ""
    argv: tuple[str, ...] = ()


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise expect("true or false", value)
    return value


def integer(low: int, high: int) -> Kind:
    """Whole numbers from `low` to `high`."""

    def read(value: Any) -> int:
        if type(value) is not int:  # a boolean is an int to Python, not to people
            raise expect("an integer", value)
        if not low <= value <= high:
            raise Refused("is out of range", f"it goes from {low} to {high}")
        return value

    if high < INTEGER_MAX:
        name = f"integer, {low} to {high}"
    else:
        name = "integer" if low < 0 else f"integer, {low} or more"
    return Kind(name=name, read=read, show=str)


def number(low: float, high: float | None = None) -> Kind:
    """Numbers of at least `low`, and at most `high`."""
    span = f"{low:g} or more" if high is None else f"{low:g} to {high:g}"

    def read(value: Any) -> float:
        if type(value) not in (int, float):
            raise expect("a number", value)
        if not isfinite(value) or value < low or (high is not None and value > high):
            raise Refused("is out of range", f"it is {span}")
        return float(value)

    return Kind(name=f"number, {span}", read=read, show=str)


def one_of(enum: type[Enum]) -> Kind:
    """The values of an enum, by the words that stand for them."""
    members = {member.value: member for member in enum}

    def read(value: Any) -> Enum:
        if as_text(value) not in members:
            says = f"is not one of {', '.join(members)}"
            raise Refused(says, did_you_mean(value, members))
        return members[value]

    names = ", ".join(f'"{name}"' for name in members)
    return Kind(name=names, read=read, show=lambda member: f'"{member.value}"')


def set_of(
    enum: type[Enum], *, shorthand: str = "", stands_for: frozenset[Any] = frozenset()
) -> Kind:
    """An array of words for values of an enum. `shorthand` is one more word, for several."""
    members = {member.value: member for member in enum}
    meanings = {name: frozenset({member}) for name, member in members.items()}
    known = {shorthand: stands_for, **meanings} if shorthand else meanings

    def read_one(value: Any) -> frozenset[Any]:
        if as_text(value) not in known:
            rule = f"there {'is' if len(known) == 1 else 'are'} {', '.join(known)}"
            raise Refused("is not one of them", did_you_mean(value, known, rule))
        return known[value]

    def read(value: Any) -> frozenset[Any]:
        return frozenset[Any]().union(*as_array(value, read_one, "an array of names"))

    def show(chosen: frozenset[Any]) -> str:
        is_short = bool(shorthand) and stands_for <= chosen
        rest = chosen - stands_for if is_short else chosen
        names = [member.value for member in enum if member in rest]
        return show_array([shorthand, *names] if is_short else names)

    names = ", ".join(f'"{name}"' for name in known)
    return Kind(name=f"array of {names}", read=read, show=show)


def duration_from(low: float) -> Kind:
    """Durations of at least `low` seconds."""
    least = units.format_duration(low)

    def read(value: Any) -> float:
        seconds = _duration(value)
        if seconds < low:
            raise Refused("is too short", f"it is {least} or more")
        return seconds

    return Kind(name=f"duration, {least} or more", read=read, show=_show_duration)


def _duration(value: Any) -> float:
    if type(value) in (int, float):
        raise Refused("is not a duration", units.duration_hint(str(value)))
    return units.parse_duration(as_text(value))


def _positive_duration(value: Any) -> float:
    seconds = _duration(value)
    if not seconds:
        raise Refused("is too short", "it must be longer than no time at all")
    return seconds


def _duration_or_never(value: Any) -> float | None:
    return None if value == _NEVER else _duration(value)


def _show_duration(seconds: float | None) -> str:
    return f'"{_NEVER if seconds is None else units.format_duration(seconds)}"'


def size(low: int, high: int) -> Kind:
    """Bytes from `low` to `high`; without a unit they may go without quotes too."""
    shown = f"{units.format_size(low)} to {units.format_size(high)}"

    def read(value: Any) -> int:
        if type(value) is not int and not isinstance(value, str):
            raise expect('a size such as "50M"', value)
        amount = value if isinstance(value, int) else units.parse_size(value)
        if not low <= amount <= high:
            raise Refused("is out of range", f"it goes from {shown}" if low else "try 0 or more")
        return amount

    name = f"size, {shown}" if low else "size"
    return Kind(name=name, read=read, show=lambda amount: f'"{units.format_size(amount)}"')


def _signal(value: Any) -> int:
    if type(value) is int and value == 0:
        return 0  # kill(2): no signal is sent
    return units.check_signal(value) if type(value) is int else units.parse_signal(as_text(value))


def _mode(value: Any) -> int:
    if type(value) is int:
        # 0o27 arrives here as 23, indistinguishable from a decimal 23.
        raise Refused("is not an octal mode", 'write the octal digits in quotes, such as "027"')
    return units.parse_mode(as_text(value))


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (as_filled_text(value),)
    return tuple(as_array(value, as_filled_text, "a string or an array of strings"))


def _exits(value: Any) -> ExitSet:
    wanted = "an array of exit codes and signal names"
    return units.join_exits(as_array(value, units.parse_exit, wanted))


def _command(value: Any) -> Command:
    if isinstance(value, list):
        text = ""
        argv = tuple(as_array(value, as_text, "a string or an array of strings"))
    else:
        if not isinstance(value, str):
            raise expect("a string or an array of strings", value)
        text = as_text(value)
        try:
            argv = tuple(shlex.split(text))
        except ValueError as error:
            hint = 'no shell reads it; an array is taken as it is: ["/bin/echo", "it\'s"]'
            raise Refused(f"can't be split into words: {str(error).lower()}", hint) from error
    if not argv or not argv[0]:
        raise Refused("is empty", 'it starts with the program to execute: "/usr/bin/env"')
    return Command(text=text, argv=argv)


def _labels(value: Any) -> dict[str, str]:
    return as_table(value, lambda _, text: as_text(text), "a table of strings")


def _environment(value: Any) -> dict[str, str]:
    return as_table(value, _variable, "a table of names and values")


def _variable(name: str, value: Any) -> str:
    if not name or "=" in name or "\0" in name:
        raise Refused(f": {name!r} can't be the name of a variable")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > LONG:
        raise Refused(": the number is out of range", "write it as a string")
    if isinstance(value, int | float):
        return str(value)
    return as_text(value)


def _rlimits(value: Any) -> dict[str, ResourceLimit]:
    return as_table(value, _rlimit, "a table of names and limits")


def _rlimit(name: str, limit: Any) -> ResourceLimit:
    known = [n.removeprefix("RLIMIT_").lower() for n in dir(resource) if n.startswith("RLIMIT_")]
    if name not in known:
        rule = f"there are {', '.join(known)}"
        hint = did_you_mean(name.lower().removeprefix("rlimit_"), known, rule)
        raise Refused(f": there is no limit called '{name}'", hint)
    soft, hard = limit if isinstance(limit, list) and len(limit) == 2 else (limit, limit)  # noqa: PLR2004 - a pair
    spec = ResourceLimit(name=name, soft=_rlimit_value(soft), hard=_rlimit_value(hard))
    if spec.hard is not None and (spec.soft is None or spec.soft > spec.hard):
        raise Refused("has a soft limit above the hard one", "write [soft, hard]")
    return spec


def _rlimit_value(value: Any) -> int | None:
    if value == _UNLIMITED:
        return None
    if type(value) is not int or not 0 <= value <= units.SIZE_MAX:
        hint = f'limits look like 65536, "{_UNLIMITED}" or [1024, 65536]'
        raise Refused("is not a resource limit", hint)
    return value


def _cpu_share(value: Any) -> float:
    match = _PERCENT.fullmatch(as_text(value))
    if match is None:
        raise Refused("is not a share of a CPU", 'it looks like "50%" or "150%"')
    share = float(match[1]) / 100
    if not 1 / 100 <= share <= _CPUS_MAX:
        raise Refused("is out of range", f'it goes from "1%" to "{_CPUS_MAX}00%"')
    return share


def _user(value: Any) -> str:
    return str(value) if type(value) is int else as_filled_text(value)


def _cgroup(value: Any) -> str:
    if as_text(value) not in _CGROUP_WORDS and not value.startswith("/"):
        raise Refused(
            'is neither "auto", "off" nor the path of a cgroup',
            'it looks like "/sys/fs/cgroup/opsvisor", made for the daemon before it starts',
        )
    return str(value)


def check_name(name: str) -> None:
    """Raise Refused unless programs and groups may be called so."""
    if not _NAME.fullmatch(name):
        hint = "names consist of letters, digits, '_', '.', '-', '+' and '@'"
        raise Refused("is not a usable name", hint)


def _group_name(value: Any) -> str:
    check_name(as_text(value))
    return str(value)


def _group_names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_group_name(value),)
    names = as_array(value, _group_name, "a name or an array of names")
    return tuple(dict.fromkeys(names))


def _label_names(value: Any) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(as_array(value, as_filled_text, "an array of names of labels")))
    if len(names) > _LABELS_MAX:
        raise Refused("is too long", f"{_LABELS_MAX} labels at most")
    shown: dict[str, str] = {}
    for name in names:
        other = shown.setdefault(label_name(name), name)
        if other != name:
            says = f"holds '{other}' and '{name}', which would both be {label_name(name)}"
            raise Refused(says, "leave one of the two out, or give it another name")
    return names


def label_name(name: str) -> str:
    """What the label `name` of a program is called in metrics, where fewer characters do."""
    return f"label_{_NO_LABEL.sub('_', name)}"


def _event_kind(value: Any) -> str:
    if not _EVENT_KIND.fullmatch(as_text(value)):
        raise Refused("is not a kind of event", 'they look like "PROCESS_STATE" or "TICK_60"')
    return str(value)


def _event_kinds(value: Any) -> tuple[str, ...]:
    kinds = as_array(value, _event_kind, "an array of kinds of events")
    # In any order, and any number of times: it is the same subscription.
    return tuple(sorted(set(kinds)))


def _forwarded(value: Any) -> int:
    number = _signal(value)
    if number == 0 or number in _NOT_FORWARDED:
        raise Refused("can't be passed on", "the daemon needs it for itself, or never gets it")
    return number


def _signals(value: Any) -> tuple[int, ...]:
    return tuple(sorted(set(as_array(value, _forwarded, "an array of signals"))))


TEXT = Kind(name="string", read=as_text, show=show_text)
PATH = Kind(name="path", read=as_filled_text, show=show_text)
WORD = Kind(name="string", read=as_filled_text, show=show_text)
SECRET = Kind(name="string", read=as_filled_text, show=show_text, secret=True)
BOOLEAN = Kind(name="boolean", read=_boolean, show=lambda value: str(value).lower())
DURATION = Kind(name="duration", read=_duration, show=_show_duration)
POSITIVE_DURATION = Kind(name="duration, not zero", read=_positive_duration, show=_show_duration)
DURATION_OR_NEVER = Kind(name='duration, or "never"', read=_duration_or_never, show=_show_duration)
SIGNAL = Kind(name="signal", read=_signal, show=lambda number: f'"{units.format_signal(number)}"')
SIGNALS = Kind(
    name="array of signals",
    read=_signals,
    show=lambda numbers: show_array(units.format_signal(number) for number in numbers),
)
MODE = Kind(name="octal string", read=_mode, show=lambda mode: f'"{units.format_mode(mode)}"')
EXITS = Kind(
    name="array of exit codes and signal names",
    read=_exits,
    show=lambda exits: show_array(units.format_exits(exits)),
)
COMMAND = Kind(name="string or array of strings", read=_command, show=lambda c: show_array(c.argv))
PATHS = Kind(name="path or array of paths", read=_texts, show=show_array)
LABELS = Kind(name="table of strings", read=_labels, show=show_table)
ENVIRONMENT = Kind(
    name="table of strings, numbers and booleans",
    read=_environment,
    show=show_table,
    secret=True,
)
RLIMITS = Kind(
    name='table of integers, "unlimited" or [soft, hard]', read=_rlimits, show=show_table
)
CPU_SHARE = Kind(
    name='percentage, such as "150%"',
    read=_cpu_share,
    show=lambda share: f'"{round(share * 100, 3):.12g}%"',
)
USER = Kind(name='"name", "name:group" or uid', read=_user, show=show_text)
GROUP_NAMES = Kind(name="name or array of names", read=_group_names, show=show_array)
LABEL_NAMES = Kind(name="array of names of labels", read=_label_names, show=show_array)
EVENT_KINDS = Kind(name="array of kinds of events", read=_event_kinds, show=show_array)
CGROUP = Kind(name='"auto", "off" or path', read=_cgroup, show=show_text)
