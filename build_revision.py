"""Writes down, in a wheel or an sdist, from which commit it is built.

What is built from an sdist finds the file in it. Without git or a repository there is no file, and
none in an editable installation: what stands in a checkout is nobody's revision for long.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_TARGET = "opsvisor/revision"


class RevisionHook(BuildHookInterface[Any]):
    """The hook that pyproject.toml names."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file to what is being built."""
        root = Path(self.root)
        if version == "editable" or not (root / ".git").exists():  # a .git above is another's
            return
        revision = _describe(root)
        if revision:
            self._folder = tempfile.TemporaryDirectory(prefix="opsvisor-build-")
            file = Path(self._folder.name) / "revision"
            file.write_text(f"{revision}\n", "ascii")
            build_data["force_include"][str(file)] = _TARGET

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        del version, build_data, artifact_path
        folder = getattr(self, "_folder", None)
        if folder is not None:
            folder.cleanup()


def _describe(root: Path) -> str:
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""  # built without git
    return done.stdout.strip() if done.returncode == 0 else ""
