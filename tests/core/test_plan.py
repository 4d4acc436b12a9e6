"""Plans in order, what separates two of them, and taking over a part of one."""

import pytest
from programs import plan_of, process_id, program

from opsvisor.core.plan import (
    LIVE_FIELDS,
    Change,
    EventFeed,
    Group,
    Plan,
    PlanDiff,
    diff,
    merge,
    rivals_for_sockets,
)
from opsvisor.core.probes import ExecProbe, ProbeSpec
from opsvisor.core.spec import (
    KillMode,
    OnEnd,
    ProcessSpec,
    Resources,
    RestartPolicy,
    Startup,
    StdinMode,
    StopPolicy,
    UnixSocketSpec,
)
from opsvisor.core.struct import fields, replace

# A value that differs from the one in `program("web")`, for every field but `id`.
OTHER: dict[str, object] = {
    "program": "www",
    **dict.fromkeys(
        ("startup_probe", "readiness_probe", "liveness_probe"),
        ProbeSpec(handler=ExecProbe(argv=("true",))),
    ),
    **dict.fromkeys(("on_fatal", "on_exit"), OnEnd.SHUTDOWN),
    "replica": 1,
    "command": "serve",
    "argv": ("serve",),
    "command_problem": "No closing quotation",
    "description": "shop",
    "labels": (("team", "a"),),
    "priority": 1,
    "startup": Startup.ENABLED,
    "min_uptime": 5.0,
    "user": None,
    "working_dir": "/srv",
    "umask": 0o27,
    "environment": (("A", "1"),),
    "nice": 5,
    "oom_score_adj": 100,
    "rlimits": None,
    "resources": Resources(pids_max=64),
    "new_session": True,
    "stdin": StdinMode.PIPE,
    "socket": UnixSocketSpec(path="/run/web.sock"),
    "restart": RestartPolicy(failed_starts_max=1),
    "stop": StopPolicy(kill_mode=KillMode.PROCESS),
    "stdout": None,
    "stderr": None,
}


def test_a_plan_is_in_order_however_it_was_written() -> None:
    """Groups by (priority, name), their processes likewise: equal plans are equal."""
    web = program("app:web", priority=5)
    db = program("app:db", priority=5)
    early = program("app:zz", priority=1)
    app = Group(name="app", processes=(web, db, early))
    first = Group(name="zoo", priority=1)
    plan = Plan.of([app, first])
    assert [group.name for group in plan.groups] == ["zoo", "app"]
    assert list(plan.specs()) == [early.id, db.id, web.id]
    assert plan == Plan.of([first, Group(name="app", processes=(early, db, web))])


def test_the_feed_of_a_group() -> None:
    """Whoever is in the group is told of it; most groups have none."""
    feed = EventFeed(kinds=("TICK_5",))
    plan = Plan.of([Group(name="web"), Group(name="listeners", feed=feed)])
    assert plan.feed_of("listeners") == feed
    assert plan.feed_of("web") is None
    assert plan.feed_of("nobody") is None


def test_specs_cannot_be_changed() -> None:
    """What is handed out by id is a view, not a dictionary to edit."""
    specs = plan_of(program("web")).specs()
    with pytest.raises(TypeError):
        specs[process_id("x")] = program("x")  # type: ignore[index]  # that is the point


def test_diff_names_what_was_added_changed_and_removed() -> None:
    """Processes by id, groups as Supervisor's `reread` names them."""
    old = plan_of(program("a"), program("app:x"), program("app:y"), program("old"))
    new = plan_of(program("a"), program("app:x", argv=("go",)), program("app:z"), program("new"))
    assert diff(old, new) == PlanDiff(
        added=(process_id("app:z"), process_id("new")),
        changed=(Change(id=process_id("app:x"), fields=("argv",), restart=True),),
        removed=(process_id("app:y"), process_id("old")),
        groups_added=("new",),
        groups_changed=("app",),
        groups_removed=("old",),
    )
    assert not diff(old, new).is_empty()


def test_equal_plans_do_not_differ() -> None:
    """Compared by value: the same file read twice changes nothing."""
    assert diff(plan_of(program("a")), plan_of(program("a"))).is_empty()


def test_a_group_priority_is_a_change_of_the_group_alone() -> None:
    """No process is touched by it, but it is no empty difference."""
    old, new = plan_of(program("a")), plan_of(program("a"), priorities={"a": 1})
    assert diff(old, new) == PlanDiff(groups_changed=("a",))
    assert not diff(old, new).is_empty()


@pytest.mark.parametrize("name", [f.name for f in fields(ProcessSpec) if f.name != "id"])
def test_only_live_fields_spare_a_restart(name: str) -> None:
    """What the process was given at its start needs a restart; what we do with it doesn't."""
    old = program("web", user="somebody")
    new = replace(old, **{name: OTHER[name]})
    (change,) = diff(plan_of(old), plan_of(new)).changed
    assert change == Change(id=old.id, fields=(name,), restart=name not in LIVE_FIELDS)


def test_one_field_that_needs_a_restart_is_enough() -> None:
    """Live and other changes at once: the process is restarted."""
    new = program("web", priority=1, umask=7)
    (change,) = diff(plan_of(program("web")), plan_of(new)).changed
    assert change.fields == ("priority", "umask")
    assert change.restart


def test_merge_takes_only_the_groups_asked_for() -> None:
    """`update g1 g2`: those as wanted, added or removed, the others as they run."""
    running = plan_of(program("a"), program("b"), program("gone"))
    wanted = plan_of(program("a", argv=("v2",)), program("b", argv=("v2",)), program("new"))
    merged = merge(running, wanted, frozenset({"a", "gone", "new"}))
    assert merged == plan_of(program("a", argv=("v2",)), program("b"), program("new"))
    assert merge(running, wanted, frozenset()) == running


def test_only_another_program_is_a_rival_for_a_socket() -> None:
    """Replicas share theirs; who has none, or one of its own, takes nobody's."""
    one, other = UnixSocketSpec(path="/run/one"), UnixSocketSpec(path="/run/other")
    first, late = program("web", socket=one), program("late", socket=replace(one, mode=0o600))
    specs = [first, replace(first, replica=1), program("api", socket=other), program("job"), late]
    assert list(rivals_for_sockets(specs)) == [(late, "web")]
