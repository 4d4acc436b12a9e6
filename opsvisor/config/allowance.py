"""How large a configuration may be."""

from pathlib import Path

from opsvisor.config.problems import ConfigError, Place, Problem

# Far more than anybody writes: what is larger is no configuration, or has no end (/dev/zero).
_BYTES_MAX = 32 * 1024 * 1024


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
