"""Read the configuration again and carry it out."""

from opsvisor.client import ApiError
from opsvisor.ctl import failures, names, render
from opsvisor.ctl.applying import carried_out
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import Session, refuse_words
from opsvisor.wire import ApplyResponse, ConfigDiff, GroupResponse

_SHUTTING_DOWN = {
    "reread": "ERROR: supervisor shutting down",
    "avail": "ERROR: supervisor shutting down",
}


def reread(session: Session, words: list[str]) -> int:
    """Say what the configuration would change, by group."""
    refuse_words("reread", words)
    try:
        diff = session.client.reread()
    except ApiError as error:
        if error.problem.code == "bad_config":
            return say_unusable(session, error)
        return refused(session, "reread", error)
    for line in render.reread_lines(diff):
        session.output.say(line)
    _remark_beside(session, diff)
    session.output.show(diff)
    return Exit.OK


def avail(session: Session, words: list[str]) -> int:
    """List what is configured."""
    refuse_words("avail", words)
    try:
        available = session.client.available()
    except ApiError as error:
        return refused(session, "avail", error)
    # As supervisorctl has them: by the name that stands behind the colon.
    for one in sorted(available.processes, key=lambda one: one.process):
        session.output.say(render.available_line(one))
    session.output.show(available)
    return Exit.OK


def update(session: Session, words: list[str]) -> int:
    """Carry the configuration out, for all groups or those named."""
    try:
        if not words or "all" in words:
            return _print_update(session, _apply_all(session))
        return _update_groups(session, words)
    except ApiError as error:
        return refused(session, "update", error)


def add(session: Session, words: list[str]) -> int:
    """Take groups into use."""
    if not words:
        return Exit.OK
    return _print_groups(session, session.client.add_groups(words), "added")


def remove(session: Session, words: list[str]) -> int:
    """Take groups out of use."""
    if not words:
        return Exit.OK
    return _print_groups(session, session.client.remove_groups(words), "removed")


def _update_groups(session: Session, words: list[str]) -> int:
    diff = session.client.reread()
    known = {group.name for group in session.client.groups().groups}.union(diff.groups_added)
    unknown = [name for name in words if name not in known]
    for name in unknown:
        session.output.say(f"ERROR: no such group: {name}")
    wanted = [name for name in words if name in known]
    exit_status = Exit.FAILED if unknown else Exit.OK
    if not wanted:  # no name at all would mean every group
        detail = f"no such group: {', '.join(unknown)}"
        session.output.show({"error": failures.problem("no_such_group", "No such group", detail)})
        return exit_status
    return _print_update(session, carried_out(session, wanted, diff)) or exit_status


def _apply_all(session: Session) -> ApplyResponse:
    """One request, in which nothing can come between; two where somebody wants to see it."""
    if not session.output.for_people:
        return session.client.apply()
    return carried_out(session, (), session.client.reread())


def _print_update(session: Session, response: ApplyResponse) -> int:
    exit_status = Exit.OK
    for group in response.diff.groups_removed:
        session.output.say(f"{group}: stopped")
        if _is_troubled(group, response):
            session.output.say(f"{group}: has problems; not removing")
            exit_status = Exit.FAILED
        else:
            session.output.say(f"{group}: removed process group")
    for group in response.diff.groups_changed:
        if _stopped_for(group, response.diff):
            session.output.say(f"{group}: stopped")
        session.output.say(f"{group}: updated process group")
    for group in response.diff.groups_added:
        session.output.say(f"{group}: added process group")
    _remark_beside(session, response.diff)
    session.output.show(response)
    return exit_status


def _stopped_for(group: str, diff: ConfigDiff) -> bool:
    """Whether a changed group lost a process or had to restart one."""
    ended = [*diff.removed, *(change.name for change in diff.changed if change.restart)]
    return any(names.group_of(name) == group for name in ended)


def _is_troubled(group: str, response: ApplyResponse) -> bool:
    return any(
        result.group == group and result.result not in {"ok", "not_running"}
        for result in response.results
    )


def _print_groups(session: Session, response: GroupResponse, done: str) -> int:
    exit_status = Exit.OK
    for result in response.results:
        match result.result:
            case "ok":
                session.output.say(f"{result.group}: {done} process group")
            case "already_added":
                session.output.say("ERROR: process group already active")
            case "still_running":
                session.output.say(f"ERROR: process/group still running: {result.group}")
                exit_status = Exit.FAILED
            case "no_such_group":
                session.output.say(f"ERROR: no such process/group: {result.group}")
                exit_status = Exit.FAILED
            case other:
                session.output.say(f"ERROR: {other}: {result.group}")
                exit_status = Exit.FAILED
    session.output.show(response)
    return exit_status


def _remark_beside(session: Session, diff: ConfigDiff) -> None:
    failures.remark_problems(session.output, diff.warnings)
    if diff.daemon_changed:
        changed = ", ".join(diff.daemon_changed)
        session.output.hint(f"settings of opsvisord itself changed ({changed}): use reload")


def say_unusable(session: Session, error: ApiError) -> int:
    """The files can't be used, and why."""
    what = failures.first_problem(error.problem)
    if session.output.for_people:
        what = "the configuration can't be used, nothing has changed"  # why comes next
    session.output.say(f"ERROR: CANT_REREAD: {what}")
    failures.remark_problems(session.output, error.problem.problems)
    session.output.show({"error": error.problem})
    return Exit.FAILED


def refused(session: Session, command: str, error: ApiError) -> int:
    """The daemon is shutting down, in the words that supervisorctl has for it; else raises."""
    if error.problem.code != "shutting_down":
        raise error
    session.output.say(_SHUTTING_DOWN.get(command, "ERROR: already shutting down"))
    session.output.show({"error": error.problem})
    return Exit.FAILED
