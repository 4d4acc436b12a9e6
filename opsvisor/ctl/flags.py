"""The command line of opsvisorctl, read as supervisorctl would.

That reads its flags with getopt: long ones may be abbreviated, none may be given twice, and the
errors have getopt's words. click knows neither, but is what completion and --help need (`usage`).
"""

import getopt
from collections.abc import Sequence

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
_OURS_ALONE = ("json", "plain", "version")
_OURS = (*_OURS_ALONE, "token=", "token-file=", "ca-file=", "cert=", "key=", "reason=")
_SAME = {
    "-c": "--configuration",
    "-s": "--serverurl",
    "-u": "--username",
    "-p": "--password",
    "-r": "--history_file",
    "-i": "--interactive",
}
_MAY_REPEAT = ("-h", "-?", "--help", *(f"--{name}" for name in _OURS_ALONE))


class BadFlags(Exception):  # noqa: N818 - the name says what happened
    """What was typed before the command makes no sense."""


def read(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Each flag by its full name with its value, "" for those without; then the words behind them.

    Raises BadFlags.
    """
    typed, words = _read(arguments)
    flags: dict[str, str] = {}
    for flag, value in typed:
        name = _SAME.get(flag, flag)
        if name in flags and name not in _MAY_REPEAT:
            raise BadFlags(f"conflicting command line option {flag!r}")
        flags[name] = value
    return flags, words


def _read(arguments: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    # The usage text of supervisorctl spells it --history-file, its parser --history_file.
    spelt = [f"--history_{w[10:]}" if w.startswith("--history-") else w for w in arguments]
    try:
        flags, words = getopt.getopt(spelt, _SHORT, [*_LONG, *_OURS])
    except getopt.GetoptError as error:
        if "not a unique prefix" not in error.msg:
            raise BadFlags(error.msg) from None
        try:
            flags, words = getopt.getopt(spelt, _SHORT, list(_LONG))
        except getopt.GetoptError as worse:
            raise BadFlags(worse.msg) from None
    return flags, list(arguments[len(arguments) - len(words) :])
