"""Compatibility is an edge: the rest is whole without it, and loads it only for who uses it."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import BIN
from daemon import StartDaemon
from home import Dialect, Home, Programs
from without_compat import Cut, build_without_compat

ROOT = Path(__file__).resolve().parents[2]
# Nothing here is about Supervisor's files. What searches for bugs of the core is left to others.
TESTS = (
    *("tests/core", "tests/config", "tests/control", "tests/api"),
    "tests/e2e/test_crash_to_restart_to_metric.py",
    "tests/e2e/test_first_steps.py::test_status_has_supervisors_columns[toml]",
)
LEFT_OUT = ("--ignore=tests/core/test_mutants.py", "--ignore=tests/core/test_world_properties.py")
# What only Supervisor's files and clients need.
UNWANTED = re.compile(r"(opsvisor\.compat|supervisor|xml|xmlrpc|defusedxml|configparser)(\.|$)")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cut]:
    """A folder with the package as it is without compat, and what was left out of it."""
    folder = tmp_path_factory.mktemp("build")
    return folder, build_without_compat(folder)


def run(folder: Path, *words: str, cwd: Path = ROOT) -> str:
    """What a Python program prints that finds its opsvisor in this folder."""
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    ran = subprocess.run(
        [sys.executable, "-P", *words],  # -P: not the opsvisor of the current folder
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:]
    return ran.stdout


def test_few_places_know_of_compat(build: tuple[Path, Cut]) -> None:
    """Where a file is read, where the daemon mounts its edges or tries to, and what migrates."""
    _, cut = build
    assert cut.modules == {"opsvisor.ctl.commands.migrate"}
    assert cut.functions == {
        "opsvisor.ctl.connection._from_file",
        "opsvisor.daemon.check._check_edges",
        "opsvisor.daemon.main._prepare_host",
        "opsvisor.daemon.parts._build_other_edges",
        "opsvisor.daemon.reading._event_kinds",
        "opsvisor.daemon.reading.read_configuration",
    }


def test_the_rest_has_the_right_types(build: tuple[Path, Cut], tmp_path: Path) -> None:
    """As strictly as the whole; it can't be that something else needs what is missing."""
    folder, _ = build
    options = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path))
    # Only what is shipped: the generators beside it are not in this folder.
    assert "Success" in run(folder, "-m", "mypy", *options, "-p", "opsvisor", cwd=folder)


def test_the_rest_works(build: tuple[Path, Cut]) -> None:
    """Its tests pass, those of a real daemon with opsvisor.toml among them."""
    folder, _ = build
    missing = "import opsvisor.daemon as d, importlib.util as u; print(d.__file__, u.find_spec"
    where = run(folder, "-c", f"{missing}('opsvisor.compat'))").split()
    assert where == [str(folder / "opsvisor/daemon/__init__.py"), "None"]
    options = (
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-x",
        "--hypothesis-profile=quick",
    )
    said = run(folder, "-m", "pytest", *options, *LEFT_OUT, *TESTS)
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None, said[-2000:]
    assert int(passed[1]) > 1000


def imported(text: str) -> set[str]:
    """The modules that -X importtime tells of."""
    return set(re.findall(r"^import time:.*\| +(\S+)$", text, re.MULTILINE))


def unwanted(modules: set[str]) -> list[str]:
    """Those that have to do with Supervisor."""
    return sorted(name for name in modules if UNWANTED.match(name))


PROGRAM = {
    Dialect.TOML: '[program.web]\ncommand = "$VICTIM"\n',
    Dialect.INI: "[program:web]\ncommand = $VICTIM\n",
}
TELL_IMPORTS = (sys.executable, "-X", "importtime")


@pytest.mark.parametrize("dialect", Dialect)
def test_who_uses_toml_loads_none_of_it(
    start_daemon: StartDaemon, home: Home, dialect: Dialect
) -> None:
    """Neither the daemon through a day of work, nor opsvisorctl. Supervisor's file needs it."""
    daemon = start_daemon(Programs(PROGRAM[dialect], dialect), wrapper=TELL_IMPORTS)
    daemon.until("web", "RUNNING")
    words: Sequence[Sequence[str]] = (
        ("status",),
        ("restart", "web"),
        ("tail", "web"),
        ("reread",),
        ("update",),
        ("avail",),
    )
    told = ""
    for command in words:
        ran = subprocess.run(
            [*TELL_IMPORTS, BIN / "opsvisorctl", "-c", home.config, *command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout
        told += ran.stderr
    daemon.http("/metrics")
    daemon.terminate()
    by_daemon, by_ctl = imported(home.output.read_text()), imported(told)
    assert {"opsvisor.core.supervisor", "aiohttp.web"} <= by_daemon
    assert "opsvisor.client" in by_ctl
    if dialect is Dialect.TOML:
        assert unwanted(by_daemon | by_ctl) == []
    else:
        assert "opsvisor.compat.supervisor.edge" in unwanted(by_daemon)
        assert "opsvisor.compat" in unwanted(by_ctl)
