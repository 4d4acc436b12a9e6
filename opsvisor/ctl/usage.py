"""What click does for opsvisorctl: its help, its version, and what shells ask to complete a line.

Only then it is imported, for 6 ms: flags are read by `flags`, as supervisorctl reads them.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from opsvisor import __version__
from opsvisor.client import BadTls, BadUrl, Client
from opsvisor.config.problems import ConfigError
from opsvisor.ctl.completion import ask_names, candidates
from opsvisor.ctl.connection import Wishes, client_of, discover
from opsvisor.ctl.registry import COMMANDS, Follows
from opsvisor.ctl.shell_words import offers

_PROGRAM = "opsvisorctl"


class _ControlCommand(click.Command):
    """Everything after the options is one command line, so there are no click subcommands."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Usage, options, and the commands of the registry."""
        formatter.write(
            f"{_PROGRAM} -- control applications run by opsvisord from the cmd line.\n"
        )
        formatter.write_paragraph()
        formatter.write_usage(_PROGRAM, "[options] [command [arguments]]")
        self.format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(one.name, one.summary) for one in COMMANDS.values()])
        formatter.write_paragraph()
        formatter.write_text(
            "Without a command, a prompt takes one after the other. What it exits with:"
            " opsvisorctl(1), or docs/reference/exit-codes.md."
        )


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Words for click's own scripts, which shells may have from before there were ours."""
    client = _connected(ctx.params)
    if client is None:
        return []
    with client:
        words = candidates(
            ctx.params.get(param.name or "") or (),
            lambda: ask_names(client, Follows.PROCESSES),
            lambda: ask_names(client, Follows.GROUPS),
            incomplete,
        )
    return [word for word in words if word.startswith(incomplete)]


def _connected(given: Mapping[str, Any]) -> Client | None:
    """A client for the options on the line that a shell completes, None if they make no sense."""
    wishes = Wishes(**{name: given.get(name) for name in Wishes._fields})
    try:
        return client_of(discover(wishes, sys.argv[0], os.environ))
    except (ConfigError, BadUrl, BadTls):
        return None


@click.command(
    cls=_ControlCommand,
    context_settings={
        "help_option_names": ["-h", "-?", "--help"],
        "allow_interspersed_args": False,
    },
)
@click.option("-c", "--configuration", "config_file", metavar="FILE", help="configuration file")
@click.option(
    "-s", "--serverurl", "url", metavar="URL", help="unix:///path, http://host:port or https://..."
)
@click.option("-u", "--username", metavar="USER", help="user name for the daemon")
@click.option("-p", "--password", metavar="PASS", help="its password (others see it in `ps`)")
@click.option(
    "-r", "--history_file", "--history-file", metavar="FILE", help="remembers the prompt's lines"
)
@click.option("--token", metavar="TOKEN", help="token for the daemon (others see it in `ps`)")
@click.option("--token-file", metavar="FILE", help="file that holds it")
@click.option("--ca-file", metavar="FILE", help="who vouches for the daemon, for https (PEM)")
@click.option("--cert", metavar="FILE", help="certificate to show to the daemon (PEM)")
@click.option("--key", metavar="FILE", help="its key, if that is in another file")
@click.option("--reason", metavar="TEXT", help="why, for the daemon's audit log")
@click.option("-i", "--interactive", is_flag=True, help="ask before reload and shutdown")
@click.option("--json", is_flag=True, help="print JSON")
@click.option("--plain", is_flag=True, help="print supervisorctl's text on terminals as well")
@click.version_option(__version__, message="%(version)s")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, shell_complete=_complete)
def command(**_given: object) -> None:
    """Control applications run by opsvisord."""


def run(arguments: Sequence[str]) -> int:
    """Print what --help or --version among them asks for, or what a script of click's asks for."""
    return int(command.main(list(arguments), prog_name=_PROGRAM, standalone_mode=False) or 0)


def answer_shell(line: str) -> None:
    """Tell a shell what may stand where this line ends."""
    for offer in offers(line, command, _connected):
        sys.stdout.write(f"{offer.line}\n")
