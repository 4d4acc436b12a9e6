"""Whole logs over HTTP, as files to keep."""

from pathlib import Path

import aiohttp
import pytest
from engine_room import key, program
from served import Serve, Served
from yarl import URL

from opsvisor.core.spec import LogSpec, ProcessSpec
from opsvisor.runtime.logs.capture import StreamCapture
from opsvisor.runtime.logs.stream import Stream

DOWNLOAD = "/api/v1/processes/web/logs/stdout/download"
# More than the pieces that it is sent in, and no multiple of them.
LONG = b"".join(b"%07d\n" % number for number in range(100_001))
NASTY = b"\x1b[31m<script>\xff\x00\r\n"


def writer(path: Path | None) -> ProcessSpec:
    """A program whose log the test writes itself."""
    return program("web", "sleep", "1000", stdout=LogSpec(path=str(path) if path else None))


def capture_of(api: Served) -> StreamCapture:
    """Where the output of `web` goes."""
    return api.house.room.engine.streams(key("web")).captures[Stream.STDOUT]


@pytest.mark.parametrize("text", [b"", NASTY, LONG], ids=["empty", "nasty", "long"])
async def test_a_whole_log_comes_as_it_was_written(
    serve: Serve, tmp_path: Path, text: bytes
) -> None:
    """Byte for byte, with its length."""
    api = await serve(writer(tmp_path / "log"))
    capture_of(api).write(text)
    async with api.session.get(DOWNLOAD) as response:
        assert response.content_length == len(text)
        assert await response.read() == text


async def test_without_a_file_it_is_what_memory_holds(serve: Serve) -> None:
    """All of the ring."""
    api = await serve(writer(None))
    capture_of(api).write(NASTY)
    async with api.session.get(DOWNLOAD) as response:
        assert await response.read() == NASTY


async def test_a_browser_keeps_it_and_never_shows_it(serve: Serve, tmp_path: Path) -> None:
    """What a program writes may look like a page: it is text, and not guessed at."""
    api = await serve(writer(tmp_path / "log"))
    capture_of(api).write(b"<script>alert(1)</script>")
    async with api.session.get(DOWNLOAD) as response:
        assert response.content_type == "text/plain"
        headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"web.stdout.log\"; filename*=UTF-8''web.stdout.log"
    )


async def test_a_name_can_not_leave_its_header(serve: Serve, tmp_path: Path) -> None:
    """Quotes, line ends and other scripts are left out, or written as percent."""
    name = 'a"; filename="b..ü\r\nX=y'
    spec = program(name, "sleep", "1000", stdout=LogSpec(path=str(tmp_path / "log")))
    await serve(spec)
    quoted = "a%22%3B%20filename%3D%22b..%C3%BC%0D%0AX%3Dy"
    url = f"http://localhost/api/v1/processes/{quoted}/logs/stdout/download"
    connector = aiohttp.UnixConnector(str(tmp_path / "s"))
    async with (
        aiohttp.ClientSession(connector=connector, requote_redirect_url=False) as session,
        session.get(URL(url, encoded=True)) as response,
    ):
        assert response.status == 200
        assert "X" not in response.headers
        assert response.headers["Content-Disposition"] == (
            'attachment; filename="a_filename_b.._X_y.stdout.log"; '
            f"filename*=UTF-8''{quoted}.stdout.log"
        )


async def test_head_tells_how_much_it_would_be(serve: Serve, tmp_path: Path) -> None:
    """And sends none of it: the connection serves the next request."""
    api = await serve(writer(tmp_path / "log"))
    capture_of(api).write(LONG)
    async with api.session.head(DOWNLOAD) as response:
        assert response.content_length == len(LONG)
    async with api.session.get(DOWNLOAD) as response:
        assert await response.read() == LONG


async def test_what_is_cut_short_meanwhile_is_not_taken_for_whole(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client was told a length, and the connection ends before it."""
    monkeypatch.setattr("opsvisor.control.logs._PIECE_OF_WHOLE", 1000)
    api = await serve(writer(tmp_path / "log"))
    # Far more than the connection takes at once, so that the end is still to be read.
    size = 64 * 1024 * 1024
    capture_of(api).write(b"x")
    with (tmp_path / "log").open("r+b") as file:
        file.truncate(size)
        async with api.session.get(DOWNLOAD) as response:
            assert response.content_length == size
            file.truncate(1000)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_what_is_written_meanwhile_is_no_part_of_it(serve: Serve, tmp_path: Path) -> None:
    """Else whoever downloads a flood never comes to an end."""
    api = await serve(writer(tmp_path / "log"))
    capture_of(api).write(LONG)
    async with api.session.get(DOWNLOAD) as response:
        capture_of(api).write(LONG)
        assert await response.read() == LONG


async def test_why_there_is_nothing_to_download(serve: Serve, tmp_path: Path) -> None:
    """No such process, merged into the other stream, not to be read."""
    path = tmp_path / "log"
    api = await serve(writer(path))
    told = await api.problem("GET", "/api/v1/processes/none/logs/stdout/download")
    assert (told.status, told.code) == (404, "no_such_process")
    path.unlink()
    path.symlink_to(path)  # a circle
    told = await api.problem("GET", DOWNLOAD)
    assert (told.status, told.code) == (404, "no_log")
