"""`opsvisorctl migrate`: what is printed, written and reported, without a daemon."""

import json
import os
import stat
from pathlib import Path

import pytest
import tomli
from ctl_runs import Ctl

from opsvisor.ctl.exit_codes import Exit

CONF = """\
[unix_http_server]
file = %(here)s/s
[supervisord]
nodaemon = true
[program:web]
command = /bin/web
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A file of Supervisor's that can be migrated without a loss."""
    path = tmp_path / "supervisord.conf"
    path.write_text(CONF)
    return path


def mode_of(path: Path) -> int:
    """Who may read and write a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_printed(run: Ctl, conf: Path) -> None:
    """The file to standard output, everything else to standard error."""
    ran = run("migrate", str(conf))
    assert ran.status == Exit.OK
    assert tomli.loads(ran.out)["program"]["web"]["command"] == "/bin/web"
    assert ran.err.endswith("\nthat is all: nothing is lost\n")
    assert all(line.startswith("note: ") for line in ran.err.splitlines()[:-1])


def test_it_is_written(run: Ctl, conf: Path, tmp_path: Path) -> None:
    """To a file that isn't there yet; the same text."""
    printed = run("migrate", str(conf)).out
    ran = run("migrate", str(conf), "--output", "new file.toml")
    assert (ran.status, ran.out) == (Exit.OK, "")
    assert ran.err.endswith("new file.toml is written: nothing is lost\n")
    assert (tmp_path / "new file.toml").read_text() == printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new file.toml", conf.name]


@pytest.mark.parametrize("there", ["file", "dangling link", "directory"])
def test_nothing_is_overwritten(run: Ctl, conf: Path, tmp_path: Path, there: str) -> None:
    """Whatever it is."""
    output = tmp_path / "x.toml"
    match there:
        case "file":
            output.write_text("mine")
        case "directory":
            output.mkdir()
        case _:
            output.symlink_to(tmp_path / "nowhere")
    ran = run("migrate", str(conf), "-o", str(output))
    assert ran.status == Exit.FAILED
    assert ran.err == (f"Error: {output} is there already\nhint: say --force to replace it\n")
    assert not (tmp_path / "nowhere").exists()


def test_unless_it_is_forced(run: Ctl, conf: Path, tmp_path: Path) -> None:
    """The old file is there until the new one is complete."""
    output = tmp_path / "x.toml"
    output.write_text("mine")
    ran = run("migrate", "--force", str(conf), f"--output={output}")
    assert ran.status == Exit.OK
    assert "[program.web]" in output.read_text()


def test_secrets_are_kept_as_they_were(run: Ctl, conf: Path, tmp_path: Path) -> None:
    """Who may not read Supervisor's file may not read ours."""
    for mode, masked in ((0o600, 0o600), (0o640, 0o640), (0o755, 0o644)):
        conf.chmod(mode)
        assert run("migrate", str(conf), "-o", f"{mode}.toml").status == Exit.OK
        assert mode_of(tmp_path / f"{mode}.toml") == masked
    included = tmp_path / "conf.d" / "secret.conf"
    included.parent.mkdir()
    included.write_text("[program:b]\ncommand = b\n")
    included.chmod(0o600)
    conf.write_text(f"{CONF}[include]\nfiles = conf.d/*\n")
    run("migrate", str(conf), "-o", "x.toml")
    assert mode_of(tmp_path / "x.toml") == 0o600


_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to anybody")


@_AS_ROOT
@pytest.mark.parametrize("whose", [(1, 1, 0o600), (0, 1, 0o640), (1, 0, 0o440)])
def test_it_is_whose_the_old_one_is(
    run: Ctl, conf: Path, tmp_path: Path, whose: tuple[int, int, int]
) -> None:
    """A daemon that isn't root goes on reading its configuration."""
    os.chown(conf, *whose[:2])
    conf.chmod(whose[2])
    output = tmp_path / "x.toml"
    assert run("migrate", str(conf), "--output", str(output)).status == Exit.OK
    found = output.stat()
    assert (found.st_uid, found.st_gid, mode_of(output)) == whose


@_AS_ROOT
@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ((2, 1, 0o640), (0, 1, 0o640)),  # one group, and two owners
        ((1, 2, 0o640), (1, 0, 0o600)),
        ((2, 2, 0o644), (0, 0, 0o600)),
    ],
)
def test_files_of_several_owners(
    run: Ctl,
    conf: Path,
    tmp_path: Path,
    second: tuple[int, int, int],
    expected: tuple[int, int, int],
) -> None:
    """It is for those who may read all of them."""
    included = tmp_path / "b.conf"
    included.write_text("[program:b]\ncommand = b\n")
    conf.write_text(f"{CONF}[include]\nfiles = b.conf\n")
    for path, (uid, gid, mode) in ((conf, (1, 1, 0o640)), (included, second)):
        os.chown(path, uid, gid)
        path.chmod(mode)
    output = tmp_path / "x.toml"
    assert run("migrate", str(conf), "--output", str(output)).status == Exit.OK
    found = output.stat()
    assert (found.st_uid, found.st_gid, mode_of(output)) == expected


@_AS_ROOT
def test_who_may_not_give_it_away(
    run: Ctl, conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is for nobody else, unless everybody may read the old one."""

    def refuse(*_: int) -> None:
        raise PermissionError

    os.chown(conf, 1, 1)
    monkeypatch.setattr("os.fchown", refuse)
    for mode, expected in ((0o640, 0o600), (0o644, 0o644)):
        conf.chmod(mode)
        output = tmp_path / f"{mode}.toml"
        assert run("migrate", str(conf), "--output", str(output)).status == Exit.OK
        assert (output.stat().st_uid, mode_of(output)) == (0, expected)


def test_values_of_the_environment_are_for_the_owner(
    run: Ctl, conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be secrets, and weren't in any file so far."""
    monkeypatch.setenv("NUMBER", "5")
    conf.write_text(f"{CONF}priority = %(ENV_NUMBER)s\n")
    ran = run("migrate", str(conf), "--output", "x.toml")
    assert ran.status == Exit.NOT_ALL_SAID
    assert mode_of(tmp_path / "x.toml") == 0o600
    assert "values out of the environment stand in it: it is for its owner's eyes" in ran.err


def test_what_is_replaced_keeps_its_mode(run: Ctl, conf: Path, tmp_path: Path) -> None:
    """It may be narrower than the old files, but not wider."""
    output = tmp_path / "x.toml"
    for mode, theirs, expected in ((0o600, 0o644, 0o600), (0o664, 0o640, 0o640)):
        output.write_text("mine")
        output.chmod(mode)
        conf.chmod(theirs)
        assert run("migrate", "-f", str(conf), "-o", str(output)).status == Exit.OK
        assert mode_of(output) == expected


@_AS_ROOT
@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ((0, 0, 0o644), (1, 2, 0o640)),
        ((0, 0, 0o600), (0, 0, 0o600)),  # who owns what is replaced may not read the secrets
        ((1, 0, 0o640), (1, 2, 0o600)),
        ((3, 2, 0o640), (3, 2, 0o640)),
    ],
)
def test_what_is_replaced_keeps_its_owner(
    run: Ctl,
    conf: Path,
    tmp_path: Path,
    theirs: tuple[int, int, int],
    expected: tuple[int, int, int],
) -> None:
    """If that one may read the old files."""
    output = tmp_path / "x.toml"
    output.write_text("mine")
    for path, (uid, gid, mode) in ((output, (1, 2, 0o640)), (conf, theirs)):
        os.chown(path, uid, gid)
        path.chmod(mode)
    assert run("migrate", "-f", str(conf), "-o", str(output)).status == Exit.OK
    found = output.stat()
    assert (found.st_uid, found.st_gid, mode_of(output)) == expected


def test_a_link_that_is_written_through(run: Ctl, conf: Path, tmp_path: Path) -> None:
    """It stays, and what it leads to is replaced, or made."""
    link, folder = tmp_path / "x.toml", tmp_path / "shared"
    folder.mkdir()
    link.symlink_to("shared/real.toml")
    for _ in range(2):
        assert run("migrate", "-f", str(conf), "-o", str(link)).status == Exit.OK
        assert link.readlink() == Path("shared/real.toml")
        assert "[program.web]" in (folder / "real.toml").read_text()
        assert [path.name for path in folder.iterdir()] == ["real.toml"]


@pytest.mark.parametrize("there", ["pipe", "directory"])
def test_what_is_never_replaced(run: Ctl, conf: Path, tmp_path: Path, there: str) -> None:
    """As root, it might be /dev/null."""
    output = tmp_path / "x.toml"
    os.mkfifo(output) if there == "pipe" else output.mkdir()
    ran = run("migrate", "--force", str(conf), "-o", str(output))
    assert ran.status == Exit.FAILED
    assert ran.err.endswith(f"Error: {output} can't be written: is no regular file\n")
    assert not output.is_file()


def test_what_cant_be_said_has_a_status(run: Ctl, conf: Path) -> None:
    """The file is complete all the same, and says so itself."""
    conf.write_text(f"{CONF}[group:g]\nprograms =\n")
    ran = run("migrate", str(conf))
    assert (ran.status, int(Exit.NOT_ALL_SAID)) == (5, 5)
    what = "group g has no program that could run: left out"
    assert f"\n# NOTE: {what}\n" in ran.out
    assert f"difference: {conf}:7: {what}\n" in ran.err
    assert ran.err.endswith("that is all: 1 difference to look at\n")


def test_the_report_as_json(run: Ctl, conf: Path, tmp_path: Path) -> None:
    """Everything in one object, with the text where it isn't written to a file."""
    conf.write_text(f"{CONF}[group:g]\nprograms =\n")
    ran = run("--json", "migrate", str(conf))
    report = json.loads(ran.out)
    assert (ran.status, ran.err) == (Exit.NOT_ALL_SAID, "")
    assert (report["complete"], report["output"], report["files"]) == (False, "", [str(conf)])
    assert report["differences"] == [
        {
            "file": str(conf),
            "line": 7,
            "section": "group:g",
            "what": "group g has no program that could run: left out",
            "hint": "",
        }
    ]
    assert "[program.web]" in report["text"]
    report = json.loads(run("migrate", str(conf), "-o", "x.toml", "--json").out)
    assert (report["text"], report["output"]) == ("", str(tmp_path / "x.toml"))


def test_a_file_with_problems(run: Ctl, conf: Path) -> None:
    """All of them, as opsvisord would say them; nothing is written."""
    conf.write_text(f"{CONF}priority = x\nstopsignal = NO\n")
    ran = run("migrate", str(conf), "-o", "x.toml")
    assert (ran.status, ran.out) == (Exit.BAD_ARGUMENTS, "")
    assert f"{conf}:7: invalid literal for int() with base 10: 'x'" in ran.err
    assert f"{conf}:8: value 'NO' is not a valid signal name" in ran.err
    assert ran.err.endswith("Error: 2 problems in the configuration, nothing is written\n")
    assert not Path("x.toml").exists()
    error = json.loads(run("--json", "migrate", str(conf)).out)["error"]
    assert [problem["line"] for problem in error["problems"]] == [7, 8]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "migrate takes one file of Supervisor's"),
        (["a", "b"], "migrate takes one file of Supervisor's"),
        (["a", "--output"], "--output needs a value"),
        (["a", "--nope"], "migrate has no option --nope"),
        (["a", "--force=1"], "migrate has no option --force=1"),
    ],
)
def test_words_that_make_no_sense(run: Ctl, words: list[str], says: str) -> None:
    """The help of the command follows."""
    ran = run("migrate", *words)
    assert ran.status == Exit.BAD_ARGUMENTS
    assert ran.out.startswith(f"Error: {says}\nmigrate <file>  ")


def test_a_file_that_isnt_there(run: Ctl, tmp_path: Path) -> None:
    """As with opsvisord."""
    ran = run("migrate", "nowhere.conf")
    assert ran.status == Exit.BAD_ARGUMENTS
    assert f"could not find config file {tmp_path}/nowhere.conf" in ran.err


def test_a_directory_that_isnt_there(run: Ctl, conf: Path) -> None:
    """Nothing is left behind."""
    ran = run("migrate", str(conf), "-o", "no/x.toml")
    assert ran.status == Exit.FAILED
    assert ran.err.endswith("Error: no/x.toml can't be written: no such file or directory\n")


def test_where_supervisord_was_started(run: Ctl, conf: Path, tmp_path: Path) -> None:
    """Relative paths begin there."""
    assert f'log = "{tmp_path}/supervisord.log"' in run("migrate", str(conf)).out
    ran = run("migrate", str(conf), "--directory", "/")
    assert 'log = "/supervisord.log"' in ran.out


def test_no_daemon_is_looked_for(run: Ctl, conf: Path, tmp_path: Path) -> None:
    """A configuration beside it that names no daemon is no obstacle, nor is a broken one."""
    assert not conf.read_text().count("supervisorctl")
    (tmp_path / "opsvisor.toml").write_text("[[[")
    os.environ.pop("OPSVISOR_URL", None)
    assert run("migrate", str(conf)).status == Exit.OK


def test_from_a_directory_that_was_removed(
    run: Ctl, conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file can be named from anywhere."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for name in (str(conf), f"../{conf.name}"):
        ran = run("migrate", name)
        assert ran.status == Exit.OK
        assert tomli.loads(ran.out)["server"]["unix"]["path"] == f"{tmp_path}/s"


def test_a_folder_whose_name_is_no_text(run: Ctl, conf: Path, tmp_path: Path) -> None:
    """TOML can't name it, which is told, and JSON has words for its bytes."""
    folder = tmp_path / os.fsdecode(b"inv\xff")
    folder.mkdir()
    path = conf.rename(folder / "s.conf")
    ran = run("--json", "migrate", str(path), "--output", "x.toml")
    assert ran.status == Exit.NOT_ALL_SAID
    assert "servers differs" in ran.out
    written = (tmp_path / "x.toml").read_text(encoding="utf-8")
    assert written.startswith(f"# Migrated from {tmp_path}/inv\\udcff/s.conf by opsvisorctl")
    assert f'path = "{tmp_path}/inv?/s"' in written
    for words in (["migrate", str(path)], ["migrate", str(path), "-o", f"{folder}/x.toml"]):
        report = json.loads(run("--json", *words).out)
        assert report["files"] == [f"{tmp_path}/inv\\udcff/s.conf"]
    path.write_text(f"{CONF}priority = x\n")
    error = json.loads(run("--json", "migrate", str(path)).out)["error"]
    assert error["problems"][0]["file"] == f"{tmp_path}/inv\\udcff/s.conf"
