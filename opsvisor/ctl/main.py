"""The program opsvisorctl: reads its options, finds the daemon, runs one command or a prompt."""

import io
import os
import sys
from collections.abc import Mapping, Sequence

from opsvisor.client import BadTls, BadUrl
from opsvisor.config.problems import ConfigError
from opsvisor.config.search import default_socket
from opsvisor.ctl.connection import (
    BadControlFile,
    BadCredentials,
    Connection,
    Wishes,
    client_of,
    discover,
)
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.flags import BadFlags, read
from opsvisor.ctl.output import Output, choose_format
from opsvisor.ctl.registry import COMMANDS
from opsvisor.ctl.session import Leave, Session

_PROGRAM = "opsvisorctl"
_TO_BE_SHOWN = frozenset({"-h", "-?", "--help", "--version"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run opsvisorctl with these arguments (default: the program's own); returns its status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # programs say what terminals can't show
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
    except BadFlags as error:
        sys.stderr.write(f"Error: {error}\nFor help, use {_PROGRAM} -h\n")
        return Exit.BAD_ARGUMENTS
    except BadCredentials as error:
        hint = f"\n    hint: {error.problems[0].hint}" if error.problems[0].hint else ""
        sys.stderr.write(f"Error: {error.problems[0].what}{hint}\nFor help, use {_PROGRAM} -h\n")
        return Exit.BAD_ARGUMENTS
    except BadControlFile as error:
        text = f"{error}\nError: {error.problems[0].what}"
        sys.stderr.write(f"{text}\nFor help, use {_PROGRAM} -h\n")
        return Exit.BAD_ARGUMENTS
    except ConfigError as error:
        sys.stderr.write(f"Error: {error}\nFor help, use {_PROGRAM} -h\n")
        return Exit.BAD_ARGUMENTS
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write("\n\ninterrupted: what was asked for goes on in the daemon\n")
        return Exit.INTERRUPTED
    return int(status)


def _run(typed: Sequence[str]) -> int:
    asked = os.environ.get(f"_{_PROGRAM.upper()}_COMPLETE")  # by a shell: nothing is typed
    if asked:
        return _answer_shell(asked, typed)
    flags, words = read(typed)
    if shown := [flag for flag in flags if flag in _TO_BE_SHOWN]:
        from opsvisor.ctl import usage  # noqa: PLC0415 - it brings click

        return usage.run(shown)
    return _control(flags, words)


def _answer_shell(asked: str, typed: Sequence[str]) -> int:
    from opsvisor.ctl import usage  # noqa: PLC0415 - it brings click

    if asked != "words":
        return usage.run(typed)
    usage.answer_shell(os.environ.get("COMP_WORDS", ""))
    return Exit.OK


def _control(flags: Mapping[str, str], words: Sequence[str]) -> int:
    """Find the daemon, and do what the words ask of it."""
    wishes = Wishes(
        url=flags.get("--serverurl"),
        config_file=flags.get("--configuration"),
        username=flags.get("--username"),
        password=flags.get("--password"),
        history_file=flags.get("--history_file"),
        token=flags.get("--token"),
        token_file=flags.get("--token-file"),
        ca_file=flags.get("--ca-file"),
        cert=flags.get("--cert"),
        key=flags.get("--key"),
        reason=flags.get("--reason"),
    )
    known = COMMANDS.get(words[0]) if words else None
    is_alone = known is not None and known.alone
    is_verbatim = known is not None and (known.alone or known.verbatim)
    if is_alone:
        connection = Connection(url=f"unix://{default_socket()}", found="not looked for")
    else:
        connection = discover(wishes, sys.argv[0], os.environ)
    line = list(words) if is_verbatim else " ".join(words).split()
    output = Output(choose_format(json="--json" in flags, plain="--plain" in flags))
    try:
        client = client_of(connection)
    except BadUrl as error:
        typed = connection.url.rpartition("@")[2]  # before that may be a password
        where = connection.found.removeprefix("as ").removesuffix(" says")  # -s, say, or a file
        raise BadFlags(f"invalid value for {where} {typed!r}: {error}") from error
    except BadTls as error:
        raise BadFlags(f"{error}") from error
    session = Session(
        client, output, asks="--interactive" in flags or not line, found=connection.found
    )
    try:
        return _converse_or_run(session, connection, line)
    finally:
        session.client.close()


def _converse_or_run(session: Session, connection: Connection, line: list[str]) -> int:
    if not line:
        from opsvisor.ctl import shell  # noqa: PLC0415 - the prompt only

        return shell.converse(session, connection.prompt, connection.history_file)
    try:
        return session.run(line)
    except Leave:
        session.output.say("")
        return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
