"""What a service manager is, for a daemon: a datagram socket, and an environment that names it."""

import select
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from daemon import PATIENCE


class Manager:
    """Hears what a daemon notifies. A context manager."""

    def __init__(self, address: str) -> None:
        """`address` is a path, or begins with @ for a name that no file has."""
        self.address = address
        self.heard: list[dict[str, str]] = []
        self.afterwards = ExitStack()  # what is to be done when it hears no more
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def next(self, patience: float = PATIENCE) -> dict[str, str]:
        """The next message. AssertionError if none comes."""
        readable, _, _ = select.select([self._socket], [], [], patience)
        assert readable, f"nothing comes after {self.heard}"
        lines = self._socket.recv(65536).decode().split("\n")
        message = dict(line.split("=", 1) for line in lines)
        self.heard.append(message)
        return message

    def until(self, is_it: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """The first message of this kind from here on."""
        while not is_it(message := self.next()):
            pass
        return message

    def until_told(self, name: str, value: str) -> dict[str, str]:
        """The first message from here on with this line."""
        return self.until(lambda message: message.get(name) == value)

    def silent(self) -> bool:
        """Whether there is nothing to read."""
        return not select.select([self._socket], [], [], 0)[0]

    def __enter__(self) -> Self:
        """Itself; it hears already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop hearing."""
        self.afterwards.close()
        self._socket.close()
        if not self.address.startswith("@"):
            Path(self.address).unlink()
