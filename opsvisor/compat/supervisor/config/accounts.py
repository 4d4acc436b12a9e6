"""Unix users and groups as Supervisor's files name them."""

import grp

from opsvisor.compat.supervisor.config.refused import Refused
from opsvisor.config import units
from opsvisor.config.accounts import UNCHANGED, look_up
from opsvisor.core.spec import UserSpec


def user(text: str) -> UserSpec:
    """An existing user by name or number, with all groups that the group database gives it."""
    number = _number(text)
    if ":" in text or "\0" in text:  # the colon is our own format's; no C string holds a NUL
        raise Refused(f"Invalid user name {text}")
    try:
        return look_up(text if number is None else str(number))
    except units.Refused as why:
        if number is not None:
            raise Refused(f"Invalid user id {text}") from None
        raise Refused(f"Invalid user name {text}", why.hint) from None


def owner(text: str) -> tuple[int, int]:
    """`user` or `user:group` as (uid, gid); gid -1 leaves the group of the file as it is."""
    name, colon, group = text.partition(":")
    try:
        return user(name).uid, _gid(group) if colon else UNCHANGED
    except (ValueError, KeyError, OverflowError):  # ValueError: refused, or a NUL in the name
        raise Refused(f"Invalid sockchown value {text}") from None


def _gid(group: str) -> int:
    """The number of an existing group: unlike our own format, Supervisor looks numbers up too."""
    number = _number(group)
    return (grp.getgrnam(group) if number is None else grp.getgrgid(number)).gr_gid


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
