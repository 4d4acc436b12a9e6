"""How the installed code is started as this one was."""

from pathlib import Path

import pytest

from opsvisor.daemon.invocation import invocation_of

PYTHON = "/venv/bin/python3"


def words(before: str, rest: str = "-c x.toml", *, directory: str = "/home") -> str:
    """What is executed after a start by these words."""
    found = invocation_of(before.split(), rest.split(), PYTHON, directory)
    assert found.directory == directory
    return " ".join(found.words)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("python3 -m opsvisor", f"{PYTHON} -m opsvisor"),
        ("python3 -X dev -W error -m opsvisor", f"{PYTHON} -X dev -W error -m opsvisor"),
        ("./py -mopsvisor", f"{PYTHON} -mopsvisor"),
        ("python3 -m cProfile -m opsvisor", f"{PYTHON} -m cProfile -m opsvisor"),
        ("python3 bin/start.py", f"{PYTHON} /home/bin/start.py"),
        ("python3 -O /srv/start.py", f"{PYTHON} -O /srv/start.py"),
    ],
)
def test_what_an_interpreter_was_given_it_is_given_again(before: str, expected: str) -> None:
    """By its own path: its name may have been looked up, and the directory may be another one."""
    assert words(before) == f"{expected} -c x.toml"


@pytest.mark.parametrize(
    ("head", "before", "expected"),
    [
        ("#!/opt/v1/bin/python", "/opt/v1/bin/python {}", "script"),
        ("#!/usr/bin/env python3", "python3 {}", "script"),
        ("#!/usr/bin/env python3", "/usr/bin/python3 {}", "script"),
        ("#!/opt/v1/bin/python -I", "/opt/v1/bin/python -I {}", "script"),
        (
            '#!/bin/sh\n\'\'\'exec\' "/opt/v1/bin/python" "$0" "$@"',
            "/opt/v1/bin/python {}",
            "script",
        ),
        ("#!/opt/v1/bin/python", "/opt/v2/bin/python {}", "python"),
        ("#!/opt/v1/bin/python", "/opt/v1/bin/python -O {}", "python"),
        ("import sys", "/opt/v1/bin/python {}", "python"),
    ],
)
def test_a_script_that_was_started_by_its_first_line(
    tmp_path: Path, head: str, before: str, expected: str
) -> None:
    """It says which interpreter is the right one, and says it anew after an upgrade."""
    script = tmp_path / "opsvisord"
    script.write_text(f"{head}\n")
    script.chmod(0o755)
    run = words(before.format(script))
    assert run.startswith(str(script) if expected == "script" else PYTHON)
    relative = words(before.format("opsvisord"), directory=str(tmp_path))
    assert relative == run


def test_a_script_that_nobody_may_execute(tmp_path: Path) -> None:
    """Then it was not executed."""
    script = tmp_path / "opsvisord"
    script.write_text("#!/opt/v1/bin/python\n")
    script.chmod(0o644)
    assert words(f"/opt/v1/bin/python {script}") == f"{PYTHON} {script} -c x.toml"
