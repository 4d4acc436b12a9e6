"""Unix users and groups as Supervisor's files name them."""

import grp
import os
import pwd

from opsvisor.compat.supervisor.refused import Refused, did_you_mean
from opsvisor.core.spec import UserSpec

_UNCHANGED = -1  # chown(2) leaves what is given as -1


def user(text: str) -> UserSpec:
    """An existing user by name or number, with all groups that the group database gives it."""
    number = _number(text)
    try:
        account = pwd.getpwnam(text) if number is None else pwd.getpwuid(number)
    except (KeyError, OverflowError):  # OverflowError: a number beyond 32 bits
        if number is not None:
            raise Refused(f"Invalid user id {text}") from None
        known = (entry.pw_name for entry in pwd.getpwall())
        raise Refused(f"Invalid user name {text}", did_you_mean(text, known)) from None
    groups = tuple(os.getgrouplist(account.pw_name, account.pw_gid))
    return UserSpec(name=account.pw_name, uid=account.pw_uid, gid=account.pw_gid, groups=groups)


def owner(text: str) -> tuple[int, int]:
    """`user` or `user:group` as (uid, gid); gid -1 leaves the group of the file as it is."""
    name, colon, group = text.partition(":")
    try:
        return user(name).uid, _gid(group) if colon else _UNCHANGED
    except (Refused, KeyError, OverflowError):
        raise Refused(f"Invalid sockchown value {text}") from None


def _gid(group: str) -> int:
    number = _number(group)
    return (grp.getgrnam(group) if number is None else grp.getgrgid(number)).gr_gid


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
