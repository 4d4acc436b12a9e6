"""What this daemon holds ready for the next one, from moment to moment.

The keeper holds copies of descriptors that would be closed with us; of each run it is noted which
process and which pipes it is made of. The rule with the keeper is that a name is dropped before
its descriptor is closed, so whoever opens and closes pipes and pidfds tells of both here.
"""

from opsvisor.core.spec import Pid, ProcessId
from opsvisor.runtime.adoption import RunMemento
from opsvisor.runtime.keeper import Keeper, names
from opsvisor.runtime.keeper.names import NameOfPipe


class Legacy:
    """Runs and descriptors as another daemon would need them. Without a `keeper`, runs only."""

    def __init__(self) -> None:
        self.keeper: Keeper | None = None
        self._new: dict[str, int] = {}  # to be kept
        self._runs: dict[ProcessId, RunMemento] = {}
        self._changed: dict[ProcessId, None] = {}

    # -- runs --------------------------------------------------------------------------------

    @property
    def runs(self) -> list[RunMemento]:
        """What is to be known of the latest run of each process."""
        return list(self._runs.values())

    def run_of(self, process_id: ProcessId) -> RunMemento:
        """What is to be known of its latest run."""
        return self._runs.get(process_id) or RunMemento(id=process_id)

    def note(self, run: RunMemento) -> None:
        """This is the latest run of its process, or there is news of it."""
        self.note_along(run)
        self._changed[run.id] = None

    def note_along(self, run: RunMemento) -> None:
        """The same, to be written with the change of the process that follows.

        Whoever calls this must submit an input for the process that changes it.
        """
        self._runs[run.id] = run

    def forget(self, process_id: ProcessId) -> None:
        """The process is gone for good."""
        self._runs.pop(process_id, None)
        self._changed.pop(process_id, None)

    def take_changed(self) -> list[RunMemento]:
        """What is new since this was last asked."""
        if not self._changed:
            return []
        changed = [self._runs[process_id] for process_id in self._changed]
        self._changed.clear()
        return changed

    # -- descriptors -------------------------------------------------------------------------

    def pipe(self, name_of: NameOfPipe, inode: int, descriptor: int, is_open: bool) -> None:  # noqa: FBT001 - a callback
        """One of our ends of a pipe was opened, or is about to be closed."""
        if self.keeper is None:
            return
        name = name_of(inode)
        if is_open:
            self._new[name] = descriptor
        else:
            self._drop(name)

    def socket(self, url: str, descriptor: int | None) -> None:
        """A socket that programs share was made, or (None) is about to be closed."""
        if descriptor is None:
            self._drop(names.of_socket(url))
        else:
            self._new[names.of_socket(url)] = descriptor

    def pidfd(self, pid: Pid, descriptor: int | None) -> None:
        """A process is watched by this pidfd; None: by none any more."""
        if descriptor is None:
            self._drop(names.of_process(pid))
        else:
            self._new[names.of_process(pid)] = descriptor

    def keep(self) -> None:
        """Have kept what has come up since, all at once, and tell now of what was dropped."""
        if self.keeper is None:
            self._new.clear()
        elif self._new:
            held = self.keeper.held
            self.keeper.keep_all({n: fd for n, fd in self._new.items() if held.get(n) != fd})
            self._new.clear()
        else:
            # It is busy with that while we make a process, unless that was made early: where that
            # begins on the keeper's processor, it is awake by then. 0.08 ms earlier (of 0.87).
            self.keeper.flush()

    def _drop(self, name: str) -> None:
        self._new.pop(name, None)
        if self.keeper is not None:  # which may have it from a daemon before us, new as it is here
            self.keeper.drop(name)
