"""Runs the commands of exec probes: each in a process group of its own, none left behind."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid, ProcessSpec
from opsvisor.runtime.forkserver import ForkServer
from opsvisor.runtime.spawn import ChildFiles, expect, spawn

# What is kept of a command's output: its end. A pipe holds no more than a chunk (pipe(7)).
_KEPT = 4096
_CHUNK = 65536

OnExit = Callable[[Pid, Outcome, Usage], None]


class Commands:
    """Spawns commands, and sees to it that they are gone when nobody waits for them any more.

    `watch` has the reaper report the end of a process.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        environment: Mapping[str, str],
        watch: Callable[[Pid, OnExit], None],
        forks: ForkServer,
    ) -> None:
        self._loop = loop
        self._environment = environment
        self._watch = watch
        self._forks = forks
        self._alive: dict[Pid, asyncio.Future[Outcome]] = {}

    async def run(self, spec: ProcessSpec) -> tuple[Outcome, bytes]:
        """How it ended, and the last it said on both its streams. SpawnError if it can't be run.

        Whoever stops waiting ends it, and all that it started.
        """
        output = _Output(self._loop)
        try:
            pid = self._spawn(spec, output)
            try:
                outcome = await self._alive[pid]
            finally:
                # Its descendants, and itself if it is alive. The number of the group stays its
                # own until it is reaped, and is not given away again this soon.
                _kill_group(pid)
            output.read()  # what it said just before its end
            return outcome, bytes(output.said)
        finally:
            output.close()

    @property
    def alive(self) -> tuple[Pid, ...]:
        """Those that run."""
        return tuple(self._alive)

    def end_inherited(self, pids: Iterable[Pid]) -> None:
        """End what another process had running before it became us: nobody waits for that."""
        for pid in pids:
            with suppress(OSError):  # out of descriptors: SIGCHLD tells
                self._watch(pid, lambda _pid, _outcome, _usage: None)
            _kill_group(pid)

    def close(self) -> None:
        """End them all, now."""
        for pid in self._alive:
            _kill_group(pid)

    def _spawn(self, spec: ProcessSpec, output: "_Output") -> Pid:
        try:
            null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            try:
                files = ChildFiles(stdin=null, stdout=output.write_end, stderr=output.write_end)
                expect(self._forks, spec, files, None)
                pid = spawn(spec, files, self._environment, forks=self._forks)
            finally:
                os.close(null)
        finally:
            os.close(output.write_end)
        self._alive[pid] = self._loop.create_future()
        with suppress(OSError):  # out of descriptors: its end comes by SIGCHLD then
            self._watch(pid, self._ended)
        return pid

    def _ended(self, pid: Pid, outcome: Outcome, _usage: Usage) -> None:
        waiting = self._alive.pop(pid)
        if not waiting.done():  # else nobody waits any more
            waiting.set_result(outcome)


class _Output:
    """A pipe, and the last of what came through it. Who spawns closes the writing end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.said = bytearray()
        self._loop = loop
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        loop.add_reader(self._read_end, self.read)

    def read(self) -> None:
        """Take what is there."""
        with suppress(BlockingIOError):
            chunk = os.read(self._read_end, _CHUNK)
            if not chunk:
                self._loop.remove_reader(self._read_end)
            self.said += chunk
            del self.said[:-_KEPT]

    def close(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._read_end)
        os.close(self._read_end)


def _kill_group(leader: Pid) -> None:
    # PermissionError: all that is left of it runs as somebody else (a set-user-ID program).
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
