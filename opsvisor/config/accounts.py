"""Unix users as they are written: "name", "name:group", or numbers in their place."""

import grp
import os
import pwd
import re

from opsvisor.config.units import Refused, did_you_mean
from opsvisor.core.spec import UserSpec

UNCHANGED = -1  # chown(2) leaves what is given as -1
_ID = re.compile(r"\d{1,10}", re.ASCII)


def look_up(text: str) -> UserSpec:
    """The user and all groups it belongs to, by the system's databases. Raises Refused.

    A group after the colon becomes the primary one. Without it the primary group is the user's
    own. Supplementary groups come from the group database in both cases, as login(1) sets them.
    """
    user, colon, group = text.partition(":")
    account = _account(user)
    gid = _gid(group) if colon else account.pw_gid
    groups = tuple(sorted(os.getgrouplist(account.pw_name, gid)))
    return UserSpec(name=account.pw_name, uid=account.pw_uid, gid=gid, groups=groups)


def uid_of(text: str) -> int:
    """The number of a user, who may be unknown here by that. Raises Refused."""
    if _ID.fullmatch(text) and int(text) < 2**32 - 1:
        return int(text)
    return _account(text).pw_uid


def gid_of(text: str) -> int:
    """The number of a group. Raises Refused."""
    return _gid(text)


def name_of(uid: int) -> str:
    """What the user of this number is called, `uid N` if nobody says."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"


def owner(text: str) -> tuple[int, int]:
    """(uid, gid) of a file; without a group in `text` the file's own stays. Raises Refused."""
    user = look_up(text)
    return user.uid, user.gid if ":" in text else UNCHANGED


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(user)) if _ID.fullmatch(user) else pwd.getpwnam(user)
    except (KeyError, OverflowError):  # OverflowError: a number beyond 32 bits
        question = did_you_mean(user, (account.pw_name for account in pwd.getpwall()))
        raise Refused(f"names a user that doesn't exist: '{user}'", question) from None


def _gid(group: str) -> int:
    if _ID.fullmatch(group) and int(group) < 2**32 - 1:
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        question = did_you_mean(group, (entry.gr_name for entry in grp.getgrall()))
        raise Refused(f"names a group that doesn't exist: '{group}'", question) from None
