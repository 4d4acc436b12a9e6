"""Where a daemon keeps its state: ours alone, and of one daemon at a time."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opsvisor.core.spec import UserSpec
from opsvisor.runtime.memory.directory import (
    LockedError,
    Place,
    StateDirectory,
    StateDirectoryError,
    open_state_directory,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def opened() -> Iterator[Callable[[Place], StateDirectory]]:
    """Opens state directories, and closes them in the end."""
    all_of_them: list[StateDirectory] = []

    def open_one(place: Place) -> StateDirectory:
        all_of_them.append(open_state_directory(place))
        return all_of_them[-1]

    yield open_one
    for one in all_of_them:
        one.release(is_over=False)


Open = Callable[[Place], StateDirectory]


def test_it_is_made_for_us_alone(tmp_path: Path, opened: Open) -> None:
    """The usual one with the directory around it, both closed to others."""
    directory = opened(Place(path=tmp_path / "run" / "web-1", is_chosen=False))
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert directory.path.parent.stat().st_mode & 0o777 == 0o700


def test_the_usual_one_is_gone_in_the_end(tmp_path: Path, opened: Open) -> None:
    """Nobody cleans up after us; one that was asked for stays, empty."""
    usual = opened(Place(path=tmp_path / "run" / "web-1", is_chosen=False))
    chosen = opened(Place(path=tmp_path / "chosen", is_chosen=True))
    for one in (usual, chosen):
        one.lock()
        one.release(is_over=True)
    assert list((tmp_path / "run").iterdir()) == []
    assert list((tmp_path / "chosen").iterdir()) == []


def _as_link(path: Path) -> None:
    (path.parent / "real").mkdir(mode=0o700)
    path.symlink_to("real")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_as_link, "is a symbolic link"),
        (lambda path: path.write_text(""), "is not a directory"),
        (lambda path: (path.mkdir(), path.chmod(0o770)), "others may write to"),
        (lambda path: (path.mkdir(), path.chmod(0o702)), "others may write to"),
        (lambda path: (path.mkdir(), path.chmod(0o1777)), "others may write to"),
    ],
)
def test_what_others_can_have_touched_is_not_used(
    tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    """It says which processes are signalled: whoever could write there would decide that."""
    path = tmp_path / "state"
    make(path)
    with pytest.raises(StateDirectoryError) as refused:
        open_state_directory(Place(path=path, is_chosen=True))
    assert f"{path} cannot be trusted: {path} {says}".split(f" {path}")[0] in str(refused.value)
    assert says in str(refused.value)
    remedy = f"chmod go-w {path}" if says == "others may write to" else "hint: remove it"
    assert remedy in str(refused.value)  # after a crash the directory itself is needed


@as_root
def test_another_users_directory_is_not_used(tmp_path: Path) -> None:
    """Nor one below such a directory, where the usual one is."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)
    for place in (
        Place(path=path, is_chosen=True),
        Place(path=path / "web-1", is_chosen=False),
    ):
        with pytest.raises(StateDirectoryError, match=r"another user \(uid 12345\)"):
            open_state_directory(place)


@as_root
def test_another_users_link_is_not_followed(tmp_path: Path) -> None:
    """Not even to a directory of ours: its maker could have us forget, by another link."""
    usual = tmp_path / "usual"
    _as_link(usual)
    open_state_directory(Place(path=usual / "web-1", is_chosen=False)).release(is_over=True)
    os.lchown(usual, 12345, 12345)
    with pytest.raises(StateDirectoryError, match="a symbolic link that somebody else has made"):
        open_state_directory(Place(path=usual / "web-1", is_chosen=False))


def test_a_lock_that_is_a_link(tmp_path: Path) -> None:
    """It is not followed, and called what it is."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    (path / "lock").symlink_to("/etc/passwd")
    with pytest.raises(StateDirectoryError, match="lock is a symbolic link\n    hint: remove it"):
        open_state_directory(Place(path=path, is_chosen=True)).lock()


@as_root
def test_it_is_given_to_whom_the_daemon_becomes(tmp_path: Path) -> None:
    """And to be found theirs by the next daemon, which starts as root again."""
    user = UserSpec(name="somebody", uid=12345, gid=12345)
    place = Place(path=tmp_path / "state", is_chosen=True)
    for _ in range(2):
        opened = open_state_directory(place, user)
        assert place.path.stat().st_uid == 12345
        opened.release(is_over=False)


def test_where_nothing_can_be_made(tmp_path: Path) -> None:
    """It says which, why, and what to do."""
    with pytest.raises(StateDirectoryError) as refused:
        open_state_directory(Place(path=tmp_path / "no" / "such", is_chosen=True))
    assert str(refused.value) == (
        f"the state directory {tmp_path}/no/such cannot be made: No such file or directory\n"
        "    hint: name a directory that the daemon may write to with state_dir, best on a tmpfs"
    )


def test_one_daemon_at_a_time(tmp_path: Path, opened: Open) -> None:
    """The second is told who has it, and what it can do."""
    place = Place(path=tmp_path / "state", is_chosen=True)
    first = opened(place)
    first.lock()
    assert first.is_locked
    first.lock()
    with pytest.raises(LockedError) as refused:
        opened(place).lock()
    assert refused.value.pid == os.getpid()
    assert f"the state directory {place.path} is in use by pid {os.getpid()}\n" in str(
        refused.value
    )
    first.release(is_over=False)
    opened(place).lock()


def test_a_lock_file_that_was_removed_locks_nothing(tmp_path: Path, opened: Open) -> None:
    """Whoever waits for the lock of a daemon that ends gets a new one, not the removed one."""
    place = Place(path=tmp_path / "state", is_chosen=True)
    first = opened(place)
    first.lock()
    (place.path / "lock").unlink()
    second = opened(place)
    second.lock()
    with pytest.raises(LockedError):
        opened(place).lock()


_HALF_MADE = """
import fcntl, os, sys
lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, b"4194304 1\\n")  # somebody who is dead
print("locked", flush=True)
sys.stdin.readline()
"""


def test_a_half_made_child_of_a_dead_daemon_is_waited_for(tmp_path: Path, opened: Open) -> None:
    """The lock is held, but not by a daemon: by a fork of one, for a moment, until its exec."""
    place = Place(path=tmp_path / "state", is_chosen=True)
    directory = opened(place)
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _HALF_MADE],
        cwd=place.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "locked\n"
        looks = 0

        def look_again(_: float) -> None:
            nonlocal looks
            looks += 1
            if looks == 3:
                assert child.stdin is not None
                child.stdin.close()
                child.wait(10)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("opsvisor.runtime.memory.directory.stand_still", look_again)
            directory.lock()
        assert looks >= 3
    assert (place.path / "lock").read_text().split()[0] == str(os.getpid())
