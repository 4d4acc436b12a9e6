import os
import subprocess
import sys
from pathlib import Path

import pytest

from opsvisor.config.search import default_paths, default_socket, find, runtime_dir


def test_the_list_ends_with_supervisors() -> None:
    """Ours come first; Supervisor's own list follows, in its order."""
    assert [str(path) for path in default_paths("/opt/app/bin/opsvisord")] == [
        "opsvisor.toml",
        "/etc/opsvisor/opsvisor.toml",
        "/etc/opsvisor.toml",
        "/opt/app/etc/supervisord.conf",
        "/opt/app/supervisord.conf",
        "supervisord.conf",
        "etc/supervisord.conf",
        "/etc/supervisord.conf",
        "/etc/supervisor/supervisord.conf",
    ]


def test_the_first_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A native file wins over Supervisor's; a directory of that name doesn't count."""
    monkeypatch.chdir(tmp_path)
    argv0 = str(tmp_path / "app/bin/opsvisord")
    (tmp_path / "supervisord.conf").touch()
    assert find(argv0) == Path("supervisord.conf")
    (tmp_path / "opsvisor.toml").mkdir()
    assert find(argv0) == Path("supervisord.conf")
    (tmp_path / "opsvisor.toml").rmdir()
    (tmp_path / "opsvisor.toml").touch()
    assert find(argv0) == Path("opsvisor.toml")


@pytest.mark.parametrize(
    ("uid", "environ", "directory"),
    [
        (0, {"XDG_RUNTIME_DIR": "/run/user/0"}, "/run/opsvisor"),
        (1000, {"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/opsvisor"),
        (1000, {"TMPDIR": "/var/tmp"}, "/var/tmp/opsvisor-1000"),
        (1000, {}, "/tmp/opsvisor-1000"),
    ],
)
def test_runtime_directories(
    uid: int, environ: dict[str, str], directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root has the system's, users have their own, and there is always one."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert str(runtime_dir(environ)) == directory
    assert str(default_socket(environ)) == f"{directory}/opsvisor.sock"


def test_it_is_light() -> None:
    """Opsvisorctl pays for every import: no schema, no TOML, none of our other modules."""
    code = (
        "import sys, opsvisor.config.search as s; print(sorted(m for m in sys.modules "
        "if m.startswith(('opsvisor', 'tomli', 'msgspec', 'asyncio', 'tempfile'))))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['opsvisor', 'opsvisor.config', 'opsvisor.config.search']"
