import os
import subprocess
import sys
from pathlib import Path

import pytest

from opsvisor.config.search import (
    OF_ROOT,
    absolute,
    current_directory,
    default_paths,
    default_socket,
    find,
    runtime_dir,
    socket_of_user,
    untrusted,
    warning_about,
)


def test_the_list_ends_with_supervisors() -> None:
    """Ours come first; Supervisor's own list follows, in its order."""
    assert [str(path) for path in default_paths("/opt/app/bin/opsvisord")] == [
        "opsvisor.toml",
        "/etc/opsvisor/opsvisor.toml",
        "/etc/opsvisor.toml",
        "/opt/app/etc/supervisord.conf",
        "/opt/app/supervisord.conf",
        "supervisord.conf",
        "etc/supervisord.conf",
        "/etc/supervisord.conf",
        "/etc/supervisor/supervisord.conf",
    ]


def test_the_first_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A native file wins over Supervisor's; a directory of that name doesn't count."""
    monkeypatch.chdir(tmp_path)
    argv0 = str(tmp_path / "app/bin/opsvisord")
    (tmp_path / "supervisord.conf").touch()
    assert find(argv0) == Path("supervisord.conf")
    (tmp_path / "opsvisor.toml").mkdir()
    assert find(argv0) == Path("supervisord.conf")
    (tmp_path / "opsvisor.toml").rmdir()
    (tmp_path / "opsvisor.toml").touch()
    assert find(argv0) == Path("opsvisor.toml")


@pytest.mark.parametrize(
    ("uid", "environ", "directory"),
    [
        (0, {"XDG_RUNTIME_DIR": "/run/user/0"}, "/run/opsvisor"),
        (1000, {"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/opsvisor"),
        (1000, {"XDG_RUNTIME_DIR": "run/1000"}, "/tmp/opsvisor-1000"),  # relative: to be ignored
        (1000, {"TMPDIR": "/var/tmp"}, "/var/tmp/opsvisor-1000"),
        (1000, {"TMPDIR": "tmp"}, "/tmp/opsvisor-1000"),
        (1000, {}, "/tmp/opsvisor-1000"),
    ],
)
def test_runtime_directories(
    uid: int, environ: dict[str, str], directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root has the system's, users have their own, and there is always one."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert str(runtime_dir(environ)) == directory
    assert str(default_socket(environ)) == f"{directory}/opsvisor.sock"


def test_the_socket_of_a_daemon_with_a_user() -> None:
    """Root makes it a directory of its own; others are that user already."""
    assert str(socket_of_user(7, OF_ROOT)) == "/run/opsvisor/user-7/opsvisor.sock"
    assert str(socket_of_user(0, OF_ROOT)) == "/run/opsvisor/opsvisor.sock"
    assert str(socket_of_user(7, Path("/run/user/7/opsvisor"))) == (
        "/run/user/7/opsvisor/opsvisor.sock"
    )


def test_a_current_directory_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is called as it was; what is beside it is found by a name that is there."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    assert absolute(Path("../x")) == gone / "../x"
    gone.rmdir()
    assert current_directory() == gone
    assert absolute(Path("../x")) == tmp_path / "x"
    assert absolute(Path("/x")) == Path("/x")


@pytest.mark.parametrize("name", ["opsvisor.toml", "supervisord.conf", "etc/supervisord.conf"])
def test_root_is_warned_of_a_file_in_the_current_directory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was found or made absolute since; what was given or is in /etc is meant."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for path in (Path(name), Path(name).absolute()):
        warning = warning_about(path, given=False)
        assert f"running as root and found its configuration {path} in the current" in warning
        assert "-c" in warning
        assert warning_about(path, given=True) == ""
    assert warning_about(Path("/etc/opsvisor.toml"), given=False) == ""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert warning_about(Path(name), given=False) == ""


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default socket of a user without a directory of his own, below `tmp_path`."""
    uid = os.geteuid() or 1000
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return default_socket()


def _make(folder: Path, *, mode: int = 0o700, owner: int | None = None) -> None:
    folder.mkdir()
    folder.chmod(mode)
    if os.getuid() == 0:
        os.chown(folder, os.geteuid() if owner is None else owner, -1)


def test_a_directory_of_ones_own_is_trusted(default: Path) -> None:
    """It may be read by others, and need not be there yet; other sockets are not judged."""
    assert untrusted(default) == ""
    _make(default.parent, mode=0o755)
    assert untrusted(default) == ""
    default.parent.chmod(0o777)
    assert untrusted(default.with_name("other.sock")) == ""


@pytest.mark.parametrize(("mode", "shown"), [(0o770, "0770"), (0o1777, "1777"), (0o702, "0702")])
def test_a_directory_that_others_may_write_to_is_not_trusted(
    default: Path, mode: int, shown: str
) -> None:
    """They could put their own socket in place of ours."""
    _make(default.parent, mode=mode)
    assert untrusted(default) == f"others may write to {default.parent} (mode {shown})"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_not_trusted(default: Path) -> None:
    """The name can be guessed, and anybody may make it below /tmp."""
    _make(default.parent, owner=65534)
    assert untrusted(default) == f"{default.parent} belongs to another user (uid 65534)"


def test_what_is_no_directory_is_not_trusted(default: Path, tmp_path: Path) -> None:
    """A link leads wherever its maker likes, also to a directory of ours."""
    (tmp_path / "real").mkdir(mode=0o700)
    default.parent.symlink_to("real")
    assert untrusted(default) == f"{default.parent} is a symbolic link"
    default.parent.unlink()
    default.parent.touch()
    assert untrusted(default) == f"{default.parent} is not a directory"


@pytest.fixture
def of_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default socket of a daemon that root has started for user 7, below `tmp_path`."""
    top = tmp_path / "opsvisor"
    monkeypatch.setattr("opsvisor.config.search.OF_ROOT", top)
    top.mkdir()
    return socket_of_user(7, top)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_the_directory_that_root_made_for_a_user_is_theirs_alone(of_user: Path) -> None:
    """It and the one it is in are judged, whoever asks; not what merely looks like it."""
    folder = of_user.parent
    assert untrusted(of_user) == ""
    _make(folder, owner=7)
    assert untrusted(of_user) == ""
    folder.chmod(0o777)
    assert untrusted(of_user) == f"others may write to {folder} (mode 0777)"
    for other in ("user-8", "user-", "user-x", "user-0", f"user-{'7' * 5000}"):
        assert untrusted(folder.with_name(other) / of_user.name) == ""
    os.chown(folder, 8, -1)
    assert untrusted(of_user) == f"{folder} belongs to another user (uid 8)"
    folder.rmdir()
    folder.symlink_to("/")
    assert untrusted(of_user) == f"{folder} is a symbolic link"
    os.chown(folder.parent, 7, -1)
    assert untrusted(of_user) == f"{folder.parent} belongs to another user (uid 7)"


def test_it_is_light() -> None:
    """Opsvisorctl pays for every import: no schema, no TOML, none of our other modules."""
    code = (
        "import sys, opsvisor.config.search as s; print(sorted(m for m in sys.modules "
        "if m.startswith(('opsvisor', 'tomli', 'msgspec', 'asyncio', 'tempfile'))))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['opsvisor', 'opsvisor.config', 'opsvisor.config.search']"
