"""What comes of asking once, in words an operator can act on."""

import errno
import os
import socket
import ssl

from opsvisor.core.struct import Struct

# Nobody needs more to see what a program said, and it travels to logs and tables.
_LONGEST_QUOTE = 160

# Signs that we can't ask, which is no fault of the process.
_OUR_OWN = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EAGAIN}
)


class Answer(Struct, frozen=True):
    """Whether it was right, and what came: `http 503`, `connection refused`."""

    ok: bool
    detail: str


class CannotAskError(Exception):
    """The question could not be put, for want of descriptors, memory or ports on our side."""


def refused(error: OSError) -> Answer:
    """What the system says about a connection that failed. CannotAskError if the fault is ours."""
    if error.errno in _OUR_OWN:
        raise CannotAskError(str(error)) from error
    match error:
        case ssl.SSLCertVerificationError():
            return Answer(ok=False, detail=f"certificate refused: {error.verify_message}")
        case ssl.SSLError():
            return Answer(ok=False, detail=f"tls failed: {error.reason or error}")
        case socket.gaierror():
            return Answer(ok=False, detail=f"host name not found: {error.strerror}")
        case _:
            text = os.strerror(error.errno).lower() if error.errno else str(error)
            return Answer(ok=False, detail=quoted(text))


def quoted(text: str) -> str:
    """Text from outside on one line, without control characters, and not too long."""
    line = "".join(c if c.isprintable() else " " for c in text).strip()
    return line if len(line) <= _LONGEST_QUOTE else f"{line[: _LONGEST_QUOTE - 1]}…"
