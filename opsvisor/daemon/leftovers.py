"""What an earlier daemon left that can't be taken back: ended before anything is started.

Nobody knows any more how it was to be run, whether it was to be stopped, or where its output goes.
Beside it the same program would run twice, which is worse than an end.
"""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.daemon.host import HostError
from opsvisor.runtime.keeper.process import others as keepers
from opsvisor.runtime.marks import Marks
from opsvisor.runtime.proctree import Stat, read_machine, read_stat
from opsvisor.runtime.trees import Tree, end_trees

__all__ = ["end_all", "end_lost_keepers", "none_may_be_left"]

_KILLED_WITHIN = 10.0  # seconds that processes sent SIGKILL have to be gone
_SHOWN = 10  # pids in a message
_FIRST = Pid(1)
_NOBODYS = ProcessId("", "")


def end_all(
    marks: Marks,
    leaders: Iterable[Pid] = (),
    *,
    may_outlive: bool = True,
    spared: Iterable[ProcessId] = (),
) -> int:
    """Kill these processes with their groups, and all that bears our marks; how many there were.

    `may_outlive`: also what may outlive a stop. All of `spared` is left alone. HostError, and
    nothing is done, if they belong to somebody who lives; and if they can't be killed.
    """
    bearers = marks.of_daemon(may_outlive=may_outlive, spared=spared)
    groups = set(leaders)
    if not bearers and not groups:
        return 0
    machine = read_machine()
    found = {pid: machine[pid] for pid in bearers if pid in machine}
    found |= {pid: stat for pid, stat in machine.items() if stat.group in groups}
    found |= {pid: machine[pid] for pid in groups if pid in machine}
    found = {pid: stat for pid, stat in found.items() if not stat.is_zombie}
    found.pop(Pid(os.getpid()), None)
    _see_that_nobody_owns(found)
    tree = Tree(
        id=_NOBODYS,
        mark=marks.of(_NOBODYS),
        known=tuple((pid, stat.born) for pid, stat in found.items()),
    )
    until = time.monotonic() + _KILLED_WITHIN
    while any(end_trees([tree]).values()):
        if time.monotonic() > until:
            raise HostError(
                f"what an earlier daemon left can't be ended: {_in_words(found)}\n"
                "    hint: its programs would run twice, so nothing is started; see what these"
                " processes wait for"
            )
    return len(found)


def none_may_be_left(marks: Marks, problem: str) -> None:
    """HostError if anything bears our marks, though there is no state directory to say more."""
    left = marks.of_daemon(may_outlive=False)
    if left:
        raise HostError(
            f"programs of another opsvisord with this configuration run already:"
            f" {_in_words(left)}; {problem}\n"
            "    hint: put the state directory right, and they are taken back; or end them first"
        )


def end_lost_keepers(directory: Path, ours: Pid | None) -> bool:
    """End keepers of dead daemons that nobody can reach any more; whether there was one.

    Their directory was removed, and they hold its addresses.
    """
    heirs = _heirs()
    lost = []
    for pid in keepers(directory):
        stat = read_stat(pid)
        if pid != ours and stat is not None and stat.parent in heirs:
            lost.append((pid, stat.born))
    end_trees([Tree(id=_NOBODYS, mark=Marks().of(_NOBODYS), known=tuple(lost))])
    return bool(lost)


def _see_that_nobody_owns(found: dict[Pid, Stat]) -> None:
    heirs = _heirs()
    owners = {s.parent for s in found.values() if s.parent not in found and s.parent not in heirs}
    if owners:
        raise HostError(
            f"programs of another opsvisord with this state directory run, which lives:"
            f" {_in_words(owners)}\n"
            "    hint: its state directory was removed or replaced under it; end that daemon first"
            " (opsvisorctl shutdown)"
        )


def _heirs() -> set[Pid]:
    """To whom orphans fall: to the first process, or to one of those that have started us."""
    return {Pid(0), _FIRST, *_ancestors()}


def _ancestors() -> Iterator[Pid]:
    pid = Pid(os.getpid())
    while pid:
        yield pid
        stat = read_stat(pid)
        pid = Pid(0) if stat is None else stat.parent


def _in_words(pids: Iterable[Pid]) -> str:
    shown = sorted(pids)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f"pid {', '.join(map(str, shown[:_SHOWN]))}{more}"
