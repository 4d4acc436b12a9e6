"""A terminal with a screen, and somebody at it: what stands where, and keys to press."""

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Self

import pyte

_PATIENCE = 60.0  # seconds; only a failure takes as long
# In a session of its own: Ctrl-C and changes of the size come from the terminal.
_ON_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)


class Screen:
    """A context manager: whoever is still there at the end is killed."""

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        columns: int = 80,
        rows: int = 24,
    ) -> None:
        self._ours, self._theirs = pty.openpty()
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.raw = b""
        self._set_size(columns, rows)
        self.before = termios.tcgetattr(self._theirs)
        self.program = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _ON_TERMINAL, *command],
            env={**variables, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
        )

    @property
    def lines(self) -> list[str]:
        """What stands there now."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal is as it was: its modes, its other screen, and its cursor."""
        modes = termios.tcgetattr(self._theirs) == self.before
        left = self.raw.rfind(b"\x1b[?1049l") > self.raw.rfind(b"\x1b[?1049h") > 0
        return modes and left and not self._screen.cursor.hidden

    def line_with(self, text: str) -> str:
        """The first line that has it, "" if none has."""
        return next((line for line in self.lines if text in line), "")

    def colours_of(self, text: str) -> set[str]:
        """In which ones it is written, where it first stands."""
        for row, line in enumerate(self._screen.display):
            if text in line:
                begin = line.index(text)
                return {self._screen.buffer[row][begin + n].fg for n in range(len(text))}
        raise AssertionError(f"{text!r} is not on the screen")

    def press(self, keys: str) -> None:
        """Type this."""
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Have another size; the program is told of it, as by any terminal."""
        self._screen.resize(rows, columns)
        self._set_size(columns, rows)

    def until(self, *texts: str, without: Sequence[str] = ()) -> None:
        """Go on until all this is on the screen, and that isn't."""
        deadline = time.monotonic() + _PATIENCE
        while not (
            all(text in self.text for text in texts)
            and not any(text in self.text for text in without)
        ):
            self._read_on(deadline, f"{texts} without {without}")

    def ended(self) -> int:
        """The exit status, as soon as it has ended by itself."""
        deadline = time.monotonic() + _PATIENCE
        while self.program.poll() is None:
            self._read(0.05)
            assert time.monotonic() < deadline, f"does not end\n{self.text}"
        while self._read(0.0):
            pass
        return self.program.wait()

    def _read_on(self, deadline: float, what: str) -> None:
        has_come = self._read(0.2)
        assert time.monotonic() < deadline, f"no {what} in\n{self.text}"
        assert has_come or self.program.poll() is None, f"ended without {what}:\n{self.text}"

    def _read(self, patience: float) -> bool:
        if not select.select([self._ours], [], [], patience)[0]:
            return False
        piece = os.read(self._ours, 65536)
        self.raw += piece
        self._stream.feed(self._decoder.decode(piece))
        return bool(piece)

    def _set_size(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    def __enter__(self) -> Self:
        """The screen itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody stays."""
        if self.program.poll() is None:
            self.program.send_signal(signal.SIGKILL)
            self.program.wait()
        os.close(self._ours)
        os.close(self._theirs)
