"""Wheel and sdist: built as PyPI gets them, whole, and installed where nothing else is."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from daemon import eventually

import opsvisor

_ROOT = Path(__file__).parents[2]
_PACKAGE = _ROOT / "opsvisor"
_PROGRAMS = ("opsvisord", "opsvisorctl")


def run(*command: str | Path, directory: Path | None = None) -> str:
    """What a program prints that has to succeed."""
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, _ROOT)
    return folder


def only(folder: Path, pattern: str) -> Path:
    """The one file of that pattern."""
    (found,) = folder.glob(pattern)
    return found


def files_of_the_package() -> set[str]:
    """All that belongs into an installation, by its path."""
    return {
        str(path.relative_to(_ROOT))
        for path in _PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def missing_from(names: Sequence[str]) -> set[str]:
    """What of the package is not among these."""
    return files_of_the_package() - set(names)


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    """Every module and every file beside them; no tests, no tools."""
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        names = wheel.namelist()
    assert not missing_from(names)
    stem = f"opsvisor-{opsvisor.__version__}"
    tops = {name.split("/")[0] for name in names}
    assert tops <= {"opsvisor", f"{stem}.dist-info", f"{stem}.data"}
    assert "opsvisor/revision" in names or not (_ROOT / ".git").exists()
    shared = {name.partition("/data/share/")[2] for name in names if "/data/share/" in name}
    assert shared == {
        "man/man1/opsvisorctl.1",
        "man/man5/opsvisor.toml.5",
        "man/man8/opsvisord.8",
        *(f"bash-completion/completions/{program}" for program in _PROGRAMS),
        *(f"fish/vendor_completions.d/{program}.fish" for program in _PROGRAMS),
        *(f"zsh/site-functions/_{program}" for program in _PROGRAMS),
    }


def test_the_sdist_holds_all_that_it_is_built_from(built: Path) -> None:
    """The wheel of the fixture came out of it; what people look for in one is there too."""
    with tarfile.open(only(built, "*.tar.gz")) as sdist:
        names = [name.partition("/")[2] for name in sdist.getnames()]
    assert not missing_from(names)
    assert {"README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO", "pyproject.toml"} <= set(names)
    assert not any(name.startswith(("tests/", "docs/decisions")) for name in names)


def test_the_wheel_installs_where_nothing_is_and_works(built: Path, tmp_path: Path) -> None:
    """An empty environment, the versions we tested with, and both programs at work."""
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv)
    python = venv / "bin" / "python"
    run(
        *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--constraint", _ROOT / "constraints" / "dev.txt", only(built, "*.whl")),
    )
    run(python, "-m", "pip", "check")
    socket = tmp_path / "s"
    config = tmp_path / "opsvisor.toml"
    config.write_text(
        f'[daemon]\nstate_dir = "{tmp_path}/state"\n[server]\nunix = "{socket}"\n'
        '[program.steady]\ncommand = ["sleep", "1000"]\n'
    )
    daemon = subprocess.Popen(
        [venv / "bin" / "opsvisord", "-c", config], stdout=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        eventually(socket.exists)
        ctl = (venv / "bin" / "opsvisorctl", "-c", config)
        eventually(lambda: "RUNNING" in run(*ctl, "status"))
        run(*ctl, "shutdown")
        assert daemon.wait(20) == 0
    finally:
        daemon.kill()
        daemon.wait()
