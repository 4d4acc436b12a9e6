"""A fork server for tests that have no engine, and that of a daemon."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon import eventually
from procfs import name_of

from opsvisor.runtime.forkserver import ForkServer
from opsvisor.runtime.reaper import Reaper


@contextmanager
def fork_server() -> Iterator[ForkServer]:
    """One that is ready, and gone afterwards."""
    loop = asyncio.new_event_loop()
    reaper = Reaper(loop, on_exit=print, on_orphan=print)
    server = ForkServer(loop, reaper)
    try:
        server.expect(for_good=True)
        eventually(lambda: server.is_ready)
        yield server
    finally:
        server.close()
        reaper._readers.close()
        loop.close()


def fork_server_of(daemon: int) -> int:
    """The pid of the fork server of this daemon, as soon as there is one."""

    def look() -> int:
        children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
        return next((int(pid) for pid in children if name_of(int(pid)) == "opsvisor-forks"), 0)

    return eventually(look)
