"""What /metrics says, as values: the text format that opsvisord writes, and no more of it.

The text is read rather than asked for as JSON: it is what Prometheus sees, so what is shown here
can't differ from what is alerted on, and whoever may only read the metrics can be shown them.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    rf"(?:\{{(?P<labels>{_LABEL}(?:,{_LABEL})*)\}})?"
    r" (?P<value>[+-]?(?:[0-9.]+(?:e[+-]?[0-9]+)?|Inf|NaN))"
)
_PAIR = re.compile(r'(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?P<value>(?:[^"\\]|\\.)*)"')
_ESCAPES = {r"\"": '"', r"\\": "\\", r"\n": "\n"}


class Sample(Struct, kw_only=True, frozen=True):
    """One series and its value."""

    name: str
    labels: dict[str, str]
    value: float


def parse_samples(text: str) -> Iterator[Sample]:
    """Each sample of a text in the format 0.0.4. ValueError for what opsvisord can't mean."""
    # Not splitlines(): it takes characters for ends of lines that may well be in a label.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.startswith("#"):
            continue
        found = _SAMPLE.fullmatch(line)
        if found is None:
            raise ValueError(f"line {number} is no sample: {line[:80]!r}")
        yield Sample(
            name=found["name"],
            labels={
                pair["name"]: _unescaped(pair["value"])
                for pair in _PAIR.finditer(found["labels"] or "")
            },
            value=float(found["value"]),
        )


def _unescaped(value: str) -> str:
    if "\\" not in value:
        return value
    return re.sub(r"\\.", lambda escape: _ESCAPES[escape.group()], value)
