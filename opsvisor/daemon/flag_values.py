"""The values of opsvisord's flags: text in, value or ValueError out, in Supervisor's words.

Not those of the reader of Supervisor's files, which isn't loaded where only opsvisor.toml is used.
"""

from pathlib import Path

from opsvisor.config.accounts import look_up
from opsvisor.config.settings import LogLevel
from opsvisor.config.units import Refused
from opsvisor.core.spec import UserSpec

SYSLOG = "syslog"  # in the place of a file: the log goes there

_SIZE_UNITS = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}
_MODE_MAX = 0o7777
_COUNT_MAX = 2**31 - 1


def count(typed: str) -> int:
    """A whole number, as Python's int() reads it."""
    return _within(int(typed), _COUNT_MAX, typed)


def size(typed: str) -> int:
    """Bytes, or KB, MB or GB of 1024 each."""
    word = typed.lower()
    factor = _SIZE_UNITS.get(word[-2:])
    number = int(word) if factor is None else int(word[:-2]) * factor
    return _within(number, 2**62, typed)


def umask(typed: str) -> int:
    """An octal number such as 022."""
    try:
        number = int(typed, 8)
    except ValueError:
        raise ValueError(f"{typed} can not be converted to an octal type") from None
    if number < 0:
        raise ValueError(f"value out of range: '{typed}'")
    return _within(number, _MODE_MAX, typed)


def log_level(typed: str) -> LogLevel:
    """One of Supervisor's seven levels, in any case."""
    try:
        return LogLevel(typed.lower())
    except ValueError:
        raise ValueError(f"bad logging level name {typed!r}") from None


def directory(typed: str) -> str:
    """A directory that is there now, `~` expanded, made absolute."""
    path = _expanded(typed)
    if not typed or not path.is_dir():
        raise ValueError(f"{typed} is not an existing directory")
    return str(path.absolute())


def file_path(typed: str) -> str:
    """A path whose directory is there now, `~` expanded, made absolute. "" names none."""
    if not typed:
        return ""
    path = _expanded(typed).absolute()
    if not path.parent.is_dir():
        raise ValueError(f"The directory named as part of the path {typed} does not exist")
    return str(path)


def log_path(typed: str) -> str:
    """As `file_path`; the word syslog stays what it is."""
    return typed if typed == SYSLOG else file_path(typed)


def user(typed: str) -> UserSpec:
    """An existing user by name or number: whatever Python's int() reads is a number."""
    try:
        kind, key = "id", str(int(typed))
    except ValueError:
        kind, key = "name", typed
    if ":" in typed:  # opsvisor.toml takes a group behind a colon; Supervisor does not
        raise ValueError(f"Invalid user {kind} {typed}")
    try:
        return look_up(key)
    except (Refused, ValueError):  # ValueError: no C string holds a NUL
        raise ValueError(f"Invalid user {kind} {typed}") from None


def text(typed: str) -> str:
    """As it was typed."""
    return typed


def _within(number: int, highest: int, typed: str) -> int:
    if abs(number) > highest:
        raise ValueError(f"value out of range: '{typed}'")
    return number


def _expanded(typed: str) -> Path:
    try:
        return Path(typed).expanduser()
    except RuntimeError:  # "~nobody", who has no home: a name like any other, as for Supervisor
        return Path(typed)
