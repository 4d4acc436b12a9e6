import os
from pathlib import Path

from captured_programs import Heard, MakeCapture, log_spec, start, wait_for_exit

from opsvisor.runtime.logs.times import NOWHERE


async def test_update_takes_over_while_running(make_capture: MakeCapture, tmp_path: Path) -> None:
    """Another file, rotation, filter or none at all, from the next byte on; counts go on."""
    capture = make_capture(tmp_path / "x.log")
    end = capture.open_pipe()

    def write(text: bytes) -> None:
        os.write(end, text)
        capture.drain()

    write(b"\x1b[1m1\n")
    capture.update(log_spec(tmp_path / "x.log", rotate_size=7, rotate_keep=1, strip_ansi=True))
    write(b"\x1b[1m2\n\x1b[")
    capture.update(log_spec(tmp_path / "y.log"))
    write(b"3\n")
    capture.update(log_spec(None))
    write(b"4\n")
    assert (tmp_path / "x.log.1").read_bytes() == b"\x1b[1m1\n"
    assert (tmp_path / "x.log").read_bytes() == b"2\n\x1b["
    assert (tmp_path / "y.log").read_bytes() == b"3\n"
    assert capture.ring.read(0)[1] == b"\x1b[1m1\n2\n\x1b[3\n4\n"
    assert (capture.stats.rotations, capture.stats.lines, capture.problem) == (1, 4, "")
    os.close(end)


async def test_what_a_filter_held_back_is_told_when_it_goes(make_capture: MakeCapture) -> None:
    """Those who listen have all that the log has. Of an earlier run it is in the log alone."""
    capture = make_capture(strip_ansi=True, told=True)
    told = Heard(of=capture).texts
    earlier, latest = capture.open_pipe(), capture.open_pipe()
    os.write(earlier, b"\x1b[")
    os.write(latest, b"1\x1b[")
    capture.drain()
    capture.update(log_spec(None, told=True))
    os.write(latest, b"2")
    capture.drain()
    assert told == [b"1", b"\x1b[", b"2"]
    assert capture.ring.read(0)[1] == b"1\x1b[\x1b[2"
    for end in (earlier, latest):
        os.close(end)


async def test_update_before_the_first_run_creates_nothing(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """Reading a configuration leaves no empty logs behind."""
    capture = make_capture(tmp_path / "x.log")
    capture.update(log_spec(tmp_path / "y.log"))
    capture.reopen()
    assert os.listdir(tmp_path) == []  # noqa: PTH208  # pathlib's way counts as blocking
    await wait_for_exit(start(capture, "echo", "hello"))
    capture.drain()
    assert (tmp_path / "y.log").read_bytes() == b"hello\n"


async def test_reopen_after_logrotate(make_capture: MakeCapture, tmp_path: Path) -> None:
    """Moved, then reopened: earlier bytes in the moved file, later ones in the new."""
    capture = make_capture(tmp_path / "x.log")
    end = capture.open_pipe()
    os.write(end, b"1\n")
    capture.drain()
    moved = (tmp_path / "x.log").rename(tmp_path / "moved")
    os.write(end, b"2\n")
    capture.drain()
    capture.reopen()
    os.write(end, b"3\n")
    capture.drain()
    assert (moved.read_bytes(), (tmp_path / "x.log").read_bytes()) == (b"1\n2\n", b"3\n")
    os.close(end)


async def test_reopen_notices_that_a_file_became_a_fifo(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """The kind of target is chosen by what is there, at each run and at each reopening."""
    capture = make_capture(tmp_path / "x.log")
    end = capture.open_pipe()
    (tmp_path / "x.log").unlink()
    os.mkfifo(tmp_path / "x.log")
    capture.reopen()
    os.write(end, b"1\n")
    capture.drain()
    reader = os.open(tmp_path / "x.log", os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(reader, 99) == b"1\n"
    os.close(reader)
    os.close(end)


async def test_clear_works_for_stopped_programs_too(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """File and ring are empty, offsets go on, and the file isn't left open."""
    capture = make_capture(tmp_path / "x.log")
    await wait_for_exit(start(capture, "echo", "hello"))
    capture.drain()
    capture.clear()
    assert capture.place == NOWHERE
    assert (tmp_path / "x.log").read_bytes() == b""
    assert capture.ring.read(0) == (6, b"")
    assert capture.stats.file_size == 0


async def test_own_output_follows_the_name_after_reopen(
    make_capture: MakeCapture, tmp_path: Path
) -> None:
    """The daemon's log has no pipe, and logrotate moves it all the same."""
    capture = make_capture(tmp_path / "x.log")
    capture.write(b"1\n")
    moved = (tmp_path / "x.log").rename(tmp_path / "moved")
    capture.reopen()
    capture.write(b"2\n")
    assert (moved.read_bytes(), (tmp_path / "x.log").read_bytes()) == (b"1\n", b"2\n")
    assert capture.ring.read(0) == (0, b"1\n2\n")
