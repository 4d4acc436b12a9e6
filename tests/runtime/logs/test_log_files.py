import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from captured_programs import log_spec, no_file_longer_than, tiny_disk
from hypothesis import given
from hypothesis import strategies as st

from opsvisor.runtime.logs.files import FileTarget, shift
from opsvisor.runtime.logs.plumbing import OpenFiles
from opsvisor.runtime.logs.targets import RETRY_DELAY, Tally

LINES = st.lists(st.sampled_from([b"a", b"bcd", b"\n", b"x" * 25, b"line\n"]), max_size=12)


class Log:
    """A file target with a clock that the test moves."""

    def __init__(self, path: Path, files: OpenFiles | None = None, **options: object) -> None:
        self.now = 100.0
        self.path = path
        self.tally = Tally()
        self.target = FileTarget(log_spec(path, **options), self.tally, lambda: self.now, files)

    def backups(self) -> list[bytes]:
        """The content of all backups, the oldest first."""
        found = self.path.parent.glob(f"{self.path.name}.*")
        return [
            file.read_bytes() for file in sorted(found, key=lambda file: -int(file.suffix[1:]))
        ]


@pytest.fixture
def make_log(tmp_path: Path) -> Iterator[Callable[..., Log]]:
    """Logs at `tmp_path / "x.log"` or elsewhere, closed at the end."""
    made: list[Log] = []

    def make(
        path: Path = tmp_path / "x.log", files: OpenFiles | None = None, **options: object
    ) -> Log:
        made.append(Log(path, files, **options))
        return made[-1]

    yield make
    for log in made:
        log.target.close()


@given(
    chunks=st.lists(LINES.map(b"".join), max_size=12),
    size=st.integers(1, 60),
    keep=st.integers(0, 4),
    before=st.sampled_from([b"", b"older\n", b"y" * 70]),
)
def test_backups_and_file_are_the_tail_of_all_output(
    tmp_path_factory: pytest.TempPathFactory,
    chunks: list[bytes],
    size: int,
    keep: int,
    before: bytes,
) -> None:
    """No byte lost, doubled or out of order, no file above its size."""
    log = Log(tmp_path_factory.mktemp("log") / "x.log", rotate_size=size, rotate_keep=keep)
    log.path.write_bytes(before)
    log.target.open()
    for chunk in chunks:
        log.target.write(chunk)
    log.target.close()
    everything = before + b"".join(chunks)
    files = [*log.backups(), log.path.read_bytes()]
    kept = b"".join(files)
    assert everything.endswith(kept)
    assert len(files) <= keep + 1
    if log.tally.rotations <= keep:
        assert kept == everything
    assert all(len(file) <= size for file in files if file != before)
    assert log.target.size == len(files[-1])
    assert (log.target.problem, log.tally.write_errors, log.tally.dropped_lines) == ("", 0, 0)


@given(lines=st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"") + b"\n")))
def test_rotation_happens_between_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    """Lines that fit a file are never split across two, however they come."""
    log = Log(tmp_path_factory.mktemp("log") / "x.log", rotate_size=21, rotate_keep=99)
    log.target.open()
    log.target.write(b"".join(lines))
    log.target.close()
    assert all(file.endswith(b"\n") for file in log.backups())


def test_rotation_without_backups_truncates(make_log: Callable[..., Log]) -> None:
    """rotate_keep 0: one file, its newest part."""
    log = make_log(rotate_size=10, rotate_keep=0)
    log.target.write(b"one\ntwo\nthree\nfour\n")
    assert log.path.read_bytes() == b"four\n"
    assert log.backups() == []


def test_missing_backup_numbers_take_up_the_shift(tmp_path: Path) -> None:
    """A rotation that was interrupted, or a backup that was deleted, costs no other backup."""
    for name in ("x", "x.1", "x.3"):
        (tmp_path / name).write_text(name)
    shift(str(tmp_path / "x"), 3)
    found = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert found == {"x.1": "x", "x.2": "x.1", "x.3": "x.3"}


def test_failing_rename_writes_on_and_tries_again_a_size_later(
    make_log: Callable[..., Log], tmp_path: Path
) -> None:
    """Nothing is lost, the problem is shown, and not every write repeats the attempt."""
    log = make_log(rotate_size=10, rotate_keep=1)
    blocker = tmp_path / "x.log.1"
    (blocker / "full").mkdir(parents=True)
    for _ in range(4):
        log.target.write(b"12345678\n")
    assert log.path.read_bytes() == b"12345678\n" * 4
    assert log.tally.write_errors == 2
    assert log.target.problem == f"cannot rotate {log.path}: Is a directory ({blocker})"
    (blocker / "full").rmdir()
    blocker.rmdir()
    log.target.write(b"new\n")
    log.target.write(b"12345678\n")
    assert log.target.problem == ""
    assert log.backups() == [b"12345678\n" * 4 + b"new\n"]
    assert log.path.read_bytes() == b"12345678\n"


def test_truncated_file_is_not_rotated_early(make_log: Callable[..., Log]) -> None:
    """Copytruncate, or an operator's `> x.log`, gives the file its whole size again."""
    log = make_log(rotate_size=10, rotate_keep=2)
    log.target.write(b"12345678\n")
    os.truncate(log.path, 0)
    assert log.target.size == 0
    log.target.write(b"abcd\n")
    log.target.write(b"efg\n")
    assert log.path.read_bytes() == b"abcd\nefg\n"
    assert log.backups() == []


def test_renamed_file_is_not_rotated_in_anothers_name(make_log: Callable[..., Log]) -> None:
    """Logrotate moved our file and somebody made a new one: that one is joined, not renamed."""
    log = make_log(rotate_size=10, rotate_keep=2)
    log.target.write(b"12345678\n")
    log.path.rename(log.path.with_name("moved"))
    log.path.write_bytes(b"new\n")
    log.target.write(b"more\n")
    assert log.path.read_bytes() == b"new\nmore\n"
    assert log.path.with_name("moved").read_bytes() == b"12345678\n"
    assert log.backups() == []


def test_reopen_follows_the_name(make_log: Callable[..., Log]) -> None:
    """What logrotate asks for: until then the moved file, from then on the new one."""
    log = make_log()
    log.target.write(b"1\n")
    moved = log.path.rename(log.path.with_name("moved"))
    log.target.write(b"2\n")
    log.target.reopen()
    log.target.write(b"3\n")
    assert (moved.read_bytes(), log.path.read_bytes()) == (b"1\n2\n", b"3\n")


def test_link_is_written_through_not_renamed(make_log: Callable[..., Log], tmp_path: Path) -> None:
    """A log that is a symbolic link is rotated where it really lies."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.log"
    link.symlink_to(tmp_path / "real" / "x.log")
    log = make_log(link, rotate_size=5, rotate_keep=1)
    log.target.write(b"1234\n")
    log.target.write(b"5\n")
    assert link.is_symlink()
    assert link.read_bytes() == b"5\n"
    assert (tmp_path / "real" / "x.log.1").read_bytes() == b"1234\n"


def test_clear_empties_the_main_file_only(make_log: Callable[..., Log]) -> None:
    """Also when the file was moved away: the one with the name is emptied."""
    log = make_log(rotate_size=5, rotate_keep=1)
    log.target.write(b"1234\n5\n")
    log.target.clear()
    assert (log.path.read_bytes(), log.backups(), log.target.size) == (b"", [b"1234\n"], 0)
    log.target.write(b"6\n")
    assert log.path.read_bytes() == b"6\n"


@pytest.mark.parametrize(("private", "mode"), [(False, 0o644), (True, 0o600)])
def test_file_modes(make_log: Callable[..., Log], *, private: bool, mode: int) -> None:
    """0644 less the umask, or 0600."""
    umask = os.umask(0o022)
    try:
        log = make_log(private=private)
        log.target.open()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(log.path.stat().st_mode) == mode


def test_private_log_is_never_somebody_elses_file(
    make_log: Callable[..., Log], tmp_path: Path
) -> None:
    """A name that can be guessed, in /tmp, must not lead the daemon to write elsewhere."""
    victim = tmp_path / "shadow"
    victim.write_bytes(b"root\n")
    log = make_log(private=True)
    log.path.symlink_to(victim)
    log.target.write(b"1\n")
    assert "symbolic link" in log.target.problem
    assert victim.read_bytes() == b"root\n"


def test_missing_directory_is_named_and_waited_for(
    make_log: Callable[..., Log], tmp_path: Path
) -> None:
    """The operator learns what to create; once it exists, output goes on by itself."""
    log = make_log(tmp_path / "no" / "x.log")
    log.target.write(b"1\n2\nhalf ")
    reason = f"No such file or directory (create {tmp_path / 'no'}: log directories are not made)"
    assert log.target.problem == f"cannot open {log.path}: {reason}"
    log.path.parent.mkdir()
    log.target.write(b"a line\n4\n")
    assert not log.path.exists()
    log.now += RETRY_DELAY
    log.target.write(b"5\n")
    assert log.path.read_bytes() == b"5\n"
    assert log.target.problem == ""
    assert (log.tally.dropped_lines, log.tally.write_errors) == (4, 1)


def test_directory_in_place_of_the_file(make_log: Callable[..., Log]) -> None:
    """A problem like any other, at the beginning and in the middle."""
    log = make_log(rotate_size=5)
    log.path.mkdir()
    log.target.write(b"1\n")
    assert log.target.problem == f"cannot open {log.path}: Is a directory"
    log.path.rmdir()
    log.now += RETRY_DELAY
    log.target.write(b"1234\n")
    log.path.unlink()
    log.path.mkdir()
    log.target.write(b"5\n")
    assert log.target.problem == f"cannot open {log.path}: Is a directory"


def test_fifo_in_place_of_the_file_does_not_block(make_log: Callable[..., Log]) -> None:
    """Opening a FIFO waits for a reader; we don't."""
    log = make_log()
    os.mkfifo(log.path)
    log.target.write(b"1\n")
    assert log.target.problem == f"cannot open {log.path}: No such device or address"


def test_impossible_name_is_a_problem_too(make_log: Callable[..., Log]) -> None:
    """A NUL in a path is a ValueError in Python; it must not reach the loop."""
    log = make_log(Path("/tmp/nul\0"))
    log.target.write(b"1\n")
    assert "null byte" in log.target.problem


def test_full_disk_costs_whole_lines_and_is_left_behind(
    make_log: Callable[..., Log], tmp_path: Path
) -> None:
    """What is written is a prefix, whose torn line ends at once, and later lines as a whole."""
    lines = [b"%06d %s\n" % (number, b"x" * 93) for number in range(1000)]
    with tiny_disk(tmp_path) as make_room:
        log = make_log()
        log.target.write(b"".join(lines[:600]))
        assert log.path.read_bytes() == b"".join(lines)[:49151] + b"\n"
        assert log.target.problem.startswith(f"cannot write {log.path}: ")
        log.target.write(b"".join(lines[600:700]) + lines[700][:50])
        make_room()
        log.target.write(lines[700][50:])  # too early for another attempt
        assert log.tally.write_errors == 1
        log.now += RETRY_DELAY
        log.target.write(lines[701])
        assert log.target.problem == ""
        assert log.path.read_bytes() == b"".join(lines)[:49151] + b"\n" + lines[701]
        assert log.tally.dropped_lines == 701 - 49152 // 101 - 1
        assert log.target.size == log.path.stat().st_size
        log.target.close()


def test_disk_that_stays_full_is_asked_once_a_second(
    make_log: Callable[..., Log], tmp_path: Path
) -> None:
    """A flood onto a full disk costs a few system calls, not one error each."""
    with tiny_disk(tmp_path):
        log = make_log()
        for _ in range(200):
            log.target.write(b"x" * 999 + b"\n")
        log.now += RETRY_DELAY
        for _ in range(200):
            log.target.write(b"x" * 999 + b"\n")
        assert log.tally.write_errors == 2
        written = log.path.read_bytes().count(b"\n")
        assert written + log.tally.dropped_lines == 400
        log.target.close()


def test_file_size_limit_ends_a_write_half_way(make_log: Callable[..., Log]) -> None:
    """RLIMIT_FSIZE, as on any machine: no byte is written again after the limit is lifted."""
    log = make_log()
    with no_file_longer_than(5):
        log.target.write(b"123\n567\n")
    assert log.target.problem == f"cannot write {log.path}: File too large"
    log.now += RETRY_DELAY
    log.target.write(b"9\n")
    assert log.path.read_bytes() == b"123\n\n9\n"
    assert log.tally.dropped_lines == 0  # torn, not dropped: its newline is there


def test_torn_line_ends_at_once(make_log: Callable[..., Log]) -> None:
    """A newline takes the place of its last byte, so that whoever opens the file may go on."""
    log = make_log()
    log.target.write(b"1\nhalf a")
    with no_file_longer_than(8):
        log.target.write(b" line\n2\n")  # nothing of this
        assert log.path.read_bytes() == b"1\nhalf \n"
        assert log.tally.dropped_lines == 1
    successor = make_log()
    successor.target.write(b"3\n")
    assert log.path.read_bytes() == b"1\nhalf \n3\n"
    log.now += RETRY_DELAY
    log.target.write(b"4\n")
    assert log.path.read_bytes() == b"1\nhalf \n3\n4\n"


def appended_to(log: Log, _make_log: Callable[..., Log]) -> None:
    """Somebody else writes there, too."""
    with log.path.open("ab") as file:
        file.write(b"x")


def exchanged(log: Log, _make_log: Callable[..., Log]) -> None:
    """There is another file by that name."""
    log.path.unlink()
    log.path.write_bytes(b"1\nhalf ax")
    log.target.reopen()


def shared(log: Log, make_log: Callable[..., Log]) -> None:
    """Another stream of ours writes to it."""
    make_log(files=log.target._files).target.write(b"x")


def without_overwriting(_log: Log, _make_log: Callable[..., Log]) -> None:
    """As on file systems that write nothing in its place, when they are full."""


@pytest.mark.parametrize("how", [appended_to, exchanged, shared, without_overwriting])
def test_last_byte_that_is_not_ours_is_left_alone(
    make_log: Callable[..., Log],
    how: Callable[[Log, Callable[..., Log]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then the newline is owed, and is written when there is room."""
    log = make_log()
    log.target.write(b"1\nhalf a")
    how(log, make_log)
    if how is without_overwriting:
        refused = Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        monkeypatch.setattr(os, "pwrite", refused)
    before = log.path.read_bytes()
    with no_file_longer_than(len(before)):
        log.target.write(b" line\n2\n")
    assert log.path.read_bytes() == before
    log.now += RETRY_DELAY
    log.target.write(b"3\n")
    assert log.path.read_bytes() == before + b"\n3\n"
    assert log.tally.dropped_lines == 1
