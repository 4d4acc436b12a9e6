"""One option of one table as it would be written, and what it is if nobody writes it."""

from collections.abc import Mapping
from typing import Any

from opsvisor.compat.supervisor.migrate import toml_text
from opsvisor.config.kind import Kind
from opsvisor.config.kinds import DURATION_OR_NEVER
from opsvisor.config.option import Option, Section, options_of
from opsvisor.config.schema import ProgramOptions
from opsvisor.config.schema_daemon import DaemonOptions, HttpOptions, LimitOptions, UnixOptions
from opsvisor.config.schema_metrics import IdentityOptions, MetricsOptions

# The way to an option from its table inwards, such as ("log", "stdout", "path").
Path = tuple[str, ...]
# Options with their values as TOML; None is a value that is said by saying nothing.
Leaves = dict[Path, str | None]

_VARIABLES = "environment"  # the one table whose keys are not options


class Table:
    """The options that a table may hold, and their defaults."""

    def __init__(self, options: type) -> None:
        self._options = dict(_leaf_options(options, ()))

    def default(self, path: Path) -> str | None:
        """What counts where the option isn't written; None if it is nothing that can be."""
        option = self._options.get(path)
        if option is None or option.required or option.default in (None, "", (), {}):
            return None
        return self.show(path, option.default)

    def is_shared(self, path: Path) -> bool:
        """Whether the option may stand in [defaults] for all programs."""
        return path[0] == _VARIABLES or not self._options[path[:1]].per_program

    def show(self, path: Path, value: Any) -> str | None:
        """A value of the option as TOML."""
        kind = self._options[path].kind
        assert isinstance(kind, Kind)
        if value is None:  # one kind has a word for it, the others say nothing
            return kind.show(None) if kind is DURATION_OR_NEVER else None
        match value:
            case str():
                return toml_text.string(value)
            case tuple():
                return toml_text.array(value)
            case _:
                return kind.show(value)


def _leaf_options(options: type, path: Path) -> Mapping[Path, Option]:
    found: dict[Path, Option] = {}
    for name, option in options_of(options).items():
        found[*path, name] = option
        if isinstance(option.kind, Section):
            found |= _leaf_options(option.kind.options, (*path, name))
    return found


PROGRAM = Table(ProgramOptions)
DAEMON = Table(DaemonOptions)
UNIX = Table(UnixOptions)
HTTP = Table(HttpOptions)
METRICS = Table(MetricsOptions)
LIMITS = Table(LimitOptions)
IDENTITY = Table(IdentityOptions)
