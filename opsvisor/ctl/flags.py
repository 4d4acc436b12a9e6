"""The command line of opsvisorctl, put into the one form that click reads as supervisorctl would.

supervisorctl reads its flags with getopt: long ones may be abbreviated, none may be given twice,
and the errors have getopt's words. click knows neither, but is what completion and --help need.
"""

import getopt
from collections.abc import Sequence

import click

_SHORT = "h?c:s:u:p:r:i"
_LONG = (
    "help",
    "configuration=",
    "serverurl=",
    "username=",
    "password=",
    "history_file=",
    "interactive",
)
# Ours must not make ambiguous what is an abbreviation for supervisorctl.
_OURS = ("json", "plain", "version")
_SAME = {
    "-c": "--configuration",
    "-s": "--serverurl",
    "-u": "--username",
    "-p": "--password",
    "-r": "--history_file",
    "-i": "--interactive",
}
_MAY_REPEAT = ("-h", "-?", "--help", *(f"--{name}" for name in _OURS))


def in_full(arguments: Sequence[str]) -> list[str]:
    """The same command line with every flag by its full name. Raises click.UsageError."""
    flags, words = _read(arguments)
    seen: set[str] = set()
    full: list[str] = []
    for typed, value in flags:
        name = _SAME.get(typed, typed)
        if name in seen and name not in _MAY_REPEAT:
            raise click.UsageError(f"conflicting command line option {typed!r}")
        seen.add(name)
        full += [name, value] if f"{name[2:]}=" in _LONG else [name]
    return [*full, "--", *words]


def _read(arguments: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    # The usage text of supervisorctl spells it --history-file, its parser --history_file.
    spelt = [f"--history_{w[10:]}" if w.startswith("--history-") else w for w in arguments]
    try:
        flags, words = getopt.getopt(spelt, _SHORT, [*_LONG, *_OURS])
    except getopt.GetoptError as error:
        if "not a unique prefix" not in error.msg:
            raise click.UsageError(error.msg) from None
        try:
            flags, words = getopt.getopt(spelt, _SHORT, list(_LONG))
        except getopt.GetoptError as worse:
            raise click.UsageError(worse.msg) from None
    return flags, list(arguments[len(arguments) - len(words) :])
