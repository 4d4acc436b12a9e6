"""`%(name)s` in values: Python's formatting against a table of names, and nothing beyond it.

Supervisor hands the text to Python's `%` operator as it is. A stray percent sign that happens to
be followed by a conversion then prints the whole table, every environment variable included:
`echo 100% sure` contains `% s`. Such a text is refused here.
"""

import re
from collections.abc import Mapping

from opsvisor.compat.supervisor.config.refused import Refused

Names = Mapping[str, str | int]

# `%%`, or `%(name)` with at most one pair of parentheses in the name, or a percent sign alone.
_CONVERSION = re.compile(r"%(?:%|\((?P<name>(?:[^()]|\([^()]*\))*)\)(?P<size>[-#0 +]*[\d.]*))?")
_PLAIN_NAME = re.compile(r"\w+")

# Of what a text may become. Kept small of each name, or `%(here)999999999s` takes the memory; and
# of all of them, or variables that consist of variables do.
_WIDTH_MAX = 255
_LENGTH_MAX = 1024 * 1024

_DOUBLE_IT = "write %% for a percent sign"


def environment_names(environ: Mapping[str, str]) -> dict[str, str | int]:
    """Variables under the names that texts know them by: `ENV_HOME` for HOME."""
    return {f"ENV_{name}": value for name, value in environ.items()}


def expand(text: str, names: Names, *, of: str, secret: bool = False) -> str:
    """The text with all names replaced. `of` is `section.option`, for the message.

    Raises Refused, worded as Supervisor words it. Of a `secret` text it quotes no more than what
    follows the percent sign by the rules of formatting: a name, or a conversion character.
    """
    if "%" not in text:
        return text
    _check_size(text, names, of=of, secret=secret)
    try:
        expanded = text % names
    except KeyError as why:
        what = _format_string(text, of=of, secret=secret)
        raise _unknown(what, names, name=str(why.args[0]), secret=secret) from None
    except (TypeError, ValueError, OverflowError) as why:
        raise _malformed(_format_string(text, of=of, secret=secret), str(why)) from None
    for found in _CONVERSION.finditer(text):
        if found.group() == "%":
            stray = "%" if secret else text[found.start() : found.start() + 3]
            why_not = f"'{stray}' at index {found.start()} names nothing"
            raise _malformed(_format_string(text, of=of, secret=secret), why_not)
    return expanded


def _check_size(text: str, names: Names, *, of: str, secret: bool) -> None:
    """Raise Refused if the text would become larger than anything that is meant."""
    length = len(text)
    for found in _CONVERSION.finditer(text):
        numbers = re.findall(r"\d+", found["size"] or "")
        if any(
            len(digits) > len(str(_WIDTH_MAX)) or int(digits) > _WIDTH_MAX for digits in numbers
        ):
            what = _format_string(text, of=of, secret=secret)
            raise _malformed(what, f"a width is beyond {_WIDTH_MAX}")
        length += _WIDTH_MAX if numbers else len(str(names.get(found["name"] or "", "")))
    if length > _LENGTH_MAX:
        what = f"the value of {of!r} becomes longer than {_LENGTH_MAX} characters"
        raise Refused(what, "names can be written out, or a script can be run instead")


def expand_log_path(text: str, names: Names, *, of: str, secret: bool = False) -> str:
    """As `expand`, for the options that Supervisor expands twice.

    There a percent sign must be written `%%%%`. Here it may be, and `%%` does as well.
    """
    return expand(text.replace("%%%%", "%%"), names, of=of, secret=secret)


def _format_string(text: str, *, of: str, secret: bool) -> str:
    return f"Format string for {of!r}" if secret else f"Format string {text!r} for {of!r}"


def _unknown(what: str, names: Names, *, name: str, secret: bool) -> Refused:
    available = f"which cannot be expanded. Available names: {', '.join(sorted(names))}"
    if secret and not _PLAIN_NAME.fullmatch(name):
        # Between stray parentheses: more likely a piece of the secret than a name.
        return Refused(f"{what} contains names {available}", _DOUBLE_IT)
    if name.startswith("ENV_"):
        variable = name.removeprefix("ENV_")
        hint = f"set {variable} before the daemon starts, or in environment of [supervisord]"
    else:
        # Here, because it loads modules that opsvisorctl does without until something is wrong.
        from opsvisor.config.units import did_you_mean  # noqa: PLC0415 - see above

        hint = did_you_mean(name, names) or _DOUBLE_IT
    return Refused(f"{what} contains names ({name!r}) {available}", hint)


def _malformed(what: str, why: str) -> Refused:
    return Refused(f"{what} is badly formatted: {why}", _DOUBLE_IT)
