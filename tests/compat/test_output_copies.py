"""What Supervisor's activity log says at loglevel debug of what programs print."""

import pytest
from control_room import control_room, loaded_plan
from engine_room import NEVER, program

from opsvisor.compat.supervisor.output_copies import copy_output, lines_of
from opsvisor.config.settings import DaemonSettings, Dialect, LogLevel
from opsvisor.core.events import ProcessExited
from opsvisor.core.plan import EventFeed, Group, Plan
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.output import Output


def said(text: bytes, *, is_message: bool = False, name: str = "web") -> Output:
    """One chunk of a process's standard error."""
    return Output(ProcessId("g", name), Pid(1), Stream.STDERR, text, is_message)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (said(b"one\ntwo\n"), "'web' stderr output:\none\ntwo\n"),
        (said("caf\u00e9".encode()), "'web' stderr output:\ncaf\u00e9"),
        (said(b"\x88\n"), "'web' stderr output:\nUndecodable: b'\\x88\\n'"),
        (said(b"x", name="it's"), '"it\'s" stderr output:\nx'),
    ],
)
def test_a_chunk_is_copied_as_it_was_read(output: Output, line: str) -> None:
    """With the newline it ends in; bytes only where they are no text."""
    assert lines_of(output, listens=False) == (line,)


def test_what_a_listener_answers_is_shown_as_bytes() -> None:
    """In one line, since it is a protocol."""
    output = said(b"RESULT 2\nOKREADY\n")
    assert lines_of(output, listens=True) == ("'web' stderr output:\nb'RESULT 2\\nOKREADY\\n'",)


def test_a_message_is_copied_and_named() -> None:
    """It is in no other log."""
    found = lines_of(said(b"to you", is_message=True), listens=False)
    assert found == ("'web' stderr output:\nto you", "'web' stderr emitted a comm event")


@pytest.mark.parametrize(
    ("dialect", "level", "copied"),
    [
        (Dialect.SUPERVISOR, LogLevel.DEBUG, True),
        (Dialect.SUPERVISOR, LogLevel.BLATHER, True),
        (Dialect.SUPERVISOR, LogLevel.INFO, False),
        (Dialect.NATIVE, LogLevel.DEBUG, False),
    ],
)
async def test_output_is_copied_where_it_is_asked_for(
    dialect: Dialect, level: LogLevel, *, copied: bool
) -> None:
    """In Supervisor's files, from debug on; a listener's answers in their own way. So are ends."""
    script = ("sh", "-c", "echo out; echo err >&2")
    plan = Plan.of(
        [
            Group(name="web", processes=(program("web", *script, restart=NEVER),)),
            Group(
                name="lis",
                processes=(program("lis", *script, restart=NEVER),),
                feed=EventFeed(kinds=("EVENT",)),
            ),
        ]
    )
    lines: list[str] = []
    settings = DaemonSettings(dialect=dialect, log_level=level)
    async with control_room(loaded_plan(Plan(), settings=settings)) as house:
        copy_output(house.control, lambda _level, line: lines.append(line))
        house.control.configuration.carry_out(plan)
        await house.room.next(ProcessExited)
        await house.room.next(ProcessExited)
    ended = "received SIGCHLD indicating a child quit"
    assert sorted(lines) == (
        [
            "'lis' stderr output:\nerr\n",
            "'lis' stdout output:\nb'out\\n'",
            "'web' stderr output:\nerr\n",
            "'web' stdout output:\nout\n",
            ended,
            ended,
        ]
        if copied
        else []
    )
