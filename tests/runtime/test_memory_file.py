"""The memory of a daemon: written by one, read by the next, and believed only if all is well."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsvisor.core.spec import ProcessId
from opsvisor.runtime.memory import file as file_module
from opsvisor.runtime.memory import records
from opsvisor.runtime.memory.directory import Place, StateDirectory, open_state_directory
from opsvisor.runtime.memory.file import (
    LARGEST,
    DamagedError,
    Key,
    MemoryFile,
    OtherWorldError,
    forget,
    read_memory,
    set_aside,
)
from opsvisor.runtime.memory.identity import World, this_world

HERE = World(boot="0b5e…", pid_namespace=4026531836)
# What the letters stand for where something is written under them: keys of all shapes.
WEB, JOB = ProcessId("jobs", "web"), ProcessId("jobs", "job")
KEYS = {
    "b": Key("life", WEB),
    "c": Key("life", JOB),
    "d": Key("life"),
    "e": Key("run", WEB),
    "f": Key("run", (WEB, 0)),
    "g": Key("run", (WEB, 1)),
    "h": Key("run", (JOB, 1)),
}
LETTERS = {key.text: letter for letter, key in KEYS.items()}
GOLDEN = Path(__file__).with_name("golden") / "memory-1"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[StateDirectory]:
    """A state directory."""
    opened = open_state_directory(Place(path=tmp_path / "state", is_chosen=True))
    yield opened
    opened.release(is_over=False)


def _key(name: str) -> Key:
    return KEYS.get(name, Key(name))


class Desk:
    """A memory, and what was said about it."""

    def __init__(self, directory: StateDirectory, slack: int = 1 << 20) -> None:
        self.directory = directory
        self.problems: list[str] = []
        self.memory = MemoryFile(
            directory, on_problem=self.problems.append, world=HERE, slack=slack
        )

    def write(self, put: dict[str, Any], *drop: str) -> None:
        """One batch."""
        for key in drop:
            self.memory.drop(_key(key))
        for key, value in put.items():
            self.memory.put(_key(key), value)
        self.memory.commit()

    def read(self) -> dict[str, Any]:
        """What the next daemon would find."""
        found = read_memory(self.directory, HERE)
        assert found is not None
        return {LETTERS.get(key, key): value for key, value in found.values.items()}

    @property
    def keys(self) -> set[str]:
        """What it has, as far as it knows."""
        known = self.memory.keys()
        return {LETTERS.get(key.text, key.text) for key in known}

    @property
    def path(self) -> Path:
        """The file."""
        return self.directory.path / "memory"


@pytest.fixture
def desk(directory: StateDirectory) -> Iterator[Desk]:
    """A memory with nothing in it."""
    made = Desk(directory)
    yield made
    made.memory.close()


def test_the_last_word_counts(desk: Desk) -> None:
    """What was put is there, what was put again is as it was put last, what was dropped is not."""
    desk.write({"a": 1, "b": {"x": [1, None, "ä\udcff"]}})
    desk.write({"a": 2, "c": 3}, "b")
    assert desk.read() == {"a": 2, "c": 3}
    desk.write({"b": 4}, "c", "nothing")
    assert desk.read() == {"a": 2, "b": 4}
    assert desk.keys == {"a", "b"}
    assert desk.problems == []


def test_nothing_is_written_when_nothing_changed(desk: Desk) -> None:
    """No change, no system call."""
    desk.write({"a": 1})
    before = desk.path.stat()
    desk.memory.commit()
    desk.memory.drop(Key("unheard of"))
    desk.memory.commit()
    assert desk.path.stat().st_size == before.st_size
    assert desk.path.stat().st_ino == before.st_ino


def test_no_memory(directory: StateDirectory) -> None:
    """The first daemon finds nothing."""
    assert read_memory(directory) is None


def test_an_earlier_memory_counts_until_there_is_another(desk: Desk) -> None:
    """A daemon that is killed before it has anything to say leaves what it found."""
    desk.write({"a": 1})
    desk.memory.close()
    other = Desk(desk.directory)
    assert other.read() == {"a": 1}
    other.write({"b": 2})
    assert other.read() == {"b": 2}
    other.memory.close()


def test_a_grown_file_is_written_anew(directory: StateDirectory) -> None:
    """It holds what it held, and is no larger than that needs."""
    desk = Desk(directory, slack=200)
    desk.write({"keep": "x" * 50, "gone": "y" * 50})
    desk.write({}, "gone")
    largest = 0
    for number in range(200):
        desk.write({"count": number})
        largest = max(largest, desk.path.stat().st_size)
        assert desk.path.stat().st_size == desk.memory.size
    assert desk.read() == {"keep": "x" * 50, "count": 199}
    assert largest < 700
    # The other one is room that is reserved for the next time.
    assert {path.name for path in directory.path.iterdir()} == {"memory", "memory.new"}
    desk.memory.close()


def test_it_is_written_anew_a_little_at_a_time(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No commit holds up the daemon for long; whoever comes finds all of it in between."""
    desk = Desk(directory, slack=0)
    values = {f"key {number}": "x" * 1000 for number in range(5000)}
    desk.write(values)
    lengths: list[int] = []
    written = os.pwrite

    def noted(file: int, text: Any, at: int) -> int:
        lengths.append(len(text))
        return written(file, text, at)

    monkeypatch.setattr(os, "pwrite", noted)
    inode, files = desk.path.stat().st_ino, set()
    for number in range(10_100):
        values[f"key {number % 5000}"] = f"{number} {'y' * 1000}"
        desk.write({f"key {number % 5000}": values[f"key {number % 5000}"]})
        files.add(desk.path.stat().st_ino)
        if number % 500 == 0 or number > 10_080:
            assert desk.read() == values
    assert len(files - {inode}) >= 1
    assert max(lengths) < 80_000
    assert desk.path.stat().st_size == desk.memory.size < 2.1 * 1000 * 5000
    desk.memory.close()


def test_what_is_copied_is_read_in_large_pieces(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call for what lies side by side: a storm of crashes has thousands of values copied."""
    desk = Desk(directory, slack=0)
    values: dict[str, object] = {f"key {number}": "x" * 500 for number in range(2000)}
    desk.write(values)
    reads: list[int] = []
    read = os.pread

    def noted(file: int, length: int, at: int) -> bytes:
        reads.append(length)
        return read(file, length, at)

    monkeypatch.setattr(os, "pread", noted)
    inode, commits = desk.path.stat().st_ino, 0
    while desk.path.stat().st_ino == inode:
        values["hot"] = f"{commits} {'y' * 500}"
        desk.write({"hot": values["hot"]})
        commits += 1
    monkeypatch.undo()
    assert desk.read() == values
    assert len(reads) < 2 * sum(len(str(value)) for value in values.values()) / 64 / 1024
    desk.memory.close()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcdefgh"), st.none() | st.integers(0, 99), min_size=1)
    )
)
def test_whatever_changes_while_it_is_copied(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    changes: list[dict[str, int | None]],
) -> None:
    """One value at a time: put, dropped and put again, before and after it was copied."""
    monkeypatch.setattr(file_module, "_STEP", 1)
    place = Place(path=tmp_path_factory.mktemp("state"), is_chosen=True)
    directory = open_state_directory(place)
    desk = Desk(directory, slack=0)
    expected: dict[str, int] = dict.fromkeys("abcd", 0)
    desk.write(expected)
    for change in changes:
        put = {key: value for key, value in change.items() if value is not None}
        gone = change.keys() - put.keys()
        expected = {k: v for k, v in expected.items() if k not in gone} | put
        desk.write(put, *gone)
        assert desk.read() == expected
        assert desk.keys == expected.keys()
    desk.memory._copy_all()
    assert desk.read() == expected
    desk.memory.close()
    directory.release(is_over=False)


def test_no_room_while_it_is_copied(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit behind the old one is in the new one at once."""
    monkeypatch.setattr(file_module, "_STEP", 1)
    desk = Desk(directory, slack=0)
    desk.write({"a": 1, "b": 2, "c": 3})
    while desk.memory._copy is None:
        desk.write({"a": 1})
    old = desk.path.stat().st_ino
    written = os.pwrite

    def not_there(file: int, text: Any, at: int) -> int:
        if os.fstat(file).st_ino == old:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(file, text, at)

    monkeypatch.setattr(os, "pwrite", not_there)
    desk.write({"d": 4}, "b")
    assert desk.read() == {"a": 1, "c": 3, "d": 4}
    assert desk.problems == []
    desk.memory.close()


def whole_file() -> tuple[bytes, list[dict[str, int]]]:
    """A memory of three batches, and what it holds after each number of them."""
    text = records.header(HERE)
    states: list[dict[str, int]] = [{}]
    for put, drop in (({"a": 1, "b": 1}, []), ({"a": 2}, ["b"]), ({"c": 3}, [])):
        line, _ = records.batch(
            [records.entry(Key(k), b"%d" % v) for k, v in put.items()], map(Key, drop)
        )
        text += line
        states.append({k: v for k, v in states[-1].items() if k not in drop} | put)
    return text, states


def test_cut_at_any_byte() -> None:
    """A write that was cut short is as if it had not been; no other batch is touched."""
    text, states = whole_file()
    head = text.index(b"\n") + 1
    for length in range(len(text) + 1):
        if length < head:
            with pytest.raises(DamagedError):
                records.read(text[:length], HERE)
            continue
        found = records.read(text[:length], HERE)
        whole = text[:length].count(b"\n") - 1
        assert found.values == states[whole]
        assert found.is_torn == (text[length - 1 : length] != b"\n")


@settings(max_examples=300)
@given(st.data())
def test_any_byte_may_have_changed(data: st.DataObject) -> None:
    """Nothing is believed then, or the last batch was never there: there is no wrong value."""
    text, states = whole_file()
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[at]))
    damaged = text[:at] + bytes([byte]) + text[at + 1 :]
    try:
        found = records.read(damaged, HERE)
    except DamagedError:
        return
    assert found.is_torn
    assert found.values == states[-2]


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_anything_behind_it(rubbish: bytes) -> None:
    """What somebody else has appended is no batch of ours."""
    text, states = whole_file()
    try:
        found = records.read(text + rubbish, HERE)
    except DamagedError:
        return
    assert found.values == states[-1]


def test_what_is_of_another_world_is_of_no_use() -> None:
    """After a reboot, or in another container, its pids are somebody else's."""
    text, _ = whole_file()
    with pytest.raises(OtherWorldError, match="before the machine was started"):
        records.read(text, World(boot="other", pid_namespace=HERE.pid_namespace))
    with pytest.raises(OtherWorldError, match="pid namespace"):
        records.read(text, World(boot=HERE.boot, pid_namespace=1))


def test_this_world_is_known() -> None:
    """By its boot and its pid namespace, and it stays the same."""
    assert this_world() == this_world()
    assert this_world().boot
    assert this_world().pid_namespace


def test_a_later_format_is_not_guessed_at() -> None:
    """The version that wrote it may have meant anything."""
    text, _ = whole_file()
    said = b'{"format":4,"boot":"x"}'
    later = b"%08x %b\n" % (records.zlib.crc32(said), said)  # type: ignore[attr-defined]
    with pytest.raises(DamagedError, match="format 4, which this version does not know"):
        records.read(later + text, HERE)


def test_the_format_is_what_it_was() -> None:
    """A memory of the first version can be read by every later one."""
    found = records.read(GOLDEN.read_bytes(), HERE)
    assert found.values == {"daemon": "0.1.0", "plan": {"generation": 3}, "run/x": {"pid": 42}}
    assert not found.is_torn
    line, _ = records.batch([b'"daemon":"0.1.0"', records.entry(Key("old"), b"1")])
    _, _, after_header = GOLDEN.read_bytes().partition(b"\n")
    assert after_header.startswith(line)


def _as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.chmod(0o620), "others may write it"),
        (lambda path: path.chmod(0o666), "others may write it"),
        (lambda path: path.write_bytes(b"\0" * 50_000_000), "does not begin as a memory does"),
        (lambda path: path.write_bytes(b"x" * 2000 + b"\n"), "does not begin as a memory does"),
        (lambda path: path.write_bytes(b"hello\n"), "has no checksum"),
        (lambda path: os.truncate(path, LARGEST + 1), "more than any memory"),
        (lambda path: path.write_bytes(b""), "does not begin as a memory does"),
        (lambda path: (path.unlink(), path.mkdir()), "it is not a file"),
        (_as_fifo, "it is not a file"),
        (
            lambda path: (path.rename(path.with_name("m")), path.symlink_to("m")),
            "it cannot be opened",
        ),
        (lambda path: os.chown(path, 12345, -1), "belongs to another user (uid 12345)"),
    ],
)
def test_what_can_not_be_believed_is_put_aside(
    desk: Desk, spoil: Callable[[Path], object], says: str
) -> None:
    """Foreign, loose, garbage: nothing of it is read, and it is out of the way for the next."""
    if os.geteuid() and "another user" in says:
        pytest.skip("only root can give files away")
    desk.write({"a": 1})
    spoil(desk.path)
    with pytest.raises(DamagedError) as refused:
        read_memory(desk.directory, HERE)
    assert says in str(refused.value)
    assert set_aside(desk.directory) == "memory.bad-1"
    assert read_memory(desk.directory, HERE) is None


def test_what_others_may_only_read_is_believed(desk: Desk) -> None:
    """A careless chmod must not cost all programs."""
    desk.write({"a": 1})
    desk.path.chmod(0o644)
    found = read_memory(desk.directory, HERE)
    assert found is not None
    assert found.values == {"a": 1}


def test_only_the_latest_of_bad_ones_are_kept(desk: Desk) -> None:
    """A daemon that finds nonsense at every start does not fill the place with it."""
    for _ in range(8):
        desk.path.write_text("nonsense")
        set_aside(desk.directory)
    assert set_aside(desk.directory) == ""  # there is none
    names = sorted(path.name for path in desk.directory.path.iterdir())
    assert names == [f"memory.bad-{number}" for number in range(4, 9)]


def test_a_full_disk_costs_nothing_that_is_remembered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be written waits until it can; half a line is taken back. It is told twice."""
    desk.write({"a": 1})
    whole = desk.path.read_bytes()
    written = os.pwrite

    def half_of_it(file: int, text: Any, at: int) -> int:
        if at > len(whole):
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(file, bytes(text)[:10], at)

    monkeypatch.setattr(os, "pwrite", half_of_it)
    desk.write({"a": 2, "b": 2})
    desk.write({"a": 3}, "b")
    assert desk.path.read_bytes() == whole
    assert desk.problems == [f"{desk.path}: No space left on device"]
    monkeypatch.undo()
    desk.write({"c": 3})
    assert desk.read() == {"a": 3, "c": 3}
    assert desk.problems[1:] == [""]


@pytest.mark.parametrize("step", ["open", "pwrite", "rename"])
def test_ended_while_it_is_written_anew(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """At whichever step it stops, the old file is whole, and the new one is in nobody's way."""
    desk = Desk(directory, slack=0)
    desk.write({"a": "x" * 100})
    for number in range(9):
        desk.write({"b": "y" * 20 + str(number)})

    class Killed(BaseException):
        """As SIGKILL does, this passes everything by; but unlike it, for a test."""

    def die(*_: object, **__: object) -> int:
        raise Killed

    before = desk.read()
    monkeypatch.setattr(os, step, die)
    with pytest.raises(Killed):
        desk.memory._copy_all()
    monkeypatch.undo()
    assert desk.read() == before
    (directory.path / "memory.new").write_text("what a kill leaves")
    desk.memory._copy_all()
    assert desk.read() == before
    desk.memory.close()


def test_nothing_to_remember(desk: Desk) -> None:
    """After a shutdown in order there is nothing for a next daemon."""
    desk.write({"a": 1})
    (desk.directory.path / "memory.new").touch()
    forget(desk.directory)
    assert list(desk.directory.path.iterdir()) == []
    forget(desk.directory)
