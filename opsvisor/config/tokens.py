"""Secrets that clients send as `Authorization: Bearer`, and files that hold one."""

import hashlib
import re
import stat
from pathlib import Path

from opsvisor.config.problems import system_says
from opsvisor.config.units import Refused

# RFC 6750, 2.1: what may stand in the header.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_TOKEN_MAX = 4096  # bytes of a file with blanks around; a token of the largest kind is shorter
_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
_HASH_SHAPE = "it is sha256: and 64 hex digits, as opsvisorctl hash-token writes it"
_SHAPE = "letters, digits and -._~+/ without blanks, for example of: openssl rand -hex 32"


def check_token(token: str) -> str:
    """The token, if it can be sent in a header. Raises Refused, which doesn't quote it."""
    if not _TOKEN.fullmatch(token) or len(token) > _TOKEN_MAX:
        raise Refused("can't be sent as a token", _SHAPE)
    return token


def parse_token_hash(text: str) -> bytes:
    """The digest of a token. Raises Refused, which doesn't quote it."""
    found = _HASH.fullmatch(text)
    if found is None:
        raise Refused("is no hash of a token", _HASH_SHAPE)
    return bytes.fromhex(found[1])


def digest_of(token: str) -> bytes:
    """What of a token may lie about: nobody can find the token by it, which is long and random."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def show_token_hash(digest: bytes) -> str:
    """The digest of a token as it is written."""
    return f"sha256:{digest.hex()}"


def read_token(path: str) -> str:
    """The token in a file, without the blanks around it. Raises Refused."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # a pipe would never end
            raise Refused(f"is no regular file: '{path}'")
        with Path(path).open("rb") as file:
            raw = file.read(_TOKEN_MAX + 1)
    except OSError as error:
        says = f"can't be read: '{path}': {system_says(error)}"
        raise Refused(says, "the daemon's user must be able to read it") from error
    text = raw.decode("ascii", "replace").strip()
    if not text:
        raise Refused(f"is empty: '{path}'", f"it holds one token: {_SHAPE}")
    try:
        return check_token(text)
    except Refused as why:
        raise Refused(f"holds what {why.says}: '{path}'", why.hint) from None
