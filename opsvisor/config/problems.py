"""What is wrong with a configuration: where, what, and how to put it right. All of it at once.

And how large one may be. Light, because opsvisorctl reads some of Supervisor's files too.
"""

from collections.abc import Sequence
from pathlib import Path

from opsvisor.core.struct import Struct

# Far more than anybody writes: what is larger is no configuration, or has no end (/dev/zero).
_BYTES_MAX = 32 * 1024 * 1024


class Place(Struct, frozen=True, order=True):
    """A line of a file; `line` 0 means the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        """`opsvisor.toml:14`, the form editors and terminals make clickable."""
        return f"{self.file}:{self.line}" if self.line else self.file


class Problem(Struct, frozen=True, order=True):
    """One thing that is wrong. `what` quotes what the user typed; `hint` says what to do."""

    where: Place
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """Two lines at most, as printed on a terminal and in the log."""
        from opsvisor.core.harmless import harmless  # noqa: PLC0415 - only if something is wrong

        text = f"{self.where}: {self.what}"
        return harmless(f"{text}\n    hint: {self.hint}" if self.hint else text)


def system_says(error: OSError) -> str:
    """Why the system refused something, as the end of a sentence: `no such file or directory`."""
    return (error.strerror or str(error)).lower()


class OpsvisorError(Exception):
    """The root of every error that opsvisor raises on purpose."""


class ConfigError(OpsvisorError):
    """A configuration can't be used. `problems` holds every reason, in the order of the files.

    `warnings` are what would have been odd about it: often the slip behind a problem.
    """

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        assert problems
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Allowance:
    """What a configuration may have in bytes, in all of its files together."""

    def __init__(self) -> None:
        self._left = _BYTES_MAX

    @property
    def is_exceeded(self) -> bool:
        """Whether there were more: nothing else is worth being read."""
        return self._left < 0

    def read(self, path: Path, raw: bytes | None = None) -> bytes:
        """What is in this file, or `raw` if that was read of it by now.

        Raises OSError, or ConfigError if it is too much.
        """
        if raw is None:
            with path.open("rb") as file:
                raw = file.read(max(self._left, 0) + 1)
        self._left -= len(raw)
        if self.is_exceeded:
            what = f"the configuration has more than {_BYTES_MAX} bytes"
            raise ConfigError([Problem(Place(str(path)), what, "is this the file you mean?")])
        return raw
