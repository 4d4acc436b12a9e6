"""A fork server for tests that have no engine, and that of a daemon."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from daemon import eventually
from procfs import all_children_of, name_of

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


def forked_programs(count: int, command: str = "sleep 1000") -> str:
    """A configuration of so many processes that need a fork, and are always restarted at once."""
    return f"""
        [program.web]
        command = "{command}"
        nice = 1
        replicas = {count}
        process_name = "web{{replica}}"
        min_uptime = "0s"
        backoff_delay = "0s"
        restart = "always"
        restart_limit_count = 0
        """


def fork_server_of(daemon: int) -> int:
    """The pid of the fork server of this daemon, as soon as there is one."""

    def look() -> int:
        helpers = (pid for pid in all_children_of(daemon) if name_of(pid) == "opsvisor-forks")
        return next(helpers, 0)

    return eventually(look)
