"""`why`, as plain text: what happened to a process, what follows, and what to do."""

from collections.abc import Iterator, Sequence

from opsvisor.ctl import render
from opsvisor.wire import History, ProcessStatus, Run

_RUNS_SHOWN = 8
_LINES_SHOWN = 12


def lines(history: History, now: float) -> Iterator[str]:
    """The whole screen. `now` is Unix time, for how long ago."""
    status = history.status
    yield headline(status, now)
    if status.reason:
        yield f"  {render.printable(status.reason)}"
    for fact in facts(status):
        yield f"  {fact}"
    yield from _section("What happens next", [what_next(history)])
    yield from _section("Policy", history.policy)
    yield from _section("Last runs, newest first", _table(history.runs))
    if tail := last_words(history.runs):
        run, name, said = tail
        yield from _section(f"Last lines of {name}, run of {render.clock(run.started_at)}", said)
    yield from _section("What to do", history.hints)


def headline(status: ProcessStatus, now: float) -> str:
    """`web is FATAL since 2026-11-23 09:37:53 (3 min ago)`."""
    ago = render.span(now - status.since)
    return f"{status.name} is {status.state} since {render.clock(status.since)} ({ago} ago)"


def facts(status: ProcessStatus) -> list[str]:
    """What else is worth knowing, each only where it is so."""
    return [
        *([f"pid {status.pid}, up {render.span(status.uptime)}"] if status.pid else []),
        *(["not ready"] if status.pid and not status.ready else []),
        *(["unhealthy"] if status.healthy is False else []),
        *render.probe_troubles(status),
        *([f"flapping: {status.restarts} automatic restarts so far"] if status.flapping else []),
        *([f"SIGKILL did not end it {status.kills_survived} times"] * bool(status.kills_survived)),
        *([f"log problem: {status.log_problem}"] if status.log_problem else []),
    ]


def what_next(history: History) -> str:
    """What follows, with the hour where a retry is due."""
    text = history.what_next or "nothing by itself"
    retry_at = history.status.retry_at
    return f"{text} (at {render.clock(retry_at)})" if retry_at else text


def last_words(runs: Sequence[Run]) -> tuple[Run, str, list[str]] | None:
    """The newest bad run that said something, the stream, and its last lines."""
    for run in runs:
        for name, said in (("stderr", run.stderr_tail), ("stdout", run.stdout_tail)):
            if not run.expected and said:
                return run, name, [render.printable(line) for line in said[-_LINES_SHOWN:]]
    return None


def run_rows(runs: Sequence[Run]) -> list[tuple[str, str, str, str]]:
    """When a run began, how long it lasted, how it ended and what followed."""
    return [
        (
            render.clock(run.started_at),
            render.span(run.uptime),
            render.printable(run.outcome),
            render.printable(run.decision),
        )
        for run in runs[:_RUNS_SHOWN]
    ]


def _table(runs: Sequence[Run]) -> list[str]:
    if not runs:
        return ["none has ended yet"]
    rows = [("STARTED", "UPTIME", "HOW IT ENDED", "WHAT FOLLOWED"), *run_rows(runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]


def _section(title: str, body: Sequence[str]) -> Iterator[str]:
    if body:
        yield ""
        yield title
        yield from (f"  {line}".rstrip() for line in body)
