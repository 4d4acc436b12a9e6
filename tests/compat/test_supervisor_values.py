"""Every type of value, held against Supervisor's own converters."""

import grp
import os
import pwd
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from real_supervisor import datatypes

from opsvisor.compat.supervisor.config import accounts, values
from opsvisor.compat.supervisor.config.refused import Refused
from opsvisor.compat.supervisor.config.values import LogTarget
from opsvisor.config.accounts import look_up
from opsvisor.config.settings import LogLevel
from opsvisor.core.spec import ExitSet, RestartMode

MISSING = object()
ROOT = Path("/")

existing_directory = partial(values.existing_directory, start=ROOT)
path_in_directory = partial(values.path_in_directory, start=ROOT)
log_file = partial(values.log_file, start=ROOT)

_SAME = [
    (values.boolean, datatypes.boolean, ["yes", "TRUE", "on", "1", "No", "false", "OFF", "0"]),
    (values.boolean, datatypes.boolean, ["T", "", " on ", "2"]),
    (values.integer, datatypes.integer, ["5", " 5 ", "-1", "1_000", "1.5", "", "x"]),
    (values.byte_size, datatypes.byte_size, ["5", "-1", "5KB", "5 mb", "1gb", "1_0KB"]),
    (values.byte_size, datatypes.byte_size, ["1M", "1.5MB", "", " 5KB ", "kb"]),
    (values.octal, datatypes.octal_type, ["022", "0o22", "22", " 7 ", "9", "", "x"]),
    (values.stop_signal, datatypes.signal_number, ["TERM", "sigterm", " hup ", "15", "0", "CLD"]),
    (values.stop_signal, datatypes.signal_number, ["RTMIN", "34", "FOO", "99", "-1", ""]),
    (existing_directory, datatypes.existing_directory, ["/", "~", "/nodir", ""]),
    (
        path_in_directory,
        datatypes.existing_dirpath,
        ["x.log", "/x.log", "~/x", "", "/nodir/x.log", "sub/x"],
    ),
    (values.inet_port, datatypes.inet_address, ["9001", ":9001", "*:9001", "Host:80", "a:b:3"]),
    (values.inet_port, datatypes.inet_address, ["[::1]:90", " 80", "1", "65535"]),
    (values.inet_port, datatypes.inet_address, ["foo", "", "0", "65536", ":", "h:"]),
    (values.name, datatypes.process_or_group_name, [" a ", "", "a-b.c", "a b", "a:b", "a/b"]),
    (accounts.user, datatypes.name_to_uid, ["nosuch", "99999", "-1", "", str(2**40)]),
]


def outcome(convert: Callable[[str], object], text: str) -> tuple[object, str]:
    """The value, or the text of the refusal."""
    try:
        return convert(text), ""
    except ValueError as why:
        return MISSING, str(why)


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [(ours, theirs, text) for ours, theirs, texts in _SAME for text in texts],
)
def test_same_value_or_same_words(
    ours: Callable[[str], object], theirs: Callable[[str], object], text: str
) -> None:
    """What Supervisor makes of a text, we make of it; what it refuses, we refuse in its words."""
    if text == str(2**40):  # Supervisor ends with a traceback here
        assert outcome(ours, text) == (MISSING, f"Invalid user id {text}")
    else:
        assert outcome(ours, text) == outcome(theirs, text)


@pytest.mark.parametrize("text", ["0", "0,2", " 1 , 2 ", "", "255", "1_0", "256", "-1", "a", "1,"])
def test_exit_codes(text: str) -> None:
    """Same codes and same refusals as Supervisor's list."""
    theirs, error = outcome(datatypes.list_of_exitcodes, text)
    ours, our_error = outcome(values.exit_codes, text)
    assert our_error == error
    if not error:
        assert isinstance(theirs, list)
        assert ours == ExitSet(codes=frozenset(theirs))


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("true", RestartMode.ALWAYS),
        ("1", RestartMode.ALWAYS),
        ("UNEXPECTED", RestartMode.ON_FAILURE),
        ("off", RestartMode.NO),
    ],
)
def test_autorestart(text: str, mode: RestartMode) -> None:
    """Supervisor's three answers under our names."""
    assert values.autorestart(text) is mode


@pytest.mark.parametrize(
    ("text", "level"),
    [("critical", LogLevel.CRITICAL), ("Warn", LogLevel.WARN), ("BLATHER", LogLevel.BLATHER)],
)
def test_log_level(text: str, level: LogLevel) -> None:
    """Seven names, in any case."""
    assert values.log_level(text) is level


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("NONE", LogTarget.NONE),
        ("off", LogTarget.NONE),
        ("auto", LogTarget.AUTO),
        ("Syslog", LogTarget.SYSLOG),
        ("", ""),
        ("none ", "none "),
        ("/x.log", "/x.log"),
    ],
)
def test_log_file(text: str, target: object) -> None:
    """Three words, and paths for the rest."""
    assert log_file(text) == target


@pytest.mark.parametrize(
    ("convert", "theirs", "text"),
    [
        (values.autorestart, datatypes.auto_restart, "sometimes"),
        (values.autorestart, datatypes.auto_restart, ""),
        (values.log_level, datatypes.logging_level, "warning"),
        (log_file, datatypes.logfile_name, "/nodir/x"),
    ],
)
def test_refusals_of_our_own_types(
    convert: Callable[[str], object], theirs: Callable[[str], object], text: str
) -> None:
    """The value is ours, the words are Supervisor's."""
    assert outcome(convert, text)[1] == outcome(theirs, text)[1] != ""


@pytest.mark.parametrize(
    ("convert", "text", "hint"),
    [
        (values.stop_signal, "TERMM", "did you mean 'TERM'?"),
        (values.autorestart, "unexpectd", "did you mean 'unexpected'?"),
        (values.log_level, "warning", "did you mean 'warn'?"),
        (values.byte_size, "50M", "did you mean '50MB'?"),
        (values.byte_size, "50x", ""),
        (values.name, "a b/c", "a_b/c would do"),
        (accounts.user, "rooot", "did you mean 'root'?"),
        (existing_directory, "/nodir", "mkdir -p /nodir"),
        (path_in_directory, "/nodir/x", "mkdir -p /nodir"),
    ],
)
def test_refusals_come_with_advice(convert: Callable[[str], object], text: str, hint: str) -> None:
    """Slips of the keyboard are asked about, missing folders can be made."""
    with pytest.raises(Refused) as caught:
        convert(text)
    assert caught.value.hint == hint


def test_user_by_name_and_by_number() -> None:
    """Both give the whole identity, groups of the group database included."""
    account = pwd.getpwuid(os.getuid())
    found = accounts.user(account.pw_name)
    assert found == accounts.user(str(account.pw_uid))
    assert (found.name, found.uid, found.gid) == (account.pw_name, os.getuid(), account.pw_gid)
    assert set(found.groups) == set(os.getgrouplist(account.pw_name, account.pw_gid))


@pytest.mark.parametrize("account", pwd.getpwall(), ids=lambda account: account.pw_name)
def test_a_user_is_the_same_in_both_formats(account: pwd.struct_passwd) -> None:
    """Our own format finds the same identity, its groups in the same order."""
    found = accounts.user(account.pw_name)
    assert found == look_up(account.pw_name)
    assert list(found.groups) == sorted(found.groups)


@pytest.mark.parametrize("text", ["root:root", "0:0", "ro\0ot"])
def test_a_user_has_no_group_behind_it(text: str) -> None:
    """What our own format allows, or what no system can look up, is an unknown user here."""
    with pytest.raises(Refused) as caught:
        accounts.user(text)
    assert caught.value.what == f"Invalid user name {text}"


def test_owner_of_a_socket() -> None:
    """A group may be added, by name or number; without it the group stays as it is."""
    account, group = pwd.getpwuid(0), grp.getgrgid(0)
    assert accounts.owner(account.pw_name) == (0, -1)
    assert accounts.owner(f"{account.pw_name}:{group.gr_name}") == (0, 0)
    assert accounts.owner("0:0") == (0, 0)


@pytest.mark.parametrize("text", ["nosuch", "root.root", "root:", "", "0:nosuch", "0:-5"])
def test_owner_refused(text: str) -> None:
    """One text for whatever is wrong with it; a dot separates nothing."""
    with pytest.raises(Refused, match=f"^Invalid sockchown value {text}$"):
        accounts.owner(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [("a, b", ("a", "b")), ("", ()), ("a,", ("a", "")), (" a\n,b ", ("a", "b"))],
)
def test_list_of_names(text: str, names: tuple[str, ...]) -> None:
    """As Supervisor's list of strings."""
    assert values.list_of_names(text) == names == tuple(datatypes.list_of_strings(text))


@pytest.mark.parametrize(
    ("text", "url"), [(" auto ", None), ("AUTO", None), ("", ""), ("http://h:1", "http://h:1")]
)
def test_server_url(text: str, url: str | None) -> None:
    """AUTO means that we find it; an empty one means none."""
    assert values.server_url(text) == url


def test_port_behind_a_host_is_refused_like_one_alone() -> None:
    """Supervisor shows Python's own message here, which doesn't say that it is about a port."""
    with pytest.raises(Refused, match=r"^not a valid port number: 'x' $"):
        values.inet_port("h:x")


def test_socket_mode_has_its_own_words() -> None:
    """An octal number like any other, refused differently."""
    assert values.socket_mode("0770") == 0o770
    with pytest.raises(Refused, match=r"^Invalid chmod value 9$"):
        values.socket_mode("9")


def test_socket_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths begin in the folder that is given, `~` and `..` are resolved."""
    monkeypatch.setenv("HOME", "/home/me")
    assert values.socket_path("a/../s.sock", tmp_path) == f"{tmp_path}/s.sock"
    assert values.socket_path("~/s.sock", tmp_path) == "/home/me/s.sock"
