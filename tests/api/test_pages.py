"""The files of the page, as the API gives them out."""

import gzip
import subprocess
import sys

import pytest
from served import Served

from opsvisor.web import assets

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}


def test_a_daemon_that_nobody_looks_at_has_none_of_it_in_memory() -> None:
    """Nor what makes the contract of the API: both cost memory and time at the start."""
    code = "import sys, opsvisor.daemon.main, opsvisor.web as w; print(w.are_read(), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    are_read, *modules = done.stdout.split()
    assert are_read == "False"
    assert "opsvisor.api.pages" in modules
    unwanted = ("opsvisor.api.openapi", "opsvisor.api.reference", "importlib.resources")
    assert [name for name in modules if name.startswith(unwanted)] == []


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "*/*, TEXT/HTML;q=0.1"])
async def test_a_browser_gets_the_page(api: Served, accept: str) -> None:
    """Because it asks for HTML."""
    headers = {"Accept": accept, "Accept-Encoding": "identity"}
    async with api.session.get("/", headers=headers) as response:
        assert response.content_type == "text/html"
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        assert await response.read() == assets()["index.html"].body


@pytest.mark.parametrize("accept", ["*/*", "", "text/plain", "text/html;q=0, */*"])
async def test_everybody_else_gets_a_text(api: Served, accept: str) -> None:
    """A page would be of no use to curl."""
    async with api.session.get("/", headers={"Accept": accept}) as response:
        assert response.content_type == "text/plain"
        assert response.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize("path", ["/", *(f"/static/{name}" for name in sorted(assets()))])
async def test_nothing_but_our_own_files_may_run(api: Served, path: str) -> None:
    """And no other page may have ours in a frame, or know where it was linked from."""
    async with api.session.get(path, headers={"Accept": BROWSER}) as response:
        assert response.status == 200
        headers = response.headers
        assert set(headers["Content-Security-Policy"].split("; ")) == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_a_file_is_asked_for_only_once(api: Served, coding: str) -> None:
    """After that, a browser is told that it is still the same."""
    headers = {"Accept-Encoding": coding}
    async with api.session.get("/static/main.js", headers=headers) as response:
        assert response.content_type == "text/javascript"
        assert response.headers["Cache-Control"] == "no-cache"
        etag = response.headers["ETag"]
    for known in (etag, f'"other", {etag}', "*"):
        headers = {"Accept-Encoding": coding, "If-None-Match": known}
        async with api.session.get("/static/main.js", headers=headers) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert response.headers["ETag"] == etag
    headers["If-None-Match"] = 'W/"other"'
    async with api.session.get("/static/main.js", headers=headers) as response:
        assert response.status == 200


async def test_files_come_compressed_where_that_is_wanted(api: Served) -> None:
    """The content is the same."""
    session = api.session
    found = assets()["main.js"]
    async with session.get("/static/main.js", headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await response.read()) == found.body
    async with session.get("/static/main.js", headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        assert response.content_length == len(found.body)


@pytest.mark.parametrize(
    "path", ["/static/", "/static/none.js", "/static/__init__.py", "/static/..%2f__init__.py"]
)
async def test_what_is_no_part_of_the_page_is_not_found(api: Served, path: str) -> None:
    """No path leads out of its folder: names are looked up, never opened."""
    async with api.session.get(path) as response:
        assert response.status == 404
