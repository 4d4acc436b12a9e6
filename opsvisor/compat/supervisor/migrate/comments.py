"""The comments of Supervisor's files, which its parser drops: found again by where they stand."""

import configparser
import re
from collections.abc import Mapping
from pathlib import Path

from opsvisor.compat.supervisor.config.ini import Ini, decoded
from opsvisor.core.struct import Struct, field

_INLINE = re.compile(r"(?<!\S)[;#]")
_KEY = re.compile(r"\s*(?P<key>.*?)\s*[=:]")


class Remarks(Struct):
    """What was written about one thing: lines `above` it, "" between paragraphs, and `beside`."""

    above: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)


class Comments(Struct, frozen=True, kw_only=True):
    """All comments of a configuration: by section, by (section, key), and at the end of files."""

    sections: Mapping[str, Remarks]
    keys: Mapping[tuple[str, str], Remarks]
    ends: Mapping[str, list[str]]

    def of_section(self, name: str) -> Remarks:
        """Those above a section and beside its header."""
        return self.sections.get(name, Remarks())

    def of_key(self, section: str, key: str) -> Remarks:
        """Those above a key, beside it, and between the lines of its value."""
        return self.keys.get((section, key), Remarks())


def collect(ini: Ini) -> Comments:
    """The comments of all files that took part."""
    reading = _Reading()
    for file in ini.files:
        reading.read(file, decoded(Path(file).read_bytes()))
    return Comments(sections=reading.sections, keys=reading.keys, ends=reading.ends)


class _Reading:
    """Goes through the lines as configparser does: by their indentation, brackets and signs."""

    def __init__(self) -> None:
        self.sections: dict[str, Remarks] = {}
        self.keys: dict[tuple[str, str], Remarks] = {}
        self.ends: dict[str, list[str]] = {}

    def read(self, file: str, text: str) -> None:
        section, pending = "", list[str]()
        current: Remarks | None = None  # the key that an indented line would continue
        indent = 0
        for line in text.split("\n"):
            stripped = line.strip()
            if not stripped or stripped[0] in ";#":
                _add(pending, stripped)
                continue
            code, beside = _split(line)
            here = len(line) - len(line.lstrip())
            if current is not None and here > indent:
                _put(current, pending, beside)
            elif header := configparser.RawConfigParser.SECTCRE.match(code.strip()):
                section, current = header["header"], None
                _put(self.sections.setdefault(section, Remarks()), pending, beside)
            elif found := _KEY.match(code):
                indent = here
                key = (section, found["key"].lower())
                current = self.keys.setdefault(key, Remarks())
                _put(current, pending, beside)
            pending = []
        self.ends[file] = _trimmed(pending)


def _add(pending: list[str], stripped: str) -> None:
    """Note a line of comment, or a blank one, which separates paragraphs."""
    text = stripped.lstrip(";#").removeprefix(" ").rstrip()
    if text or (pending and pending[-1]):
        pending.append(text)


def _put(remarks: Remarks, above: list[str], beside: str) -> None:
    remarks.above += _trimmed(above)
    if beside:
        remarks.beside.append(beside)


def _trimmed(lines: list[str]) -> list[str]:
    return lines[:-1] if lines and not lines[-1] else lines


def _split(line: str) -> tuple[str, str]:
    """What stands before an inline comment, and the comment."""
    found = _INLINE.search(line)
    if found is None:
        return line, ""
    return line[: found.start()], line[found.start() :].lstrip(";#").strip()
