"""opsvisord itself: its version, its end, its restart, and which one to talk to."""

import time
from collections.abc import Callable

from opsvisor.client import ApiError, BadUrl, Client
from opsvisor.ctl import failures
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session, refuse_words
from opsvisor.wire import DaemonInfo

_PATIENCE = 120.0  # seconds for an upgrade that has begun, on a machine that is busy
_LOOK_AGAIN_AFTER = 0.05


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
        _ask_and_watch(session, session.client.reload)
    except ApiError as error:
        if error.problem.code != "shutting_down":
            raise
        session.output.say("ERROR: already shutting down")
        session.output.show({"error": error.problem})
        return Exit.FAILED
    session.output.say("Restarted supervisord")
    session.output.show({})
    return Exit.OK


def _ask_and_watch(session: Session, ask: Callable[[], None]) -> None:
    """Ask for an end. Scripts go on then; a person sees how far it is until all is stopped."""
    if not session.output.for_people:
        ask()
        return
    from opsvisor.ctl.progress import Progress, is_down  # noqa: PLC0415 - only people see it

    concerned = [one for one in session.client.processes().processes if one.pid]
    with Progress(session, "stopping", concerned, is_down) as progress:
        ask()
        progress.until_hung_up()


def upgrade(session: Session, words: list[str]) -> int:
    """Have the daemon replaced by the installed version, and wait until that answers."""
    refuse_words("upgrade", words)
    try:
        before = session.client.daemon().upgrades
        begun = session.client.upgrade()
    except ApiError as error:
        if error.problem.code == "not_found":  # of before there were upgrades
            session.output.say("ERROR: this opsvisord can't be upgraded in place: it is too old")
            session.output.hint("once, opsvisorctl shutdown and start the installed version")
            session.output.show({"error": error.problem})
            return Exit.FAILED
        if error.problem.code not in {"upgrade_refused", "shutting_down"}:
            raise
        session.output.say(f"ERROR: {error.problem.detail}")
        failures.explain(session.output, error.problem)
        session.output.show({"error": error.problem})
        return Exit.FAILED
    daemon = _upgraded(session.client, before)
    last = daemon.last_upgrade
    if daemon.upgrades <= before or last is None:
        session.output.say(
            f"ERROR: opsvisord (pid {daemon.pid}) is still version {daemon.version}: its log says"
            " why"
        )
        session.output.show(daemon)
        return Exit.FAILED
    session.output.say(
        f"Upgraded opsvisord (pid {begun.pid}) from {last.from_version} to {daemon.version};"
        f" requests waited for {last.silence:.2f} s"
    )
    session.output.show(daemon)
    return Exit.OK


def _upgraded(client: Client, before: int) -> DaemonInfo:
    """How the daemon is once the upgrade is over, or does not come any more."""
    until = time.monotonic() + _PATIENCE
    while True:
        daemon = client.daemon()
        if daemon.upgrades > before or time.monotonic() > until:
            return daemon
        # It still answers requests that came before ours.
        time.sleep(_LOOK_AGAIN_AFTER)


def shutdown(session: Session, words: list[str]) -> int:
    """Stop the daemon, asking first where a person is there."""
    refuse_words("shutdown", words)
    if not session.confirm("Really shut the remote supervisord process down"):
        return Exit.OK
    try:
        _ask_and_watch(session, session.client.shutdown)
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
