"""All that should run, frozen, and what separates two such plans."""

from collections.abc import Iterable, Iterator
from types import MappingProxyType

from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.struct import Value, replace

# Changes of these are taken over by a running process as it is: they say what the supervisor
# does next, not what the process was given when it started.
LIVE_FIELDS = frozenset(
    {
        *("description", "labels", "priority", "startup", "min_uptime", "restart", "stop"),
        *("resources", "on_fatal", "on_exit"),
        *("startup_probe", "readiness_probe", "liveness_probe"),
    }
)


class EventFeed(Value, frozen=True, kw_only=True):
    """What the processes of a group are told on their standard input, one of them at a time.

    `kinds` are names of events in the words of whoever does the telling. Up to `buffer_size`
    events wait for a process that is ready; then the oldest is dropped.
    """

    kinds: tuple[str, ...]
    buffer_size: int = 10


class Group(Value, frozen=True, kw_only=True):
    """A named set of processes, stopped together at shutdown in order of `priority`."""

    name: str
    priority: int = 999
    processes: tuple[ProcessSpec, ...] = ()
    feed: EventFeed | None = None


class Plan(Value, frozen=True, kw_only=True):
    """Groups in order of (priority, name), their processes in order of (priority, name)."""

    groups: tuple[Group, ...] = ()

    @staticmethod
    def of(groups: "list[Group]") -> "Plan":
        """A plan of these groups, brought into order."""
        ordered = [
            replace(
                group,
                processes=tuple(sorted(group.processes, key=lambda p: (p.priority, p.id.name))),
            )
            for group in groups
        ]
        return Plan(groups=tuple(sorted(ordered, key=lambda g: (g.priority, g.name))))

    def specs(self) -> "MappingProxyType[ProcessId, ProcessSpec]":
        """Every process of the plan by its id, in the plan's order."""
        return MappingProxyType({spec.id: spec for g in self.groups for spec in g.processes})

    def feed_of(self, group: str) -> EventFeed | None:
        """What the processes of the group of this name are told of, None if of nothing."""
        return next((g.feed for g in self.groups if g.name == group), None)


def rivals_for_sockets(specs: Iterable[ProcessSpec]) -> Iterator[tuple[ProcessSpec, str]]:
    """Processes that would listen where another program does, with the name of the first to."""
    owners: dict[str, str] = {}
    for spec in specs:
        if spec.socket is not None:
            owner = owners.setdefault(spec.socket.url, spec.program)
            if owner != spec.program:
                yield spec, owner


class Change(Value, frozen=True, kw_only=True):
    """One process whose spec differs: which fields, and whether it must be restarted for them."""

    id: ProcessId
    fields: tuple[str, ...]
    restart: bool


class PlanDiff(Value, frozen=True, kw_only=True):
    """What `apply` would do. Groups are named as Supervisor's `reread` names them."""

    added: tuple[ProcessId, ...] = ()
    changed: tuple[Change, ...] = ()
    removed: tuple[ProcessId, ...] = ()
    groups_added: tuple[str, ...] = ()
    groups_changed: tuple[str, ...] = ()
    groups_removed: tuple[str, ...] = ()

    def is_empty(self) -> bool:
        """Whether the two plans ask for the same."""
        return not (self.groups_added or self.groups_changed or self.groups_removed)


def diff(old: Plan, new: Plan) -> PlanDiff:
    """Compare two plans process by process, and group by group."""
    before, after = old.specs(), new.specs()
    old_groups = {group.name: group for group in old.groups}
    new_groups = {group.name: group for group in new.groups}
    changed = []
    for process_id, spec in after.items():
        previous = before.get(process_id)
        if previous is None or previous == spec:
            continue
        names = tuple(
            name
            for name in spec.__struct_fields__
            if getattr(previous, name) != getattr(spec, name)
        )
        needs_restart = any(name not in LIVE_FIELDS for name in names)
        changed.append(Change(id=process_id, fields=names, restart=needs_restart))
    return PlanDiff(
        added=tuple(i for i in after if i not in before),
        changed=tuple(changed),
        removed=tuple(i for i in before if i not in after),
        groups_added=tuple(sorted(new_groups.keys() - old_groups.keys())),
        groups_changed=tuple(
            sorted(
                name
                for name in new_groups.keys() & old_groups.keys()
                if new_groups[name] != old_groups[name]
            )
        ),
        groups_removed=tuple(sorted(old_groups.keys() - new_groups.keys())),
    )


def merge(running: Plan, wanted: Plan, groups: frozenset[str]) -> Plan:
    """The running plan with only these groups taken from the wanted one (`update g1 g2`)."""
    kept = [group for group in running.groups if group.name not in groups]
    taken = [group for group in wanted.groups if group.name in groups]
    return Plan.of(kept + taken)
