"""[identity.X] as opsvisor.toml has it: hashes of tokens, users of this machine, groups."""

import hashlib
import os
from pathlib import Path

import pytest
from config_files import Complaints, Load

from opsvisor.config.load import native
from opsvisor.config.settings import Access, Identity, LocalPeer, TcpServer, UnixServer

HASH = hashlib.sha256(b"a-token").hexdigest()
PROGRAM = "[program.web]\ncommand = 'x'\n"
TELLING = "[identity.x]\naccess = 'read'\n"


def warnings(load: Load, text: str) -> list[str]:
    """What is odd, on one line each."""
    return [f"{one.where.line}: {one.what} ({one.hint})" for one in load(text).warnings]


def test_a_hash_stands_for_its_token(load: Load) -> None:
    """And the settings don't show even that."""
    settings = load(
        f"server.http = ':1'\n{TELLING}token_hash = 'sha256:{HASH}'\ngroups = 'web'\n{PROGRAM}"
    ).settings
    (server,) = settings.servers
    assert server.identities == (
        Identity(
            name="x",
            access=Access.READ,
            groups=frozenset({"web"}),
            token_hash=hashlib.sha256(b"a-token").digest(),
        ),
    )
    assert HASH not in repr(settings)


def test_users_of_this_machine(load: Load) -> None:
    """By name or by number; who is one may have a token as well, for elsewhere."""
    settings = load(
        "server.unix = { path = 's', mode = '0666' }\nserver.http = ':1'\n"
        "[identity.a]\naccess = 'read'\nlocal = 'root'\n"
        "[identity.b]\naccess = 'operate'\nlocal = { user = 1, group = 0 }\ntoken = 'abc'\n"
        "[identity.c]\naccess = 'admin'\nlocal.group = 'daemon'\n"
    ).settings
    unix, http = settings.servers
    assert isinstance(unix, UnixServer)
    assert isinstance(http, TcpServer)
    assert [one.local for one in unix.identities] == [
        LocalPeer(uid=0),
        LocalPeer(uid=1, gid=0),
        LocalPeer(gid=1),
    ]
    assert unix.identities == http.identities
    assert not unix.is_open


def test_a_socket_is_as_open_as_ever_where_nobody_is_known_by_their_user(load: Load) -> None:
    """An identity for elsewhere must not lock out the operator."""
    text = f"server.unix = 's'\nserver.http = ':1'\n{TELLING}token = 'abc'"
    unix, http = load(text).settings.servers
    assert (unix.is_open, http.is_open) == (True, False)
    assert unix.identities == ()


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            "token_hash = 'sha256:abc'",
            (
                "3: identity 'x': token_hash is no hash of a token\n"
                "    hint: it is sha256: and 64 hex digits, as opsvisorctl hash-token writes it"
            ),
        ),
        (
            f"token_hash = '{HASH}'",
            (
                "3: identity 'x': token_hash is no hash of a token\n"
                "    hint: it is sha256: and 64 hex digits, as opsvisorctl hash-token writes it"
            ),
        ),
        (
            f"token = 'abc'\ntoken_hash = 'sha256:{HASH}'",
            (
                "4: identity 'x': token_hash is set beside token\n"
                "    hint: leave out one of the two: identity 'x' has one secret"
            ),
        ),
        (
            "local = {}",
            "3: identity 'x': local names nobody\n    hint: local = { user = \"deploy\" }",
        ),
        (
            "local = 'roott'",
            (
                "3: identity 'x': local.user names a user that doesn't exist: 'roott'\n"
                "    hint: did you mean 'root'?"
            ),
        ),
        (
            "local = { user = 'root', group = 'roott' }",
            (
                "3: identity 'x': local.group names a group that doesn't exist: 'roott'\n"
                "    hint: did you mean 'root'?"
            ),
        ),
        (
            "local = { user = 65534 }",
            (
                "3: identity 'x': local.user names who the kernel names where it can't tell who it"
                " is: '65534'\n    hint: give them a user of their own"
            ),
        ),
        ("local = 5", "3: identity 'x': local: expected a string or a table, got an integer"),
        (
            "local = { usr = 'root', user = 0 }",
            "3: identity 'x': unknown option 'local.usr'\n    hint: did you mean 'user'?",
        ),
        (
            "token = 'a'\ngroups = ['a b']",
            (
                "4: identity 'x': groups[0] = 'a b' is not a usable name\n"
                "    hint: names consist of letters, digits, '_', '.', '-', '+' and '@'"
            ),
        ),
    ],
)
def test_what_can_not_be_of_an_identity(lines: str, says: str, complaints: Complaints) -> None:
    """Where, what, and what to do; never what is or may be a secret."""
    assert complaints(f"{TELLING}{lines}") == f"opsvisor.toml:{says}"


def test_metrics_are_about_all(complaints: Complaints) -> None:
    """Who may read nothing but them is for all groups, or for nothing."""
    text = "[identity.x]\naccess = 'metrics'\ntoken = 'a'\ngroups = 'web'"
    assert complaints(text) == (
        "opsvisor.toml:4: identity 'x': groups has no effect with access = \"metrics\", which is"
        " about all programs\n    hint: leave it out, or give more access"
    )


def test_the_same_token_in_two_shapes(complaints: Complaints) -> None:
    """Is the same token."""
    text = f"{TELLING}token = 'a-token'\n[identity.y]\naccess = 'admin'\n"
    assert complaints(f"{text}token_hash = 'sha256:{HASH.upper()}'") == (
        "opsvisor.toml:6: identity 'y': token_hash holds the token of identity 'x'\n"
        "    hint: give each its own"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            (
                f"server.http = ':1'\n{TELLING}token = 'a'\ngroups = ['web', 'wbe', 'shop']\n"
                f"{PROGRAM}[program.db]\ncommand = 'x'\ngroup = 'shop'"
            ),
            "5: identity 'x': groups names 'wbe', which is no group (did you mean 'web'?)",
        ),
        (
            f"server.http = ':1'\n{TELLING}token = 'a'\nlocal = 'root'",
            (
                "5: identity 'x': local has no effect: there is no unix socket"
                " (set path in [server.unix])"
            ),
        ),
        (
            f"server.unix = 's'\n{TELLING}local = 'root'",
            (
                "4: identity 'x': local has no effect: only the owner of the unix socket may"
                ' connect (set mode = "0666" in [server.unix]; who is no identity is refused all'
                " the same)"
            ),
        ),
    ],
)
def test_what_is_odd_about_an_identity(text: str, says: str, load: Load) -> None:
    """It can be so, and hardly anybody means it."""
    assert warnings(load, text) == [says]


def test_users_and_hashes_may_come_from_the_environment(tmp_path: Path) -> None:
    """As other texts do."""
    path = tmp_path / "opsvisor.toml"
    path.write_text(f"server.unix = 's'\n{TELLING}token_hash = '${{HASH}}'\nlocal = '${{WHO}}'")
    environ = {"HASH": f"sha256:{HASH}", "WHO": str(os.getuid())}
    (server,) = native(path, environ).settings.servers
    (found,) = server.identities
    assert found.local == LocalPeer(uid=os.getuid())
    assert found.token_hash == bytes.fromhex(HASH)
