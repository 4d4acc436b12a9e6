"""Supervisor's INI files, with the line of every key.

`configparser` reads them, as it does for Supervisor, so there is only one idea of what the
grammar is. It is fed line by line and asked to tell whenever it meets a header or a key: the line
it was given last is where that stands.
"""

import configparser
import glob
import io
import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from opsvisor.compat.supervisor.config.departure import Departure
from opsvisor.compat.supervisor.config.expansions import Names, expand
from opsvisor.compat.supervisor.config.refused import Refused
from opsvisor.config.problems import Allowance, ConfigError, Place, Problem
from opsvisor.config.search import absolute
from opsvisor.core.struct import Struct

_BAD_LINES_MAX = 100  # of one file. Whoever has more has named the wrong file

_BOM = "\ufeff"  # which Supervisor refuses, too

# A first word, if it could be a key.
_KEY = re.compile(r"\s*([A-Za-z_][\w.-]{0,39})(?=[\s=:]|$)")


class Entry(Struct, frozen=True, kw_only=True):
    """One `key = value`. `inherited` entries stand in [DEFAULT] and count for every section.

    `here` is what `%(here)s` means in the value: the folder of the file that it was written in.
    """

    value: str
    where: Place
    here: str
    inherited: bool = False


class Section(Struct, frozen=True, kw_only=True):
    """All that was written under one name. `where` is the first of its headers.

    `own` are the entries written in the section itself, `entries` those of [DEFAULT] as well.
    """

    name: str
    where: Place
    own: Mapping[str, Entry]
    entries: Mapping[str, Entry]

    @property
    def kind(self) -> str:
        """`program` of `program:web`."""
        return self.name.partition(":")[0]

    @property
    def label(self) -> str:
        """`web` of `program:web`, "" where there is no colon."""
        return self.name.partition(":")[2]


class Ini(Struct, frozen=True, kw_only=True):
    """One configuration: the main file and all it includes, sections in order of appearance."""

    path: str
    sections: Mapping[str, Section]
    files: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()

    def of_kind(self, kind: str) -> list[Section]:
        """All sections called `kind:something`."""
        return [s for s in self.sections.values() if s.kind == kind and ":" in s.name]


def read_alone(path: Path, raw: bytes | None = None) -> Ini:
    """Read one file and no other: [include] is left alone. Raises ConfigError.

    If it was read by now, as a pipe can be only once, `raw` is what is in it.
    """
    reading = _Reading()
    reading.read_main(path, raw)
    return reading.finish(str(path), ())


def read_all(path: Path, names: Names, raw: bytes | None = None) -> Ini:
    """Read a file, or take `raw` for it, and all that its [include] asks for. Raises ConfigError.

    `names` are what `files` may be expanded with. Values that follow a syntax error can't be
    trusted, so syntax errors of all files are raised together, before anybody looks at values.
    """
    reading = _Reading()
    reading.read_main(path, raw)
    folder = absolute(path).parent
    warnings: list[Problem] = []
    include = reading.section("include")
    if include is not None:
        for pattern in reading.include_patterns(include, names):
            where = include.entries["files"].where
            found = _matches(folder, pattern)
            if not found:
                what = f'No file matches via include "{folder / pattern}"'
                warnings.append(Problem(where, what))
            for file in found:
                warnings.extend(reading.read_included(file, where))
    return reading.finish(str(path), tuple(warnings))


def _matches(folder: Path, pattern: str) -> list[str]:
    """The files that a relative pattern finds below `folder`, or an absolute one anywhere."""
    try:
        found = glob.glob(pattern, root_dir=folder)  # noqa: PTH207 - Path refuses absolute patterns
    except (RecursionError, ValueError, re.error):  # a thousand folders deep; a NUL in it
        return []
    return [str(folder / file) for file in sorted(found)]


class _Header:
    """configparser's pattern of section headers, telling `heard` of every one it recognises."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard

    def match(self, text: str) -> re.Match[str] | None:
        found = configparser.RawConfigParser.SECTCRE.match(text)
        if found:
            self._heard(found["header"])
        return found


class _Parser(configparser.RawConfigParser):
    """RawConfigParser as Supervisor sets it up, noting where headers and keys stand.

    `SECTCRE` and `optionxform` are configparser's documented hooks. Nothing documented says that
    lines are taken one at a time; a property test holds the positions to the text.
    """

    def __init__(self) -> None:
        super().__init__(inline_comment_prefixes=(";", "#"), strict=False)
        self.header_places: dict[str, list[Place]] = {}
        self.key_places: dict[tuple[str, str], Place] = {}
        self._section = ""
        self._at: Place | None = None  # None while nothing is being read
        self.SECTCRE = _Header(self._on_header)  # type: ignore[assignment]  # only match() is used

    def read_text(self, text: str, file: str) -> None:
        """Add the sections of one file. Raises configparser.Error."""
        try:
            self.read_file(self._lines(text, file), source=file)
        finally:
            self._at = None

    def own_values(self, section: str) -> Mapping[str, str]:
        """What stands in a section itself. `items` would copy [DEFAULT] into every section."""
        found: Mapping[str, str] = self._sections[section]  # type: ignore[attr-defined]  # no other way
        return found

    def _lines(self, text: str, file: str) -> Iterator[str]:
        bad_lines = 0
        for number, line in enumerate(io.StringIO(text), start=1):
            self._at = Place(file, number)
            yield line
            # Each error copies the text of those before it: a hundred thousand take half a minute.
            bad_lines += _is_no_pair(line)
            if bad_lines > _BAD_LINES_MAX:
                break

    def _on_header(self, name: str) -> None:
        assert self._at is not None
        self._section = name
        self.header_places.setdefault(name, []).append(self._at)

    def optionxform(self, optionstr: str) -> str:
        key = optionstr.lower()
        assert self._at is not None
        self.key_places[self._section, key] = self._at
        return key


def _is_no_pair(line: str) -> bool:
    """Whether this can only be an error: neither key and value nor anything else."""
    if line[:1].isspace() or line[0] in ";#[":
        return False
    return not re.search("[=:]", re.split(r"\s[;#]", line, maxsplit=1)[0])


class _Reading:
    """Files on their way into one Ini."""

    def __init__(self) -> None:
        self._parser = _Parser()
        self._allowance = Allowance()
        self._folders: dict[str, str] = {}  # by file, in the order in which they were read
        self._defaults: dict[str, dict[str, Entry]] = {}
        self._problems: list[Problem] = []

    def read_main(self, path: Path, raw: bytes | None) -> None:
        try:
            text = self._read(path, raw)
        except FileNotFoundError:
            problem = Problem(Place(str(path)), f"could not find config file {path}")
            raise ConfigError([problem]) from None
        except OSError as why:
            what = f"could not read config file {path}"
            raise ConfigError([Problem(Place(str(path)), what, str(why.strerror))]) from None
        except UnicodeDecodeError as why:
            raise ConfigError([_not_utf8(str(path), why)]) from None
        self._parse(text, str(path))

    def read_included(self, file: str, asked_by: Place) -> list[Problem]:
        """Add one included file; what only deserves a warning is returned."""
        if Path(file).is_fifo():
            return [Departure(asked_by, f"could not read {file}: it is a pipe, it is left out")]
        is_new = file not in self._folders
        try:
            text = self._read(Path(file))
        except OSError as why:
            # Supervisor passes over such files in silence, a folder that matches `*` for example.
            # But it may be allowed to read what we are not.
            kind = Departure if isinstance(why, PermissionError) else Problem
            return [kind(asked_by, f"could not read {file}: {why.strerror}, it is left out")]
        except UnicodeDecodeError as why:
            self._problems.append(_not_utf8(file, why))
            return []
        self._parse(text, file)
        return [
            Problem(place, "[include] has no effect inside an included file")
            for place in self._parser.header_places.get("include", [])
            if is_new and place.file == file
        ]

    def include_patterns(self, include: Section, names: Names) -> list[str]:
        entry = include.entries.get("files")
        if entry is None:
            what = ".ini file has [include] section, but no files setting"
            self._problems.append(Problem(include.where, what, "add files = conf.d/*.conf"))
            return []
        try:
            text = expand(entry.value, {**names, "here": entry.here}, of="include.files")
        except Refused as why:
            self._problems.append(Problem(entry.where, why.what, why.hint))
            return []
        return text.split()

    def section(self, name: str) -> Section | None:
        """One section as read so far; with syntax errors about there are none."""
        if self._problems or not self._parser.has_section(name):
            return None
        parser = self._parser
        header = parser.header_places[name][0]
        own = {}
        for key, value in parser.own_values(name).items():
            where = parser.key_places[name, key]
            own[key] = Entry(value=value, where=where, here=self._folders[where.file])
        defaults = self._defaults_in(header.file)
        entries = ChainMap(own, defaults) if defaults else own
        return Section(name=name, where=header, own=own, entries=entries)

    def _defaults_in(self, file: str) -> dict[str, Entry]:
        """What [DEFAULT] is for sections that begin in this file: shared, or it would fill memory.

        Supervisor fills in `here` file by file. A default is still as it was written when the
        section of a later file takes it over, and then means the folder of that file.
        """
        if file not in self._defaults:
            parser, rank = self._parser, list(self._folders)
            found = self._defaults[file] = {}
            for key, value in parser.defaults().items():
                where = parser.key_places[parser.default_section, key]
                here = self._folders[max(where.file, file, key=rank.index)]
                found[key] = Entry(value=value, where=where, here=here, inherited=True)
        return self._defaults[file]

    def finish(self, path: str, warnings: tuple[Problem, ...]) -> Ini:
        if self._problems:
            raise ConfigError(self._problems)
        self._defaults.clear()  # [include] was looked at before the included files were there
        found = {name: self.section(name) for name in self._parser.sections()}
        sections = {name: section for name, section in found.items() if section is not None}
        return Ini(
            path=path,
            sections=sections,
            files=tuple(self._folders),
            warnings=warnings,
        )

    def _read(self, path: Path, raw: bytes | None = None) -> str:
        """The text of a file. Raises as `decoded` and the allowance do."""
        return decoded(self._allowance.read(path, raw))

    def _parse(self, text: str, file: str) -> None:
        self._folders.setdefault(file, str(absolute(Path(file)).parent))
        try:
            self._parser.read_text(text, file)
        except configparser.MissingSectionHeaderError as why:
            what = f"File contains no section headers{_key_in(why.line)}"
            hint = "begin with a line like [supervisord]"
            if text.startswith(_BOM):
                hint = rf"remove the byte order mark before it: sed -i '1s/^\xef\xbb\xbf//' {file}"
            self._problems.append(Problem(Place(file, why.lineno), what, hint))
        except configparser.ParsingError as why:
            hint = "write key = value; a line that continues the value above must be indented"
            lines = list(io.StringIO(text))
            for number, _ in why.errors:  # the line comes quoted or not, depending on Python
                what = f"Source contains parsing errors{_key_in(lines[number - 1])}"
                self._problems.append(Problem(Place(file, number), what, hint))


def _key_in(line: str) -> str:
    """`: 'key'` of a line that can't be read, or nothing: the rest of it may be a secret."""
    found = _KEY.match(line)
    return f": '{found[1]}'" if found else ""


def decoded(raw: bytes) -> str:
    """Text in UTF-8, or else in the locale's encoding, which is what Supervisor goes by.

    Its lines are ended by a newline. Raises UnicodeDecodeError about the UTF-8 if it is neither.
    """
    return _text(raw).replace("\r\n", "\n").replace("\r", "\n")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as not_utf8:
        import locale  # noqa: PLC0415 - opsvisorctl reads here too, and hardly any file needs it

        try:
            return raw.decode(locale.getpreferredencoding(do_setlocale=False))
        except UnicodeDecodeError:
            raise not_utf8 from None


def _not_utf8(file: str, why: UnicodeDecodeError) -> Problem:
    line = why.object[: why.start].count(b"\n") + 1
    return Problem(Place(file, line), f"{why.reason}: not UTF-8", f"iconv -t UTF-8 {file}")
