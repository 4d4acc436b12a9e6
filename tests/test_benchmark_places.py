"""Where benchmarks work, so that the same is measured everywhere."""

import tempfile
from pathlib import Path

import pytest

from benchmarks import places


def test_what_is_wanted_counts(tmp_path: Path) -> None:
    """And nothing is left there."""
    for place in (places.in_memory, places.on_disk):
        with place("some-", str(tmp_path)) as directory:
            assert directory.parent == tmp_path
            assert directory.name.startswith("some-")
            (directory / "file").touch()
        assert not list(tmp_path.iterdir())


def test_memory_if_there_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container has too little of it, and then files are where others are."""
    monkeypatch.setattr(places, "_MEMORY", tmp_path)
    monkeypatch.setattr(places, "_ENOUGH", 1)
    with places.in_memory("some-", None) as directory:
        assert directory.parent == tmp_path
    elsewhere = Path(tempfile.gettempdir())
    monkeypatch.setattr(places, "_ENOUGH", 1 << 60)
    with places.in_memory("some-", None) as directory:
        assert directory.parent == elsewhere
    monkeypatch.setattr(places, "_ENOUGH", 1)
    monkeypatch.setattr(places, "_MEMORY", tmp_path / "none")
    with places.in_memory("some-", None) as directory:
        assert directory.parent == elsewhere


def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    """Through links, too."""
    link = tmp_path / "link"
    link.symlink_to("/proc/self/fd")
    assert places.file_system(link) == "proc"
    assert places.file_system(Path("/proc/self/fd")) == "proc"
    assert places.file_system(tmp_path) not in {"", "proc"}
