"""Installed versions of opsvisor for a test, of which one is current, as a deployment has them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import opsvisor
from opsvisor import __version__

_OURS = Path(opsvisor.__file__).parent


class Releases:
    """Copies of the package, and a link `current` to one of them that PYTHONPATH leads to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current = folder / "current"
        self.install("first", __version__)
        self.switch("first")

    @property
    def wrapper(self) -> list[str]:
        """What goes before the command of a daemon that shall run the current one."""
        return ["env", f"PYTHONPATH={self._current}"]

    def install(self, name: str, version: str) -> "Release":
        """Another copy, which says that it is of this version."""
        release = Release(self._folder / name)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_OURS, release.package, ignore=ignored)
        if version != __version__:
            release.change("__init__.py", lambda text: text.replace(__version__, version))
        return release

    def switch(self, name: str) -> None:
        """Make this one the current one, in one step."""
        link = self._folder / "next"
        link.symlink_to(name)
        link.rename(self._current)


class Release:
    """One copy."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "opsvisor"

    def change(self, module: str, how: Callable[[str], str]) -> None:
        """Write one of its modules anew."""
        path = self.package / module
        before = path.read_text()
        after = how(before)
        assert after != before
        path.write_text(after)

    def append(self, module: str, text: str) -> None:
        """Add something to the end of one of its modules."""
        self.change(module, lambda before: f"{before}\n{text}\n")
