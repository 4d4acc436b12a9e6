"""Show, start, stop, restart and signal processes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from opsvisor.client import ApiError
from opsvisor.ctl import exit_codes, failures, names, render
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session
from opsvisor.wire import STATES, ActionResponse, ActionResult, ProcessList, ProcessStatus

if TYPE_CHECKING:
    from opsvisor.ctl.progress import Progress

Action = Literal["start", "stop", "signal"]
_NO_CHANGE = {"start": "already_started", "stop": "not_running", "signal": "not_running"}
_FEW = 20  # results that people are told one by one
_NOTHING_LISTED = "no process is in that state"
_NO_TROUBLE = "no process is in trouble"
_SIGNALLABLE = frozenset({"STARTING", "RUNNING", "STOPPING"})


def status(session: Session, words: list[str]) -> int:
    """List the processes asked for; names that stand for none come first."""
    names_only = not any(word.startswith("-") for word in words)
    narrowing = None if names_only else _Narrowing(words)
    everything = session.client.processes().processes
    listed, unknown = _select(words if narrowing is None else narrowing.names, everything)
    if narrowing is not None:
        listed = narrowing.of(listed)
    for name in unknown:
        session.output.say(render.unknown_in_status(name))
    if session.output.for_people:
        from opsvisor.ctl import table  # noqa: PLC0415 - rich costs 25 ms, scripts never need it

        table.print_status(listed, session.client.daemon())
        if not listed and not unknown:
            session.output.say(narrowing.nothing if narrowing else "no processes are configured")
        _hint_at(session, unknown, everything)
    else:
        for line in render.status_lines(listed):
            session.output.say(line)
    _show_status(session, listed, unknown)
    return exit_codes.of_states([one.state for one in listed], unknown_names=bool(unknown))


class _Narrowing:
    """What the options of `status` leave of what was named."""

    def __init__(self, words: Sequence[str]) -> None:
        from opsvisor.ctl.arguments import told_apart  # noqa: PLC0415 - scripts seldom narrow

        asked = told_apart("status", words)
        self.names = asked.words
        self._only_troubled = asked.has("--problems")
        self._states = {state.upper() for state in asked.given.get("--state", "").split(",")} - {
            ""
        }
        for state in sorted(self._states.difference(STATES)):
            known = ", ".join(STATES).lower()
            raise BadArguments(f"no state is called {state.lower()!r}: they are {known}")

    @property
    def nothing(self) -> str:
        """What people are told where none is left."""
        return _NO_TROUBLE if self._only_troubled else _NOTHING_LISTED

    def of(self, processes: list[ProcessStatus]) -> list[ProcessStatus]:
        """Those that are left."""
        from opsvisor.ctl.troubles import troubled  # noqa: PLC0415 - as above

        left = [one for one in processes if not self._states or one.state in self._states]
        return troubled(left) if self._only_troubled else left


def start(session: Session, words: list[str]) -> int:
    """Start one name after another, each waited for."""
    if not words:
        raise BadArguments("start requires a process name", status=Exit.BAD_ARGUMENTS)
    results, exit_status = _act(session, "start", words)
    _hint_at_unknown(session, results)
    session.output.show(ActionResponse(results=results))
    return exit_status


def stop(session: Session, words: list[str]) -> int:
    """Stop one name after another, each waited for."""
    if not words:
        raise BadArguments("stop requires a process name")
    results, exit_status = _act(session, "stop", words)
    _hint_at_unknown(session, results)
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
    with _progress(session, "restart", wanted) as progress:
        response = session.client.act("restart", wanted)
    if progress is not None and len(response.results) > _FEW:
        _tell(session, "restart", response.results, progress.seconds)
        session.output.show(response)
        return _last_failure("restart", response.results)
    all_well = all(result.result == "ok" for result in response.results)
    after = {} if all_well else _by_name(session)
    for result in response.results:
        was = before.get(result.name)
        if was is None and session.output.for_people:
            continue  # an unknown name is told of once, below
        stopped = _stop_before(result, was, after.get(result.name))
        is_named = any(names.exactly(name, [result]) for name in wanted)
        if stopped and (is_named or stopped.result != _NO_CHANGE["stop"]):
            session.output.say(render.action_line("stop", stopped, session.output.format))
    _say_each(session, "start", response.results)
    _hint_at_unknown(session, response.results)
    session.output.show(response)
    return _last_failure("restart", response.results)


def signal(session: Session, words: list[str]) -> int:
    """Send a signal to one name after another."""
    if len(words) < 2:  # noqa: PLR2004 - the signal and at least one name
        raise BadArguments("signal requires a signal name and a process name")
    results, exit_status = _act(session, "signal", words[1:], signum=words[0])
    _hint_at_unknown(session, results)
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
    """Scripts are told of each name as it is done, people see how far it is and then the rest."""
    done = list[ActionResult]()
    with _progress(session, action, words) as progress:
        for name in names.all_or(words):
            results = _concerned(action, name, _ask(session, action, name, signum))
            if progress is None:
                _say_each(session, action, results)
            done += results
    if progress is not None:
        _tell(session, action, done, progress.seconds)
    return done, _last_failure(action, done)


def _hint_at_unknown(session: Session, results: Sequence[ActionResult]) -> None:
    """Of results that are about names which nobody has."""
    unknown = [one.name for one in results if one.result in {"no_such_process", "no_such_group"}]
    if unknown and session.output.for_people:
        _hint_at(session, unknown, session.client.processes().processes)


def _hint_at(
    session: Session, unknown: Sequence[str], everything: Sequence[ProcessStatus]
) -> None:
    if unknown:
        from opsvisor.ctl.meant import hint_at  # noqa: PLC0415 - only after a typing error

        hint_at(session.output, unknown, everything)


def _last_failure(action: str, results: Sequence[ActionResult]) -> int:
    """The exit status: of a restart, it is the start that counts."""
    exit_status = int(Exit.OK)
    for result in results:
        status = exit_codes.of_action("start" if action == "restart" else action, result)
        exit_status = status or exit_status
    return exit_status


def _say_each(session: Session, action: str, results: Sequence[ActionResult]) -> None:
    for result in results:
        session.output.say(render.action_line(action, result, session.output.format))


def _tell(session: Session, action: str, results: Sequence[ActionResult], seconds: float) -> None:
    """What became of them: of many, only the failures, and how many went well."""
    if len(results) <= _FEW:
        _say_each(session, action, results)
        return
    failed = [one for one in results if _last_failure(action, [one])]
    _say_each(session, action, failed)
    session.output.say(render.summary_line(action, len(results) - len(failed), seconds))
    if failed:
        session.output.say(f"{len(failed)} failed, as said above")


@contextmanager
def _progress(session: Session, action: str, words: Sequence[str]) -> Iterator["Progress | None"]:
    """Where a person waits for it, how far it is; None for scripts and for what takes no time."""
    if action == "signal" or not session.output.for_people:
        yield None
        return
    from opsvisor.ctl import progress  # noqa: PLC0415 - only people see it

    doing, is_done = progress.LASTING[action]
    listed, _ = _select(words, session.client.processes().processes)
    concerned = [one for one in listed if _is_concerned(action, one, words)]
    with progress.Progress(session, doing, concerned, is_done) as shown:
        yield shown


def _is_concerned(action: str, one: ProcessStatus, words: Sequence[str]) -> bool:
    """Whether there is anything to do for it, as far as can be seen beforehand."""
    is_up = bool(one.pid or one.retry_at)
    if action == "stop":
        return is_up
    is_meant = one.startup != "manual" or any(names.exactly(name, [one]) for name in words)
    return is_up if action == "restart" and not is_meant else is_meant


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
