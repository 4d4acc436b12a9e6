import grp
import os
import pwd

import pytest

from opsvisor.config import accounts
from opsvisor.config.units import Refused
from opsvisor.core.spec import UserSpec

ME = pwd.getpwuid(os.geteuid())
MY_GROUPS = tuple(sorted(os.getgrouplist(ME.pw_name, ME.pw_gid)))


@pytest.mark.parametrize("text", [ME.pw_name, str(ME.pw_uid)])
def test_a_user_by_name_or_number(text: str) -> None:
    """Both lead to the same account, with all groups it belongs to."""
    expected = UserSpec(name=ME.pw_name, uid=ME.pw_uid, gid=ME.pw_gid, groups=MY_GROUPS)
    assert accounts.look_up(text) == expected


@pytest.mark.parametrize("by_name", [True, False])
def test_a_group_after_the_colon(by_name: bool) -> None:  # noqa: FBT001 - pytest passes it
    """It becomes the primary group, and belongs to the list of groups."""
    other = next(g for g in grp.getgrall() if g.gr_gid != ME.pw_gid)
    user = accounts.look_up(f"{ME.pw_name}:{other.gr_name if by_name else other.gr_gid}")
    assert user.gid == other.gr_gid
    assert other.gr_gid in user.groups


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no-such-user", "names a user that doesn't exist: 'no-such-user'"),
        ("", "names a user that doesn't exist: ''"),
        ("99999999999", "names a user that doesn't exist: '99999999999'"),
        ("9" * 5000, f"names a user that doesn't exist: '{'9' * 5000}'"),
        (f"{ME.pw_name}:no-such-group", "names a group that doesn't exist: 'no-such-group'"),
        (f"{ME.pw_name}:", "names a group that doesn't exist: ''"),
    ],
)
def test_who_isnt_there(text: str, says: str) -> None:
    """Unknown users and groups are refused by name."""
    with pytest.raises(Refused) as caught:
        accounts.look_up(text)
    assert caught.value.says == says


def test_a_misspelt_user_is_recognized() -> None:
    """The nearest account is suggested."""
    with pytest.raises(Refused) as caught:
        accounts.look_up(f"{ME.pw_name}x")
    assert caught.value.hint == f"did you mean '{ME.pw_name}'?"
