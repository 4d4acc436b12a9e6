"""Creating and removing AUTO logs, where the system is in the way."""

from pathlib import Path

import pytest

from opsvisor.core.spec import LogSpec
from opsvisor.daemon import auto_logs

NAME = "web-stdout---supervisor-0123abcd.log"


def test_a_log_is_created_once(tmp_path: Path) -> None:
    """For us alone; one that is there keeps what is in it, and a link is not followed."""
    path = tmp_path / NAME
    log = LogSpec(path=str(path), private=True)
    assert auto_logs.create(log) == ""
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("kept")
    assert auto_logs.create(log) == ""
    assert path.read_text() == "kept"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert auto_logs.create(LogSpec(path=str(link), private=True)) == ""
    assert not (tmp_path / "elsewhere").exists()


def test_only_logs_called_auto_are_created(tmp_path: Path) -> None:
    """A file that was named is created at the first start, with the rights of any file."""
    assert auto_logs.create(LogSpec(path=str(tmp_path / "named.log"))) == ""
    assert auto_logs.create(LogSpec(private=True)) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_can_not_be_created(tmp_path: Path) -> None:
    """Told, with the path and the reason."""
    path = tmp_path / "none" / NAME
    problem = auto_logs.create(LogSpec(path=str(path), private=True))
    assert problem == f"could not create {path}: No such file or directory"


def test_what_can_not_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Supervisor's words, with the reason; the others are removed all the same."""
    stubborn, other = tmp_path / NAME, tmp_path / f"{NAME}.1"
    stubborn.touch()
    other.touch()
    unlink = Path.unlink

    def refuse(self: Path) -> None:
        if self == stubborn:
            raise PermissionError(1, "Operation not permitted")
        unlink(self)

    monkeypatch.setattr(Path, "unlink", refuse)
    problems = auto_logs.remove_old(str(tmp_path), "supervisor")
    assert problems == [f"Failed to clean up '{stubborn}': Operation not permitted"]
    assert not other.exists()


def test_a_directory_that_can_not_be_read(tmp_path: Path) -> None:
    """One warning, and on with it."""
    (problem,) = auto_logs.remove_old(f"{tmp_path}/none", "supervisor")
    assert problem == f"Could not clear childlog dir {tmp_path}/none: No such file or directory"


def test_the_identifier_is_no_pattern(tmp_path: Path) -> None:
    """Dots and stars in it stand for themselves, and it has to be the whole of it."""
    mine, theirs = (
        tmp_path / "web-stdout---a.*-0123abcd.log",
        tmp_path / "web-stdout---abc-0123abcd.log",
    )
    other = tmp_path / "web-stdout---x---a.*-0123abcd.log"
    for path in (mine, theirs, other):
        path.touch()
    assert auto_logs.remove_old(str(tmp_path), "a.*") == []
    assert {path for path in (mine, theirs, other) if path.exists()} == {theirs, other}
