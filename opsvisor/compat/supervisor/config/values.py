"""The types of Supervisor's values: text in, value or `Refused` out, in Supervisor's words."""

import os
import re
import signal
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

from opsvisor.compat.supervisor.config import accounts
from opsvisor.compat.supervisor.config.environment import parse_environment
from opsvisor.compat.supervisor.config.refused import NotThere, Refused
from opsvisor.config.kind import quote
from opsvisor.config.settings import LogLevel
from opsvisor.config.units import DURATION_MAX, SIZE_MAX, did_you_mean
from opsvisor.core.spec import ExitSet, RestartMode
from opsvisor.core.struct import Struct

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_YES = frozenset({"yes", "true", "on", "1"})
_NO = frozenset({"no", "false", "off", "0"})
_SIZE_UNITS = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}
_PORT_MAX = 65535
_BACKLOG_MAX = 65535
_EXIT_CODE_MAX = 255
_MODE_MAX = 0o7777
_PROCESSES_MAX = 10_000  # of one program: each costs memory before it runs
# Supervisor has no bounds. Ours are far beyond what is meant, and within what the kernel takes.
_INTEGER_MIN, _INTEGER_MAX = -(2**31), 2**31 - 1


class Kind(Struct, Generic[T_co], frozen=True):
    """A type of value. `takes` completes "autostart takes …" in the hint of a refusal.

    `read` is given the text and the absolute folder in which relative paths begin.
    """

    read: Callable[[str, Path], T_co]
    takes: str


class LogTarget(Enum):
    """A log file that isn't named by a path."""

    NONE = "NONE"
    AUTO = "AUTO"
    SYSLOG = "syslog"


def text(typed: str) -> str:
    """The value as it is written."""
    return typed


def boolean(typed: str) -> bool:
    """One of eight words, in any case. Blanks inside quotes or expansions aren't taken off."""
    word = typed.lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise Refused(f"not a valid boolean value: {typed!r}")


def integer(typed: str) -> int:
    """Anything that Python's int() reads: blanks around it, `1_000`, negative numbers."""
    try:
        return int(typed)
    except ValueError as why:
        raise Refused(str(why)) from None


def byte_size(typed: str) -> int:
    """Bytes, or KB, MB or GB of 1024 each. `1M` isn't one of them."""
    word = typed.lower()
    factor = _SIZE_UNITS.get(word[-2:])
    try:
        return int(word) if factor is None else int(word[:-2]) * factor
    except ValueError as why:
        short = re.fullmatch(r"\s*(\d+)\s*([kmg])b?\s*", word)
        meant = f"did you mean '{short[1]}{short[2].upper()}B'?" if short else ""
        raise Refused(str(why), meant) from None


def within(low: int, high: int, parse: Callable[[str], int]) -> Callable[[str], int]:
    """The same numbers, but none below `low` or above `high`."""

    def bounded(typed: str) -> int:
        number = parse(typed)
        if not low <= number <= high:
            raise Refused(f"value out of range: {quote(typed)}")
        return number

    return bounded


def octal(typed: str) -> int:
    """A file mode or mask: 022, 0o22 or 22."""
    try:
        return int(typed, 8)
    except ValueError:
        raise Refused(f"{typed} can not be converted to an octal type") from None


_mode = within(0, _MODE_MAX, octal)


def socket_mode(typed: str) -> int:
    """An octal number in the words that Supervisor has for sockets."""
    try:
        return _mode(typed)
    except Refused:
        raise Refused(f"Invalid chmod value {typed}") from None


def fcgi_mode(typed: str) -> int:
    """The same number in the words that Supervisor has for sockets of FastCGI."""
    try:
        return _mode(typed)
    except Refused:
        raise Refused(f"Invalid socket_mode value {typed}") from None


def fcgi_owner(typed: str) -> tuple[int, int]:
    """(uid, gid) in the words that Supervisor has for sockets of FastCGI."""
    try:
        return accounts.owner(typed)
    except Refused:
        raise Refused(f"Invalid socket_owner value {typed}") from None


def backlog(typed: str) -> int:
    """How many connections may wait to be accepted."""
    number = integer(typed)
    if not 0 < number <= _BACKLOG_MAX:
        raise Refused(f"Invalid socket_backlog value {number}")
    return number


def exit_codes(typed: str) -> ExitSet:
    """0..255 with commas between them. Of an empty list no exit is expected."""
    try:
        codes = frozenset(int(word) for word in typed.split(",")) if typed.strip() else frozenset()
    except ValueError:
        codes = frozenset({-1})
    if not all(0 <= code <= _EXIT_CODE_MAX for code in codes):
        raise Refused(f"not a valid list of exit codes: {typed!r}")
    return ExitSet(codes=codes)


def stop_signal(typed: str) -> int:
    """A signal's name with or without SIG, or its number; 0 is a signal that does nothing."""
    word = typed.strip().upper()
    names = signal.Signals.__members__
    try:
        number = int(word)
    except ValueError:
        for name in (word, f"SIG{word}"):
            if name in names:
                return int(names[name])
        known = [name.removeprefix("SIG") for name in names]
        meant = did_you_mean(word.removeprefix("SIG"), known)
        raise Refused(f"value {typed!r} is not a valid signal name", meant) from None
    if number != 0 and number not in signal.valid_signals():
        raise Refused(f"value {typed!r} is not a valid signal number")
    return number


def autorestart(typed: str) -> RestartMode:
    """Whether to start again after a run: always, never, or only after an unexpected end."""
    word = typed.lower()
    if word == "unexpected":
        return RestartMode.ON_FAILURE
    if word in _YES:
        return RestartMode.ALWAYS
    if word in _NO:
        return RestartMode.NO
    meant = did_you_mean(word, ("unexpected", *_YES, *_NO))
    raise Refused(f"invalid 'autorestart' value {typed!r}", meant)


def log_level(typed: str) -> LogLevel:
    """One of Supervisor's seven levels; `warning` isn't among them."""
    try:
        return LogLevel(typed.lower())
    except ValueError:
        meant = did_you_mean(typed.lower(), (level.value for level in LogLevel))
        raise Refused(f"bad logging level name {typed!r}", meant) from None


def existing_directory(typed: str, start: Path) -> str:
    """A folder that is there now, `~` expanded, made absolute."""
    folder = os.path.expanduser(typed)  # noqa: PTH111 - Path raises for an unknown ~user
    if not folder or not os.path.isdir(start / folder):  # noqa: PTH112 - as below
        what = f"{typed} is not an existing directory"
        raise NotThere(what, f"mkdir -p {folder}", value=str(start / folder))
    return str(start / folder)


def path_in_directory(typed: str, start: Path) -> str:
    """A path whose folder is there now, `~` expanded. A bare file name is taken unchecked.

    It stays relative where it was: the log of a process begins where the daemon is by then, as
    with Supervisor.
    """
    path = os.path.expanduser(typed)  # noqa: PTH111 - Path raises for an unknown ~user
    folder = os.path.dirname(path)  # noqa: PTH120 - Path has "." for "nothing in front"
    if folder and not os.path.isdir(start / folder):  # noqa: PTH112 - Path raises without access
        what = f"The directory named as part of the path {typed} does not exist"
        raise NotThere(what, f"mkdir -p {folder}", value=path)
    return path


def log_file(typed: str, start: Path) -> str | LogTarget:
    """A path as above, or one of the words NONE (also off), AUTO and syslog."""
    match typed.lower():
        case "none" | "off":
            return LogTarget.NONE
        case "auto":
            return LogTarget.AUTO
        case "syslog":
            return LogTarget.SYSLOG
        case _:
            return path_in_directory(typed, start)


def socket_path(typed: str, start: Path) -> str:
    """A path made absolute, `~` expanded, blanks and line ends around it taken off."""
    path = os.path.expanduser(typed.strip())  # noqa: PTH111 - Path raises for an unknown ~user
    return os.path.normpath(start / path)


def inet_port(typed: str) -> tuple[str, int]:
    """(host, port) of `9001`, `:9001`, `*:9001` or `host:port`; host "" is all interfaces."""
    host, colon, port = typed.rpartition(":")
    if colon and not port:
        raise Refused(f"no port number specified in {port!r}")
    try:
        number = int(port)
    except ValueError:
        number = 0
    if not 0 < number <= _PORT_MAX:
        # The blank before the end is Supervisor's.
        raise Refused(f"not a valid port number: {port!r} ")
    return ("" if host == "*" else host.lower()), number


def name(typed: str) -> str:
    """What a program, process or group may be called: no blank, colon or slash."""
    stripped = typed.strip()
    for character in " :/":
        if character in stripped:
            what = f"Invalid name: {typed!r} because of character: {character!r}"
            raise Refused(what, f"{stripped.replace(character, '_')} would do")
    return stripped


def list_of_names(typed: str) -> tuple[str, ...]:
    """Words with commas between them, blanks around them taken off."""
    return tuple(word.strip() for word in typed.split(",")) if typed else ()


def server_url(typed: str) -> str | None:
    """A URL as it is written; None for AUTO."""
    return None if typed.strip().upper() == "AUTO" else typed


def _kind(parse: Callable[[str], T], takes: str) -> Kind[T]:
    """A type of value that has nothing to do with folders."""
    return Kind(lambda typed, _: parse(typed), takes)


TEXT = _kind(text, "any text")
BOOLEAN = _kind(boolean, "yes, true, on, 1 or no, false, off, 0")
INTEGER = _kind(
    within(_INTEGER_MIN, _INTEGER_MAX, integer),
    f"a whole number from {_INTEGER_MIN} to {_INTEGER_MAX}",
)
SECONDS = _kind(
    within(_INTEGER_MIN, int(DURATION_MAX), integer), "a whole number of seconds up to ten years"
)
COUNT = _kind(
    within(_INTEGER_MIN, _PROCESSES_MAX, integer), f"a whole number up to {_PROCESSES_MAX}"
)
BYTE_SIZE = _kind(
    within(-SIZE_MAX, SIZE_MAX, byte_size),
    "a number of bytes, or KB, MB or GB behind a whole number",
)
OCTAL = _kind(_mode, "an octal number such as 022, up to 7777")
SOCKET_MODE = _kind(socket_mode, "an octal number such as 0700, up to 7777")
FCGI_MODE = _kind(fcgi_mode, "an octal number such as 0700, up to 7777")
FCGI_OWNER = _kind(fcgi_owner, "user or user:group, by names or numbers")
BACKLOG = _kind(backlog, f"a whole number from 1 to {_BACKLOG_MAX}")
EXIT_CODES = _kind(exit_codes, "exit codes from 0 to 255 with commas between them")
SIGNAL = _kind(stop_signal, "a signal such as TERM, SIGTERM or 15")
AUTORESTART = _kind(autorestart, "true, false or unexpected")
LOG_LEVEL = _kind(log_level, "critical, error, warn, info, debug, trace or blather")
EXISTING_DIRECTORY = Kind(existing_directory, "a folder that exists")
PATH_IN_DIRECTORY = Kind(path_in_directory, "a path in a folder that exists")
LOG_FILE = Kind(log_file, "NONE, AUTO or a path in a folder that exists")
SOCKET_PATH = Kind(socket_path, "a path")
USER = _kind(accounts.user, "the name or number of a user of this machine")
OWNER = _kind(accounts.owner, "user or user:group, by names or numbers")
INET_PORT = _kind(inet_port, "a port, *:port or host:port; ports go from 1 to 65535")
NAME = _kind(name, "a name without blank, colon and slash")
NAMES = _kind(list_of_names, "names with commas between them")
SERVER_URL = _kind(server_url, "AUTO or a URL")
ENVIRONMENT = _kind(parse_environment, 'KEY="value",KEY2="value"')
