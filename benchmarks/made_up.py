"""Processes as a scrape sees them, made up: as many as wanted, without a process."""

import os
import random
import time
from collections.abc import Mapping, Sequence

from opsvisor.core.instant import Instant
from opsvisor.core.process import ProcessMachine
from opsvisor.core.spec import LogSpec, Pid, ProcessId, ProcessSpec
from opsvisor.core.state import PublicState
from opsvisor.core.struct import replace
from opsvisor.core.view import ProcessView
from opsvisor.runtime.logs.capture import StreamStats
from opsvisor.runtime.proctree import Spent
from opsvisor.runtime.sampler import Sampler
from opsvisor.runtime.sweep import TreeSample

STREAMS: Mapping[str, StreamStats] = {
    name: StreamStats(
        bytes=4096,
        lines=10,
        dropped_lines=0,
        rotations=2,
        write_errors=0,
        last_output_at=1732564800.123456,
        file_size=2048,
    )
    for name in ("stdout", "stderr")
}


def views(pids: Sequence[Pid]) -> list[ProcessView]:
    """A running process for each of these pids."""
    return [_view(number, pid) for number, pid in enumerate(pids)]


class Told(Sampler):
    """Knows a tree of each of these processes, and what it has used, without a look into /proc."""

    def __init__(self, processes: Sequence[ProcessView], chance: random.Random) -> None:
        super().__init__(dict, mono=time.monotonic, wall=time.time, max_age=1e9)
        self._made_up = {
            view.id: (_tree(view.pid, chance), _spent(chance))
            for view in processes
            if view.pid is not None
        }

    def tree(self, process_id: ProcessId) -> TreeSample | None:
        """The same at each scrape."""
        return self._made_up[process_id][0]

    def spent(self, process_id: ProcessId) -> Spent:
        """Likewise."""
        return self._made_up[process_id][1]


def own_pids(count: int) -> list[Pid]:
    """The pid of this very process, so many times."""
    return [Pid(os.getpid())] * count


def _spent(chance: random.Random) -> Spent:
    return Spent(
        user_seconds=chance.randrange(10**6) / 100,
        system_seconds=chance.randrange(10**5) / 100,
        io_read_bytes=4096 * chance.randrange(10**5),
        io_written_bytes=4096 * chance.randrange(10**5),
        major_faults=chance.randrange(100),
    )


def _tree(pid: Pid, chance: random.Random) -> TreeSample:
    spent = _spent(chance)
    fds = chance.randrange(10, 500)
    return TreeSample(
        pid=pid,
        user_seconds=spent.user_seconds,
        system_seconds=spent.system_seconds,
        rss_bytes=4096 * chance.randrange(10**5),
        swap_bytes=0,
        processes=3,
        zombies=0,
        threads=chance.randrange(3, 50),
        open_fds=fds,
        max_fds=1024,
        fd_usage_ratio=fds / 1024,
        io_read_bytes=spent.io_read_bytes,
        io_written_bytes=spent.io_written_bytes,
        major_faults=spent.major_faults,
        members={},
    )


def _view(number: int, pid: Pid) -> ProcessView:
    process_id = ProcessId(f"group{number // 10}", f"program_{number}")
    began = Instant(mono=time.monotonic() - 100.0, wall=time.time() - 100.0)
    spec = ProcessSpec(
        id=process_id, program="program", command="run", argv=("run",), stdout=LogSpec()
    )
    machine = ProcessMachine(spec, group_priority=999, jitter=random.random, now=began)
    return replace(
        machine.view(began),
        state=PublicState.RUNNING,
        pid=pid,
        ready=True,
        expected_running=True,
        started=began,
        starts=1,
        running_seconds=98.876543,
        expected_seconds=99.876543,
    )
