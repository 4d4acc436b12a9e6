"""A program on a terminal of its own, and somebody who types there."""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_LIMIT = 60.0  # seconds; only a failure takes as long
# In a session of its own, with the terminal as the one that Ctrl-C comes from.
_ON_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A context manager: hangs up at the end, and keeps the exit status of who ended before."""

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str]
    ) -> None:
        self._ours, theirs = pty.openpty()
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _ON_TERMINAL, *command],
            cwd=directory,
            env={**environment, "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._seen = 0
        self.text = ""

    def type(self, text: str) -> None:
        """Type this, and press return."""
        os.write(self._ours, f"{text}\r".encode())

    def press_ctrl_c(self) -> None:
        """Interrupt whoever is in the foreground."""
        os.write(self._ours, b"\x03")

    def until(self, text: str) -> str:
        """What was shown since the last call, up to and with this text."""
        while text not in self.text[self._seen :]:
            readable, _, _ = select.select([self._ours], [], [], _LIMIT)
            piece = self._read() if readable else b""
            assert piece, f"{text!r} does not come after {self.text[self._seen :]!r}"
            self.text += piece.decode().replace("\r\n", "\n")
        begin = self._seen
        self._seen = self.text.index(text, begin) + len(text)
        return self.text[begin : self._seen]

    def ended(self) -> int:
        """Its exit status, as soon as it has ended by itself."""
        while self._read():
            pass
        return self._child.wait(_LIMIT)

    def _read(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except OSError:  # EIO: nobody has the other end any more (pty(7))
            return b""

    def __enter__(self) -> Self:
        """The terminal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up on who is still there."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGKILL)
            self._child.wait(_LIMIT)
        os.close(self._ours)
