"""The program opsvisorctl: reads its options, finds the daemon, runs one command or a prompt."""

import io
import os
import sys
from collections.abc import Sequence

import click

from opsvisor import __version__
from opsvisor.client import BadUrl, Client
from opsvisor.config.problems import ConfigError
from opsvisor.config.search import default_socket
from opsvisor.ctl.connection import BadControlFile, Connection, Wishes, discover
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.flags import in_full
from opsvisor.ctl.output import Output, choose_format
from opsvisor.ctl.registry import COMMANDS
from opsvisor.ctl.session import Leave, Session

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
        formatter.write_text("Without a command, a prompt takes one after the other.")


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Words for the completion that shells ask of click (_OPSVISORCTL_COMPLETE)."""
    from opsvisor.ctl.completion import ask_names, candidates  # noqa: PLC0415 - completion only
    from opsvisor.ctl.registry import Follows  # noqa: PLC0415 - completion only

    given = ctx.params
    wishes = Wishes(
        url=given.get("url"),
        config_file=given.get("config_file"),
        username=given.get("username"),
        password=given.get("password"),
    )
    try:
        client = _client(discover(wishes, sys.argv[0], os.environ))
    except (ConfigError, BadUrl):
        return []
    with client:
        words = candidates(
            ctx.params.get(param.name or "") or (),
            lambda: ask_names(client, Follows.PROCESSES),
            lambda: ask_names(client, Follows.GROUPS),
        )
    return [word for word in words if word.startswith(incomplete)]


@click.command(
    cls=_ControlCommand,
    context_settings={
        "help_option_names": ["-h", "-?", "--help"],
        "allow_interspersed_args": False,
    },
)
@click.option("-c", "--configuration", "config_file", metavar="FILE", help="configuration file")
@click.option("-s", "--serverurl", "url", metavar="URL", help="unix:///path or http://host:port")
@click.option("-u", "--username", metavar="USER", help="user name for the daemon")
@click.option("-p", "--password", metavar="PASS", help="its password (others see it in `ps`)")
@click.option(
    "-r", "--history_file", "--history-file", metavar="FILE", help="remembers the prompt's lines"
)
@click.option("-i", "--interactive", is_flag=True, help="ask before reload and shutdown")
@click.option("--json", is_flag=True, help="print JSON")
@click.option("--plain", is_flag=True, help="print supervisorctl's text on terminals as well")
@click.version_option(__version__, message="%(version)s")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, shell_complete=_complete)
def command(
    *,
    config_file: str | None,
    url: str | None,
    username: str | None,
    password: str | None,
    history_file: str | None,
    interactive: bool,
    json: bool,
    plain: bool,
    words: tuple[str, ...],
) -> int:
    """Control applications run by opsvisord."""
    wishes = Wishes(
        url=url,
        config_file=config_file,
        username=username,
        password=password,
        history_file=history_file,
    )
    is_alone = bool(words) and words[0] in COMMANDS and COMMANDS[words[0]].alone
    if is_alone:
        connection = Connection(url=f"unix://{default_socket()}", found="not looked for")
    else:
        connection = discover(wishes, sys.argv[0], os.environ)
    line = list(words) if is_alone else " ".join(words).split()
    output = Output(choose_format(json=json, plain=plain))
    try:
        client = _client(connection)
    except BadUrl as error:
        named = "OPSVISOR_URL" if url is None else "-s"
        raise click.UsageError(f"invalid value for {named} {connection.url!r}: {error}") from error
    session = Session(client, output, asks=interactive or not line, found=connection.found)
    try:
        return _converse_or_run(session, connection, line)
    finally:
        session.client.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run opsvisorctl with these arguments (default: the program's own); returns its status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # programs say what terminals can't show
    try:
        typed = sys.argv[1:] if arguments is None else arguments
        is_completing = f"_{_PROGRAM.upper()}_COMPLETE" in os.environ  # by a shell: nothing typed
        words = list(typed) if is_completing else in_full(typed)
        status = command.main(words, prog_name=_PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        sys.stderr.write(f"Error: {_usage(error)}\nFor help, use {_PROGRAM} -h\n")
        return Exit.BAD_ARGUMENTS
    except BadControlFile as error:
        text = f"{error}\nError: {error.problems[0].what}"
        sys.stderr.write(f"{text}\nFor help, use {_PROGRAM} -h\n")
        return Exit.BAD_ARGUMENTS
    except ConfigError as error:
        sys.stderr.write(f"Error: {error}\nFor help, use {_PROGRAM} -h\n")
        return Exit.BAD_ARGUMENTS
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("\ninterrupted: what was asked for goes on in the daemon\n")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python would complain on the last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    return int(status)


def _client(connection: Connection) -> Client:
    return Client(connection.url, username=connection.username, password=connection.password)


def _converse_or_run(session: Session, connection: Connection, line: list[str]) -> int:
    if not line:
        from opsvisor.ctl import shell  # noqa: PLC0415 - the prompt only

        return shell.converse(session, connection.prompt, connection.history_file)
    try:
        return session.run(line)
    except Leave:
        session.output.say("")
        return Exit.OK


def _usage(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        return f"option {error.option_name} not recognized"
    return error.format_message()


if __name__ == "__main__":
    sys.exit(main())
