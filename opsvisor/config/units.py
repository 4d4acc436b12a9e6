"""How values are written by people: "30s", "50M", "TERM", "027". Both ways, and exact.

A `parse_…` function takes what was typed and raises `Refused`; the `format_…` function beside it
gives a text that parses to the same value.
"""

import re
import signal
from collections.abc import Iterable
from decimal import Decimal

from opsvisor.core.spec import ExitSet

DURATION_MAX = 3650 * 86400.0  # ten years: longer is a slip of the keyboard
SIZE_MAX = 2**63 - 1  # what the kernel takes for an offset

_DURATION_UNITS = {"d": Decimal(86400), "h": Decimal(3600), "m": Decimal(60), "s": Decimal(1)}
_MILLISECONDS = Decimal(1000)
# Bounded, because int() refuses more than 4300 digits with an error of its own.
_NUMBER = r"\d{1,400}(?:\.\d{1,400})?"
_SHORT_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"  # that may have been meant as a duration
_DURATION = re.compile(
    "".join(rf"(?:(?P<{unit}>{_NUMBER}){unit})?" for unit in _DURATION_UNITS)
    + rf"(?:(?P<ms>{_NUMBER})ms)?",
    re.ASCII,
)
_SIZE = re.compile(r"(\d{1,400})(?:([KMG])I?)?B?", re.ASCII | re.IGNORECASE)
_SIZE_UNITS = {"G": 1024**3, "M": 1024**2, "K": 1024}
_FEW = 4  # words that are suggested at once
_OCTAL = re.compile(r"[0-7]{1,4}", re.ASCII)


class Refused(ValueError):  # noqa: N818 - it reads as what happened: a value was refused
    """A value can't be used. `says` continues a sentence that begins with the value itself.

    "is not a signal" continues "stop_signal = 'TERMM'"; a colon starts a remark instead.
    """

    def __init__(self, says: str, hint: str = "") -> None:
        self.says = says
        self.hint = hint
        super().__init__(says)


def did_you_mean(word: str, known: Iterable[str], rule: str = "") -> str:
    """A question that names the known word nearest to `word`, if one comes near, then `rule`.

    Or the few that it is a part of: `probes` of `readiness_probe` and the other two.
    """
    import difflib  # noqa: PLC0415 - only after a typing error: 0.2 MiB

    words = list(known)
    parts = {word, word.removesuffix("s")} - {""}
    near = difflib.get_close_matches(word, words, n=1) or [
        one for one in words if not parts.isdisjoint(one.split("_"))
    ]
    if not near or len(near) > _FEW:
        return rule
    *others, last = [f"'{one}'" for one in near]
    before = f"{', '.join(others)} or " if others else ""
    question = f"did you mean {before}{last}?"
    return f"{question} {rule[0].upper()}{rule[1:]}" if rule else question


def parse_duration(text: str) -> float:
    """Seconds of "500ms", "30s", "1h30m" or "1.5s": units fall from d to ms, each at most once."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise Refused("is not a duration", duration_hint(text))
    amounts = {unit: Decimal(number) for unit, number in match.groupdict().items() if number}
    total = amounts.pop("ms", Decimal(0)) / _MILLISECONDS
    total += sum(amount * _DURATION_UNITS[unit] for unit, amount in amounts.items())
    if total > DURATION_MAX:
        raise Refused("is longer than ten years")
    return float(total)


def format_duration(seconds: float) -> str:
    """The shortest text of whole units that `parse_duration` reads as exactly these seconds."""
    rest = Decimal(repr(seconds))
    parts = []
    for unit, length in _DURATION_UNITS.items():
        amount, rest = divmod(rest, length)
        if amount:
            parts.append(f"{amount:.0f}{unit}")
    if rest:
        # normalize() drops trailing zeros, "f" keeps it from answering with an exponent.
        parts.append(f"{(rest * _MILLISECONDS).normalize():f}ms")
    return "".join(parts) or "0s"


def duration_hint(text: str) -> str:
    """How to write a duration, for whoever wrote this."""
    if re.fullmatch(_SHORT_NUMBER, text, re.ASCII):
        return f'a duration needs a unit: "{text}s" for seconds, "{text}ms" for milliseconds'
    return 'durations look like "500ms", "30s", "10m", "1h30m" or "1d"'


def parse_size(text: str) -> int:
    """Bytes of "512", "50M", "1KiB" or "1GB"; every unit counts in steps of 1024."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Refused("is not a size", "sizes look like '512', '64K', '50M' or '1G'")
    number, unit = match.groups()
    size = int(number) * (_SIZE_UNITS[unit.upper()] if unit else 1)
    if size > SIZE_MAX:
        raise Refused("is larger than any file can be")
    return size


def format_size(size: int) -> str:
    """`size` in the largest unit that divides it, as `parse_size` reads it."""
    for unit, length in _SIZE_UNITS.items():
        if size and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)


def parse_signal(text: str) -> int:
    """The number of a signal, named with or without SIG in any case, or given as a number."""
    if re.fullmatch(r"\d{1,3}", text, re.ASCII):
        return check_signal(int(text))
    name = text.upper().removeprefix("SIG")
    try:
        return signal.Signals[f"SIG{name}"].value
    except KeyError:
        known = (member.name.removeprefix("SIG") for member in signal.Signals)
        hint = did_you_mean(name, known, "the name goes with or without SIG")
        raise Refused("is not a signal", hint) from None


def check_signal(number: int) -> int:
    """`number`, if this system has such a signal."""
    if number not in signal.valid_signals():
        raise Refused("is not a signal", f"signals go from 1 to {max(signal.valid_signals()):d}")
    return number


def format_signal(number: int) -> str:
    """The name of a signal without SIG; nameless real-time signals keep their number."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)


def parse_mode(text: str) -> int:
    """Permission bits or a umask in octal, "027" or "0660"."""
    if _OCTAL.fullmatch(text) is None:
        raise Refused("is not an octal mode", "modes are up to four digits from 0 to 7: '022'")
    return int(text, 8)


def format_mode(mode: int) -> str:
    """Four octal digits, as `parse_mode` reads them."""
    return f"{mode:04o}"


def parse_exit(item: object) -> ExitSet:
    """One way to end: an exit code from 0 to 255, or a signal by its name."""
    match item:
        case bool():
            raise Refused("is neither an exit code nor a signal name")
        case int() if 0 <= item <= 255:  # noqa: PLR2004 - an exit status has eight bits
            return ExitSet(codes=frozenset({item}))
        case int():
            raise Refused("is not an exit code", "exit codes go from 0 to 255")
        case str() if not item.isdigit():
            return ExitSet(signals=frozenset({parse_signal(item)}))
        case str():
            raise Refused(
                "is neither an exit code nor a signal name",
                f"write the exit code without quotes: {item}",
            )
        case _:
            raise Refused("is neither an exit code nor a signal name")


def join_exits(exits: Iterable[ExitSet]) -> ExitSet:
    """Everything that is in one of these sets."""
    each = tuple(exits)
    return ExitSet(
        codes=frozenset().union(*(one.codes for one in each)),
        signals=frozenset().union(*(one.signals for one in each)),
    )


def format_exits(exits: ExitSet) -> list[int | str]:
    """The items that `parse_exit` reads as this set: codes, then signals, each in order."""
    return [*sorted(exits.codes), *(f"SIG{format_signal(s)}" for s in sorted(exits.signals))]
