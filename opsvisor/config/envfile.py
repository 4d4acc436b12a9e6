"""Files of environment variables: one NAME=value a line, as Compose and systemd know them."""

from collections.abc import Mapping
from pathlib import Path

from opsvisor.config.problems import Place, Problem, system_says
from opsvisor.config.units import Refused
from opsvisor.core.struct import Struct


class Variable(Struct, frozen=True):
    """The value of a variable, and the line that it was written on."""

    value: str
    line: int


def read(path: str) -> tuple[Mapping[str, Variable], tuple[Problem, ...]]:
    """The variables in the file at `path`, later lines winning, and what is wrong with its lines.

    Raises Refused if the file can't be read at all. The values are taken as they are: nothing is
    expanded, and a pair of quotes around a whole value is dropped.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        says = f"names a file that can't be read: '{path}': {system_says(error)}"
        raise Refused(says) from error
    except UnicodeDecodeError as error:
        raise Refused(f"names a file that isn't UTF-8: '{path}'") from error
    variables: dict[str, Variable] = {}
    problems = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = stripped.partition("=")
        name = name.removeprefix("export ").strip()
        # The line itself stays out of the message: it may be a password gone astray.
        if not equals or not name or any(c.isspace() for c in name) or "\0" in stripped:
            problems.append(
                Problem(Place(path, number), "not an environment variable", "write NAME=value")
            )
        else:
            variables[name] = Variable(_unquoted(value.strip()), number)
    return variables, tuple(problems)


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value
