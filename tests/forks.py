"""A fork server for tests that have no engine, that of a daemon, and a place before the exec."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from daemon import eventually
from engine_room import children
from procfs import all_children_of, name_of

from opsvisor.core.spec import Pid, ProcessSpec
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.forkserver import ForkServer
from opsvisor.runtime.reaper import Reaper
from opsvisor.runtime.spawn import Begun, ChildFiles, begin


class Gate:
    """A cgroup.procs that keeps whoever enters it, between fork and exec, until it is opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.mkfifo(folder / "cgroup.procs")

    def waiting(self) -> list[Pid]:
        """Children of ours that have not executed yet, and wait here."""
        return [pid for pid in children() if _wchan(pid) == "wait_for_partner"]

    def has_newcomer(self) -> bool:
        """Whether there is one."""
        return bool(self.waiting())

    def open(self) -> None:
        """Let them through."""
        with (self.folder / "cgroup.procs").open("rb") as file:
            assert set(file.read()) == set(b"0")

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep nobody inside the block."""
        both_ends = os.open(self.folder / "cgroup.procs", os.O_RDWR)
        try:
            yield
        finally:
            os.close(both_ends)


def _wchan(pid: Pid) -> str:
    try:
        return Path(f"/proc/{pid}/wchan").read_text()
    except OSError:  # it has ended
        return ""


async def until(claim: Callable[[], object]) -> None:
    """Let the loop turn until this is true."""
    await asyncio.to_thread(eventually, lambda: bool(claim()))


async def ready_server(engine: Engine) -> Pid:
    """The pid of its fork server, which takes orders."""
    forks = engine._forks
    forks.expect(for_good=True)
    await until(lambda: forks.is_ready)
    assert forks.pid is not None
    return forks.pid


async def have_forks_by(engine: Engine, maker: str) -> None:
    """Have its processes forked by a "server", or by the "daemon" itself."""
    if maker == "server":
        await ready_server(engine)
    else:
        engine._forks._is_impossible = True


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


def spawn(
    spec: ProcessSpec,
    files: ChildFiles,
    environment: Mapping[str, str],
    *,
    cgroup: str | None = None,
    forks: ForkServer | None = None,
) -> Pid:
    """Start a process, and wait for its program where that takes a fork."""
    begun = begin(spec, files, environment, cgroup=cgroup, forks=forks)
    return begun.finish() if isinstance(begun, Begun) else begun


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
