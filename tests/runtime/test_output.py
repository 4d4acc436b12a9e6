"""Output that is told as it is read, by a real engine."""

from engine_room import NEVER, Room, key, obedient, program

from opsvisor.core.events import ProcessExited
from opsvisor.core.spec import LogSpec
from opsvisor.core.struct import replace
from opsvisor.runtime.logs.stream import Stream
from opsvisor.runtime.output import Output

TOLD = LogSpec(told=True)


async def test_what_a_process_prints_is_told_with_the_pid_of_its_run(room: Room) -> None:
    """Both streams, up to the last words: they are told before the exit is."""
    heard: list[Output] = []
    room.engine.listen_to_output(heard.append)
    both = ("sh", "-c", "printf one; printf two >&2")
    room.apply(program("web", *both, stdout=TOLD, stderr=TOLD, restart=NEVER))
    pid = (await room.next(ProcessExited)).pid
    told = {(o.id.name, o.pid, o.stream.value, o.text) for o in heard}
    assert told == {("web", pid, "stdout", b"one"), ("web", pid, "stderr", b"two")}


async def test_nothing_is_told_of_a_stream_that_does_not_ask_for_it(room: Room) -> None:
    """The flag belongs to the stream, not to the process."""
    heard: list[Output] = []
    room.engine.listen_to_output(heard.append)
    room.apply(program("web", "sh", "-c", "echo one; echo two >&2", stderr=TOLD, restart=NEVER))
    await room.next(ProcessExited)
    assert [o.text for o in heard] == [b"two\n"]


async def test_a_listener_that_fails_is_reported_and_costs_no_output(room: Room) -> None:
    """The log and the other listeners have what it had."""

    def fail(_output: Output) -> None:
        raise LookupError

    heard: list[Output] = []
    room.engine.listen_to_output(fail)
    room.engine.listen_to_output(heard.append)
    room.apply(obedient(then="echo late", stdout=TOLD, restart=NEVER))
    room.tell()
    await room.next(ProcessExited)
    assert [o.text for o in heard] == [b"late\n"]
    assert await room.output("late") == "late\n"
    assert [component for component, _ in room.errors] == ["output listener"]
    room.errors.clear()


async def test_a_message_is_told_though_the_stream_is_not(room: Room) -> None:
    """At its end, apart from the output around it, which the log has."""
    heard: list[Output] = []
    room.engine.listen_to_output(heard.append)
    script = "printf 'one<!--XSUPERVISOR:BEGIN-->to you<!--XSUPERVISOR:END-->two'"
    quiet = LogSpec(message_limit=100)
    room.apply(program("web", "sh", "-c", script, stdout=quiet, restart=NEVER))
    pid = (await room.next(ProcessExited)).pid
    assert heard == [Output(key("web"), pid, Stream.STDOUT, b"to you", is_message=True)]
    assert await room.output("two") == "onetwo"


async def test_everything_can_be_overheard(room: Room) -> None:
    """Told or not, and messages; those who listen hear no more than before."""
    overheard: list[Output] = []
    heard: list[Output] = []
    room.engine.overhear_output(overheard.append)
    room.engine.listen_to_output(heard.append)
    script = "printf 'one<!--XSUPERVISOR:BEGIN-->hi<!--XSUPERVISOR:END-->'; printf two >&2"
    spec = program("web", "sh", "-c", script, stdout=LogSpec(message_limit=9), stderr=TOLD)
    room.apply(replace(spec, restart=NEVER))
    await room.next(ProcessExited)
    assert sorted((o.text, o.is_message) for o in overheard) == [
        (b"hi", True),
        (b"one", False),
        (b"two", False),
    ]
    assert sorted((o.text, o.is_message) for o in heard) == [(b"hi", True), (b"two", False)]
