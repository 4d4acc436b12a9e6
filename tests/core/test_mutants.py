"""The tests of the core find bugs: each planted one makes them fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mutants import MUTANTS, Mutant

import opsvisor

HERE = Path(__file__).parent
PACKAGE = Path(opsvisor.__file__).parent
# The quick and telling part of the tests, quickest first; pytest stops at the first failure.
SUBSET = (
    "test_restart.py",
    "test_stopping.py",
    "test_shutdown.py",
    "test_supervisor_policy.py",
    "test_plan_changes.py",
    "test_policy_changes.py",
    "test_essential.py",
    "test_arrivals_and_departures.py",
    "test_flapping.py",
    "test_crashes.py",
    "test_facts.py",
    "test_availability.py",
    "test_memory.py",
    "test_health.py",
    "test_going_on.py",
    "test_world_properties.py",
)
TESTS_FAILED = 1


def run_subset(
    root: Path, mutant: Mutant | None, subset: tuple[str, ...] = SUBSET
) -> subprocess.CompletedProcess[str]:
    """Run the tests on a copy of the core below `root` into which this bug was planted."""
    copy = root / "opsvisor"
    copy.mkdir()
    (copy / "__init__.py").symlink_to(PACKAGE / "__init__.py")
    shutil.copytree(PACKAGE / "core", copy / "core", ignore=shutil.ignore_patterns("*.pyc"))
    if mutant is not None:
        plant(copy / "core" / f"{mutant.module}.py", mutant)
    # `-c` and `--rootdir` keep this run apart from the settings and the cache of the outer one;
    # the tests' own directory is where they find their fixtures.
    options = "-x -q --no-header -p no:cacheprovider -p no:randomly -p no:xdist -p no:asyncio"
    command = [sys.executable, "-P", "-m", "pytest", *options.split(), "-c", os.devnull]
    command += ["--rootdir", str(HERE), "--confcutdir", str(HERE)]
    command += ["--hypothesis-profile", "find-only", *[str(HERE / name) for name in subset]]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(
        command,
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def plant(path: Path, mutant: Mutant) -> None:
    """Write the bug into the module at `path`."""
    source = path.read_text()
    assert source.count(mutant.right) == 1, f"{mutant.name}: its place is not there (any more)"
    path.write_text(source.replace(mutant.right, mutant.wrong))


def test_without_a_bug_nothing_is_found(tmp_path: Path) -> None:
    """Being a copy is no reason to fail. The last and slowest need not be run for that."""
    ran = run_subset(tmp_path, None, SUBSET[:-1])
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_bug_is_found(mutant: Mutant, tmp_path: Path) -> None:
    """With this bug in the core its tests fail: by an assertion, not for want of a module."""
    ran = run_subset(tmp_path, mutant)
    assert ran.returncode == TESTS_FAILED, ran.stdout + ran.stderr
    assert "ImportError" not in ran.stdout
    assert "ERROR" not in ran.stdout
