"""Starts a program with ever fewer descriptors to spare; a test runs this as a process of its own.

Prints one line for each number of spare descriptors: how the first attempt ended, and whether the
program came up and went down once there were enough again.
"""

import asyncio
import os
import resource
from pathlib import Path

from engine_room import Room, engine_room, key, sleeper

from opsvisor.core.inputs import Start, Stop
from opsvisor.core.spec import LinearBackoff, RestartPolicy, Startup
from opsvisor.core.state import PublicState

SPARE = 20
SOON = RestartPolicy(start_backoff=LinearBackoff(step=0.01), limit=None)


async def main() -> None:
    """Start and stop the program with 0, 1, 2 … descriptors to spare."""
    async with engine_room() as room:
        room.apply(sleeper(startup=Startup.DISABLED, restart=SOON))
        await attempt(room, spare=1000)  # whatever is opened once is open now
        for spare in range(SPARE):
            before = descriptors()
            first = await attempt(room, spare)
            same = "as before" if descriptors() == before else f"{before} -> {descriptors()}"
            print(spare, first, same, sep="; ")  # noqa: T201 - read by the test
        room.errors.clear()  # what could not be watched by a pidfd was told there


async def attempt(room: Room, spare: int) -> str:
    """How the first attempt went; the next ones have all the descriptors they want."""
    room.engine._streams._spares._make_some()  # which must not seem to be others that are free
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = min(set(range(soft)) - set(descriptors()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + spare, hard))
    room.engine.submit(Start(key("web")))
    view = room.view()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await room.state(PublicState.RUNNING)
    room.engine.submit(Stop(key("web")))
    await room.state(PublicState.STOPPED)
    room.engine._streams._spares.close()
    return view.spawn_error or view.state.name


def descriptors() -> list[int]:
    """Every open descriptor."""
    found = sorted(int(fd.name) for fd in Path("/proc/self/fd").iterdir())
    return [fd for fd in found if _is_open(fd)]


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:  # it was the directory being listed
        return False
    return True


if __name__ == "__main__":
    asyncio.run(main())
