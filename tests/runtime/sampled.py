"""Process trees under a sampler: children that do as they are told, and a clock to move."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.cgroups import Cgroups
from opsvisor.runtime.leaves import Leaves
from opsvisor.runtime.oom import OomWatch
from opsvisor.runtime.reaper import usage_of
from opsvisor.runtime.sampler import Sampler
from opsvisor.runtime.sweep import Sweep

# Does as it is told on standard input and answers with one line when it has done so.
VICTIM = r"""
import ctypes, mmap, os, signal, sys, threading, time

kept = []

def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass

def fork(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid

def pause():
    while True:
        signal.pause()

def child(work, make=fork):
    there, back = os.pipe()
    def live():
        work()
        os.write(back, str(os.getpid()).encode())
        pause()
    make(live)
    pid = int(os.read(there, 20))
    os.close(there)
    os.close(back)
    return pid

def orphan(work):
    return child(work, lambda live: os.waitpid(fork(lambda: fork(live)), 0))

def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

def unreaped(work):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    pid = fork(work)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:  # when it has ended
        pass
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

def open_files(number):
    kept.extend(open("/dev/null") for _ in range(int(number)))

def share(number):
    kept.append(b"x" * int(number))
    return child(lambda: sum(kept[-1][::4096]))

def read_back(number):
    with open("/proc/self/cwd/mapped", "w+b") as file:
        file.write(b"x" * int(number))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(file.fileno(), int(number)) as mapped:
            mapped.madvise(mmap.MADV_RANDOM)
            sum(mapped[::4096])

def map_file(number):
    with open("/proc/self/cwd/mapped", "w+b") as file:
        file.truncate(int(number))
        kept.append(mmap.mmap(file.fileno(), int(number)))
    sum(kept[-1][::4096])

def switch(number):
    for _ in range(int(number)):
        time.sleep(0.0001)

def do(word, number=0.0):
    match word:
        case "burn":
            return burn(number)
        case "eat":
            return kept.append(b"x" * int(number))
        case "open":
            return open_files(number)
        case "leak":
            return child(lambda: open_files(number))
        case "share":
            return share(number)
        case "fault":
            return read_back(number)
        case "map":
            return map_file(number)
        case "thread":
            return in_thread(lambda: burn(number))
        case "threads":
            for _ in range(int(number)):
                threading.Thread(target=threading.Event().wait, daemon=True).start()
        case "switch":
            return switch(number)
        case "switch-in-thread":
            return in_thread(lambda: switch(number))
        case "switch-in-child":
            return os.waitpid(fork(lambda: switch(number)), 0)[0]
        case "switching":
            return child(lambda: switch(number))
        case "switching-threads":
            ready = threading.Barrier(3)
            def work():
                switch(number)
                ready.wait()
                threading.Event().wait()
            for _ in range(2):
                threading.Thread(target=work, daemon=True).start()
            ready.wait()
        case "end":
            os.kill(int(number), signal.SIGKILL)
            os.waitpid(int(number), 0)
        case "unreaped":
            return unreaped(lambda: burn(number))
        case "write":
            with open("/proc/self/cwd/file", "wb", buffering=0) as file:
                file.write(b"x" * int(number))
                os.fsync(file.fileno())
        case "rename":
            return ctypes.CDLL(None).prctl(15, b"a) R (b c)", 0, 0, 0)
        case "waited":
            return os.waitpid(fork(lambda: burn(number)), 0)[0]
        case "worker":
            return child(lambda: None)
        case "detached":
            return child(os.setsid)
        case "detached-burn":
            return child(lambda: (os.setsid(), burn(number)))
        case "greedy":
            os.waitpid(fork(lambda: kept.append(b"x" * int(number))), 0)
        case "zombie":
            pid = fork(lambda: burn(number))
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            return pid
        case "orphan":
            return orphan(lambda: burn(number))
        case "daemon":
            return orphan(lambda: (os.setsid(), burn(number)))

while line := sys.stdin.readline():
    word, *number = line.split()
    print(do(word, *map(float, number)) or 0, flush=True)
"""


class Victim:
    """A process under test that leads its own process group, as every program of ours does."""

    def __init__(self, folder: Path, entry: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [*entry, sys.executable, "-I", "-S", "-c", VICTIM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
            cwd=folder,
        )
        self.pid = Pid(self._process.pid)
        self.descendants: list[Pid] = []
        self.do("burn 0")  # an interpreter that starts up opens files and grows by itself

    def tell(self, command: str) -> None:
        """Have this begun; for what it does not survive."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def do(self, command: str) -> Pid:
        """Have this done; the pid that came of it, if any."""
        assert self._process.stdout is not None
        self.tell(command)
        answer = Pid(int(self._process.stdout.readline()))
        if answer and not command.startswith(("waited", "switch")):
            self.descendants.append(answer)
        return answer

    def end(self) -> Usage:
        """Kill the process itself and collect it; what it used."""
        os.kill(self.pid, signal.SIGKILL)
        return reap(self.pid)

    @property
    def output(self) -> int:
        """Inode of the pipe that its output comes out of."""
        assert self._process.stdout is not None
        return os.fstat(self._process.stdout.fileno()).st_ino

    def die(self) -> None:
        """Kill the process itself, and leave it a zombie."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def leave_nothing(self) -> None:
        """Kill all that is left of it."""
        for pid in [self.pid, *self.descendants]:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        self._process.returncode = 0
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def reap(pid: Pid) -> Usage:
    """Wait for a child of this process; what it and all it waited for used."""
    _, _, usage = os.wait4(pid, 0)
    return usage_of(usage)


def kill_and_reap(pid: Pid) -> Usage:
    """End an orphan that was handed to this process."""
    os.kill(pid, signal.SIGKILL)
    return reap(pid)


WEB = ProcessId("web", "web")
API = ProcessId("api", "api")


class World:
    """A sampler over roots that the test may change, on a clock that the test moves."""

    def __init__(
        self,
        roots: Mapping[str, Victim],
        *,
        cgroups: Cgroups | None = None,
        leaves: Leaves | None = None,
        oom: OomWatch | None = None,
        with_switches: bool = False,
    ) -> None:
        self.roots = {ProcessId(name, name): one.pid for name, one in roots.items()}
        self.pipes: dict[int, ProcessId] = {}
        self.now = 0.0
        self.oom = OomWatch() if oom is None else oom
        self.sampler = Sampler(
            lambda: self.roots,
            mono=lambda: self.now,
            wall=lambda: 1e9 + self.now,
            max_age=5.0,
            cgroups=cgroups,
            oom=self.oom,
            leaves=leaves,
            with_switches=with_switches,
            pipes=lambda: self.pipes,
        )

    def begin(self, victim: Victim, process_id: ProcessId = WEB) -> None:
        """A run begins, as the engine tells it."""
        self.roots[process_id] = victim.pid
        self.oom.run_began(victim.pid)
        self.sampler.run_began(process_id, victim.pid)

    async def look(self) -> None:
        """Sweep afresh."""
        self.now += 5.0
        await self.sampler.sweep()

    async def begin_to_look(self) -> asyncio.Future[Sweep]:
        """A sweep that has read everything, and whose answer the loop has not yet heard."""
        may_begin = threading.Event()
        self.sampler._thread.submit(may_begin.wait)
        under_way = asyncio.ensure_future(self.sampler.sweep())
        try:
            await asyncio.wait({under_way}, timeout=0)
        finally:
            may_begin.set()  # not before: the loop would hear of a short sweep at once
        self.sampler._right_of_way.close()  # or the loop, standing here, might keep it
        self.sampler._thread.submit(lambda: None).result()
        return under_way

    def cpu(self, process_id: ProcessId = WEB) -> float:
        """User and system seconds of this process."""
        return sum(self.sampler.cpu_seconds(process_id))

    def end(self, victim: Victim, process_id: ProcessId = WEB) -> Usage:
        """End its run and tell the sampler, as the engine does; what the run used."""
        del self.roots[process_id]
        usage = victim.end()
        self.sampler.run_ended(process_id, victim.pid, usage)
        return usage


class WorldOf(Protocol):
    """Makes a world of these processes."""

    def __call__(self, **roots: Victim) -> World:
        """Its sampler is closed at the end of the test."""
