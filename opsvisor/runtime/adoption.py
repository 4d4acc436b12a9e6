"""Taking back what an earlier daemon started: is it still there, and where are its pipes?

Theory of operation
-------------------
Of each run it is remembered which process it is (pid and the tick it was born in) and which pipes
it was given (inodes). Before a process is made, its pipes are remembered: that is the intention.
Or it was foretold with them, while the run before it is remembered as if it still were.

* A run that has ended is told from one that lives by a pidfd which the keeper held for us, or else
  by pid and birth. A pid alone may be anybody's by now.
* A spawn that was asked for, and perhaps made, is found by its pipes, which only its children have
  too, and by its mark, if it was born after the intention: it may have left its process group and
  let go of its pipes since. Of all who are found it is the parent, and the oldest. That none
  is in the making any more is certain, because the lock of the state directory outlives a fork.
* What earlier runs left behind bears the mark too, and may have forked since the intention. Who
  comes of that is told by its parents, its group, its session or the pipes of an earlier run,
  none of which a new run has from its daemon.
* The ends of pipes come from the keeper, else from /proc/PID/fd, where a pipe can be opened anew.
  Only one with the right inode is: a program that has redirected its output since keeps what it
  has, and we keep our hands off it.
"""

import contextlib
import ctypes
import os
import socket
from collections.abc import Callable, Collection, Iterable, Iterator

from opsvisor.core.spec import NOBODY, Pid, ProcessId
from opsvisor.core.struct import Value
from opsvisor.runtime.keeper import names
from opsvisor.runtime.memory.foretold import ForetoldRun
from opsvisor.runtime.memory.identity import is_alive
from opsvisor.runtime.pidfd import UNKNOWN, End, birth_of, end_of, has_ended
from opsvisor.runtime.proctree import Stat, read_machine, read_stat

_SYS_PIDFD_GETFD = 438  # the same on every architecture, Linux 5.6

Claim = Callable[[str], int | None]


class RunMemento(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The latest run of a process. `pid` 0: there is none.

    `is_intended`: it is about to be made, not before the tick `intended_at`. `born` is the tick
    after boot in which it was. `stdout` and `stderr` are the inodes of the pipes that are read:
    those that earlier runs left behind first, that of this run last.
    """

    id: ProcessId
    pid: Pid = NOBODY
    born: int = 0
    is_intended: bool = False
    intended_at: int = 0
    stdout: tuple[int, ...] = ()
    stderr: tuple[int, ...] = ()
    stdin: int | None = None

    @property
    def own_pipes(self) -> frozenset[int]:
        """Inodes of the pipes that were made for this run."""
        latest = {*self.stdout[-1:], *self.stderr[-1:]}
        return frozenset(latest if self.stdin is None else latest | {self.stdin})


class Found(Value, frozen=True):
    """A run that lives, or may have ended just now. `pidfd` None: it is still to be opened."""

    pid: Pid
    born: int
    pidfd: int | None


class Adoption:
    """Looks for what runs left.

    `claim` gives a descriptor that was kept under a name, if any; `drop` is told of the name
    before such a one is closed here. `is_exact`: what is remembered is all there is to know.
    `early`: a run that was about to be made when that of `runs` had ended and was not told yet.
    """

    is_exact = False

    def __init__(
        self,
        runs: Iterable[RunMemento] = (),
        *,
        early: ForetoldRun | None = None,
        claim: Claim = lambda _name: None,
        drop: Callable[[str], None] = lambda _name: None,
        marked: Callable[[ProcessId], list[Pid]] = lambda _id: [],
    ) -> None:
        self._runs = {run.id: run for run in runs}
        self._early = early
        self._claim = claim
        self._drop = drop
        self._marked = marked
        self._spawned: dict[int, Pid] | None = None  # by the inode of a pipe

    def run_of(self, process_id: ProcessId) -> RunMemento:
        """What is known of its latest run."""
        return self._runs.get(process_id) or RunMemento(id=process_id)

    def look_at(self, run: RunMemento, pid: Pid) -> Found | End:
        """The run of this pid if it is alive, else how it ended, as far as that can be known."""
        if run.pid != pid:
            return UNKNOWN  # its end had been seen
        name = names.of_process(pid)
        pidfd = self._claim(name)
        if pidfd is None:
            return _look_for(run)
        end = end_of(run.pid, pidfd, born=run.born) if has_ended(pidfd) else None
        if end is None:
            return Found(run.pid, run.born, pidfd)
        self._drop(name)
        os.close(pidfd)
        # It may have been that of an earlier process, whose number was given away again.
        return _look_for(run) if is_alive(run.pid, run.born) else end

    def find_spawn(self, run: RunMemento, after: Pid = NOBODY) -> Found | End | None:
        """The process that was made with the pipes of this run, None if there is none.

        `after`: the pid that the run before it had, if that is known.
        """
        if run.pid:  # it was made, and that was noted: but not yet what followed
            return self.look_at(run, run.pid)
        if not run.is_intended:
            return None
        if self._spawned is None:
            intended = (one for one in self._runs.values() if one.is_intended)
            early = () if self._early is None else self._early.pipes
            pipes = {*early, *(pipe for one in intended for pipe in one.own_pipes)}
            self._spawned = _leaders_by_pipe(pipes)
        pids = {self._spawned[pipe] for pipe in run.own_pipes if pipe in self._spawned}
        stats = [stat for pid in pids if (stat := read_stat(pid)) is not None]
        stats += self._marked_since(run, after)
        living = [stat for stat in stats if not stat.is_zombie]
        found = {stat.pid for stat in living}

        def unlikeliness(stat: Stat) -> tuple[bool, bool, int, Pid]:
            # Not a child of it, with the same pipes and a group of its own, born in the same tick.
            # And rather not who has neither: an orphan of what was left behind may be older.
            is_as_made = stat.group == stat.pid or _has_one_of(run.own_pipes, stat.pid)
            return stat.parent in found, not is_as_made, stat.born, stat.pid

        likeliest = min(living, key=unlikeliness, default=None)
        return None if likeliest is None else Found(likeliest.pid, likeliest.born, None)

    def find_early(self, process_id: ProcessId) -> tuple[RunMemento, Found] | None:
        """The run of this process that followed the one that is remembered, if it was made.

        With the pipes of both.
        """
        early, last = self._early, self.run_of(process_id)
        if early is None or early.id != process_id or last.is_intended:
            return None
        if last.pid not in {early.last, NOBODY} or last.own_pipes.intersection(early.pipes):
            return None  # an old story, or it is the one that is remembered
        run = RunMemento(
            id=process_id,
            stdout=(*last.stdout, *early.pipes[:1]),
            stderr=(*last.stderr, early.pipes[1]) if len(early.pipes) > 1 else (),
            is_intended=True,
            intended_at=early.since,
        )
        found = self.find_spawn(run, after=early.last)
        return (run, found) if isinstance(found, Found) else None

    def _marked_since(self, run: RunMemento, after: Pid) -> list[Stat]:
        """Who may be this run, or come of it, whatever has become of its group and its pipes."""
        if not run.intended_at:
            return []
        marked = [stat for pid in self._marked(run.id) if (stat := read_stat(pid)) is not None]
        elders = [stat for stat in marked if stat.born < run.intended_at]
        left = _LeftBehind(run, elders, after)
        since = (stat for stat in marked if stat.born >= run.intended_at)
        return [stat for stat in since if not left.has_made(stat)]

    def reader(self, pipe: int, pid: Pid | None) -> int | None:
        """Our end of a pipe with output; from the process itself, if it lives and has it still."""
        kept = self._claim(names.of_output(pipe))
        return kept if kept is not None or pid is None else _reopened(pid, pipe, os.O_RDONLY)

    def writer(self, pipe: int, pid: Pid | None) -> int | None:
        """Our end of the pipe to a standard input, likewise."""
        kept = self._claim(names.of_input(pipe))
        return kept if kept is not None or pid is None else _reopened(pid, pipe, os.O_WRONLY)

    def listener(self, url: str, pid: Pid | None) -> socket.socket | None:
        """The socket that a program listens on as its standard input, likewise."""
        descriptor = self._claim(names.of_socket(url))
        if descriptor is None and pid is not None:
            descriptor = _copied(pid, 0)
        return None if descriptor is None else _listening(descriptor)


class _LeftBehind:
    """What earlier runs of a process left behind, and may have forked since."""

    def __init__(self, run: RunMemento, elders: Collection[Stat], leader: Pid) -> None:
        self._run = run
        self._earlier_pipes = {*run.stdout, *run.stderr} - run.own_pipes
        self._groups = {leader, *(elder.group for elder in elders)} - {NOBODY}
        self._pids = {leader, *(elder.pid for elder in elders)} - {NOBODY}

    def has_made(self, stat: Stat) -> bool:
        """Whether this one, born after the latest run was intended, comes of them, not of it."""
        if _has_one_of(self._run.own_pipes, stat.pid):
            return False
        return (
            stat.group in self._groups
            or stat.session in self._pids
            or _has_one_of(self._earlier_pipes, stat.pid)
            or self._is_ancestor_of(stat)
        )

    def _is_ancestor_of(self, stat: Stat) -> bool:
        child: Stat | None = stat
        while child is not None and child.parent:
            if child.parent in self._pids:
                return True
            child = read_stat(child.parent)
        return False


def _look_for(run: RunMemento) -> Found | End:
    """As `look_at`, where no pidfd was kept."""
    try:
        pidfd = os.pidfd_open(run.pid)
    except ProcessLookupError:
        return UNKNOWN
    except OSError:  # no descriptors left
        return Found(run.pid, run.born, None) if birth_of(run.pid) == run.born else UNKNOWN
    if birth_of(run.pid) != run.born:  # asked while the pidfd holds whom it names
        os.close(pidfd)
        return UNKNOWN
    end = end_of(run.pid, pidfd, born=run.born) if has_ended(pidfd) else None
    if end is None:
        return Found(run.pid, run.born, pidfd)
    os.close(pidfd)
    return end


def _leaders_by_pipe(pipes: set[int]) -> dict[int, Pid]:
    """Who leads a process group and has one of these pipes as a standard stream, by the pipe."""
    found: dict[int, Pid] = {}
    if not pipes:
        return found
    machine = read_machine().values()
    for stat in sorted((s for s in machine if s.group == s.pid), key=lambda s: s.born):
        for pipe in _pipes_at(stat.pid, (0, 1, 2)):
            if pipe in pipes:
                found.setdefault(pipe, stat.pid)
    return found


def _has_one_of(pipes: Collection[int], pid: Pid) -> bool:
    """Whether one of these pipes is a standard stream of a process, as far as can be seen."""
    return bool(pipes) and any(pipe in pipes for pipe in _pipes_at(pid, (0, 1, 2)))


def _pipes_at(pid: Pid, descriptors: Iterable[int]) -> Iterator[int]:
    for descriptor in descriptors:
        with contextlib.suppress(OSError, ValueError):
            link = os.readlink(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH115 - many of them
            if link.startswith("pipe:["):
                yield int(link[6:-1])


def _reopened(pid: Pid, pipe: int, flags: int) -> int | None:
    """A descriptor of our own for a pipe that this process has, None if it has it no more."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 - numbers, not paths
    except OSError:
        return None
    # Standard streams first: there it is, as a rule.
    for name in sorted(names, key=lambda name: (len(name), name)):
        path = f"{folder}/{name}"
        try:
            # Looked at before it is opened: to open a device or a FIFO may do things.
            if os.readlink(path) != f"pipe:[{pipe}]":  # noqa: PTH115 - as above
                continue
            descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        if os.fstat(descriptor).st_ino == pipe:
            return descriptor
        os.close(descriptor)
    return None


def _copied(pid: Pid, descriptor: int) -> int | None:
    """A copy of a descriptor of another process, for which we need the right to debug it."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        copy: int = ctypes.CDLL(None).syscall(_SYS_PIDFD_GETFD, pidfd, descriptor, 0)
    finally:
        os.close(pidfd)
    return copy if copy >= 0 else None


def _listening(descriptor: int) -> socket.socket | None:
    """The socket behind a descriptor if it listens; else it is closed."""
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        return None
    with contextlib.suppress(OSError):
        if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return found
    found.close()
    return None
