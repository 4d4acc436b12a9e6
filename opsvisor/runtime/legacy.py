"""What this daemon holds ready for the next one, from moment to moment.

The keeper holds copies of descriptors that would be closed with us; of each run it is to be known
which process and which pipes it is made of. The rule with the keeper is that a name is dropped
before its descriptor is closed, so whoever opens and closes pipes and pidfds tells of both here.
"""

from opsvisor.core.spec import NOBODY, Pid, ProcessId
from opsvisor.core.struct import Value
from opsvisor.runtime.adoption import RunMemento
from opsvisor.runtime.all_streams import AllStreams
from opsvisor.runtime.keeper import Keeper, names
from opsvisor.runtime.keeper.names import NameOfPipe

_Pipes = tuple[int, ...]  # inodes


class _Made(Value, frozen=True):
    """A run that is there. Its pipes are not noted: see `run_of`."""

    pid: Pid
    born: int


class _Intended(Value, frozen=True):
    """A run that is about to be made, not before this tick."""

    since: int


class Legacy:
    """Runs and descriptors as another daemon would need them. Without a `keeper`, runs only.

    `streams` are asked for the pipes of a run: they are made after this, which they tell of them.
    """

    def __init__(self) -> None:
        self.keeper: Keeper | None = None
        self.streams: AllStreams | None = None
        self._runs: dict[ProcessId, _Made | _Intended | None] = {}  # None: it is over
        self._expected: dict[ProcessId, RunMemento] = {}
        self._changed: dict[ProcessId, None] = {}

    # -- runs --------------------------------------------------------------------------------

    @property
    def runs(self) -> list[RunMemento]:
        """What is to be known of the latest run of each process."""
        return [self.run_of(process_id) for process_id in self._runs]

    def run_of(self, process_id: ProcessId) -> RunMemento:
        """What is to be known of its latest run, with the pipes that its process has now."""
        run, expected = self._runs.get(process_id), self._expected.get(process_id)
        stdout: _Pipes = ()
        stderr: _Pipes = ()
        stdin: int | None = None
        if expected is not None:
            stdout, stderr, stdin = expected.stdout, expected.stderr, expected.stdin
        elif self.streams is not None and (streams := self.streams.get(process_id)) is not None:
            stdout, stderr, stdin = streams.pipes_by_stream
        match run:
            case _Made(pid=pid, born=born):
                return RunMemento(
                    id=process_id, pid=pid, born=born, stdout=stdout, stderr=stderr, stdin=stdin
                )
            case _Intended(since=since):
                return RunMemento(
                    id=process_id,
                    is_intended=True,
                    intended_at=since,
                    stdout=stdout,
                    stderr=stderr,
                    stdin=stdin,
                )
            case None:
                return RunMemento(id=process_id, stdout=stdout, stderr=stderr, stdin=stdin)

    def has_run(self, process_id: ProcessId) -> bool:
        """Whether a run of it is there."""
        return isinstance(self._runs.get(process_id), _Made)

    def intend(self, process_id: ProcessId, since: int) -> None:
        """A run is about to be made with the pipes that are open, not before this tick."""
        self._expected.pop(process_id, None)
        self._runs[process_id] = _Intended(since)
        self._changed[process_id] = None

    def made(self, process_id: ProcessId, pid: Pid, born: int) -> None:
        """The run is there. Known with the change of its process that follows.

        Whoever calls this must submit an input for the process that changes it.
        """
        self._runs[process_id] = _Made(pid, born)

    def ended(self, process_id: ProcessId) -> None:
        """The run is over; the same holds."""
        self._runs[process_id] = None

    def expect(self, run: RunMemento) -> None:
        """An earlier daemon left this run, which is about to be taken back."""
        made = None if run.pid == NOBODY else _Made(run.pid, run.born)
        self._runs[run.id] = _Intended(run.intended_at) if run.is_intended else made
        self._expected[run.id] = run
        self._changed[run.id] = None

    def taken_back(self, process_id: ProcessId) -> None:
        """The pipes of this process are open here, as far as they could be."""
        self._expected.pop(process_id, None)

    def all_taken_back(self) -> None:
        """Whatever was expected and is not taken back will not be."""
        self._expected.clear()

    def forget(self, process_id: ProcessId) -> None:
        """The process is gone for good."""
        self._runs.pop(process_id, None)
        self._expected.pop(process_id, None)
        self._changed.pop(process_id, None)

    def take_changed(self) -> list[ProcessId]:
        """Of whose runs there is news since this was last asked."""
        changed = list(self._changed)
        self._changed.clear()
        return changed

    # -- descriptors -------------------------------------------------------------------------

    def pipe(self, name_of: NameOfPipe, inode: int, descriptor: int, is_open: bool) -> None:  # noqa: FBT001 - a callback
        """One of our ends of a pipe was opened, or is about to be closed."""
        self._tell(name_of(inode), descriptor if is_open else None)

    def socket(self, url: str, descriptor: int | None) -> None:
        """A socket that programs share was made, or (None) is about to be closed."""
        self._tell(names.of_socket(url), descriptor)

    def pidfd(self, pid: Pid, descriptor: int | None) -> None:
        """A process is watched by this pidfd; None: by none any more."""
        self._tell(names.of_process(pid), descriptor)

    def keep(self) -> None:
        """Have kept what has come up since, all at once, and tell now of what was dropped."""
        # The keeper is busy with that while we make a process, unless that was made early: where
        # that begins on the keeper's processor, it is awake by then. 0.08 ms earlier (of 0.87).
        if self.keeper is not None:
            self.keeper.flush()

    def _tell(self, name: str, descriptor: int | None) -> None:
        if self.keeper is None:
            return
        if descriptor is None:
            self.keeper.drop(name)
        else:
            self.keeper.opened(name, descriptor)
