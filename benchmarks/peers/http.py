"""The least that a client over HTTP and a unix socket does: its own time is not measured."""

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from benchmarks.peers.peer import Questions

_PATIENCE = 60.0
_PIPELINED = 64  # questions of a client that never reads


class Connection:
    """One connection that is kept."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_PATIENCE)
        self._socket.connect(str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """The body of the answer. RuntimeError unless the status is 200."""
        self._socket.sendall(request)
        got = self._socket.recv(1 << 18)
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._more()
        head, pieces = got[:end].lower(), [got[end + 4 :]]
        if b" 200 " not in head[:16]:
            raise RuntimeError(got.decode(errors="replace"))
        left = int(head.partition(b"content-length:")[2].split()[0]) - len(pieces[0])
        while left > 0:
            pieces.append(self._more())
            left -= len(pieces[-1])
        return b"".join(pieces)

    def ask_and_leave(self, request: bytes) -> None:
        """Send the question many times, as long as it is taken; read nothing."""
        self._socket.setblocking(False)
        try:
            for _ in range(_PIPELINED):
                self._socket.send(request)
        except BlockingIOError:
            pass

    def _more(self) -> bytes:
        more = self._socket.recv(1 << 18)
        if not more:
            raise ConnectionError("the connection was closed in the middle of an answer")
        return more


class HttpQuestions(Questions):
    """The same two requests again and again. `running`: what an answer says once per process."""

    def __init__(self, path: Path, *, everything: bytes, single: bytes, running: bytes) -> None:
        self._path = path
        self._everything = everything
        self._single = single
        self._running = running
        self._stack = ExitStack()
        self._connection = self._stack.enter_context(Connection(path))

    def all(self) -> int:
        """See Questions."""
        return self._connection.ask(self._everything).count(self._running)

    def one(self, times: int) -> None:
        """See Questions."""
        for _ in range(times):
            self._connection.ask(self._single)

    def clog(self, clients: int) -> None:
        """See Questions."""
        for _ in range(clients):
            self._stack.enter_context(Connection(self._path)).ask_and_leave(self._everything)

    def close(self) -> None:
        """See Questions."""
        self._stack.close()


def get(path: str, *headers: str) -> bytes:
    """A request to read this."""
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", *headers)
    return "\r\n".join((*lines, "\r\n")).encode()


def call(method: str, *words: str) -> bytes:
    """A request of XML-RPC."""
    given = "".join(f"<param><value><string>{word}</string></value></param>" for word in words)
    body = (
        f"<?xml version='1.0'?>\n<methodCall>\n<methodName>{method}</methodName>\n"
        f"<params>{given}</params>\n</methodCall>\n"
    )
    lines = (
        "POST /RPC2 HTTP/1.1",
        "Host: localhost",
        "Content-Type: text/xml",
        f"Content-Length: {len(body)}",
        f"\r\n{body}",
    )
    return "\r\n".join(lines).encode()
