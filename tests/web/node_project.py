"""The npm project beside this file: a type checker for the page, and rules of accessibility."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

NODE = Path(__file__).with_name("node")
_LOCK = NODE.parents[2] / ".cache" / "page.lock"
_PROJECT = ("package.json", "package-lock.json", ".npmrc")
_LIMIT = 300.0  # seconds; only a registry that does not answer takes as long


def installed() -> Path:
    """Its node_modules, as the lock says. Tests that run side by side install it once."""
    text = b"".join((NODE / name).read_bytes() for name in _PROJECT)
    modules = NODE / "node_modules"
    mark = modules / ".installed"
    digest = hashlib.sha256(text).hexdigest()
    _LOCK.parent.mkdir(exist_ok=True)
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != digest:
            _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            mark.write_text(digest)
    return modules


def _run(*command: str) -> None:
    assert shutil.which(command[0]), (
        f"{command[0]} is missing\n    hint: apt-get install nodejs npm"
    )
    done = subprocess.run(
        command,
        cwd=NODE,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
