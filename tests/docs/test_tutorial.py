"""The tutorial, done from its first line to its last by somebody who only reads."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import BIN
from http_requests import free_port
from told_commands import OWN_TERMINAL, Reader, Typed, Written, is_shown, steps

_ROOT = Path(__file__).parents[2]
_TUTORIAL = _ROOT / "docs" / "tutorial.md"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody in a directory with nothing but a copy of alerts/."""
    (tmp_path / "alerts").symlink_to(_ROOT / "alerts")
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "RUNTIME_DIRECTORY": str(tmp_path),  # where the daemon keeps what it remembers
    }
    instead = {"127.0.0.1:9001": f"127.0.0.1:{free_port()}"}
    instead["127.0.0.1:9090"] = f"127.0.0.1:{free_port()}"
    reader = Reader(tmp_path, environment, instead)
    yield reader
    reader.close()


def test_tutorial_goes_as_it_says(reader: Reader) -> None:
    """Every command of it succeeds, and answers as is shown."""
    reader.follow(_TUTORIAL.read_text())


def test_steps_are_read_as_a_reader_does() -> None:
    """Files, prompts, what is shown under them, and terminals of their own."""
    page = f"""
```toml title="a.toml"
x = 1
```
```console
$ first   # because
12 lines
$ second
```
```console title="{OWN_TERMINAL}"
$ daemon
```
```text
$ nobody's
```
"""
    assert list(steps(page)) == [
        Written("a.toml", "x = 1\n"),
        Typed("first   # because", ("12 lines",)),
        Typed("second"),
        Typed("daemon", (), True),
    ]


@pytest.mark.parametrize(
    ("shown", "answer", "is_it"),
    [
        (("web RUNNING pid 1",), "web   RUNNING pid 4711\n", True),
        (("web RUNNING pid 1",), "web   FATAL pid 4711\n", False),
        (("a", "…", "c"), "a\nb\nc\n", True),
        (("c", "a"), "a\nb\nc\n", False),
        (("/home/you/x.toml: ok",), "/other/x.toml: ok\n", True),
        ((), "anything", True),
    ],
)
def test_what_is_shown_has_to_come(shown: tuple[str, ...], answer: str, is_it: bool) -> None:  # noqa: FBT001 - a column
    """Numbers and spaces aside."""
    assert is_shown(shown, answer) is is_it
