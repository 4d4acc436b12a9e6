"""What a log said until now: lines and times across rotations, from files and from memory."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsvisor.control.log_past import Past, Wanted, past_of
from opsvisor.control.logs import NoLogError
from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.capture import StreamCapture, Surroundings

Make = Callable[..., "Log"]


class Log:
    """A capture whose clock is ours."""

    def __init__(self, spec: LogSpec, ring_size: int) -> None:
        self.now = 1000.0
        self.spec = spec
        self.capture = StreamCapture(
            spec,
            Surroundings(
                ring_size=ring_size, loop=asyncio.get_running_loop(), wall=lambda: self.now
            ),
        )

    def say(self, text: str, at: float | None = None) -> None:
        """Have this written, then or a second after the last."""
        self.now = self.now + 1 if at is None else at
        self.capture.write(text.encode())

    async def past(self, **wanted: float | None) -> Past:
        """The part that is asked for."""
        return await past_of(self.capture, self.spec, Wanted(**wanted))  # type: ignore[arg-type]  # a test's free choice

    async def text(self, **wanted: float | None) -> str:
        """All of it, as its pieces have it."""
        past = await self.past(**wanted)
        said = [piece async for piece in past.pieces()]
        whole = b"".join(piece.text for piece in said)
        assert whole == (await past.newest(1 << 30)).text
        assert [piece.begin for piece in said[1:]] == [piece.end for piece in said[:-1]]
        assert not said or said[-1].end == self.capture.ring.end
        return whole.decode()


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Logs that are closed afterwards."""
    made: list[Log] = []

    def new(
        path: Path | None = None, *, ring: int = 1 << 16, size: int = 0, keep: int = 10
    ) -> Log:
        spec = LogSpec(path=str(path) if path else None, rotate_size=size, rotate_keep=keep)
        made.append(Log(spec, ring))
        return made[-1]

    yield new
    for one in made:
        one.capture.close()


@pytest.mark.parametrize("size", [None, 0, 30])
async def test_since_and_lines(make: Make, tmp_path: Path, size: int | None) -> None:
    """In memory, in a file, and across several of them: all the same."""
    log = make(None if size is None else tmp_path / "log", size=size or 0)
    for number in range(20):
        log.say(f"line {number}\n", 1000.0 + number)
    whole = "".join(f"line {number}\n" for number in range(20))
    assert await log.text(since=0.0) == whole
    assert await log.text(since=1012.0) == whole[whole.index("line 12") :]
    assert await log.text(since=1012.5) == whole[whole.index("line 12") :]  # may be later
    assert await log.text(since=1019.5) == ""
    assert await log.text(lines=7) == whole[whole.index("line 13") :]
    assert await log.text(lines=7, since=1017.0) == whole[whole.index("line 17") :]
    assert await log.text(lines=2, since=1010.0) == "line 18\nline 19\n"
    assert await log.text(lines=99) == whole
    assert await log.text(lines=0) == ""
    assert await log.text() == ""
    assert (await log.past(since=0.0)).remark == ""


async def test_each_piece_is_of_its_time(make: Make, tmp_path: Path) -> None:
    """What is between two marks is not older than the first of them."""
    log = make(tmp_path / "log", size=25)
    for number in range(6):
        log.say(f"line {number}\n", 1000.0 + 10 * number)
    past = await log.past(since=1000.0)
    said = [(piece.text, piece.at) async for piece in past.pieces()]
    assert said == [(f"line {n}\n".encode(), 1000.0 + 10 * n) for n in range(6)]


async def test_what_has_no_times_is_said_to_have_none(make: Make, tmp_path: Path) -> None:
    """A file from before this daemon: what came since is told, and a remark tells of the rest."""
    path = tmp_path / "log"
    path.write_text("old\n")
    os.utime(path, (900.0, 900.0))
    log = make(path)
    assert await log.text(since=950.0) == ""
    assert (await log.past(since=950.0)).remark == ""
    assert "no times" in (await log.past(since=850.0)).remark
    log.say("new\n", 1000.0)
    log.say("newer\n", 1010.0)
    assert await log.text(since=800.0) == "new\nnewer\n"
    assert "no times" in (await log.past(since=800.0)).remark
    assert (await log.past(since=1000.0)).remark == ""
    past = await log.past(lines=3)
    said = [piece async for piece in past.pieces()]
    assert [(one.text, one.begin, one.at) for one in said] == [
        (b"old\n", -4, 0.0),
        (b"new\n", 0, 1000.0),
        (b"newer\n", 4, 1010.0),
    ]


async def test_what_rotation_has_removed_is_gone(make: Make, tmp_path: Path) -> None:
    """All that is left is told; a new file is not taken for a removed one whose number it has."""
    log = make(tmp_path / "log", size=20, keep=1)
    for number in range(40):
        log.say(f"line {number:03}\n", 1000.0 + number)
    left = _read_all(tmp_path)
    assert await log.text(since=0.0) == left
    assert left.endswith("line 039\n")
    assert len(left) < 60


def _read_all(directory: Path) -> str:
    return "".join(path.read_text() for path in sorted(directory.iterdir(), reverse=True))


async def test_a_file_that_somebody_cut_short(make: Make, tmp_path: Path) -> None:
    """By `clear`, or with copytruncate: what is left is newer than all that is asked for."""
    log = make(tmp_path / "log")
    log.say("a long line that goes\n", 1000.0)
    log.capture.clear()
    log.say("b\n", 1005.0)
    assert await log.text(since=1001.0) == "b\n"
    os.truncate(tmp_path / "log", 0)
    log.say("c\n", 1010.0)
    assert await log.text(since=1000.0) == "c\n"


async def test_memory_that_has_lost_the_beginning(make: Make) -> None:
    """What is left is told, with the time that is known of it."""
    log = make(ring=16)
    for number in range(5):
        log.say(f"line {number}\n", 1000.0 + number)
    past = await log.past(since=0.0)
    first = await anext(past.pieces())
    assert (first.text, first.at) == (b"2\n", 1002.0)
    assert past.remark == ""


async def test_a_file_that_can_not_be_read(make: Make, tmp_path: Path) -> None:
    """Is told, as anywhere."""
    (tmp_path / "log").symlink_to(tmp_path / "log")
    log = make(tmp_path / "log")
    with pytest.raises(NoLogError):
        await log.past(lines=1)


def _lines(text: str) -> list[str]:
    """Only a newline ends one."""
    *whole, rest = text.split("\n")
    return [*(f"{line}\n" for line in whole), *([rest] if rest else [])]


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.lists(st.sampled_from(["a\n", "bb\n", "c", "\n", "dddddd\n", "e\r"]), max_size=60),
    size=st.sampled_from([0, 7, 12, 30]),
    count=st.integers(0, 12),
)
def test_the_last_lines_are_those_of_the_text(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[str], size: int, count: int
) -> None:
    """Wherever files end, and however lines do."""

    async def check() -> None:
        path = tmp_path_factory.mktemp("lines") / "log"
        log = Log(LogSpec(path=str(path), rotate_size=size, rotate_keep=99), 1 << 16)
        try:
            for chunk in chunks:
                log.say(chunk)
            text = "".join(chunks)
            lines = _lines(text)
            expected = "".join(lines[len(lines) - min(count, len(lines)) :])
            assert await log.text(lines=count) == expected
        finally:
            log.capture.close()

    asyncio.run(check())
