"""Pipes that are ready before there is need of them."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from captured_programs import (
    comes_true,
    log_spec,
    no_descriptor_left,
    open_descriptors,
    output_reaches,
)

from opsvisor.runtime.logs import StreamCapture
from opsvisor.runtime.logs import pipes as logs_pipes
from opsvisor.runtime.logs import spares as spares_module
from opsvisor.runtime.logs.capture import Surroundings
from opsvisor.runtime.logs.pipes import PIPE_SIZE, capacity, fair_size
from opsvisor.runtime.logs.plumbing import Plumbing
from opsvisor.runtime.logs.spares import _KEPT, NewPipe, SparePipes


class Spares(SparePipes):
    """Spare pipes, and what others were told of them: of which, and how often that it was all."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), tell=self._note, told=self._note_end)
        self.known: dict[int, int] = {}
        self.times = 0

    def _note(self, inode: int, reader: int, is_open: bool) -> None:  # noqa: FBT001 - a callback
        assert os.fstat(reader).st_ino == inode
        if is_open:
            self.known[inode] = reader
        else:
            del self.known[inode]

    def _note_end(self) -> None:
        self.times += 1

    @property
    def is_done(self) -> bool:
        """Whether no more are about to be made."""
        return self._timer is None


@pytest.fixture
async def spares() -> AsyncIterator[Spares]:
    """None is ready yet."""
    spares = Spares()
    yield spares
    spares.close()


def close(*pipes: NewPipe) -> None:
    """Have no more need of these."""
    for pipe in pipes:
        pipe.close()


async def test_one_that_is_ready_is_as_good_as_a_new_one(spares: Spares) -> None:
    """Others know of it already. In its place there is another one a moment later."""
    new = spares.take()
    assert spares.known == {}
    await comes_true(lambda: len(spares.known) == _KEPT)
    assert spares.times == 1
    ready = spares.take()
    assert spares.known[ready.inode] == ready.reader
    await comes_true(lambda: len(spares.known) == _KEPT + 1)
    for pipe in (new, ready):
        os.write(pipe.program_end, b"x")
        assert os.read(pipe.reader, 9) == b"x"
        assert not os.get_blocking(pipe.reader)
    close(new, ready)


async def test_those_that_nobody_has_taken_are_told_of_and_closed(spares: Spares) -> None:
    """Also if others are about to be made."""
    before = open_descriptors()
    close(spares.take())
    await comes_true(lambda: len(spares.known) == _KEPT)
    spares.close()
    assert (spares.known, open_descriptors()) == ({}, before)
    close(spares.take())
    spares.close()
    assert spares.is_done


async def test_who_needs_many_at_once_has_them_made(spares: Spares) -> None:
    """All of them are different ones."""
    close(spares.take())
    await comes_true(lambda: spares.is_done)
    taken = [spares.take() for _ in range(_KEPT + 3)]
    assert len({pipe.inode for pipe in taken}) == len(taken)
    assert {pipe.inode for pipe in taken} > spares.known.keys()
    close(*taken)


async def test_none_is_kept_where_descriptors_are_scarce(spares: Spares) -> None:
    """Nor made where there are none left: whoever needs one has all there are."""
    close(spares.take())
    before = open_descriptors()
    with no_descriptor_left():
        await comes_true(lambda: spares.is_done)
    close(spares.take())
    with no_descriptor_left(but=6):
        await comes_true(lambda: spares.is_done)
    assert (spares.known, open_descriptors()) == ({}, before)
    assert spares.times == 2  # nothing has failed on the way


async def test_who_needs_one_where_descriptors_are_scarce_has_to_see_that(spares: Spares) -> None:
    """Those that are ready have low numbers, of better times."""
    close(spares.take())
    await comes_true(lambda: spares.is_done)
    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        spares.take()
    with no_descriptor_left(but=6):
        new = spares.take()
    assert new.inode not in spares.known
    close(new)


async def test_a_run_prints_to_one_that_was_ready(spares: Spares) -> None:
    """It can't be told from any other."""
    close(spares.take())
    await comes_true(lambda: spares.is_done)
    capture = StreamCapture(
        log_spec(None),
        Surroundings(
            ring_size=1000,
            loop=asyncio.get_running_loop(),
            plumbing=Plumbing(spares=spares),
        ),
    )
    end = capture.open_pipe()
    assert capture.pipes[0] in spares.known
    os.write(end, b"hello\n")
    os.close(end)
    await output_reaches(capture, len(b"hello\n"))
    capture.close()


@pytest.mark.parametrize(
    ("count", "pages", "size"),
    [
        (1, "16384", 1024),
        (32, "16384", 1024),
        (33, "16384", 512),
        (200, "16384", 128),
        (1000, "16384", 32),
        (1_000_000, "16384", 8),
        (200, "0", 1024),  # no limit
        (200, "what?", 1024),
    ],
)
def test_pipes_share_what_a_user_may_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int, pages: str, size: int
) -> None:
    """Half of it, each the same. In KiB."""
    limit = tmp_path / "pages"
    limit.write_text(f"{pages}\n")
    monkeypatch.setattr(logs_pipes, "_PAGES_OF_A_USER", limit)
    monkeypatch.setattr(logs_pipes, "_is_unbounded", lambda: False)
    assert fair_size(count) == size * 1024
    limit.unlink()
    assert fair_size(count) == PIPE_SIZE
    monkeypatch.setattr(logs_pipes, "_is_unbounded", lambda: True)
    assert fair_size(1_000_000) == PIPE_SIZE


@pytest.mark.parametrize(
    ("capabilities", "users", "unbounded"),
    [
        ("000001ffffffffff", "0 0 4294967295", True),
        ("0000000001000000", "0 0 4294967295", True),
        ("00000000a80425fb", "0 0 4294967295", False),  # root in a container
        ("000001ffffffffff", "0 1000 1", False),  # of a namespace of users
        ("0000000000000000", "0 0 4294967295", False),
    ],
)
def test_who_may_have_as_many_pages_as_it_likes(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capabilities: str,
    users: str,
    *,
    unbounded: bool,
) -> None:
    """Not by its number, but by its capabilities, and where those count."""
    (tmp_path / "status").write_text(f"Name:\tx\nCapEff:\t{capabilities}\nCapBnd:\t0\n")
    (tmp_path / "users").write_text(f"{users:>30}\n")
    monkeypatch.setattr(logs_pipes, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(logs_pipes, "_USERS", tmp_path / "users")
    assert logs_pipes._is_unbounded() is unbounded


async def test_pipes_have_the_size_of_their_share(
    spares: Spares, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are made when they are needed, and those that are made before."""
    monkeypatch.setattr(spares_module, "fair_size", lambda count: (count - _KEPT) * 1024)
    for kibibytes in (8, 32, 256):
        spares.be_for(kibibytes)
        new = spares.take()
        assert capacity(new.reader) == kibibytes * 1024
        close(new)
    await comes_true(lambda: spares.is_done)
    ready = spares.take_ready(1)
    assert capacity(ready[0].reader) == 256 * 1024
    spares.let_go(ready)
