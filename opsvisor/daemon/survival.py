"""How the daemon survives its own end: what it leaves to the next one, and takes back."""

import asyncio
import os
import select
import time
from collections.abc import Callable, Iterable

from opsvisor.config.settings import LogLevel, OnCrash
from opsvisor.core.inputs import Resume, Start, Stop
from opsvisor.core.spec import Pid, ProcessId
from opsvisor.core.state import StartCause, StopCause, pid_of
from opsvisor.core.struct import replace
from opsvisor.core.supervisor import Supervisor
from opsvisor.daemon.footing import Footing
from opsvisor.daemon.hand_over import HandOver, KeeperMemento
from opsvisor.daemon.host import HostError, why_not_open
from opsvisor.daemon.leftovers import end_all, end_lost_keepers, none_may_be_left
from opsvisor.daemon.remembering import MarksMemento, Past, Remembering, Sources, past_of
from opsvisor.runtime.adoption import Adoption, Found, RunMemento
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.keeper import Keeper, WhenAlone, names
from opsvisor.runtime.ledger import LedgerMemento
from opsvisor.runtime.marks import Marks
from opsvisor.runtime.memory import foretold
from opsvisor.runtime.memory.codec import Undecodable
from opsvisor.runtime.memory.directory import StateDirectory
from opsvisor.runtime.memory.file import (
    NAME,
    DamagedError,
    MemoryFile,
    OtherWorldError,
    forget,
    read_memory,
    set_aside,
)
from opsvisor.runtime.memory.foretold import Foretold, ForetoldRun, read_foretold
from opsvisor.runtime.memory.identity import is_alive
from opsvisor.runtime.post_mortem import FinishedRun, PostMortemMemento
from opsvisor.runtime.reaper import OnExit
from opsvisor.runtime.sampler import ProcessSpentMemento, SamplerMemento

Log = Callable[[LogLevel, str], None]
Watch = Callable[[Pid, OnExit], None]

_KEEPER_ENDS_WITHIN = 2  # seconds that a daemon waits at its end; it usually takes a few ms
_OWN_DESCRIPTORS = 24  # what a daemon opens besides while it begins: addresses, memory, keeper


class Survival:
    """One life's dealings with the lives before and after it."""

    def __init__(self, footing: Footing, *, on_crash: OnCrash, log: Log) -> None:
        self._footing = footing
        self._directory = footing.directory
        self._on_crash = on_crash
        self._log = log
        self._past: Past | None = None
        self._is_damaged = False  # what an earlier daemon left as its memory
        self._is_behind = False  # it does not tell all
        self._memory: MemoryFile | None = None
        self._remembering: Remembering | None = None
        self._early: ForetoldRun | None = None  # by an earlier daemon
        self.foretold = Foretold(self._directory)  # by us
        self.keeper: Keeper | None = None
        self._keeps_for_us_alone = False

    @property
    def why_nobody_adopts(self) -> str:
        """What keeps the next daemon from taking the programs back, "" if nothing does."""
        if self._on_crash is OnCrash.KILL:
            return 'on_crash = "kill" does not let programs outlive their daemon'
        return "" if self._directory is not None else self._footing.problem

    def take_hold(self, watch: Watch, marks: Marks | None) -> None:
        """Be the one daemon with this state, and get hold of what was kept for us.

        LockedError if another daemon lives, HostError if programs do that only a directory tells
        of which we can't use (without `marks` they are our own). Before anything is done that this
        one might be doing.
        """
        directory = self._directory
        if directory is None:
            level = LogLevel.WARN if self._footing.is_trouble else LogLevel.INFO
            self._log(level, self._footing.problem)
            if marks is not None and self._footing.is_trouble:
                none_may_be_left(marks, self._footing.problem)
            return
        directory.lock()
        self._past = self._read(directory)
        self._early = None if self._past is None else read_foretold(directory)
        if self._past is not None and self._on_crash is OnCrash.ADOPT:
            _have_descriptors_for(self._past.runs)  # before anything is taken back
        self.keeper = self._new_keeper(directory, watch)
        self.keeper.open()
        self._keeps_for_us_alone = self._past is None and not self.keeper.kept

    def _new_keeper(self, directory: StateDirectory, watch: Watch) -> Keeper:
        return Keeper(
            directory.path,
            loop=asyncio.get_running_loop(),
            when_alone=WhenAlone.KILL if self._on_crash is OnCrash.KILL else WhenAlone.HOLD,
            warn=lambda line: self._log(LogLevel.WARN, line),
            watch=watch,
        )

    def take_over(self, past: HandOver, watch: Watch) -> None:
        """Have what another process had that became us by exec: its lock, and its keeper."""
        directory = self._directory
        lock = past.descriptors.get("lock")
        if directory is None or lock is None:
            self.take_hold(watch, None)  # this one has no state directory, or that one had none
            return
        directory.keep_lock(lock)
        self.keeper = self._new_keeper(directory, watch)
        connection = past.descriptors.get("keeper")
        if past.keeper is None or connection is None:
            self.keeper.open()
        else:
            held, owned = past.keeper.held, {*past.descriptors.values()}
            unclaimed = [name for name, one in held.items() if one not in owned]
            self.keeper.open_over(connection, past.keeper.pid, held, unclaimed=unclaimed)

    def hand_over(self) -> tuple[dict[str, int], KeeperMemento | None]:
        """What `take_over` of another process needs: descriptors by name, and of the keeper."""
        found: dict[str, int] = {}
        directory, keeper = self._directory, self.keeper
        if directory is not None and directory.lock_descriptor is not None:
            found["lock"] = directory.lock_descriptor
        if keeper is None or keeper.descriptor is None or keeper.pid is None:
            return found, None
        keeper.flush()
        found["keeper"] = keeper.descriptor
        return found, KeeperMemento(pid=keeper.pid, held=keeper.all_held())

    @property
    def path(self) -> str:
        """The state directory, "" without one."""
        return "" if self._directory is None else str(self._directory.path)

    @property
    def has_past(self) -> bool:
        """Whether there are programs of an earlier daemon to take back."""
        return self._past is not None

    async def rest(self) -> None:
        """Return when the keeper has done what it was told."""
        if self.keeper is not None:
            await self.keeper.settle()

    def end_lost_keepers(self) -> bool:
        """Free the addresses that a keeper holds whom nobody can reach; whether there was one."""
        if self._directory is None:
            return False
        ours = None if self.keeper is None else self.keeper.pid
        if not end_lost_keepers(self._directory.path, ours):
            return False
        self._log(LogLevel.WARN, "ended the keeper of an earlier daemon, which nobody can reach")
        return True

    def make_room(self, marks: Marks) -> None:
        """End what runs of an earlier daemon and is not taken back. HostError if that can't be.

        Before anything is started, and after it is certain that we are the one daemon here.
        """
        if self._directory is None:
            return
        keeper, past = self.keeper, self._past
        assert keeper is not None
        if past is not None:
            marks.seed = past.marks.seed
            if self._on_crash is OnCrash.ADOPT:
                if self._is_behind:
                    self._end_untold(marks, past)
                return
        kept = [pid for name in keeper.unclaimed if (pid := names.pid_in(name)) is not None]
        runs = [RunMemento(id=ProcessId("", ""), pid=pid) for pid in kept]
        runs += [run for run in (past.runs if past else ()) if run.pid not in kept]
        has_crashed = past is not None or self._is_damaged or bool(kept)
        self._end_all(runs, marks, may_outlive=has_crashed)
        self._past = None
        if self._is_damaged:  # only now: had we been killed, the next daemon must know of it too
            name = set_aside(self._directory)
            where = f"kept as {name}" if name else "can't be put aside"
            self._log(LogLevel.WARN, f"the memory that is not believed is {where}")

    def _end_untold(self, marks: Marks, past: Past) -> None:
        """End what was started when that could not be written any more."""
        told = [run.id for run in past.runs if run.pid and is_alive(run.pid, run.born)]
        count = end_all(marks, spared=told)
        self._log(
            LogLevel.WARN,
            "the last daemon could not write all that it did to its memory:"
            f" killed {count} processes that it does not tell of",
        )

    def begin(self, sources: Sources) -> None:
        """Take back what an earlier daemon left, and remember from now on. The engine is open."""
        directory = self._directory
        if directory is None:
            return
        began = time.monotonic()
        past, self._past = self._past, None
        if past is not None:
            sources.metrics.expect(past.counts)
            sources.sampler.recall(SamplerMemento(processes=_spent_of(past)))
            for process_id, runs in past.history.items():
                kept = tuple(run for _, run in runs)
                sources.post_mortems.recall(PostMortemMemento(id=process_id, runs=kept))
        self._remember(directory, sources, past)
        if past is not None:
            self._resume(past, sources.supervisor, sources.engine, began)
        self.foretold.open()  # what the last one told is remembered by now
        self.drop_unclaimed()

    def _resume(self, past: Past, supervisor: Supervisor, engine: Engine, began: float) -> None:
        keeper = self.keeper
        assert keeper is not None
        engine.resume(
            Resume(past.memento),
            Adoption(
                past.runs,
                early=self._early,
                claim=keeper.claim,
                drop=keeper.drop,
                marked=engine.marks.of_process,
            ),
        )
        lost = [one.spec.id for one in past.memento.processes if one.spec.id not in supervisor]
        doomed = {one.spec.id for one in past.memento.processes if one.memento.is_doomed}
        if set(lost) - doomed:
            # A bug. Whatever else it costs: nothing may be started beside what still runs.
            self._log(LogLevel.CRITICAL, "the programs of an earlier daemon can't be taken back")
            self._end_all(past.runs, engine.marks, may_outlive=True)
        alive = engine.live()
        ran = {one.spec.id: pid_of(one.memento.state) for one in past.memento.processes}
        ran = {process_id: pid for process_id, pid in ran.items() if pid is not None}
        ended = sum(alive.get(process_id) != pid for process_id, pid in ran.items())
        took = (time.monotonic() - began) * 1000
        if ran:
            count = len(ran) - ended
            processes = f"{count} process{'' if count == 1 else 'es'}"
            gone = f"; {ended} had ended" if ended else ""
            self._log(
                LogLevel.INFO,
                f"took back {processes} of an earlier daemon in {took:.0f} ms{gone}",
            )
        told_events = {group.name for group in past.memento.plan.groups if group.feed is not None}
        for process_id in sorted(one for one in alive if one.group in told_events):
            # What it said last may have been read by the daemon that is gone. It would wait for an
            # event, and we for its READY, for ever.
            engine.submit(Stop(process_id, StopCause.CONFIG))
            engine.submit(Start(process_id, StartCause.CONFIG))

    def go_on(self, past: HandOver, sources: Sources) -> None:
        """Remember from now on, as `begin` does, and at first all of what was handed over.

        Until that is written, the memory of the process before us is there, and true.
        """
        directory = self._directory
        if directory is None:
            return
        histories = (one for one in past.post_mortems if one.runs)
        handed_over = Past(
            version=past.upgrade.from_version,
            memento=past.supervisor,
            spent=past.sampler.processes,
            told={one.id: one.ledger.told for one in past.sampler.processes},
            marks=MarksMemento(seed=past.marks),
            history={one.id: tuple(enumerate(one.runs, 1)) for one in histories},
        )
        self._remember(directory, sources, handed_over)
        self.foretold.open()

    def _remember(self, directory: StateDirectory, sources: Sources, past: Past | None) -> None:
        """Begin a memory of our own, with what is known from before."""
        self._memory = MemoryFile(directory, on_problem=self._memory_problem)
        remembering = Remembering(self._memory, sources)
        if past is not None:
            remembering.recall(past)
        remembering.put_marks(MarksMemento(seed=sources.engine.marks.seed))
        self._remembering = remembering

    def drop_unclaimed(self) -> None:
        """Let go of what was kept for this life and nobody has wanted."""
        if self.keeper is not None:
            self.keeper.drop_unclaimed()

    def commit(self) -> None:
        """Have written what has changed; see Engine."""
        if self._remembering is not None:
            self._remembering.commit()

    def run_kept(self, process_id: ProcessId, run: FinishedRun) -> None:
        """Note that there is another run to be remembered."""
        if self._remembering is not None:
            self._remembering.run_kept(process_id, run)

    def swept(self) -> None:
        """Note what a sweep has found."""
        if self._remembering is not None:
            self._remembering.swept()

    def end(self, *, is_leaving: bool) -> None:
        """Be done: with nothing to remember, or (leaving) for the next daemon to go on.

        While leaving, before the engine lets go of anything.
        """
        self._remembering = None
        if self._memory is not None:
            self._memory.close()
        self.foretold.close()
        if self.keeper is not None:
            if is_leaving:
                self.keeper.leave()
            else:
                self._end_keeper(self.keeper)
        if self._directory is not None and self._memory is not None and not is_leaving:
            forget(self._directory)
            foretold.forget(self._directory)

    def give_up(self, leave: Callable[[Pid], None]) -> None:
        """We don't begin. What an earlier daemon left is left; a keeper of ours alone is ended.

        `leave` is told that whose end is no longer to be watched: the loop runs on for a while.
        """
        if self.keeper is not None and self._keeps_for_us_alone and self._memory is None:
            if self.keeper.pid is not None:
                leave(self.keeper.pid)
            self._end_keeper(self.keeper)

    @staticmethod
    def _end_keeper(keeper: Keeper) -> None:
        pid = keeper.pid
        keeper.close()
        if pid is None:
            return
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:  # another daemon had started it
            _until_ended(pid)

    # -- what is found -----------------------------------------------------------------------

    def _read(self, directory: StateDirectory) -> Past | None:
        path = directory.path / NAME
        try:
            contents = read_memory(directory)
            if contents is None:
                return None
            if contents.is_torn:
                self._log(
                    LogLevel.INFO, f"{path}: its last entry is incomplete, as a crash leaves it"
                )
            self._is_behind = contents.is_behind
            return past_of(contents.values)
        except OtherWorldError as error:
            self._log(LogLevel.INFO, f"{path} is not used: {error}")
        except (DamagedError, Undecodable) as error:
            self._is_damaged = True
            self._log(
                LogLevel.ERROR,
                f"{path} is not believed, and programs of an earlier daemon can't be taken back:"
                f" {error}",
            )
        return None

    def _end_all(self, runs: Iterable[RunMemento], marks: Marks, *, may_outlive: bool) -> None:
        """Kill these runs with their groups, and who bears our marks: see `end_all`."""
        keeper = self.keeper
        assert keeper is not None
        adoption = Adoption(claim=keeper.claim, drop=keeper.drop)
        found = [adoption.look_at(run, run.pid) for run in runs if run.pid]
        leaders = [one for one in found if isinstance(one, Found)]
        count = end_all(marks, [one.pid for one in leaders], may_outlive=may_outlive)
        if count:
            self._log(LogLevel.WARN, f"killed {count} processes of an earlier daemon")
        for one in leaders:
            keeper.drop(names.of_process(one.pid))
            if one.pidfd is not None:
                os.close(one.pidfd)

    def _memory_problem(self, problem: str) -> None:
        if problem:
            self._log(
                LogLevel.ERROR,
                f"{problem}: what happens now would not be known after a crash of this daemon",
            )
        else:
            self._log(LogLevel.INFO, "the memory is written again")


def _until_ended(pid: Pid) -> None:
    """Wait for the end of who is no child of ours, for a moment: it has nothing left to do."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # it has ended already, or there is no descriptor left
        return
    try:
        # Not select: a descriptor above 1023 is possible here.
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        ended.poll(_KEEPER_ENDS_WITHIN * 1000)
    finally:
        os.close(pidfd)


def _have_descriptors_for(runs: Iterable[RunMemento]) -> None:
    """HostError if what runs can't be taken back: whatever can't be looked at would seem gone."""
    running = [run for run in runs if run.pid or run.is_intended]
    pipes = sum(len(r.stdout) + len(r.stderr) + (r.stdin is not None) for r in running)
    problem = why_not_open(len(running) + pipes + _OWN_DESCRIPTORS)
    if problem:
        raise HostError(
            f"{len(running)} processes of an earlier daemon can't be taken back: {problem}\n"
            "    hint: raise ulimit -Hn, or LimitNOFILE= of the unit; they run on until then"
        )


def _spent_of(past: Past) -> tuple[ProcessSpentMemento, ...]:
    """What was used, with what was told of it last."""
    known = {spent.id: spent for spent in past.spent}
    for process_id, told in past.told.items():
        spent = known.get(process_id) or ProcessSpentMemento(id=process_id, ledger=LedgerMemento())
        ledger = replace(spent.ledger, told=spent.ledger.told.at_least(told))
        known[process_id] = replace(spent, ledger=ledger)
    return tuple(known.values())
