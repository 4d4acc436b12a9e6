"""Leave the prompt."""

from opsvisor.ctl.session import Leave, Session


def quit(session: Session, words: list[str]) -> int:  # noqa: A001, ARG001 - named after the command, called like all
    """End the prompt, whatever else was said."""
    raise Leave


exit = quit  # noqa: A001 - named after the command
