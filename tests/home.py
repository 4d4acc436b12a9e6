"""The configuration of a daemon under test, in either language, in a directory of its own."""

import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from textwrap import dedent

import pytest


class Dialect(Enum):
    """The two languages a configuration can be written in."""

    TOML = "toml"
    INI = "ini"


@dataclass(frozen=True)
class Programs:
    """The program part of a configuration.

    In the text, $VICTIM is the command that starts victim.py, $PYTHON that of a bare interpreter,
    and $HERE the test's directory.
    """

    text: str
    dialect: Dialect = Dialect.TOML


def in_both_languages(*, ini: str, toml: str) -> pytest.MarkDecorator:
    """Run a test twice, with `programs` the same life in Supervisor's words and in our own."""
    return pytest.mark.parametrize(
        "programs",
        [
            pytest.param(Programs(ini, Dialect.INI), id="ini"),
            pytest.param(Programs(toml), id="toml"),
        ],
    )


class Home:
    """A directory with a configuration: the daemon's own file, and one that it includes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "s"
        self.log_file = directory / "daemon.log"
        self.pid_file = directory / "daemon.pid"
        self.output = directory / "daemon.out"
        self.config = directory / "opsvisor.toml"
        self.programs = directory / "conf.d" / "programs.toml"
        self.programs.parent.mkdir()

    def write(self, programs: Programs, *, main: str = "", daemon: str = "") -> None:
        """Write both files, with further lines for the daemon's own.

        `daemon` goes into its section about the daemon, `main` to the end, where TOML is in
        [server].
        """
        if programs.dialect is Dialect.INI:
            self.config = self.directory / "supervisord.conf"
            self.programs = self.programs.with_suffix(".ini")
            text = _INI.format(here=self.directory, main=dedent(main), daemon=dedent(daemon))
        else:
            text = _TOML.format(main=dedent(main), daemon=dedent(daemon))
        self.config.write_text(text)
        self.rewrite(programs.text)

    def rewrite(self, text: str, *, file: str = "") -> None:
        """Write the programs anew, or another file of programs beside them."""
        target = self.programs.with_stem(file) if file else self.programs
        target.write_text(self.filled_in(text))

    def filled_in(self, text: str) -> str:
        """The text with $VICTIM, $PYTHON and $HERE replaced."""
        victim = f"{sys.executable} -I -S {Path(__file__).with_name('victim.py')}"
        filled = dedent(text).replace("$VICTIM", victim).replace("$HERE", str(self.directory))
        return filled.replace("$PYTHON", f"{sys.executable} -I -S")


_TOML = """\
schema = 1
include = ["conf.d/*.toml"]

[daemon]
log = "daemon.log"
pid_file = "daemon.pid"
{daemon}
[server]
unix = "s"
{main}
"""

_INI = """\
[unix_http_server]
file = {here}/s

[supervisord]
logfile = {here}/daemon.log
pidfile = {here}/daemon.pid
childlogdir = {here}
nodaemon = true
{daemon}
[supervisorctl]
serverurl = unix://{here}/s

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = conf.d/*.ini
{main}
"""
