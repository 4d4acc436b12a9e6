"""SIGKILL of whoever copies output into logs, at any moment, and a successor that goes on."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import killed_copiers
from killed_copiers import line


def play(job: dict[str, Any]) -> Any:
    """Have the script do the job."""
    done = subprocess.run(
        [sys.executable, killed_copiers.__file__],
        input=json.dumps(job),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=100,
    )
    return json.loads(done.stdout)


def content(path: Path) -> bytes:
    """Of all backups, the oldest first, and of the file."""
    backups = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: -int(file.suffix[1:]))
    return b"".join(file.read_bytes() for file in [*backups, path])


def is_within(wanted: bytes, found: bytes) -> bool:
    """Whether every line is there, in order, whatever else is there."""
    lines = iter(found.splitlines(keepends=True))
    return all(line in lines for line in wanted.splitlines(keepends=True))


def apart(text: bytes) -> list[bytes]:
    """The two streams of one file."""
    upper = bytes(range(0x80, 0x100))
    lower = bytes(range(0x80))
    return [text.translate(None, upper), lowered(text.translate(None, lower))]


def lowered(text: bytes) -> bytes:
    """The second stream as if it were the first."""
    return bytes(byte & 0x7F for byte in text)


def test_kills_at_random_lose_and_double_nothing(tmp_path: Path) -> None:
    """More than 200 kills over a slow writer, a flood, and two streams in one file, rotated."""
    seed = random.randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")

    def log(name: str, size: int) -> dict[str, Any]:
        return {"path": str(tmp_path / name), "rotate_size": size, "rotate_keep": 9999}

    counts = play(
        {
            "seed": seed,
            "kills": 210,
            "longest": 0.03,
            "until": [str(tmp_path / "flood.6"), str(tmp_path / "slow.6")],
            "writers": [
                ["slow", 1, 0.001, [log("slow", 2000)]],
                ["flood", 3000, 0.004, [log("flood", 700_000)]],
                ["both", 200, 0.003, [log("both", 60_000), log("both", 60_000)]],
                ["plain", 50, 0.001, [{"path": str(tmp_path / "plain"), "rotate_size": 0}]],
            ],
        }
    )
    for mark in ("slow", "flood", "plain"):
        assert content(tmp_path / mark) == b"".join(map(line, range(*counts[mark]))), mark
    for stream, count in zip(apart(content(tmp_path / "both")), counts["both"], strict=True):
        assert stream == b"".join(map(line, range(count)))
    assert len(list(tmp_path.glob("flood.*"))) > 5
    assert len(list(tmp_path.glob("slow.*"))) > 5


TEXT = b"".join(b"%d %s\n" % (number, b"x" * (number % 5)) for number in range(20))
COLOURED = TEXT.replace(b" ", b"\x1b[1m ")
ROTATED = {"path": "x.log", "rotate_size": 70, "rotate_keep": 99}


def killed_at_every_call(tmp_path: Path, **job: object) -> list[bytes]:
    """What is in the log after copiers were killed before their first system call, second..."""
    found = play({"directory": str(tmp_path), "attempts": 3, "logs": [ROTATED], **job})
    assert len(found) > 30
    return [content(Path(directory) / "x.log") for directory in found]


def test_kill_at_any_system_call_of_a_rotation(tmp_path: Path) -> None:
    """Not one byte lost or doubled, whichever call was the last; successors are killed too."""
    inputs = [TEXT.decode()]
    for number, found in enumerate(killed_at_every_call(tmp_path, inputs=inputs), start=1):
        assert found == TEXT, number


def test_kill_at_any_system_call_of_two_streams_in_one_file(tmp_path: Path) -> None:
    """Each of them is exact, though they rotate the file under each other."""
    second = bytes(byte | 0x80 for byte in TEXT).decode("latin-1")
    texts = killed_at_every_call(
        tmp_path, inputs=[TEXT.decode(), second], logs=[ROTATED, ROTATED], attempts=1
    )
    for number, found in enumerate(texts, start=1):
        assert apart(found) == [TEXT, TEXT], number


def test_kill_where_a_filter_changes_nothing(tmp_path: Path) -> None:
    """Filters that find neither escape sequences nor messages leave output as exact as it is."""
    logs = [{**ROTATED, "strip_ansi": True, "message_limit": 99}]
    texts = killed_at_every_call(tmp_path, inputs=[TEXT.decode()], logs=logs, attempts=1)
    assert all(found == TEXT for found in texts)


def test_kill_where_a_filter_changes_something(tmp_path: Path) -> None:
    """No line is lost; those of the chunk in hand may be there twice."""
    logs = [{**ROTATED, "strip_ansi": True}]
    texts = killed_at_every_call(tmp_path, inputs=[COLOURED.decode()], logs=logs, attempts=1)
    assert all(is_within(TEXT, found) for found in texts)
    assert any(found != TEXT for found in texts)


def test_kill_where_splice_is_missing(tmp_path: Path) -> None:
    """The same for file systems without it, and for files that somebody else writes to."""
    texts = killed_at_every_call(tmp_path, inputs=[TEXT.decode()], without=["splice"], attempts=1)
    assert all(is_within(TEXT, found) for found in texts)
    assert any(found != TEXT for found in texts)


def test_kill_where_tee_is_missing(tmp_path: Path) -> None:
    """Reading and then writing, what this is all about, loses the chunk in hand; it works else."""
    texts = killed_at_every_call(tmp_path, inputs=[TEXT.decode()], without=["tee"], attempts=1)
    assert any(not is_within(TEXT, found) for found in texts)
    assert texts[-1] == TEXT  # the copier that nobody killed
