"""One line beside the memory: what is written, and what of it is believed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.memory import foretold
from opsvisor.runtime.memory.directory import Place, StateDirectory, open_state_directory
from opsvisor.runtime.memory.foretold import Foretold, ForetoldRun, read_foretold

WEB = ProcessId("web", "web_0")
FIRST = ForetoldRun(WEB, Pid(12), 34, (56,))
SECOND = ForetoldRun(WEB, Pid(1234), 5678, (90, 91))


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[StateDirectory]:
    """One that is ours."""
    directory = open_state_directory(Place(path=tmp_path / "state", is_chosen=True))
    yield directory
    directory.release(is_over=True)


@pytest.fixture
def line(directory: StateDirectory) -> Iterator[Foretold]:
    """Nothing is foretold yet."""
    line = Foretold(directory)
    line.open()
    yield line
    line.close()


def write(directory: StateDirectory, text: bytes) -> None:
    """Have this there instead."""
    (directory.path / foretold.NAME).write_bytes(text)


@pytest.mark.parametrize("pipes", [(4711,), (4711, 4712)])
@pytest.mark.parametrize("name", ["web", 'a "b" [c]\\', "ä\udcff", "x" * 200])
def test_what_is_told_is_read(
    directory: StateDirectory, line: Foretold, name: str, pipes: tuple[int, ...]
) -> None:
    """Whatever the process is called."""
    run = ForetoldRun(ProcessId("some group", name), Pid(314), 918273, pipes)
    assert line.tell(run)
    assert read_foretold(directory) == run


def test_the_last_counts(directory: StateDirectory, line: Foretold) -> None:
    """Nothing of a longer one before it is taken for a part of it."""
    long = ProcessId("a long group", "and a long name")
    assert line.tell(ForetoldRun(long, Pid(10**9), 10**12, (10**9, 10**9)))
    assert line.tell(FIRST)
    assert read_foretold(directory) == FIRST


def test_what_was_fulfilled_is_not_there_any_more(
    directory: StateDirectory, line: Foretold
) -> None:
    """Until another one is."""
    assert line.tell(SECOND)
    line.fulfil()
    assert read_foretold(directory) is None
    assert line.tell(FIRST)
    assert read_foretold(directory) == FIRST


def test_it_stays_when_we_are_gone(directory: StateDirectory, line: Foretold) -> None:
    """That is what it is for; another one of us begins without it."""
    assert line.tell(FIRST)
    line.close()
    assert not line.tell(SECOND)
    line.fulfil()
    assert read_foretold(directory) == FIRST
    another = Foretold(directory)
    assert read_foretold(directory) == FIRST
    another.open()
    assert read_foretold(directory) is None
    another.close()


def test_without_a_directory_nobody_needs_to_know() -> None:
    """There is no next daemon then."""
    line = Foretold(None)
    line.open()
    assert line.tell(FIRST)
    line.fulfil()
    line.close()


def test_what_is_too_long_is_not_told(directory: StateDirectory, line: Foretold) -> None:
    """More than a page might be there in part."""
    assert not line.tell(ForetoldRun(ProcessId("web", "x" * 5000), Pid(1), 2, (3,)))
    assert read_foretold(directory) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b'-14 918273 4711 ["web","web_0"]\n',
        b'314 918273 4711 ["web","web_0"]',
        b'314 918273 4711 ["web","web_0"',
        b'314 918273 4711 ["web"]\n',
        b'314 918273 4711 ["web","web_0","more"]\n',
        b'314 918273 4711 ["web",1]\n',
        b'314 918273 4711 {"web":1}\n',
        b'["web","web_0"]\n',
        b'314 918273 ["web","web_0"]\n',
        b'314 918273 -1 ["web","web_0"]\n',
        b'314 918273 1 2 3 ["web","web_0"]\n',
        b'314 918273 x ["web","web_0"]\n',
        b'314 918273 4711 ["web","web_0"]\xff\n',
        b"[" * 4000 + b"\n",
        b"9" * 4000 + b' 1 1 ["web","web_0"]\n',
        bytes(4096),
    ],
)
def test_what_we_did_not_write_is_nothing(directory: StateDirectory, text: bytes) -> None:
    """A line without its end was not followed by a process."""
    write(directory, text)
    assert read_foretold(directory) is None


def test_without_a_file_there_is_nothing(directory: StateDirectory) -> None:
    """As an older version leaves it."""
    assert read_foretold(directory) is None
    foretold.forget(directory)


def test_what_is_there_in_its_place_is_not_followed(
    directory: StateDirectory, tmp_path: Path
) -> None:
    """Neither read nor written: a link, a pipe, a folder."""
    place, elsewhere = directory.path / foretold.NAME, tmp_path / "elsewhere"
    elsewhere.write_bytes(b'314 918273 4711 ["web","web_0"]\n')
    place.symlink_to(elsewhere)
    assert read_foretold(directory) is None
    line = Foretold(directory)
    line.open()
    assert line.tell(FIRST)
    line.close()
    assert b"4711" in elsewhere.read_bytes()
    place.unlink()
    os.mkfifo(place)
    assert read_foretold(directory) is None
    place.unlink()
    place.mkdir()
    assert read_foretold(directory) is None
    line = Foretold(directory)
    line.open()
    assert not line.tell(FIRST)
    line.close()
    foretold.forget(directory)
    place.rmdir()


def test_it_is_for_our_eyes_only(directory: StateDirectory, line: Foretold) -> None:
    """As all of the directory."""
    assert line.tell(FIRST)
    assert (directory.path / foretold.NAME).stat().st_mode & 0o777 == 0o600
