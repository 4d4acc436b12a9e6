"""See what a changed configuration would do, and do it."""

import sys
from collections.abc import Sequence

from msgspec.structs import replace

from opsvisor.client import ApiError
from opsvisor.ctl import changes, failures, render
from opsvisor.ctl.applying import beginnings, carried_out
from opsvisor.ctl.arguments import Arguments, told_apart
from opsvisor.ctl.commands.configuration import refused, say_unusable
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import Session, refuse_words
from opsvisor.wire import ActionResult, ApplyResponse, ConfigDiff

_WELL = frozenset({"ok", "not_running"})


def diff(session: Session, words: list[str]) -> int:
    """Show what `apply` would change. Who may not read the files anew sees them as last read."""
    asked = told_apart("diff", words)
    refuse_words("diff", asked.words)
    try:
        found = _read(session)
    except ApiError as error:
        return _unusable(session, "diff", error)
    _print(session, found, asked)
    session.output.show(found)
    is_same = changes.is_empty(found) and not found.daemon_changed
    return Exit.OK if is_same else Exit.DIFFERENT


def apply(session: Session, words: list[str]) -> int:
    """Show what would change, ask where a person is there, and carry exactly that out."""
    asked = told_apart("apply", words)
    groups = [] if "all" in asked.words else asked.words
    try:
        everything = session.client.reread()
        unknown = _unknown_groups(session, groups, everything)
        if unknown:
            return _refuse_groups(session, unknown)
        found = changes.only(everything, groups)
        _print(session, found, asked)
        if changes.is_empty(found):
            session.output.show(ApplyResponse(generation=0, diff=found, results=[]))
            return Exit.OK
        if not (asked.has("--yes") or _confirmed(session)):
            session.output.say("nothing was changed")
            return Exit.OK
        return _tell(session, carried_out(session, groups, found))
    except ApiError as error:
        return _unusable(session, "apply", error)


def _read(session: Session) -> ConfigDiff:
    try:
        return session.client.reread()
    except ApiError as error:
        if error.problem.code != "forbidden":
            raise
    session.output.remark("as last read: this identity may not have the files read again")
    return session.client.config_diff()


def _print(session: Session, found: ConfigDiff, asked: Arguments) -> None:
    told = list(changes.lines(found, with_secrets=asked.has("--secrets")))
    if session.output.for_people:
        from opsvisor.ctl import paint  # noqa: PLC0415 - rich costs 25 ms, scripts never need it

        paint.print_changes(told)
    else:
        for line in told:
            session.output.say(line.shown)
    session.output.say(changes.summary(found))
    failures.remark_problems(session.output, found.warnings)


def _confirmed(session: Session) -> bool:
    """Scripts mean what they say; so does who wants JSON."""
    is_asked = session.output.for_people or session.asks
    if not is_asked or session.output.is_json or not sys.stdin.isatty():
        return True
    try:
        return input("Apply? y/N ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _tell(session: Session, response: ApplyResponse) -> int:
    """What became of each process that had to end, to restart or to start."""
    removed = set(response.diff.removed)
    for result in response.results:
        _say(session, result, "removed" if result.name in removed else "restarted")
    started = beginnings(session, response.diff.added)
    for result in started:
        _say(session, result, "started")
    results = [*response.results, *started]
    failed = [result.name for result in results if result.result not in _WELL]
    session.output.say(f"applied: generation {response.generation}")
    if failed:
        session.output.hint(f"opsvisorctl why {failed[0]}")
    session.output.show(replace(response, results=results))
    return Exit.FAILED if failed else Exit.OK


def _say(session: Session, result: ActionResult, done: str) -> None:
    if result.result in _WELL:
        session.output.say(f"{result.name}: {done}")
    else:
        failure = render.action_line("start", result)
        session.output.say(f"{failure}: {result.reason}" if result.reason else failure)


def _unknown_groups(session: Session, groups: Sequence[str], found: ConfigDiff) -> list[str]:
    if not groups:
        return []
    known = {group.name for group in session.client.groups().groups}.union(found.groups_added)
    return [name for name in groups if name not in known]


def _refuse_groups(session: Session, unknown: Sequence[str]) -> int:
    for name in unknown:
        session.output.say(f"ERROR: no such group: {name}")
    detail = f"no such group: {', '.join(unknown)}"
    session.output.show({"error": failures.problem("no_such_group", "No such group", detail)})
    return Exit.FAILED


def _unusable(session: Session, command: str, error: ApiError) -> int:
    if error.problem.code == "bad_config":
        return say_unusable(session, error)
    return refused(session, command, error)
