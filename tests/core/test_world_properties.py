"""Whatever happens, in whatever order: what must be true stays true.

The world checks itself after every step (world.py): one live process at most, signals only to
live processes of ours, a deadline wherever one is needed, facts without gaps, views that agree
with the kernel, nothing started in shutdown. The tests here make things happen.
"""

from hypothesis import example, given
from pasts import LOOK, NAMES, SCRIPTS, TRIPLES, carry_out, world_of
from programs import process_id

from opsvisor.core.outcome import Outcome
from opsvisor.core.state import PublicState

SIGKILL = 9
# Longer than any delay of those programs: backoff, kill delay, slow retry, and the widest window
# of flapping.
A_WHILE = 700.0

# It flaps by the wide window of a policy that came while it flapped by a narrow one.
CHANGED_WINDOW = (
    ("plain", "restless", "plain"),
    ("classic", "classic", "classic"),
    [*["no fork 0", "+0", "fork 0", "end 0 0"] * 2, "apply next", "stop app:web", "no fork 0"],
)


@LOOK
@example(*CHANGED_WINDOW)
@given(TRIPLES, TRIPLES, SCRIPTS)
def test_no_state_is_a_trap(
    first: tuple[str, ...], second: tuple[str, ...], script: list[str]
) -> None:
    """After any past, time alone ends STARTING, BACKOFF and flapping, and kills what must stop."""
    world = world_of(first, second)
    carry_out(world, script)
    world.passes(A_WHILE)
    while world.kernel.pending:
        world.spawned(None, None)
        world.passes(A_WHILE)
    for view in world.supervisor.views(world.now):
        assert view.state not in {PublicState.STARTING, PublicState.BACKOFF}
        assert not view.flapping
        if view.pid is not None and view.state is PublicState.STOPPING:
            assert world.kernel.sent[view.pid].count(SIGKILL) > 1


@LOOK
@given(TRIPLES, TRIPLES, SCRIPTS, SCRIPTS)
def test_shutdown_always_completes(
    first: tuple[str, ...], second: tuple[str, ...], before: list[str], after: list[str]
) -> None:
    """Whatever came before and comes in between: if children obey SIGKILL, it ends some day."""
    world = world_of(first, second)
    carry_out(world, before)
    world.play("shutdown")
    carry_out(world, after)
    for _ in range(20):
        while world.kernel.pending:
            world.not_spawned(None, "no fork")
        for pid in [p for p, sent in world.kernel.sent.items() if SIGKILL in sent]:
            if pid in world.kernel.alive:
                world.ended(pid, Outcome(signum=SIGKILL))
        if world.is_complete:
            break
        world.passes(11.0)
    assert world.is_complete
    assert not world.kernel.pending
    assert world.kernel.alive.keys() <= world.out_of_reach


@LOOK
@given(TRIPLES, TRIPLES, SCRIPTS)
def test_an_operator_can_always_start_and_stop(
    first: tuple[str, ...], second: tuple[str, ...], script: list[str]
) -> None:
    """After any past a start brings it up, and a stop brings it down for good."""
    world = world_of(first, second)
    carry_out(world, [*script, "apply first"])
    for name in NAMES:
        identity = process_id(name)
        world.play(f"stop {name}; start {name}")
        for _ in range(3):
            if identity in world.kernel.pending:
                world.spawned(str(identity), None)
            pid = world.kernel.pid_of(identity)
            state = world.supervisor.view(identity, world.now).state
            if pid is not None and state in {PublicState.STOPPING, PublicState.UNKNOWN}:
                world.ended(pid, Outcome(code=0))
        pid = world.kernel.pid_of(identity)
        assert pid is not None, "started, and not up"
        world.play(f"stop {identity}")
        world.ended(pid, Outcome(signum=15))
        world.passes(A_WHILE)
        assert world.kernel.pid_of(identity) is None, "stopped, and up again"
        assert identity not in world.kernel.pending
