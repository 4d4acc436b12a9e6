"""The page: the files that a browser is given, as they are in this package.

There is no build step. The folder `static` is flat, and each of its files is one asset; nothing in
them is secret, and nothing in them depends on who asks or on what the daemon supervises.
"""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from opsvisor.core.struct import Struct

__all__ = ["PAGE", "Asset", "are_read", "assets"]

PAGE = "index.html"

_CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Asset(Struct, frozen=True, kw_only=True):
    """One file of the page.

    `compressed` is the body as gzip: a phone at the end of a slow line is where the page is needed
    most. `etag` is a name for exactly this content (RFC 9110, 8.8.3).
    """

    name: str
    content_type: str
    body: bytes
    compressed: bytes
    etag: str


@cache
def assets() -> Mapping[str, Asset]:
    """All files of the page by name, read together at the first call and kept.

    So a page never consists of files of two versions, whatever is installed meanwhile. The first
    call takes 50 ms, which is no thing for a loop; see `are_read`.
    """
    found = {}
    for file in Path(__file__).with_name("static").iterdir():
        if content_type := _CONTENT_TYPES.get(file.suffix.removeprefix(".")):
            body = file.read_bytes()
            found[file.name] = Asset(
                name=file.name,
                content_type=content_type,
                body=body,
                compressed=gzip.compress(body, mtime=0),
                etag=hashlib.sha256(body).hexdigest()[:32],
            )
    return found


def are_read() -> bool:
    """Whether `assets` answers at once."""
    return assets.cache_info().currsize > 0
