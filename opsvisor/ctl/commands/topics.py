"""Help, from the registry."""

from cmd import Cmd
from io import StringIO

from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.registry import COMMANDS
from opsvisor.ctl.session import Session

_WIDTH = 80


def help(session: Session, words: list[str]) -> int:  # noqa: A001 - named after the command
    """List all commands in columns, or explain one."""
    topic = " ".join(words)
    if not topic:
        session.output.write(_overview())
        session.output.show({name: command.summary for name, command in COMMANDS.items()})
        return Exit.OK
    command = COMMANDS.get(topic)
    lines = [f"*** No help on {topic}"]
    if command is not None:
        lines = command.help_within(session.output.columns)
    for line in lines:
        session.output.say(line)
    session.output.show({topic: lines})
    return Exit.OK


def _overview() -> str:
    """The table that `cmd.Cmd` prints for supervisorctl."""
    text = StringIO()
    listed = sorted(name for name in COMMANDS if name != "help")
    Cmd(stdout=text).print_topics("default commands (type help <topic>):", listed, 15, _WIDTH)
    return f"\n{text.getvalue()}"
