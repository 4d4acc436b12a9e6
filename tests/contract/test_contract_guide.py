"""The guide to the client, executed: what stands in it works, and prints what it says."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from daemon import StartDaemon

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "client.md"
EXAMPLE = re.compile(r"```python\n(?P<code>.*?)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)
PROGRAMS = """
    [program.web]
    command = "$VICTIM"

    [program.worker]
    command = "$VICTIM 'say at work'"
    """


@pytest.fixture
def examples() -> list[re.Match[str]]:
    """Each piece of code, with what follows it."""
    found = list(EXAMPLE.finditer(GUIDE.read_text()))
    assert len(found) == GUIDE.read_text().count("```python") > 5
    return found


def test_the_guide_to_the_client(start_daemon: StartDaemon, examples: list[re.Match[str]]) -> None:
    """From the first to the last, as somebody types it who reads it."""
    daemon = start_daemon(PROGRAMS)
    for name in ("web", "worker"):
        daemon.until(name, "RUNNING")
    daemon.until_says("worker", "at work")
    names: dict[str, object] = {}
    for example in examples:
        code = example["code"].replace("unix:///run/opsvisor/opsvisor.sock", daemon.client.url)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, GUIDE.name, "exec"), names)
        assert printed.getvalue() == example["output"], code
