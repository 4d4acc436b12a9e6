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
import ssl
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from opsvisor.api.crowd import Peer
from opsvisor.config.settings import (
    Access,
    ClientCertificate,
    Identity,
    LocalPeer,
    TcpServer,
    UnixServer,
)
from opsvisor.config.tokens import read_token
from opsvisor.config.units import Refused
from opsvisor.core.events import Event
from opsvisor.core.spec import ProcessId
from opsvisor.core.struct import Struct, replace

_SHA_PREFIX = "{SHA}"
# In the place of digests: of what isn't shown, and of what nobody can show.
_NOTHING = bytes(hashlib.sha256().digest_size)
_NOBODYS = secrets.token_bytes(hashlib.sha256().digest_size)


class Way(Enum):
    """How somebody has come in."""

    OPEN = "open"  # nobody was asked
    PASSWORD = "password"  # noqa: S105 - the name of a way, and none of those
    TOKEN = "token"  # noqa: S105 - as above
    SESSION = "session"
    CERTIFICATE = "certificate"
    LOCAL = "local"  # by being a user of this machine, at a unix socket


Scope = frozenset[str] | None  # names of groups; None is all of them


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks, and how far it may go. `name` is "" where nobody had to say who they are.

    What is of other groups than `groups` does not exist for it; None is for all there are.
    """

    name: str
    access: Access
    groups: Scope = None
    way: Way = Way.OPEN

    @property
    def is_by_session(self) -> bool:
        """Whether a browser has shown the key of a session."""
        return self.way is Way.SESSION

    def by(self, way: Way) -> "Caller":
        """The same, come in another way."""
        return replace(self, way=way)

    @property
    def is_scoped(self) -> bool:
        """Whether there may be something that does not exist for it."""
        return self.groups is not None

    def sees_group(self, group: str) -> bool:
        """Whether the group of this name is there for it."""
        return self.groups is None or group in self.groups

    def sees(self, process_id: ProcessId) -> bool:
        """Whether this process is there for it."""
        return self.sees_group(process_id.group)

    def sees_event(self, event: Event) -> bool:
        """Whether it is told of this: of what is no fact about one process only if it sees all."""
        if self.groups is None:
            return True
        process_id = getattr(event, "id", None)
        return isinstance(process_id, ProcessId) and self.sees(process_id)


ANYBODY = Caller(name="", access=Access.ADMIN)
_OWNER = Caller(name="", access=Access.ADMIN, way=Way.LOCAL)


class Gate:
    """Knows who may come in at one server.

    `warn` is told, once, of a file that ought to hold a token and doesn't.
    """

    def __init__(
        self, server: UnixServer | TcpServer, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self._is_open = server.is_open
        self._proofs: list[tuple[Caller, _Proof]] = []
        self._locals: list[tuple[Caller, LocalPeer]] = []
        self._certificates: list[tuple[Caller, ClientCertificate]] = []
        # Where no password is asked of them, who could read our memory is not kept out.
        self._admits_owner = isinstance(server, UnixServer) and server.credentials is None
        if (known := server.credentials) is not None:
            caller = Caller(name=known.username, access=Access.ADMIN, way=Way.PASSWORD)
            self._proofs.append((caller, _Password(known.username, known.password)))
        for identity in server.identities:
            if (proof := _proof_of(identity, warn)) is not None:
                way = Way.PASSWORD if isinstance(proof, _Password) else Way.TOKEN
                self._proofs.append((_caller(identity, way), proof))
            if identity.local is not None and isinstance(server, UnixServer):
                self._locals.append((_caller(identity, Way.LOCAL), identity.local))
            if identity.certificate is not None:
                known_by = _caller(identity, Way.CERTIFICATE), identity.certificate
                self._certificates.append(known_by)

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

    def local(self, peer: Peer) -> Caller | None:
        """Who this is at the other end of a unix socket: the first identity that it matches.

        In order of the configuration, which whoever wrote it can see, where a user is of several
        groups.
        """
        for caller, one in self._locals:
            if _is_peer(peer, one):
                return caller
        return _OWNER if self._admits_owner and peer.is_owner else None

    def certified(self, secure: ssl.SSLObject) -> Caller | None:
        """Who has shown a certificate that somebody vouches for whom we trust with that.

        The first identity that it matches, in order of the configuration.
        """
        der = secure.getpeercert(binary_form=True) if self._certificates else None
        if der is None:
            return None
        shown = secure.getpeercert() or {}
        for caller, wanted in self._certificates:
            if _is_certificate(wanted, der, shown):
                return caller
        return None

    def named(self, name: str) -> "tuple[Caller, bytes] | None":
        """Who has this name and can show something, with a stamp of what that is now.

        The stamp is another one as soon as something else has to be shown.
        """
        for caller, proof in self._proofs:
            if caller.name == name:
                return caller, proof.stamp()
        return None


def _is_certificate(wanted: ClientCertificate, der: bytes, shown: Mapping[str, Any]) -> bool:
    """Whether all that is wanted stands there. With two common names it would not be clear who."""
    subject = [pair for part in shown.get("subject", ()) for pair in part]
    common_names = [value for kind, value in subject if kind == "commonName"]
    others = shown.get("subjectAltName", ())
    digest = hashlib.sha256(der).digest()
    return (
        (wanted.fingerprint is None or hmac.compare_digest(wanted.fingerprint, digest))
        and (wanted.common_name is None or common_names == [wanted.common_name])
        and (wanted.dns_name is None or ("DNS", wanted.dns_name) in others)
        and (wanted.uri is None or ("URI", wanted.uri) in others)
    )


def basic(username: str, password: str) -> str:
    """What stands in the header Authorization of somebody who shows a password."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def bearer(token: str) -> str:
    """What stands in the header Authorization of somebody who shows a token."""
    return f"Bearer {token}"


def _caller(identity: Identity, way: Way) -> Caller:
    return Caller(name=identity.name, access=identity.access, groups=identity.groups, way=way)


def _is_peer(peer: Peer, wanted: LocalPeer) -> bool:
    if wanted.uid is not None and peer.uid != wanted.uid:
        return False
    return wanted.gid is None or wanted.gid in peer.gids


class _Shown(Struct, frozen=True, kw_only=True):
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

    def stamp(self) -> bytes:
        return bytes([self._is_hashed]) + self._password


class _Token:
    """A token of which the configuration has the digest, or itself."""

    def __init__(self, digest: bytes) -> None:
        self._token = digest

    def holds(self, shown: _Shown) -> bool:
        return hmac.compare_digest(shown.token, self._token)

    def stamp(self) -> bytes:
        return self._token


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

    def stamp(self) -> bytes:
        self._look()
        return self._token

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


def _proof_of(identity: Identity, warn: Callable[[str], None]) -> _Proof | None:
    if identity.password is not None:
        return _Password(identity.name, identity.password)
    if identity.token is not None:
        return _Token(_digest(identity.token))
    if identity.token_hash is not None:
        return _Token(identity.token_hash)
    return None if identity.token_file is None else _TokenFile(identity, warn)


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
