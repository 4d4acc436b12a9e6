"""Facts of the core as Supervisor's events: their names, and their payloads to the letter.

Where we have a move that Supervisor has not, it is told as what it is, in Supervisor's form. These
are EXITED -> BACKOFF (restarts after a run are paced), STARTING -> EXITED (a start that ends while
everything is being stopped), BACKOFF -> STOPPED at shutdown, which Supervisor calls FATAL, and
STOPPING -> EXITED or BACKOFF (stopped because a probe failed, for its restart policy to judge).
"""

from collections.abc import Iterable
from typing import assert_never

from opsvisor.compat.supervisor.undecodable import as_text
from opsvisor.core.events import StateChanged, SupervisorStateChanged
from opsvisor.core.plan import PlanDiff
from opsvisor.core.spec import ProcessId
from opsvisor.core.state import PublicState
from opsvisor.core.struct import Struct
from opsvisor.runtime.output import Output


class ListenerEvent(Struct, frozen=True):
    """One event as listeners are told of it. `name` is one of names.KINDS."""

    name: str
    payload: str


SUPERVISOR_RUNNING = ListenerEvent("SUPERVISOR_STATE_CHANGE_RUNNING", "")
_SUPERVISOR_STOPPING = ListenerEvent("SUPERVISOR_STATE_CHANGE_STOPPING", "")


def state_changed(event: StateChanged, *, expected: bool) -> ListenerEvent:
    """PROCESS_STATE_x. `expected` is about the exit that the change follows from, if one."""
    pid = event.pid or 0
    match event.new:
        case PublicState.STARTING | PublicState.BACKOFF:
            more = f" tries:{event.failed_starts}"
        case PublicState.RUNNING | PublicState.STOPPING | PublicState.STOPPED:
            more = f" pid:{pid}"
        case PublicState.EXITED:
            more = f" expected:{int(expected)} pid:{pid}"
        case PublicState.FATAL | PublicState.UNKNOWN:
            more = ""
        case never:
            assert_never(never)
    payload = f"{_whose(event.id)} from_state:{event.old.value}{more}"
    return ListenerEvent(f"PROCESS_STATE_{event.new.value}", payload)


def supervisor_state_changed(event: SupervisorStateChanged) -> list[ListenerEvent]:
    """SUPERVISOR_STATE_CHANGE_STOPPING, once.

    Not SUPERVISOR_RUNNING: there it comes after the groups, here the state comes before them.
    """
    begins_to_end = event.new.is_ending and not event.old.is_ending
    return [_SUPERVISOR_STOPPING] if begins_to_end else []


def group_added(group: str) -> ListenerEvent:
    """PROCESS_GROUP_ADDED, whose payload is the only one that ends its line."""
    return ListenerEvent("PROCESS_GROUP_ADDED", f"groupname:{group}\n")


def group_removed(group: str) -> ListenerEvent:
    """PROCESS_GROUP_REMOVED."""
    return ListenerEvent("PROCESS_GROUP_REMOVED", f"groupname:{group}\n")


def printed(output: Output) -> ListenerEvent:
    """PROCESS_LOG_x, or PROCESS_COMMUNICATION_x for what stood between the two markers."""
    channel = output.stream.value
    head, text = f"{_whose(output.id)} pid:{output.pid}", as_text(output.text)
    if output.is_message:
        return ListenerEvent(f"PROCESS_COMMUNICATION_{channel.upper()}", f"{head}\n{text}")
    return ListenerEvent(f"PROCESS_LOG_{channel.upper()}", f"{head} channel:{channel}\n{text}")


def remote(kind: str, text: str) -> ListenerEvent:
    """REMOTE_COMMUNICATION: what a client had to say to listeners."""
    return ListenerEvent("REMOTE_COMMUNICATION", f"type:{kind}\n{text}")


def tick(name: str, when: int) -> ListenerEvent:
    """TICK_x: the wall clock passed this multiple of its period."""
    return ListenerEvent(name, f"when:{when}")


def _whose(process_id: ProcessId) -> str:
    return f"processname:{process_id.name} groupname:{process_id.group}"


class Groups:
    """Which groups there are in Supervisor's eyes.

    One that left the plan is there until its last process is down; one that comes back into the
    plan before that was never gone.
    """

    def __init__(self) -> None:
        self._members: dict[str, set[ProcessId]] = {}
        self._leaving: set[str] = set()

    @property
    def leaving(self) -> tuple[str, ...]:
        """Those that left the plan and are not down yet."""
        return tuple(sorted(self._leaving))

    def recall(self, processes: Iterable[ProcessId], leaving: Iterable[str]) -> None:
        """Know the processes that another daemon had, and which groups were leaving."""
        for process_id in processes:
            self.process_added(process_id)
        self._leaving.update(leaving)

    def plan_applied(self, diff: PlanDiff) -> tuple[frozenset[str], list[str]]:
        """The groups that are new with this plan, and those that are gone with it at once."""
        new = frozenset(diff.groups_added) - self._leaving
        self._leaving.difference_update(diff.groups_added)
        self._leaving.update(diff.groups_removed)
        return new, self._bury(diff.groups_removed)

    def process_added(self, process_id: ProcessId) -> None:
        """A process came under supervision."""
        self._members.setdefault(process_id.group, set()).add(process_id)

    def process_removed(self, process_id: ProcessId) -> list[str]:
        """A process is under supervision no more; its group, if that is gone with it."""
        self._members.get(process_id.group, set()).discard(process_id)
        return self._bury([process_id.group])

    def _bury(self, groups: Iterable[str]) -> list[str]:
        gone = [g for g in groups if g in self._leaving and not self._members.get(g)]
        for group in gone:
            self._leaving.discard(group)
            self._members.pop(group, None)
        return gone
