"""Totals of a process tree that survive its members, and never fall."""

from typing import Self

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct, replace
from opsvisor.runtime.cgroups import Throttling
from opsvisor.runtime.leaves import CpuTime
from opsvisor.runtime.proctree import NOTHING, Spent, add_up


class LedgerMemento(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The sums of a ledger; see there. `measured` is left out: whoever measured it knows."""

    finished: Spent = NOTHING
    living: tuple[tuple[Pid, Spent], ...] = ()
    gone: Spent = NOTHING
    told: Spent = NOTHING


class Ledger:
    """What one process has used since it entered the plan, over all its runs.

    Three sums: runs that are over, orphans that were reaped, and members that live. Nothing may be
    in two of them, so what ends leaves the third before it enters one of the others.
    """

    def __init__(self) -> None:
        self._finished = NOTHING
        self._living: dict[Pid, Spent] = {}
        self._gone = NOTHING  # switches of members that are gone, in this run
        self._measured: CpuTime | None = None
        self._told = NOTHING
        self._is_told = True  # whether `_told` is up to date

    @classmethod
    def recall(cls, memento: LedgerMemento) -> Self:
        """A ledger that goes on where another one was."""
        ledger = cls()
        ledger._finished = memento.finished
        ledger._living = dict(memento.living)
        ledger._gone = memento.gone
        ledger._told = memento.told
        ledger._is_told = False
        return ledger

    def remember(self) -> LedgerMemento:
        """What another ledger needs to go on."""
        return LedgerMemento(
            finished=self._finished,
            living=tuple(self._living.items()),
            gone=self._gone,
            told=self.total(),
        )

    def saw(self, living: dict[Pid, Spent]) -> None:
        """A sweep found these members alive.

        CPU time and bytes of a member that is gone are in the numbers of the one that waited for
        it; its context switches are in nobody's until that has ended, too.
        """
        for pid, last_seen in self._living.items():
            if pid not in living and last_seen.voluntary_switches:
                self._gone = self._gone.plus(_switches_of(last_seen))
        self._living = living
        self._is_told = False

    def run_ended(self, root: Pid, usage: Usage) -> None:
        """The run of this root is over; rusage knows nothing of bytes, so its last seen count."""
        seen = self._sum()
        self._finish(self._living.get(root, NOTHING), usage)
        self._living = {}
        self._gone = NOTHING
        self._keep_switches(seen)

    def orphan_reaped(self, pid: Pid, usage: Usage) -> None:
        """A descendant that became our child is over."""
        self._finish(self._living.pop(pid, NOTHING), usage)

    def measured(self, cpu: CpuTime | None) -> None:
        """A cgroup knows the CPU time of all runs: that goes for it. None: it does no longer."""
        if cpu is None and self._measured is not None:
            # From what was told on: what the sums do not know stays known.
            told, summed = self.total(), self._sum()
            self._finished = self._finished.plus(
                Spent(
                    user_seconds=max(0.0, told.user_seconds - summed.user_seconds),
                    system_seconds=max(0.0, told.system_seconds - summed.system_seconds),
                )
            )
        self._is_told = self._is_told and cpu == self._measured
        self._measured = cpu

    def total(self) -> Spent:
        """The sum of everything; never less than what was told before."""
        if not self._is_told:
            total = self._sum()
            measured = self._measured
            if measured is not None and not _is_beyond(total, measured):
                total = total._replace(user_seconds=measured.user, system_seconds=measured.system)
            if total != self._told:  # what sleeps has used nothing since
                self._told = self._told.at_least(total)
            self._is_told = True
        return self._told

    def _keep_switches(self, seen: Spent) -> None:
        """Rusage has those of who was waited for. What was seen of the others stays."""
        now = self._sum()
        if seen.voluntary_switches <= now.voluntary_switches and (
            seen.involuntary_switches <= now.involuntary_switches
        ):
            return
        self._finished = self._finished._replace(
            voluntary_switches=self._finished.voluntary_switches
            + max(0, seen.voluntary_switches - now.voluntary_switches),
            involuntary_switches=self._finished.involuntary_switches
            + max(0, seen.involuntary_switches - now.involuntary_switches),
        )

    def _sum(self) -> Spent:
        if not self._living and self._gone is NOTHING:
            return self._finished  # between two runs, or before anybody has looked at this one
        # Most trees are a single process in its first run, and there is nothing to add up.
        living = self._living.values()
        total = next(iter(living)) if len(living) == 1 else add_up(living)
        for one in (self._finished, self._gone):
            if one is not NOTHING:
                total = total.plus(one)
        return total

    def _finish(self, last_seen: Spent, usage: Usage) -> None:
        self._is_told = False
        before = self._finished
        self._finished = Spent(
            user_seconds=before.user_seconds + usage.user_seconds,
            system_seconds=before.system_seconds + usage.system_seconds,
            io_read_bytes=before.io_read_bytes + last_seen.io_read_bytes,
            io_written_bytes=before.io_written_bytes + last_seen.io_written_bytes,
            major_faults=before.major_faults + usage.major_faults,
            voluntary_switches=before.voluntary_switches + usage.voluntary_switches,
            involuntary_switches=before.involuntary_switches + usage.involuntary_switches,
        )


def _is_beyond(summed: Spent, measured: CpuTime) -> bool:
    """Whether the sums know of clearly more than the cgroup: the program has left it.

    They can't otherwise. Clearly, because the two are read at different instants, and must not
    take turns: they split user and system time differently.
    """
    inside = measured.user + measured.system
    return summed.user_seconds + summed.system_seconds > inside * 1.02 + 0.25


def _switches_of(spent: Spent) -> Spent:
    return NOTHING._replace(
        voluntary_switches=spent.voluntary_switches,
        involuntary_switches=spent.involuntary_switches,
    )


class ThrottlingMemento(Struct, frozen=True, kw_only=True):
    """What the cgroup had counted when it was last seen, and the sum over all of them."""

    seen: Throttling
    total: Throttling


class ThrottleLedger:
    """How often a process was held back by its CPU quota, over all cgroups it was in.

    What a cgroup had counted before the process was first seen in it is not counted.
    """

    def __init__(self, seen: Throttling) -> None:
        self._seen = seen
        self._total = replace(seen, periods=0, throttled_periods=0, throttled_seconds=0.0)

    @classmethod
    def recall(cls, memento: ThrottlingMemento) -> Self:
        """A ledger that goes on where another one was."""
        ledger = cls(memento.seen)
        ledger._total = memento.total
        return ledger

    def remember(self) -> ThrottlingMemento:
        """What another ledger needs to go on."""
        return ThrottlingMemento(seen=self._seen, total=self._total)

    def saw(self, seen: Throttling) -> None:
        """A sweep read this."""
        before = self._seen
        self._seen = seen
        if seen.folder != before.folder:
            return
        if seen.periods < before.periods:  # removed and made again under the same name
            before = replace(seen, periods=0, throttled_periods=0, throttled_seconds=0.0)
        total = self._total
        self._total = replace(
            total,
            periods=total.periods + seen.periods - before.periods,
            throttled_periods=(
                total.throttled_periods + seen.throttled_periods - before.throttled_periods
            ),
            throttled_seconds=(
                total.throttled_seconds + seen.throttled_seconds - before.throttled_seconds
            ),
        )

    def total(self) -> Throttling:
        """The sum of everything; never less than what was told before."""
        return self._total
