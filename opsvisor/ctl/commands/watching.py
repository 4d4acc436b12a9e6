"""`top`: all processes on the whole screen."""

import sys

from opsvisor.ctl.arguments import told_apart
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session


def top(session: Session, words: list[str]) -> int:
    """Show the screen until somebody leaves it."""
    names = told_apart("top", words).words
    if not (session.output.for_people and sys.stdin.isatty()):
        raise BadArguments(
            "top needs a terminal with a screen; `status` and `metrics` tell the same as text",
            with_help=False,
        )
    session.client.daemon()  # whoever may not, or finds nobody, is told so as by any command
    from opsvisor.ctl.top import screen  # noqa: PLC0415 - prompt_toolkit costs 70 ms

    screen.run(session.client, tuple([] if "all" in names else names))
    return Exit.OK
