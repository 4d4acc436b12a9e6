"""`%(name)s` in values: Python's formatting against a table of names, and nothing beyond it.

Supervisor hands the text to Python's `%` operator as it is. A stray percent sign that happens to
be followed by a conversion then prints the whole table, every environment variable included:
`echo 100% sure` contains `% s`. Such a text is refused here.
"""

import re
from collections.abc import Mapping

from opsvisor.compat.supervisor.refused import Refused, did_you_mean

Names = Mapping[str, str | int]

# `%%`, or `%(name)` with at most one pair of parentheses in the name, or a percent sign alone.
_CONVERSION = re.compile(r"%(?:%|\((?:[^()]|\([^()]*\))*\))?")


def environment_names(environ: Mapping[str, str]) -> dict[str, str | int]:
    """Variables under the names that texts know them by: `ENV_HOME` for HOME."""
    return {f"ENV_{name}": value for name, value in environ.items()}


def expand(text: str, names: Names, *, of: str) -> str:
    """The text with all names replaced. `of` is `section.option`, for the message.

    Raises Refused, worded as Supervisor words it.
    """
    if "%" not in text:
        return text
    try:
        expanded = text % names
    except KeyError as why:
        raise _unknown(text, names, of=of, name=str(why.args[0])) from None
    except (TypeError, ValueError, OverflowError) as why:
        raise _malformed(text, of, str(why)) from None
    for found in _CONVERSION.finditer(text):
        if found.group() == "%":
            stray = text[found.start() : found.start() + 3]
            raise _malformed(text, of, f"'{stray}' at index {found.start()} names nothing")
    return expanded


def expand_log_path(text: str, names: Names, *, of: str) -> str:
    """As `expand`, for the options that Supervisor expands twice.

    There a percent sign must be written `%%%%`. Here it may be, and `%%` does as well.
    """
    return expand(text.replace("%%%%", "%%"), names, of=of)


def _unknown(text: str, names: Names, *, of: str, name: str) -> Refused:
    available = ", ".join(sorted(names))
    hint = did_you_mean(name, names)
    if name.startswith("ENV_"):
        variable = name.removeprefix("ENV_")
        hint = f"set {variable} before the daemon starts, or in environment of [supervisord]"
    return Refused(
        f"Format string {text!r} for {of!r} contains names ({name!r}) "
        f"which cannot be expanded. Available names: {available}",
        hint,
    )


def _malformed(text: str, of: str, why: str) -> Refused:
    return Refused(
        f"Format string {text!r} for {of!r} is badly formatted: {why}",
        "write %% for a percent sign",
    )
