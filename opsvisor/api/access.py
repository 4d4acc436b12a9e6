"""Who comes in, and how far: what a request shows of itself, against what a server knows.

Everything that could be meant is compared every time, by digests and in constant time: neither
which name exists, nor which part was wrong, nor how long the right one is can be learned from the
time it takes.
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from opsvisor.config.settings import Access, Identity, TcpServer, UnixServer
from opsvisor.config.tokens import read_token
from opsvisor.config.units import Refused

_SHA_PREFIX = "{SHA}"
# In the place of digests: of what isn't shown, and of what nobody can show.
_NOTHING = bytes(hashlib.sha256().digest_size)
_NOBODYS = secrets.token_bytes(hashlib.sha256().digest_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and how far it may go. `name` is "" where nobody had to say who they are."""

    name: str
    access: Access


ANYBODY = Caller(name="", access=Access.ADMIN)


class Gate:
    """Knows who may come in at one server.

    `warn` is told, once, of a file that ought to hold a token and doesn't.
    """

    def __init__(
        self, server: UnixServer | TcpServer, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self._is_open = server.is_open
        self._proofs: list[tuple[Caller, _Proof]] = []
        if (known := server.credentials) is not None:
            caller = Caller(name=known.username, access=Access.ADMIN)
            self._proofs.append((caller, _Password(known.username, known.password)))
        for identity in server.identities:
            caller = Caller(name=identity.name, access=identity.access)
            self._proofs.append((caller, _proof_of(identity, warn)))

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return self._is_open

    @property
    def takes_tokens(self) -> bool:
        """Whether somebody comes in with a token."""
        return any(not isinstance(proof, _Password) for _, proof in self._proofs)

    def caller(self, authorization: str | None) -> Caller | None:
        """Who sends this header; None if nobody who may come in does."""
        if self._is_open:
            return ANYBODY
        shown = _read(authorization)
        found = None
        for caller, proof in self._proofs:  # all of them, whoever it was
            is_it = proof.holds(shown)
            # Two files may come to hold one token: what it opens is then the least of it.
            if is_it and (found is None or found.access.covers(caller.access)):
                found = caller
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What a client says of itself, as digests. What it doesn't say is nobody's."""

    username: bytes
    password: bytes
    hashed_password: bytes
    token: bytes


class _Password:
    """Basic auth: the password plain, or `{SHA}` and the SHA-1 in hex."""

    def __init__(self, username: str, password: str) -> None:
        self._username = _digest(username)
        self._is_hashed = password.startswith(_SHA_PREFIX)
        self._password = _digest(password.removeprefix(_SHA_PREFIX))

    def holds(self, shown: _Shown) -> bool:
        password = shown.hashed_password if self._is_hashed else shown.password
        same_password = hmac.compare_digest(password, self._password)
        same_username = hmac.compare_digest(shown.username, self._username)
        return same_password & same_username


class _Token:
    """A token that stands in the configuration."""

    def __init__(self, token: str) -> None:
        self._token = _digest(token)

    def holds(self, shown: _Shown) -> bool:
        return hmac.compare_digest(shown.token, self._token)


class _TokenFile:
    """A token in a file, as it is now: so that it can be changed without ending any program.

    While the file holds none, nobody comes in by it: taking it away is how to shut somebody out.
    """

    def __init__(self, identity: Identity, warn: Callable[[str], None]) -> None:
        assert identity.token_file is not None
        self._path = identity.token_file
        self._name = identity.name
        self._warn = warn
        self._seen: tuple[int, ...] | None = None
        self._token = _NOBODYS
        # Whom root gave way to may not be able to read it: better told now than at 3 a.m.
        self._look()

    def holds(self, shown: _Shown) -> bool:
        self._look()
        return hmac.compare_digest(shown.token, self._token)

    def _look(self) -> None:
        seen: tuple[int, ...] = ()
        try:
            found = os.stat(self._path)  # noqa: PTH116 - for each request, and a Path costs more
            seen = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        except OSError:
            pass  # read_token tells why
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._token = _digest(read_token(self._path))
        except Refused as why:
            self._token = _NOBODYS
            self._warn(f"identity '{self._name}' can't come in: token_file {why.says}")


_Proof = _Password | _Token | _TokenFile


def _proof_of(identity: Identity, warn: Callable[[str], None]) -> _Proof:
    if identity.password is not None:
        return _Password(identity.name, identity.password)
    if identity.token is not None:
        return _Token(identity.token)
    return _TokenFile(identity, warn)


def _read(authorization: str | None) -> _Shown:
    """What an Authorization header says, of either kind."""
    scheme, _, value = (authorization or "").partition(" ")
    username = password = token = None
    match scheme.lower():
        case "basic":
            username, password = _basic(value.strip())
        case "bearer":
            token = value.strip()
        case _:
            pass
    return _Shown(
        username=_digest(username),
        password=_digest(password),
        hashed_password=_digest(_sha1(password)),
        token=_digest(token),
    )


def _basic(encoded: str) -> tuple[str, str] | tuple[None, None]:
    """User name and password; None for what isn't that."""
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except ValueError:  # neither base64 nor ASCII (RFC 4648), or no UTF-8 in it
        return None, None
    username, _, password = decoded.partition(":")
    return username, password


def _sha1(password: str | None) -> str | None:
    if password is None:
        return None
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest()


def _digest(text: str | None) -> bytes:
    if text is None:
        return _NOTHING
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
