"""A synchronous client for the API of opsvisord, over a unix socket, TCP or TLS."""

from opsvisor.client.address import Address, TcpAddress, UnixAddress, parse_url
from opsvisor.client.calls import Client, Watched
from opsvisor.client.errors import ApiError, BadTls, BadUrl, NoDaemon, Unauthorized, Unreached
from opsvisor.client.samples import Sample
from opsvisor.client.transport import Stream
from opsvisor.wire import EventGap, LogGap, LogPiece, StreamName

__all__ = [
    "Address",
    "ApiError",
    "BadTls",
    "BadUrl",
    "Client",
    "EventGap",
    "LogGap",
    "LogPiece",
    "NoDaemon",
    "Sample",
    "Stream",
    "StreamName",
    "TcpAddress",
    "Unauthorized",
    "UnixAddress",
    "Unreached",
    "Watched",
    "parse_url",
]
