"""Runs the commands of exec probes: each in a process group of its own, which ends with it.

What one starts in another group or session bears the mark of the program that is asked for, and is
ended with all of its tree.
"""

import asyncio
import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial

from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid, ProcessSpec
from opsvisor.core.struct import Struct
from opsvisor.runtime.forkserver import Awaited, ForkServer
from opsvisor.runtime.marks import Marks, may_outlive
from opsvisor.runtime.reaper import Watch
from opsvisor.runtime.spawn import Begun, ChildFiles, begin, expect

# What is kept of a command's output: its end. A pipe holds no more than a chunk (pipe(7)).
_KEPT = 4096
_CHUNK = 65536


class _Running(Struct, frozen=True):
    """A command, and how it will have ended."""

    pid: Pid
    ended: asyncio.Future[Outcome]


class _OnTheWay(Struct, eq=False):
    """A command that was ordered: its program has not begun, as far as we know.

    `born` tells who it is when it has, or why it never will. It is cancelled if nobody wants it.
    """

    begun: Begun
    files: ChildFiles
    born: asyncio.Future[_Running]
    is_wanted: bool = True

    def kill(self) -> None:
        """End it, and what it may have become meanwhile. Not heard of yet: as soon as it is."""
        self.is_wanted = False
        self.begun.birth.look()
        child = self.begun.birth.pid
        if child is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)  # it may have no group of its own yet
            _kill_group(child)


class Commands:
    """Spawns commands, and sees to it that they are gone when nobody waits for them any more.

    `watch` has the reaper report the end of a process. `awaited` are all births that the loop
    waits for.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        environment: Mapping[str, str],
        watch: Watch,
        *,
        forks: ForkServer,
        awaited: Awaited,
        marks: Marks,
    ) -> None:
        self._loop = loop
        self._marks = marks
        self._environment = environment
        self._watch = watch
        self._forks = forks
        self._awaited = awaited
        self._on_the_way: set[_OnTheWay] = set()
        self._alive: dict[Pid, asyncio.Future[Outcome]] = {}

    async def run(self, spec: ProcessSpec) -> tuple[Outcome, bytes]:
        """How it ended, and the last it said on both its streams. SpawnError if it can't be run.

        Whoever stops waiting ends it, and all that it started.
        """
        output = _Output(self._loop)
        try:
            running = await self._spawned(spec, output)
            try:
                outcome = await running.ended
            finally:
                self._end(running)
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
        """End them all, now. Before that, `awaited` is to be closed."""
        for pid in self._alive:
            _kill_group(pid)
        for one in self._on_the_way:
            one.kill()
            one.begun.birth.close()
            one.files.close()
            one.born.cancel()
        self._on_the_way.clear()

    async def _spawned(self, spec: ProcessSpec, output: "_Output") -> _Running:
        files = _files_with(output)
        try:
            expect(self._forks, spec, files, None)
            with self._marks.handed_on(spec.id, may_outlive=may_outlive(spec)):
                begun = begin(spec, files, self._environment, forks=self._forks)
        except BaseException:
            files.close()
            raise
        if not isinstance(begun, Begun):
            files.close()
            return self._watched(begun)
        one = _OnTheWay(begun, files, self._loop.create_future())
        self._on_the_way.add(one)
        try:
            self._awaited.add(begun.birth, slow=_nothing, over=partial(self._over, one))
        except OSError:  # nothing left to wait with
            self._over(one)
        return await self._birth_of(one)

    async def _birth_of(self, one: _OnTheWay) -> _Running:
        """Who it has become. Whoever stops waiting ends it, and waits until it is gone.

        So there are no more on the way than may be asked at a time, whatever holds them up.
        """
        try:
            await asyncio.wait([one.born])
        except asyncio.CancelledError:
            if one.born.done():
                if one.born.exception() is None:
                    self._end(one.born.result())
            else:
                one.kill()
                await asyncio.wait([one.born])
            raise
        return one.born.result()

    def _over(self, one: _OnTheWay) -> None:
        """Its program has begun, or never will."""
        self._on_the_way.remove(one)
        try:
            running = self._watched(one.begun.finish())
        except Exception as error:  # noqa: BLE001 - for whoever waits
            if one.is_wanted:
                one.born.set_exception(error)
        else:
            if one.is_wanted:
                one.born.set_result(running)
            else:
                self._end(running)
        finally:
            one.files.close()
            if not one.is_wanted:
                one.born.cancel()

    def _watched(self, pid: Pid) -> _Running:
        ended = self._alive[pid] = self._loop.create_future()
        with suppress(OSError):  # out of descriptors: its end comes by SIGCHLD then
            # Whatever it has left in its group ends with it.
            self._watch(pid, self._ended, before=_kill_group)
        return _Running(pid, ended)

    def _end(self, running: _Running) -> None:
        """End it with its group, unless it has ended: then its number may be another's."""
        if self._alive.get(running.pid) is running.ended:
            _kill_group(running.pid)

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


def _files_with(output: _Output) -> ChildFiles:
    try:
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        os.close(output.write_end)
        raise
    end = output.write_end
    return ChildFiles(stdin=null, stdout=end, stderr=end, own=(null, end))


def _nothing() -> None:
    """It is slow, and holds up nobody."""


def _kill_group(leader: Pid) -> None:
    # PermissionError: all that is left of it runs as somebody else (a set-user-ID program).
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
