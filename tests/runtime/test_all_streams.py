"""What is told of each pipe, and what can be told of all of them at any time, is the same."""

import asyncio
import os

from engine_room import program

from opsvisor.core.spec import StdinMode
from opsvisor.core.struct import replace
from opsvisor.runtime.all_streams import AllStreams
from opsvisor.runtime.keeper.names import NameOfPipe
from opsvisor.runtime.output import OutputListeners


async def test_all_that_was_opened_can_be_told_of_anew() -> None:
    """A new keeper is sent that: pipes of runs, spare ones, those of a stream that is over."""
    there: dict[str, int] = {}
    told = asyncio.Event()

    def note(name_of: NameOfPipe, inode: int, end: int, is_open: bool) -> None:  # noqa: FBT001 - a callback
        name = name_of(inode)
        assert (name in there) is not is_open  # each is told of once
        if is_open:
            there[name] = end
        else:
            del there[name]

    def fail(error: Exception) -> None:
        raise error

    streams = AllStreams(
        ring_size=1024,
        loop=asyncio.get_running_loop(),
        syslog=None,
        output=OutputListeners(on_error=fail),
        on_problem=lambda *_: None,
        on_unheard=lambda *_: None,
        on_pipe=note,
        on_spares=told.set,
    )

    def of_all() -> dict[str, int]:
        return {**streams.descriptors, **streams.spare_descriptors}

    spec = program("web", "cat", stdin=StdinMode.PIPE)
    one = streams.of(spec)
    files = one.open_for_run(0)
    await told.wait()
    assert len(there) > 3  # its own, and some that nobody has asked for
    assert of_all() == there

    for descriptor in files.own:
        os.close(descriptor)
    one.run_ended()
    spares = set(streams.spare_descriptors)
    files = one.open_for_run(0)
    assert spares & set(streams.descriptors)
    assert of_all() == there

    before = one.pipes_by_stream
    one.update(replace(spec, stderr=None))
    assert len(streams.descriptors) == 2
    assert of_all() == there
    assert one.pipes_by_stream == before

    one.update(spec)
    assert len(streams.descriptors) == 3
    assert of_all() == there
    assert one.pipes_by_stream == before

    one.update(replace(spec, stderr=None))

    for descriptor in files.own:
        os.close(descriptor)
    one.run_ended()
    assert not streams.descriptors
    assert of_all() == there

    streams.close()
    assert of_all() == there == {}
