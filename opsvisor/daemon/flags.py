"""The flags of opsvisord: those of supervisord, long and short, and --check.

The standard library's getopt reads them, as it does for supervisord: the same abbreviations are
understood, and what can't be understood is told in the same words. A flag outranks the option of
the configuration file that it is named after, also when the file is read again.
"""

import getopt
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from opsvisor.config.problems import OpsvisorError
from opsvisor.core.struct import Struct, field
from opsvisor.daemon import flag_values


class BadFlags(OpsvisorError):  # noqa: N818 - the name says what happened
    """The command line can't be used; the message is complete."""


class Flag(Struct, frozen=True):
    """One flag. `value` names what follows it, "" where nothing does; then it can only switch on.

    `read` raises ValueError; `says` is a sentence for the help.
    """

    short: str
    long: str
    value: str
    read: Callable[[str], Any]
    says: str

    @property
    def names(self) -> str:
        """`-l/--logfile`."""
        return f"-{self.short}/--{self.long}" if self.short else f"--{self.long}"


def _switch(short: str, long: str, says: str) -> Flag:
    return Flag(short, long, "", lambda _: True, says)


CHECK_HAND_OVER = "--check-hand-over"
_CHECK = _switch("", "check", "read the configuration, tell what is wrong with it, start nothing")
# By the names that [supervisord] has for the same things.
SETTINGS = (
    _switch("n", "nodaemon", "stay in the foreground"),
    _switch("s", "silent", "in the foreground: no copy of the log on standard output"),
    Flag("u", "user", "USER", flag_values.text, "be this user, given by name or number"),
    Flag("m", "umask", "UMASK", flag_values.umask, "umask of the daemon and its programs"),
    Flag("d", "directory", "DIRECTORY", flag_values.directory, "where to go in the background"),
    Flag("l", "logfile", "FILENAME", flag_values.log_path, "use FILENAME as the log, or syslog"),
    Flag("y", "logfile_maxbytes", "BYTES", flag_values.size, "rotate that log at this size"),
    Flag("z", "logfile_backups", "NUM", flag_values.count, "how many rotated logs to keep"),
    Flag(
        "e",
        "loglevel",
        "LEVEL",
        flag_values.log_level,
        "critical, error, warn, info, debug, trace or blather",
    ),
    Flag("j", "pidfile", "FILENAME", flag_values.file_path, "where to write the process id"),
    Flag("i", "identifier", "NAME", flag_values.text, "what this daemon calls itself"),
    Flag("q", "childlogdir", "DIRECTORY", flag_values.directory, "where AUTO logs are kept"),
    _switch("k", "nocleanup", "leave the AUTO logs of an earlier run where they are"),
    Flag("a", "minfds", "NUM", flag_values.count, "file descriptors needed, or it won't start"),
    _switch("t", "strip_ansi", "take escape sequences out of what programs print"),
    Flag("", "minprocs", "NUM", flag_values.count, "processes needed, or it won't start"),
)
FLAGS = (
    Flag("c", "configuration", "FILENAME", flag_values.text, "opsvisor.toml, or supervisord.conf"),
    _CHECK,
    _switch("h", "help", "print this and exit (also -?)"),
    _switch("v", "version", "print the version number and exit"),
    *SETTINGS,
    Flag("", "profile_options", "LIST", flag_values.text, "not supported: see below"),
)
_BY_NAME = {
    name: flag for flag in FLAGS for name in (f"-{flag.short}", f"--{flag.long}") if name != "-"
}

_NO_PROFILER = (
    "option --profile_options is not supported\n"
    "    hint: run opsvisord under Python's own profiler: python3 -m cProfile -s cumulative -m"
    " opsvisor -c FILE"
)


class Flags(Struct, frozen=True, kw_only=True):
    """What the command line asks for.

    `config_file` as it was typed, None to search for one. `settings` are values by their names in
    [supervisord]. `info` is what to print instead of doing anything: "help", "version" or "".
    `check_hand_over` is the descriptor of a hand-over that is only to be checked, see upgrade.py.
    """

    config_file: str | None = None
    only_check: bool = False
    check_hand_over: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    info: str = ""


def parse(words: Sequence[str]) -> Flags:
    """The flags among the words of a command line, its program left out. Raises BadFlags."""
    words, hand_over = _without_hand_over(words)
    pairs, file_to_check = _split(words)
    values: dict[str, Any] = {}
    for typed, text in pairs:
        if typed in ("-h", "-?", "--help"):
            return Flags(info="help")
        flag = _BY_NAME[typed]
        if flag.long == "version":
            return Flags(info="version")
        if flag.long == "profile_options":
            raise BadFlags(_NO_PROFILER)
        try:
            value = flag.read(text)
        except ValueError as why:
            raise BadFlags(f"invalid value for {typed} {text!r}: {why}") from None
        if flag.long in values:
            raise BadFlags(f"conflicting command line option {typed!r}")
        values[flag.long] = value
    if file_to_check is not None and "configuration" in values:
        raise BadFlags("--check names a file, and so does -c: leave one of them out")
    if "user" in values:
        values["user"] = _user(values["user"])
    for name in ("logfile", "pidfile"):
        if values.get(name) == "":  # `-l ""` leaves it to the configuration, as with supervisord
            del values[name]
    return Flags(
        config_file=file_to_check or values.pop("configuration", None),
        only_check=values.pop("check", False),
        check_hand_over=hand_over,
        settings=values,
    )


def _without_hand_over(words: Sequence[str]) -> tuple[Sequence[str], int | None]:
    """The words of a user, and what a daemon has put behind them. Its flag is for nobody else."""
    flag, _, value = words[-1].partition("=") if words else ("", "", "")
    if flag != CHECK_HAND_OVER or not value.isdecimal():
        return words, None
    return words[:-1], int(value)


def _user(typed: str) -> Any:
    try:
        return flag_values.user(typed)
    except ValueError as why:  # the one value whose message stands alone
        raise BadFlags(str(why)) from None


def _split(words: Sequence[str]) -> tuple[list[tuple[str, str]], str | None]:
    """Flags and their texts, and the file that stands behind --check."""
    left: list[str] = []
    for word in words:
        left += (
            ["--check", word.removeprefix("--check=")] if word.startswith("--check=") else [word]
        )
    pairs: list[tuple[str, str]] = []
    file_to_check = None
    while True:
        found, left = _getopt(left)
        pairs += found
        if not left:
            return pairs, file_to_check
        if not found or found[-1][0] != "--check" or file_to_check is not None:
            raise BadFlags(f"positional arguments are not supported: {left}")
        file_to_check, *left = left


def _getopt(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    shorts = "?" + "".join(
        flag.short + (":" if flag.value else "") for flag in FLAGS if flag.short
    )
    longs = [flag.long + ("=" if flag.value else "") for flag in FLAGS]
    try:
        return getopt.getopt(words, shorts, longs)
    except getopt.GetoptError as error:
        if "not a unique prefix" not in error.msg:
            raise BadFlags(error.msg) from None
    # --check is ours: it must not make ambiguous what is an abbreviation for supervisord.
    try:
        return getopt.getopt(words, shorts, [name for name in longs if name != _CHECK.long])
    except getopt.GetoptError as error:
        raise BadFlags(error.msg) from None


def help_text(program: str) -> str:
    """What -h prints: every flag, and what the program exits with.

    Scripts that look for supervisord look for the line it begins its help with.
    """
    heading = "opsvisord -- keep programs running: start, restart, log, explain, measure."
    if Path(program).stem == "supervisord":
        heading = (
            "supervisord -- run a set of applications: start, restart, log, explain, measure."
        )
    lines = [
        heading,
        "",
        f"Usage: {program} [options]",
        "",
        "Options:",
    ]
    for flag in FLAGS:
        value = " [FILENAME]" if flag is _CHECK else f" {flag.value}" if flag.value else ""
        line = f"{flag.names}{value} -- {flag.says}"
        lines += textwrap.wrap(line, 79, subsequent_indent=" " * 4)
    lines += [
        "",
        *textwrap.wrap(
            "A flag outranks the configuration file, also when that is read again. Long names may"
            " be abbreviated. Instead of --profile_options, run it under a profiler: python3 -m"
            " cProfile -s cumulative -m opsvisor -c FILENAME.",
            79,
        ),
        "",
        "Exit status: 0 after a shutdown or a good --check, 2 if it could not start;",
        "that of a program if it ended with that (on_fatal, on_exit).",
    ]
    return "\n".join(lines) + "\n"
