"""Values for variables that aren't set where a file is migrated.

They may be the daemon's secrets, and whoever migrates need not know them: they are given values,
and end as `${NAME}`. None of these values may be written, nor decide what is, so whatever can't be
read with one is refused, and the variable is named that has to be set.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from opsvisor.compat.supervisor.config.expansions import environment_names
from opsvisor.compat.supervisor.config.ini import Entry, Ini, read_all
from opsvisor.compat.supervisor.config.load import load
from opsvisor.compat.supervisor.migrate.expressions import names_in
from opsvisor.config.problems import ConfigError, Problem
from opsvisor.config.settings import Loaded
from opsvisor.core.struct import Struct, replace

_UNKNOWN = re.compile(r"contains names \('ENV_([A-Za-z_][A-Za-z0-9_]*)'\)")
_AT_FRONT = re.compile(r"\s*(?:unix://)?%\(ENV_(\w+)\)s")
_BEGINS_WITH = re.compile(r"""(\w+)\s*=\s*["']?%\(ENV_(\w+)\)s""")  # in an `environment=`
# Options that hold a path, or a URL with one, in any section.
PATHS = frozenset(
    {
        "audit_log",
        "childlogdir",
        "client_ca",
        "directory",
        "file",
        "logfile",
        "pidfile",
        "socket",
        "state_dir",
        "stderr_logfile",
        "stdout_logfile",
        "tls_cert",
        "tls_key",
        "token_file",
    }
)


class Completed(Struct, frozen=True, kw_only=True):
    """A configuration, and the environment it could be read in; `made_up` are values of that.

    `raw` is what its main file holds if that is no file but a pipe, which can be read once.
    """

    loaded: Loaded
    raw: bytes | None
    environ: Mapping[str, str]
    made_up: Mapping[str, str]


def load_anyway(path: Path, environ: Mapping[str, str], start: Path) -> Completed:
    """The configuration at `path`, whichever of its variables are set. Raises ConfigError."""
    raw = _read_once(start / path)
    try:
        ini = read_all(start / path, environment_names(environ), raw)
    except ConfigError as error:
        _refuse_unknown_folders(error)
        raise
    word = _unused_word(ini, environ)
    of_paths = _variables_of_paths(ini)
    made_up: dict[str, str] = {}
    while True:
        known = {**environ, **made_up}
        try:
            loaded = load(path, known, raw, start_directory=start, made_up=tuple(made_up.values()))
        except ConfigError as error:
            found = [_missing(problem.what) for problem in error.problems]
            # [supervisord] may set what the others miss, once it can be read itself.
            wanted = {name for is_first, name in found if is_first} or {n for _, n in found}
            new = wanted - {"", *known}
            if not new:
                raise ConfigError(tuple(_explain(error.problems, ini, made_up))) from None
            # With an end of its own, or one name could begin another.
            made_up |= {n: f"{'/' if n in of_paths else ''}{word}{n}-" for n in sorted(new)}
        else:
            return Completed(loaded=loaded, raw=raw, environ=known, made_up=made_up)


def _read_once(path: Path) -> bytes | None:
    """What can't be read twice; None of a file, and of what can't be read at all."""
    try:
        return None if path.is_file() else path.read_bytes()
    except OSError:  # told by who reads it
        return None


def refusal(key: str, entry: Entry, names: Iterable[str]) -> Problem:
    """Why an entry can't be carried over without these variables."""
    which = ", ".join(names)
    isnt = "aren't" if "," in which else "isn't"
    return Problem(
        entry.where,
        f"{key}: {which} {isnt} set here, and no made-up value will do",
        f"set {which} while you migrate, to what opsvisord will find it set to",
    )


def without(made_up: Mapping[str, str], text: str) -> str:
    """A text that is told, with the names of variables where it has made-up values."""
    for name, value in made_up.items():
        text = text.replace(value.lstrip("/"), f"${{{name}}}")
    return text


def _refuse_unknown_folders(error: ConfigError) -> None:
    """Raise ConfigError if files are looked for where only a variable knows.

    With a value that is made up, [include] finds nothing: all its programs would be lost.
    """
    problems = [
        Problem(
            problem.where,
            f"files: {name} isn't set here, so nobody can tell what [include] finds",
            f"set {name} while you migrate, to what opsvisord will find it set to",
        )
        for problem in error.problems
        if (name := _missing(problem.what)[1]) and "'include.files'" in problem.what
    ]
    if problems:
        raise ConfigError(problems) from None


def _missing(what: str) -> tuple[bool, str]:
    """The variable that a problem is about, "" if about none; and whether [supervisord] has it."""
    found = _UNKNOWN.search(what)
    return ("'supervisord." in what, found[1]) if found else (False, "")


def _entries(ini: Ini) -> Iterator[tuple[str, Entry]]:
    for section in ini.sections.values():
        yield from section.entries.items()


def _unused_word(ini: Ini, environ: Mapping[str, str]) -> str:
    """What no value has in it, so that nothing is taken for made up that isn't."""
    texts = (*(entry.value for _, entry in _entries(ini)), *environ.values())
    word = "value-of-"
    while any(word in text for text in texts):
        word = f"made-up-{word}"
    return word


def _variables_of_paths(ini: Ini) -> set[str]:
    """The variables that paths begin with, themselves or by way of others.

    What is made up for them is absolute: hardly anybody means anything else.
    """
    found: set[str] = set()
    begins: list[tuple[str, str]] = []
    for key, entry in _entries(ini):
        if key in PATHS and (front := _AT_FRONT.match(entry.value)):
            found.add(front[1])
        if key == "environment":
            begins += _BEGINS_WITH.findall(entry.value)
    while more := {first for name, first in begins if name in found} - found:
        found |= more
    return found


def _explain(
    problems: Iterable[Problem], ini: Ini, made_up: Mapping[str, str]
) -> Iterator[Problem]:
    """What is wrong, and where only the made-up values are: which variable has to be set."""
    at = {entry.where: (key, entry) for key, entry in _entries(ini)}
    explained: dict[Problem, None] = {}
    for problem in problems:
        key, entry = at.get(problem.where, ("", None))
        names = [name[4:] for name in names_in(entry.value)] if entry else []
        unset = [name for name in dict.fromkeys(names) if name in made_up]
        if entry is not None and unset:
            explained[refusal(key, entry, unset)] = None
        else:
            what, hint = without(made_up, problem.what), without(made_up, problem.hint)
            explained[replace(problem, what=what, hint=hint)] = None
    yield from explained
