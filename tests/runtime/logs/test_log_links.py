"""Symbolic links on the way to a log: followed, unless that lends somebody root's rights."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from captured_programs import MakeCapture, log_spec

from opsvisor.runtime.logs.devices import is_device, open_outlet
from opsvisor.runtime.logs.files import FileTarget
from opsvisor.runtime.logs.links import located, read_link
from opsvisor.runtime.logs.targets import Tally

SOMEBODY = 65534
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
REFUSED = "is a symbolic link in a directory of another user: not followed"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that no program may touch."""
    path = tmp_path / "passwd"
    path.write_bytes(b"root\n")
    return path


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A directory that belongs to the user a program runs as."""
    path = tmp_path / "theirs"
    path.mkdir()
    os.chown(path, SOMEBODY, SOMEBODY)
    return path


@pytest.fixture
def target_at() -> Iterator[Callable[[Path], FileTarget]]:
    """Targets that rotate after ten bytes, closed at the end."""
    made: list[FileTarget] = []

    def make(path: Path) -> FileTarget:
        spec = log_spec(path, rotate_size=10, rotate_keep=2)
        made.append(FileTarget(spec, Tally(), lambda: 0.0))
        return made[-1]

    yield make
    for target in made:
        target.close()


TargetAt = Callable[[Path], FileTarget]


@NEEDS_ROOT
def test_root_does_nothing_to_what_a_program_links_to(
    secret: Path, theirs: Path, target_at: TargetAt
) -> None:
    """Neither appending nor rotating nor clearing reaches a file behind somebody else's link."""
    log = theirs / "web.log"
    log.symlink_to(secret)
    target = target_at(log)
    target.write(b"123456\n")
    target.write(b"123456\n")
    target.clear()
    assert secret.read_bytes() == b"root\n"
    assert sorted(path.name for path in secret.parent.iterdir()) == ["passwd", "theirs"]
    assert target.problem.startswith(f"cannot open {log}: {log} {REFUSED} (configure the path")


@NEEDS_ROOT
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_root_follows_no_link_where_others_can_write(
    secret: Path, tmp_path: Path, target_at: TargetAt, mode: int
) -> None:
    """Root's own directory, but with write permission for others: sticky or not, they may link."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    (shared / "web.log").symlink_to(secret)
    target = target_at(shared / "web.log")
    target.write(b"1\n")
    assert REFUSED in target.problem
    assert secret.read_bytes() == b"root\n"


@NEEDS_ROOT
def test_root_follows_no_link_that_was_given_to_somebody(
    secret: Path, tmp_path: Path, target_at: TargetAt
) -> None:
    """The link itself has to be root's too."""
    log = tmp_path / "web.log"
    log.symlink_to(secret)
    os.chown(log, SOMEBODY, SOMEBODY, follow_symlinks=False)
    target = target_at(log)
    target.write(b"1\n")
    assert REFUSED in target.problem


@NEEDS_ROOT
def test_root_follows_no_directory_that_a_program_links_to(
    secret: Path, theirs: Path, target_at: TargetAt
) -> None:
    """A name of one's choice is harm enough in a directory such as /etc/logrotate.d."""
    (theirs / "logs").symlink_to(secret.parent)
    target = target_at(theirs / "logs" / "web.log")
    target.write(b"1\n")
    assert f"{theirs / 'logs'} {REFUSED}" in target.problem
    assert not (secret.parent / "web.log").exists()


@NEEDS_ROOT
def test_root_follows_no_link_that_a_trusted_one_leads_to(
    secret: Path, tmp_path: Path, theirs: Path, target_at: TargetAt
) -> None:
    """Every link of a chain is judged by its own place."""
    (theirs / "web.log").symlink_to(secret)
    (tmp_path / "web.log").symlink_to("theirs/web.log")
    target = target_at(tmp_path / "web.log")
    target.write(b"1\n")
    assert f"{theirs / 'web.log'} {REFUSED}" in target.problem


@NEEDS_ROOT
def test_a_directory_swapped_for_a_link_stops_the_rotation(
    secret: Path, theirs: Path, target_at: TargetAt
) -> None:
    """What was a directory when the log was opened may be a link when it is rotated."""
    (theirs / "logs").mkdir()
    target = target_at(theirs / "logs" / "passwd")
    target.write(b"123456\n")
    (theirs / "logs").rename(theirs / "moved")
    (theirs / "logs").symlink_to(secret.parent)
    target.write(b"123456\n")
    assert REFUSED in target.problem
    assert secret.read_bytes() == b"root\n"
    assert not secret.with_name("passwd.1").exists()


@NEEDS_ROOT
async def test_root_writes_to_no_device_that_a_program_links_to(
    theirs: Path, make_capture: MakeCapture
) -> None:
    """Neither to a disk nor to a descriptor of the daemon; and the problem is told."""
    for name, device in (("disk", "/dev/full"), ("descriptor", "/dev/stdout")):
        log = theirs / name
        log.symlink_to(device)
        assert not is_device(str(log))
        with pytest.raises(OSError, match=REFUSED):
            open_outlet(str(log))
        capture = make_capture(log)
        capture.write(b"1\n")
        assert REFUSED in capture.problem


def test_own_links_are_followed_and_rotation_keeps_them(
    tmp_path: Path, target_at: TargetAt
) -> None:
    """A link of one's own, even in a chain and through a directory, leads to the log."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "folder").symlink_to("real/deep")
    (tmp_path / "first.log").symlink_to(tmp_path / "folder" / ".." / "second.log")
    (tmp_path / "real" / "second.log").symlink_to("deep/web.log")
    target = target_at(tmp_path / "first.log")
    for line in (b"123456\n", b"234567\n"):
        target.write(line)
    assert target.problem == ""
    assert (tmp_path / "first.log").is_symlink()
    assert (tmp_path / "first.log").read_bytes() == b"234567\n"
    assert (tmp_path / "real" / "deep" / "web.log.1").read_bytes() == b"123456\n"


def test_links_in_a_circle_are_a_problem(tmp_path: Path, target_at: TargetAt) -> None:
    """As the kernel says it."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    target = target_at(tmp_path / "a")
    target.write(b"1\n")
    assert target.problem == f"cannot open {tmp_path / 'a'}: Too many levels of symbolic links"


def test_a_link_put_in_place_of_the_file_is_not_opened(tmp_path: Path, secret: Path) -> None:
    """Between finding out where the path leads and opening that, it may become a link."""
    with located(str(tmp_path / "web.log")) as spot:
        (tmp_path / "web.log").symlink_to(secret)
        with pytest.raises(OSError, match="symbolic links"):
            spot.open(os.O_WRONLY | os.O_CREAT)


def test_a_pipe_has_no_name_and_is_found_all_the_same() -> None:
    """Containers log to /proc/1/fd/1: a link of /proc that can only be opened as it is."""
    reader, writer = os.pipe()
    path = f"/proc/{os.getpid()}/fd/{writer}"
    assert is_device(path)
    with located(path) as spot:
        again = spot.open(os.O_WRONLY)
    os.write(again, b"1")
    assert os.read(reader, 9) == b"1"
    for fd in (reader, writer, again):
        os.close(fd)


def test_the_path_of_a_spot_is_the_real_one(tmp_path: Path) -> None:
    """Whoever we are, and also for what isn't there yet."""
    (tmp_path / "link").symlink_to("no.log")
    with located(str(tmp_path / "link")) as spot:
        assert (spot.path, spot.is_magic) == (str(tmp_path / "no.log"), False)
    with located("/") as spot, pytest.raises(IsADirectoryError):
        spot.open(os.O_WRONLY)
    assert read_link(str(tmp_path / "link")) == "no.log"


@NEEDS_ROOT
def test_without_roots_rights_links_are_followed_as_ever(target_at: TargetAt) -> None:
    """Nothing is gained by them: whoever made the link could write to that file anyway."""
    with TemporaryDirectory() as name:  # where another user may go, unlike `tmp_path`
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "web.log").symlink_to("real.log")
        target = target_at(folder / "web.log")
        os.seteuid(SOMEBODY)
        try:
            target.write(b"123456\n")
            target.write(b"234567\n")
        finally:
            os.seteuid(0)
        assert target.problem == ""
        assert (folder / "web.log").read_bytes() == b"234567\n"
        assert (folder / "real.log.1").read_bytes() == b"123456\n"
