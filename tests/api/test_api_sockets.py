"""The directory of the default socket: made for us alone, or not used at all."""

import errno
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from opsvisor.api.server import BindError, bind
from opsvisor.config.problems import ConfigError
from opsvisor.config.search import default_socket
from opsvisor.config.settings import UnixServer
from opsvisor.ctl.connection import Wishes, discover

_NOWHERE = "/nowhere/bin/opsvisorctl"


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UnixServer:
    """The default socket of a user without a directory of his own, below `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    if os.geteuid() == 0:  # a user that isn't root has such a default; nothing else changes
        monkeypatch.setattr("opsvisor.config.search.runtime_dir", lambda _environ: tmp_path / "o")
    return UnixServer(name="unix", path=str(default_socket()))


def test_the_directory_is_made_for_us_alone(default: UnixServer) -> None:
    """0700 whatever the umask leaves, and used again by the next daemon."""
    folder = Path(default.path).parent
    before = os.umask(0)
    try:
        for _ in range(2):
            bind(default).close()
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        os.umask(before)
    assert discover(Wishes(), _NOWHERE, {}).url == f"unix://{default.path}"


@pytest.mark.parametrize("squat", ["open to all", "a link"])
def test_a_squatted_directory_is_used_by_nobody(
    default: UnixServer, tmp_path: Path, squat: str
) -> None:
    """Neither does the daemon listen there nor does opsvisorctl connect; both say why."""
    folder = Path(default.path).parent
    if squat == "a link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to("elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o1777)
    with pytest.raises(
        BindError, match=f"cannot listen on unix://{default.path}: .*{folder}"
    ) as no:
        bind(default)
    assert "\n    hint: remove it if you don't know what it is for" in str(no.value)
    with pytest.raises(ConfigError, match=f"{default.path}: not trusted: .*{folder}") as refused:
        discover(Wishes(), _NOWHERE, {})
    assert refused.value.problems[0].hint.startswith("remove it")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_used_by_nobody(default: UnixServer) -> None:
    """Not even by root, who could."""
    folder = Path(default.path).parent
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(BindError, match=r"another user \(uid 65534\)"):
        bind(default)
    with pytest.raises(ConfigError, match=r"another user \(uid 65534\)"):
        discover(Wishes(), _NOWHERE, {})


def test_a_socket_that_was_configured_is_not_judged(tmp_path: Path) -> None:
    """Whoever names a place has chosen who may write there."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    bind(UnixServer(name="unix", path=str(tmp_path / "shared" / "s"))).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_owner_that_can_not_be_had_is_told_as_such() -> None:
    """And not as if the directory were at fault."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        os.seteuid(65534)
        try:
            with pytest.raises(BindError) as refused:
                bind(UnixServer(name="unix", path=f"{folder}/s", owner=(0, 0)))
        finally:
            os.seteuid(0)
    assert str(refused.value) == (
        f"cannot listen on unix://{folder}/s: may not give the socket to uid 0, gid 0\n"
        "    hint: only root may give files away; leave out its owner (chown),"
        " or take one of yours"
    )
    assert refused.value.errno == errno.EPERM


def test_a_path_that_is_too_long() -> None:
    """Python says so without a number."""
    with pytest.raises(BindError, match="the path is too long\n    hint: the kernel") as told:
        bind(UnixServer(name="unix", path=f"/{'x' * 107}"))
    assert told.value.errno == errno.ENAMETOOLONG
