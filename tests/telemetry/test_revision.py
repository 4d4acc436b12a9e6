"""The revision that a build was made from: what is built is what is told."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from opsvisor.telemetry.revision import read_revision

ROOT = Path(__file__).parent.parent.parent
SOURCES = ("pyproject.toml", "build_revision.py", "README.md", "LICENSE", "CHANGELOG.md")


def git(repository: Path, *arguments: str) -> str:
    """Run git here as nobody in particular."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What a build needs of this project, committed."""
    folder = tmp_path / "repository"
    (folder / "opsvisor").mkdir(parents=True)
    for name in SOURCES:
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "opsvisor" / "__init__.py", folder / "opsvisor")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all of it")
    return folder


def build(source: Path, kind: str, target: Path) -> Path:
    """Build the wheel or the sdist of this source; the file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, capture_output=True, check=True)
    (built,) = target.iterdir()
    return built


def revision_in(wheel: Path, folder: Path) -> str:
    """What an opsvisor that was installed from this wheel tells."""
    with zipfile.ZipFile(wheel) as archive:
        if "opsvisor/revision" not in archive.namelist():
            return ""
        return read_revision(Path(archive.extract("opsvisor/revision", folder)))


def test_a_wheel_tells_the_commit_it_was_built_from(repository: Path, tmp_path: Path) -> None:
    """And says so where files had been changed since."""
    commit = git(repository, "rev-parse", "HEAD")
    wheel = build(repository, "wheel", tmp_path / "clean")
    assert revision_in(wheel, tmp_path / "a") == commit
    (repository / "README.md").write_text("changed")
    wheel = build(repository, "wheel", tmp_path / "changed")
    assert revision_in(wheel, tmp_path / "b") == f"{commit}-dirty"
    assert not (repository / "opsvisor" / "revision").exists()


def test_a_wheel_from_an_sdist_tells_the_commit_of_the_sdist(
    repository: Path, tmp_path: Path
) -> None:
    """Also when it is unpacked inside somebody else's repository."""
    commit = git(repository, "rev-parse", "HEAD")
    sdist = build(repository, "sdist", tmp_path / "sdist")
    others = tmp_path / "others"
    others.mkdir()
    git(others, "init", "--quiet")
    git(others, "commit", "--quiet", "--allow-empty", "--message", "another project")
    subprocess.run(["tar", "-xf", sdist, "-C", others], check=True)
    (source,) = (path for path in others.iterdir() if path.name != ".git")
    wheel = build(source, "wheel", tmp_path / "wheel")
    assert revision_in(wheel, tmp_path / "a") == commit


def test_without_a_repository_no_revision_is_made_up(repository: Path, tmp_path: Path) -> None:
    """It is empty then."""
    shutil.rmtree(repository / ".git")
    wheel = build(repository, "wheel", tmp_path / "wheel")
    assert revision_in(wheel, tmp_path / "a") == ""


@pytest.mark.parametrize("text", ["", "v1.2\n", "\n\n", "1" * 100, "é", "abc", "abcdef1 x"])
def test_what_is_no_revision_is_not_told(tmp_path: Path, text: str) -> None:
    """The label takes a commit and nothing else."""
    file = tmp_path / "revision"
    assert read_revision(file) == ""
    file.write_text(text)
    assert read_revision(file) == ""
