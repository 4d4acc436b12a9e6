"""Who may ask: credentials, and hosts a browser can be trusted to have meant."""

import base64
import hashlib
import hmac
import ipaddress

from aiohttp import web

from opsvisor.config.settings import Credentials

_SHA_PREFIX = "{SHA}"


def is_authorized(header: str | None, credentials: Credentials) -> bool:
    """Whether an Authorization header carries these credentials. Takes the same time if not."""
    username, password = _basic(header)
    # Both are always compared, and as digests: neither which of them is wrong nor how long the
    # right one is can be learned from the time it takes.
    expected = credentials.password
    if expected.startswith(_SHA_PREFIX):
        given = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest()
        expected = expected.removeprefix(_SHA_PREFIX)
    else:
        given = password
    same_password = hmac.compare_digest(_digest(given), _digest(expected))
    same_username = hmac.compare_digest(_digest(username), _digest(credentials.username))
    return same_password & same_username


def is_expected_host(request: web.Request, own_host: str) -> bool:
    """Whether the Host header names this server by address, as `localhost`, or as configured.

    A name of somebody else's that resolves to 127.0.0.1 (DNS rebinding) lets a web page speak to
    a server on this machine that asks for no password. Addresses can't be rebound.
    """
    named = request.headers.get("Host")
    if named is None:
        return True  # every browser sends one
    host = (named if named.endswith("]") else named.rsplit(":", 1)[0]).strip("[]")
    if host in ("localhost", own_host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _basic(header: str | None) -> tuple[str, str]:
    """User name and password of a Basic header; empty ones for anything else."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except ValueError:  # neither base64 nor ASCII (RFC 4648), or no UTF-8 in it
        return "", ""
    username, _, password = decoded.partition(":")
    return username, password


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
