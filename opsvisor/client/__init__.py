"""A synchronous client for the API of opsvisord, over a unix socket or TCP; http.client only."""

from opsvisor.client.address import Address, TcpAddress, UnixAddress, parse_url
from opsvisor.client.calls import Client, EventGap, LogGap, LogPiece, StreamName
from opsvisor.client.errors import ApiError, BadUrl, NoDaemon, Unauthorized, Unreached
from opsvisor.client.samples import Sample
from opsvisor.client.transport import Stream

__all__ = [
    "Address",
    "ApiError",
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
    "parse_url",
]
