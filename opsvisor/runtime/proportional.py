"""Proportional memory (PSS): each page shared by n processes counts 1/n for each of them.

The only honest sum over a tree of forked workers, and a costly one: the kernel walks every page
(21 ms for 4 GB, during which the process can't map memory). So it has a thread and a pace of its
own, nobody ever waits for it, and without it there is neither thread nor timer.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.struct import Struct
from opsvisor.runtime.proctree import read_file
from opsvisor.runtime.sampler import Sampler
from opsvisor.runtime.workers import worker

_ROLLUP_SIZE = 4096
_FIRST = 5.0  # seconds after which what starts with the daemon has settled


class _Reading(Struct, frozen=True):
    """What the tree of this root held."""

    root: Pid
    size: int


class ProportionalMemory:
    """Reads the trees of `sampler` every `interval` seconds, the first time a little earlier.

    Two readings never overlap: one that takes longer than the interval leaves out the next.
    `on_error` is told of a bug that was met in one; the next comes in its time all the same.
    """

    def __init__(
        self, sampler: Sampler, *, interval: float, on_error: Callable[[Exception], None]
    ) -> None:
        self._sampler = sampler
        self._interval = interval
        self._on_error = on_error
        self._task: asyncio.Task[None] | None = None
        self._thread = worker("proportional")
        self._readings: dict[ProcessId, _Reading] = {}

    def open(self) -> None:
        """Begin to read."""
        self._task = asyncio.get_running_loop().create_task(self._read_now_and_then())

    async def close(self) -> None:
        """Read no more. A reading under way is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def of(self, process_id: ProcessId) -> int | None:
        """Bytes at the last reading, None if this run was not there, or may not be looked at."""
        reading, tree = self._readings.get(process_id), self._sampler.tree(process_id)
        if reading is None or tree is None or reading.root != tree.pid:
            return None
        return reading.size

    async def _read_now_and_then(self) -> None:
        delay = min(_FIRST, self._interval)
        while True:
            await asyncio.sleep(delay)
            began = asyncio.get_running_loop().time()
            try:
                await self._read()
            except OSError:
                pass  # no sweep, out of descriptors: the next time, then
            except Exception as error:  # noqa: BLE001 - else the last sizes would be told for ever
                self._on_error(error)
            took = asyncio.get_running_loop().time() - began
            delay = self._interval - took % self._interval

    async def _read(self) -> None:
        sweep = await self._sampler.sweep()
        trees = {one: (tree.pid, list(tree.members)) for one, tree in sweep.trees.items()}
        loop = asyncio.get_running_loop()
        self._readings = await loop.run_in_executor(self._thread, _read_all, trees)


def _read_all(trees: Mapping[ProcessId, tuple[Pid, Iterable[Pid]]]) -> dict[ProcessId, _Reading]:
    found: dict[ProcessId, _Reading] = {}
    for process_id, (root, members) in trees.items():
        sizes = [size for pid in members if (size := read_size(pid)) is not None]
        if sizes:
            found[process_id] = _Reading(root, sum(sizes))
    return found


def read_size(pid: Pid) -> int | None:
    """Proportional bytes of this process, None if it is gone, a zombie, or not ours to look at."""
    _, found, rest = read_file(f"/proc/{pid}/smaps_rollup", _ROLLUP_SIZE).partition(b"\nPss:")
    return int(rest.split(maxsplit=1)[0]) * 1024 if found else None
