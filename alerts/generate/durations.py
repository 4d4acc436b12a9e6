"""Lengths of time as Prometheus writes them: `30s`, `5m`, `1h30m`, `500ms`."""

import re

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_FORM = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")


def parse(text: str) -> int | None:
    """Milliseconds, None if it is no such length. Units go from large to small, each once."""
    found = _FORM.fullmatch(text)
    if found is None or not text:
        return None
    return sum(
        int(count) * size
        for count, size in zip(found.groups(), _UNITS.values(), strict=True)
        if count is not None
    )


def show(milliseconds: int) -> str:
    """In the largest unit of which it is a whole number: `90m`, not `1h30m`."""
    for unit, size in _UNITS.items():
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return "0s"


def seconds(milliseconds: int) -> str:
    """As a number in PromQL."""
    return f"{milliseconds / 1000:g}"
