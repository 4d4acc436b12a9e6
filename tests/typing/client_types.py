"""What a type checker knows of `opsvisor.client`, as a user's script is checked.

Nothing here is run. `mypy --strict` reads it, with all other tests: each `assert_type` is a claim,
and each `type: ignore` a mistake that must go on being found.
"""

from typing import assert_type

from opsvisor import wire
from opsvisor.client import (
    ApiError,
    Client,
    EventGap,
    LogGap,
    LogPiece,
    NoDaemon,
    Sample,
    Stream,
    Unreached,
    Watched,
)


def what_is_told(client: Client) -> None:
    """Answers have types of their own, down to each field."""
    assert_type(client.processes("web").processes, list[wire.ProcessStatus])
    assert_type(client.process("web").status.exit_code, int | None)
    assert_type(client.history("web").runs, list[wire.Run])
    assert_type(client.daemon().config_files, list[str])
    assert_type(client.metrics(), list[Sample])
    assert_type(client.targets(), list[wire.TargetGroup])
    assert_type(client.is_ready(), bool)


def what_is_done(client: Client) -> None:
    """Actions by their words, and outcomes by process."""
    assert_type(client.act("start", ["web"]).results, list[wire.ActionResult])
    assert_type(client.act("signal", ("web",), signal="HUP", wait=False), wire.ActionResponse)
    assert_type(client.apply(["web"]).diff, wire.ConfigDiff)
    client.act("strat", ["web"])  # type: ignore[arg-type]  # a slip of the pen
    client.act("start", [1])  # type: ignore[list-item]  # names are texts
    client.act("start", ["web"], "HUP")  # type: ignore[call-arg]  # a signal goes by its name
    client.log("web", "stdlog")  # type: ignore[arg-type]  # there are two streams


def what_is_followed(client: Client) -> None:
    """Streams know what they give, so that `match` can be exhaustive."""
    assert_type(client.follow_log("web"), Stream[LogPiece | LogGap])
    assert_type(client.watch(), Stream[Watched])
    with client.events() as events:
        assert_type(events, Stream[wire.Event | EventGap])
        for event in events:
            match event:
                case EventGap(lost=lost):
                    assert_type(lost, tuple[int, int])
                case wire.Event(process=process):
                    assert_type(process, str)


def what_goes_wrong(client: Client) -> None:
    """Errors carry what a script needs to decide."""
    try:
        client.reload()
    except NoDaemon as error:
        assert_type(error.reason, Unreached)
    except ApiError as error:
        assert_type(error.problem.code, str)
        assert_type(error.problem.problems, list[wire.ConfigProblem])


def what_is_frozen(client: Client) -> None:
    """An answer is what was told, and stays it."""
    status = client.process("web").status
    status.state = "RUNNING"  # type: ignore[misc]  # it can't be set
    status.uptmie  # type: ignore[attr-defined]  # noqa: B018 - a slip of the pen
