"""opsvisord itself: its version, its end, its restart, and which one to talk to."""

from opsvisor.client import ApiError, BadUrl
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session, refuse_words


def version(session: Session, words: list[str]) -> int:
    """Print the version of the daemon that answers."""
    refuse_words("version", words)
    daemon = session.client.daemon()
    session.output.say(daemon.version)
    session.output.show(daemon)
    return Exit.OK


def reload(session: Session, words: list[str]) -> int:
    """Restart the daemon, asking first where a person is there."""
    refuse_words("reload", words)
    if not session.confirm("Really restart the remote supervisord process"):
        return Exit.OK
    try:
        session.client.reload()
    except ApiError as error:
        if error.problem.code != "shutting_down":
            raise
        session.output.say("ERROR: already shutting down")
        session.output.show({"error": error.problem})
        return Exit.FAILED
    session.output.say("Restarted supervisord")
    session.output.show({})
    return Exit.OK


def shutdown(session: Session, words: list[str]) -> int:
    """Stop the daemon, asking first where a person is there."""
    refuse_words("shutdown", words)
    if not session.confirm("Really shut the remote supervisord process down"):
        return Exit.OK
    try:
        session.client.shutdown()
    except ApiError as error:
        if error.problem.code != "shutting_down":
            raise
        session.output.say("ERROR: already shutting down")
        session.output.show({"error": error.problem})
        return Exit.OK
    session.output.say("Shut down")
    session.output.show({})
    return Exit.OK


def open(session: Session, words: list[str]) -> int:  # noqa: A001 - named after the command
    """Talk to another daemon and show its processes."""
    url = words[0] if len(words) == 1 else ""
    try:
        session.open(url)
    except BadUrl:
        text = "url must be http:// or unix://"
        raise BadArguments(text, with_help=False, prefix="ERROR: ") from None
    return session.run(["status"])
