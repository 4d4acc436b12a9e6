"""Show, start, stop, restart and signal processes."""

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from opsvisor.client import ApiError
from opsvisor.ctl import exit_codes, failures, names, render
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session
from opsvisor.wire import ActionResponse, ActionResult, ProcessList, ProcessStatus

Action = Literal["start", "stop", "signal"]
_NO_CHANGE = {"start": "already_started", "stop": "not_running", "signal": "not_running"}
_SIGNALLABLE = frozenset({"STARTING", "RUNNING", "STOPPING"})


def status(session: Session, words: list[str]) -> int:
    """List the processes asked for; names that stand for none come first."""
    everything = session.client.processes().processes
    listed, unknown = _select(words, everything)
    for name in unknown:
        session.output.say(render.unknown_in_status(name))
    if session.output.for_people:
        from opsvisor.ctl import table  # noqa: PLC0415 - rich costs 25 ms, scripts never need it

        table.print_status(listed)
    else:
        for line in render.status_lines(listed):
            session.output.say(line)
    _show_status(session, listed, unknown)
    return exit_codes.of_states([one.state for one in listed], unknown_names=bool(unknown))


def start(session: Session, words: list[str]) -> int:
    """Start one name after another, each waited for."""
    if not words:
        raise BadArguments("start requires a process name", status=Exit.BAD_ARGUMENTS)
    results, exit_status = _act(session, "start", words)
    session.output.show(ActionResponse(results=results))
    return exit_status


def stop(session: Session, words: list[str]) -> int:
    """Stop one name after another, each waited for."""
    if not words:
        raise BadArguments("stop requires a process name")
    results, exit_status = _act(session, "stop", words)
    session.output.show(ActionResponse(results=results))
    return exit_status


def restart(session: Session, words: list[str]) -> int:
    """Stop and start everything that was named; the last failure is the exit status.

    One request: between two, a lost connection would leave everything stopped, and the daemon
    leaves running what it could not start again.
    """
    if not words:
        raise BadArguments("restart requires a process name")
    wanted = names.all_or(words)
    before = _by_name(session)
    response = session.client.act("restart", wanted)
    all_well = all(result.result == "ok" for result in response.results)
    after = {} if all_well else _by_name(session)
    for result in response.results:
        stopped = _stop_before(result, before.get(result.name), after.get(result.name))
        is_named = any(names.exactly(name, [result]) for name in wanted)
        if stopped and (is_named or stopped.result != _NO_CHANGE["stop"]):
            session.output.say(render.action_line("stop", stopped, session.output.format))
    exit_status = int(Exit.OK)
    for result in response.results:
        session.output.say(render.action_line("start", result, session.output.format))
        exit_status = exit_codes.of_action("start", result) or exit_status
    session.output.show(response)
    return exit_status


def signal(session: Session, words: list[str]) -> int:
    """Send a signal to one name after another."""
    if len(words) < 2:  # noqa: PLR2004 - the signal and at least one name
        raise BadArguments("signal requires a signal name and a process name")
    results, exit_status = _act(session, "signal", words[1:], signum=words[0])
    session.output.show(ActionResponse(results=results))
    return exit_status


def pid(session: Session, words: list[str]) -> int:
    """Print opsvisord's process id, or those of the processes named."""
    if not words:
        daemon = session.client.daemon()
        session.output.say(str(daemon.pid))
        session.output.show(daemon)
        return Exit.OK
    everything = session.client.processes().processes
    if "all" in words:
        for one in everything:
            session.output.say(str(one.pid))
        session.output.show(ProcessList(processes=everything))
        return Exit.OK
    return _pids(session, words, everything)


def _pids(session: Session, words: list[str], everything: list[ProcessStatus]) -> int:
    listed, unknown, exit_status = list[ProcessStatus](), list[str](), Exit.OK
    for name in words:
        # supervisorctl knows no groups here: one name, one number
        found = names.exactly(name, everything)
        if not found:
            session.output.say(f"No such process {name}")
            unknown.append(name)
            exit_status = Exit.FAILED
            continue
        listed += found
        session.output.say(str(found[0].pid))
        if not found[0].pid:
            exit_status = Exit.NOT_RUNNING
    _show_status(session, listed, unknown)
    return exit_status


def _select(
    words: Sequence[str], everything: list[ProcessStatus]
) -> tuple[list[ProcessStatus], list[str]]:
    if not words or "all" in words:
        return everything, []
    found = {name: names.matching(name, everything) for name in words}
    listed = [one for name in words for one in found[name]]
    return listed, [name for name in words if not found[name]]


def _show_status(session: Session, listed: list[ProcessStatus], unknown: list[str]) -> None:
    if not unknown:
        session.output.show(ProcessList(processes=listed))
        return
    detail = ", ".join(render.unknown_in_status(name) for name in unknown)
    error = failures.problem("no_such_process", "No such process", detail)
    session.output.show({"processes": listed, "error": error})


def _act(
    session: Session, action: Action, words: list[str], signum: str | None = None
) -> tuple[list[ActionResult], int]:
    done, exit_status = list[ActionResult](), int(Exit.OK)
    for name in names.all_or(words):
        results = _concerned(action, name, _ask(session, action, name, signum))
        for result in results:
            session.output.say(render.action_line(action, result, session.output.format))
            exit_status = exit_codes.of_action(action, result) or exit_status
        done += results
    return done, exit_status


def _ask(session: Session, action: Action, name: str, signum: str | None) -> list[ActionResult]:
    try:
        return session.client.act(action, [name], signal=signum).results
    except ApiError as error:
        if error.problem.code != "bad_signal":
            raise
        return _refused_signal(name, session.client.processes().processes, error.problem.detail)


def _refused_signal(name: str, everything: list[ProcessStatus], reason: str) -> list[ActionResult]:
    """What supervisorctl tells of a signal that is none: of each process that would have had it.

    A name that stands for no process is told of as that.
    """
    found = names.matching(name, everything)
    if names.is_wildcard(name) and not names.exactly(name, everything):
        alive = [one for one in found if one.state in _SIGNALLABLE]
        if found or name == "all":
            return [
                _result(one.name, one.group, one.process, "bad_signal", reason) for one in alive
            ]
    group, _, process = name.partition(":")
    result = "bad_signal" if found else "no_such_process"
    if not found and names.whole_group(name) is not None:
        result = "no_such_group"
    return [_result(name, group, process or group, result, reason if found else "")]


def _result(name: str, group: str, process: str, result: str, reason: str) -> ActionResult:
    return ActionResult(name=name, group=group, process=process, result=result, reason=reason)


def _by_name(session: Session) -> dict[str, ProcessStatus]:
    return {one.name: one for one in session.client.processes().processes}


def _stop_before(
    result: ActionResult, before: ProcessStatus | None, after: ProcessStatus | None
) -> ActionResult | None:
    """How the stop before the start went, as supervisorctl tells it; None if there was none.

    A name that stands for no process is told of at both. `after` is looked up where anything
    failed: the daemon refuses some restarts before the stop.
    """
    if before is None:
        return result
    if not before.pid and not before.retry_at:
        return replace(result, result="not_running", reason="")
    still_runs = before.pid and after is not None and after.pid == before.pid
    if result.result != "ok" and still_runs:
        return None
    return replace(result, result="ok", reason="")


def _concerned(action: Action, name: str, results: list[ActionResult]) -> list[ActionResult]:
    """`start all` says nothing of what is running already; `start web` does."""
    if not names.is_wildcard(name) or names.exactly(name, results):
        return results
    return [result for result in results if result.result != _NO_CHANGE[action]]
