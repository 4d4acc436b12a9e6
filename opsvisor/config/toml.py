"""TOML text becomes a Document.

tomli gives values without positions. So the text is read twice: by tomli, which decides what is
valid and what it means, and by `_Scanner`, which may therefore trust the syntax and only looks
for the lines on which keys begin.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

import tomli

from opsvisor.config.document import Document, KeyPath
from opsvisor.config.problems import ConfigError, Place, Problem

_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
# A multi-line string may end in one or two quotes of its own, right before the closing three.
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:[^"\\]|\\.)*"|' + r"'[^']*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]*")


def parse(text: str, file: str) -> Document:
    """The document in `text`; `file` is the name that places carry. Raises ConfigError."""
    try:
        values = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        what = f"not valid TOML: {_lower_first(error.msg)}, column {error.colno}"
        raise ConfigError([Problem(Place(file, error.lineno), what)]) from error
    except ValueError as error:  # an integer of thousands of digits, a date like 2026-02-31
        # What Python says of too many digits is how to allow more of them in its programs.
        told = str(error).partition(" for integer string conversion")[0]
        raise ConfigError(
            [Problem(Place(file), f"not valid TOML: {_lower_first(told)}")]
        ) from error
    except RecursionError as error:
        raise ConfigError([Problem(Place(file), "arrays or tables nest too deeply")]) from error
    places = {path: Place(file, line) for path, line in _Scanner(text).lines().items()}
    return Document(files=(file,), values=values, places=places)


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]


class _Scanner:
    """Finds the line of every key and array item of a valid text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {}
        # Arrays of tables and how many items each has so far: `[a.b]` means its latest item.
        self._arrays: dict[KeyPath, int] = {}

    def lines(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                table = self._array_header()
            elif self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _header(self) -> KeyPath:
        line, key = self._bracketed(1)
        return self._note_all((), key, line)

    def _array_header(self) -> KeyPath:
        line, key = self._bracketed(2)
        array = (*self._note_all((), key[:-1], line), key[-1])
        self._lines.setdefault(array, line)
        index = self._arrays.get(array, -1) + 1
        self._arrays[array] = index
        self._lines[*array, index] = line
        return (*array, index)

    def _bracketed(self, brackets: int) -> tuple[int, tuple[str, ...]]:
        line = self._line()
        self._at += brackets
        key = tuple(self._key())
        self._at += brackets
        return line, key

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = self._note_all(table, tuple(self._key()), line)
        self._at += 1  # the equals sign
        self._value(path)

    def _note_all(self, table: KeyPath, key: tuple[str, ...], line: int) -> KeyPath:
        """Note `key` and the tables it implies at this line, unless they were met before."""
        path = table
        for part in key:
            path = (*path, part)
            self._lines.setdefault(path, line)
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _key(self) -> Iterator[str]:
        """The parts of a dotted key, up to the equals sign or bracket that ends it."""
        while True:
            self._skip(_SPACE)
            bare = _BARE_KEY.match(self._text, self._at)
            if bare:
                self._at = bare.end()
                yield bare.group()
            else:
                yield _unquote(self._string())
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        """Step over one value and note the keys and items inside it.

        One frame for each level: tomli allows 400 of them, Python 1000.
        """
        self._skip(_BLANK)
        opening = self._text[self._at]
        if opening in "\"'":
            self._string()
        elif opening not in "[{":
            self._skip(_BARE_VALUE)
        else:
            self._at += 1
            self._skip(_BLANK)
            index = 0
            while self._text[self._at] not in "]}":
                if opening == "[":
                    self._lines[*path, index] = self._line()
                    self._value((*path, index))
                else:
                    self._pair(path)
                index += 1
                self._skip(_BLANK)
                if self._text[self._at] == ",":
                    self._at += 1
                    self._skip(_BLANK)
            self._at += 1

    def _string(self) -> str:
        match = _STRING.match(self._text, self._at)
        assert match is not None, "tomli accepted a text that the scanner can't follow"
        self._at = match.end()
        return match.group()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None, "these patterns match nothing at all as well"
        self._at = match.end()

    def _line(self) -> int:
        return bisect_right(self._line_ends, self._at) + 1


def _unquote(token: str) -> str:
    """The name that a quoted key stands for."""
    if "\\" not in token:
        return token[1:-1]
    name: str = tomli.loads(f"name = {token}")["name"]
    return name
