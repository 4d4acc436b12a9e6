"""The flags of opsvisord, read beside the real supervisord's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from real_supervisor import RejectedBySupervisor, options

from opsvisor.config.settings import LogLevel
from opsvisor.daemon.flags import FLAGS, SETTINGS, BadFlags, help_text, parse

FILE = ["-c", "supervisord.conf"]


class _Options(options.ServerOptions):  # type: ignore[misc]  # comes without annotations
    def usage(self, msg: object) -> None:
        raise RejectedBySupervisor(str(msg))


def supervisors(words: Sequence[str]) -> Any:
    """What Supervisor makes of a command line."""
    found = _Options()
    found.realize(list(words), doc="", progname="supervisord")
    return found


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("supervisord.conf").write_text("[supervisord]\n")
    Path("logs").mkdir()


@pytest.mark.parametrize(
    "line",
    [
        "-x",
        "-p",
        "-c",
        "-l",
        "--loglevel",
        "--no",
        "--log",
        "--minf",
        "--nodaemon=yes",
        "--nosuch",
        "--nosuch=1",
        "foo",
        "-n foo -s",
        "-n -n",
        "-n --nodaemon",
        "-nn",
        "--nod -n",
        "-c supervisord.conf -c supervisord.conf",
        "-e foo",
        "-e warning",
        "--loglev=shout",
        "-y 1M",
        "-y ''",
        "-z 1.5",
        "-m 9",
        "-m ''",
        "-a many",
        "--minprocs few",
        "-d /no/such/folder",
        "-q logs/none",
        "--ch /no/such/folder",
        "-l /no/such/folder/log",
        "-j none/pid",
        "-u no-such-user -c supervisord.conf",
        "-u 99999 -c supervisord.conf",
    ],
)
def test_refusals_are_worded_alike(line: str) -> None:
    """What supervisord refuses is refused, in its words."""
    words = [word.strip("'") for word in line.split(" ")]
    with pytest.raises(RejectedBySupervisor) as theirs:
        supervisors(words)
    with pytest.raises(BadFlags) as ours:
        parse(words)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("-n", "nodaemon", True),
        ("--nod", "nodaemon", True),
        ("-s", "silent", True),
        ("-m 027", "umask", 0o027),
        ("-y 3kb", "logfile_maxbytes", 3072),
        ("-y 5MB", "logfile_maxbytes", 5 * 1024**2),
        ("--logfile_b=4", "logfile_backups", 4),
        ("-i other", "identifier", "other"),
        ("-i=x", "identifier", "=x"),
        ("-k", "nocleanup", True),
        ("-a 2048", "minfds", 2048),
        ("--minp 300", "minprocs", 300),
        ("-t", "strip_ansi", True),
        ("-tkn", "strip_ansi", True),
    ],
)
def test_values_are_read_alike(line: str, name: str, value: object) -> None:
    """Long, short, abbreviated, glued together."""
    words = line.split(" ")
    assert parse(words).settings[name] == value
    assert getattr(supervisors([*words, *FILE]), name) == value


def test_paths_begin_in_the_current_folder(tmp_path: Path) -> None:
    """They are made absolute where they are typed: the daemon leaves this folder."""
    found = parse(["-l", "a.log", "-j", "logs/pid", "-q", "logs", "-d", "."]).settings
    assert found["logfile"] == f"{tmp_path}/a.log" == supervisors(["-l", "a.log", *FILE]).logfile
    assert found["pidfile"] == f"{tmp_path}/logs/pid"
    assert found["childlogdir"] == f"{tmp_path}/logs"
    assert found["directory"] == f"{tmp_path}"


def test_an_empty_path_leaves_it_to_the_file(tmp_path: Path) -> None:
    """Of the log and the pid file, as supervisord does: it is not the current folder."""
    assert parse(["-l", "", "--pidfile="]).settings == {}
    assert supervisors(["-l", "", *FILE]).logfile == f"{tmp_path}/supervisord.log"
    with pytest.raises(BadFlags, match="conflicting command line option"):
        parse(["-l", "", "-l", ""])


def test_a_user_by_name_and_by_number() -> None:
    """Both name the same account, however the number is written."""
    assert parse(["-u", " +0 "]) == parse(["-u", "root"])
    with pytest.raises(BadFlags, match="Invalid user id -1"):
        parse(["-u", "-1"])
    by_name, by_number = (
        parse(["-u", "root"]).settings["user"],
        parse(["-u", "0"]).settings["user"],
    )
    assert by_name == by_number
    assert by_name.uid == 0
    with pytest.raises(BadFlags, match="Invalid user name root:root"):
        parse(["-u", "root:root"])


def test_levels() -> None:
    """Every level of ours is one of Supervisor's, in any case."""
    for level in LogLevel:
        assert parse(["-e", level.value.upper()]).settings["loglevel"] is level
        supervisors(["-e", level.value.upper(), *FILE])


@pytest.mark.parametrize(
    ("line", "file", "only_check"),
    [
        ("--check", None, True),
        ("--check x.toml", "x.toml", True),
        ("--check=x.toml", "x.toml", True),
        ("--check x.toml -n", "x.toml", True),
        ("-n --check x.toml", "x.toml", True),
        ("-c x.toml --check", "x.toml", True),
        ("--check -c x.toml", "x.toml", True),
        ("-c x.toml", "x.toml", False),
    ],
)
def test_check_takes_a_file_or_none(line: str, file: str | None, *, only_check: bool) -> None:
    """Wherever it stands; flags may follow."""
    found = parse(line.split(" "))
    assert (found.config_file, found.only_check) == (file, only_check)


@pytest.mark.parametrize("line", ["--check x y", "--check x -c y", "-t x", "--check --check"])
def test_check_is_not_misunderstood(line: str) -> None:
    """Two files, or -t as it once was: refused."""
    with pytest.raises(BadFlags):
        parse(line.split(" "))


def test_profiling_is_refused_with_a_way_out() -> None:
    """The hint is a command that does it."""
    with pytest.raises(BadFlags, match=r"--profile_options is not supported\n.*cProfile"):
        parse(["--profile_options", "calls"])


def test_help_and_version_come_first() -> None:
    """What stands before them must be well formed, what follows isn't looked at."""
    assert [parse([word]).info for word in ("-h", "-?", "--help", "--he")] == ["help"] * 4
    assert parse(["-v", "-e", "foo"]).info == "version"
    with pytest.raises(BadFlags):
        parse(["-v", "--nosuch"])


def test_help_documents_every_flag_of_supervisord() -> None:
    """In its form, `-l/--logfile FILENAME -- what it is`, on lines that fit a terminal."""
    told = help_text("opsvisord")
    theirs = options.ServerOptions()
    known = {f"--{name.rstrip('=')}" for name in theirs.long_options}
    assert known | {"--check"} == {f"--{flag.long}" for flag in FLAGS}
    for flag in FLAGS:
        assert f"\n{flag.names}{f' {flag.value}' if flag.value else ''} " in told
    assert max(map(len, told.splitlines())) <= 79
    assert {flag.long for flag in SETTINGS} <= {name for name, _ in theirs.names_list}
