"""Whatever happens, in whatever order: what must be true stays true.

The world checks itself after every step (world.py): one live process at most, signals only to
live processes of ours, a deadline wherever one is needed, facts without gaps, views that agree
with the kernel, nothing started in shutdown. The tests here make things happen.
"""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from programs import process_id, program, supervisor_program
from world import World

from opsvisor.core.outcome import Outcome
from opsvisor.core.probes import ProbeKind, ProbeSpec, TcpProbe
from opsvisor.core.spec import (
    ExitSet,
    ExponentialBackoff,
    FlappingPolicy,
    LinearBackoff,
    ProcessSpec,
    RestartLimit,
    RestartMode,
    Startup,
)
from opsvisor.core.state import PublicState

NAMES = ("db", "app:web", "app:job")
SIGKILL = 9
# Longer than any delay below: backoff, kill delay, slow retry, and the widest window of flapping.
A_WHILE = 700.0

FLAPPY = FlappingPolicy(count=1, interval=60.0)
PROBE = ProbeSpec(handler=TcpProbe(host="127.0.0.1", port=80), failure_threshold=2)
PROBES = {f"{kind.value}_probe": PROBE for kind in ProbeKind}
NO_DELAY = LinearBackoff(step=0.0)
QUICK = ExponentialBackoff(delay=0.1, limit=4.0)
KINDS = {
    "plain": program("x", run_backoff=QUICK, start_backoff=QUICK),
    "enabled": program("x", run_backoff=QUICK, start_backoff=QUICK, startup=Startup.ENABLED),
    "described": program("x", run_backoff=QUICK, start_backoff=QUICK, description="shop"),
    "restless": program(
        "x",
        mode=RestartMode.ALWAYS,
        min_uptime=0.0,
        run_backoff=NO_DELAY,
        start_backoff=NO_DELAY,
        limit=None,
        flapping=FLAPPY,
        backoff_reset=5.0,
        kill_delay=0.0,
        startup=Startup.ENABLED,
    ),
    "limited": program(
        "x",
        limit=RestartLimit(count=2, interval=60.0),
        prevent=ExitSet(codes=frozenset({78})),
        fatal_retry_delay=30.0,
        flapping=FLAPPY,
        kill_delay=0.5,
    ),
    "once": program("x", mode=RestartMode.NO, backoff_reset=0.0),
    "classic": supervisor_program("x", startretries=1, startup=Startup.ENABLED, kill_delay=3.0),
    "asked": program("x", **PROBES, run_backoff=QUICK, start_backoff=QUICK, limit=None),
    "judged": program(
        "x",
        **PROBES,
        mode=RestartMode.NO,
        kill_delay=0.5,
        startup=Startup.ENABLED,
        prevent=ExitSet(codes=frozenset({1})),
    ),
    "beating": supervisor_program("x", startretries=1, liveness_probe=PROBE, flapping=FLAPPY),
    "hasty": supervisor_program("x", startsecs=0.0, startretries=0, flapping=FLAPPY),
}
REQUESTS = [f"{word} {name}" for word in ("start", "start", "stop", "restart") for name in NAMES]
KERNEL = [
    *[f"fork {n}" for n in range(3) for _ in range(4)],
    *[f"no fork {n}" for n in range(3)],
    *[f"end {n} {code}" for n in range(3) for code in (0, 1, 1, 78, -11)],
    *[f"refuse {n}" for n in range(3)],
    *[f"answer {n} {verdict}" for n in range(4) for verdict in ("ok", "ok", "fails", "fails")],
]
OTHERS = [
    *["+0", "+0.1", "+1", "+1.5", "+7", "+100", "busy 0.3", "busy 5", "busy 70", "deadline"],
    *["apply next", "apply less", "apply first", "update next"],
    *["signal db HUP", "signal app:web USR1"],
]
SCRIPTS = st.lists(st.sampled_from([*REQUESTS, *KERNEL, *OTHERS]), min_size=10, max_size=50)
TRIPLES = st.tuples(*[st.sampled_from(sorted(KINDS))] * 3)
LIVE = ("startup", "min_uptime", "description")
LOOK = settings(max_examples=200, deadline=None, database=None)


def specs(kinds: tuple[str, ...]) -> list[ProcessSpec]:
    """The three programs, each of the kind named here."""
    made = []
    for name, kind in zip(NAMES, kinds, strict=True):
        like = KINDS[kind]
        parts = {field: getattr(like, field) for field in (*PROBES, *LIVE)}
        argv = (kind.removeprefix("described") or "plain",)
        made.append(program(name, restart=like.restart, stop=like.stop, argv=argv, **parts))
    return made


def world_of(first: tuple[str, ...], second: tuple[str, ...]) -> World:
    """A world of three programs that knows other plans, one of them without the database."""
    priorities = {"db": 1, "app": 5}
    world = World(*specs(first), priorities=priorities, jitter=0.5)
    world.knows("first", *specs(first), priorities=priorities)
    world.knows("next", *specs(second), priorities=priorities)
    return world.knows("less", *specs(second)[1:], priorities={"app": 1})


def carry_out(world: World, script: list[str]) -> None:
    """Let it all happen, where it can; the world checks itself after each step."""
    for step in script:
        match step.split():
            case ["fork", n]:
                if world.kernel.pending:
                    world.spawned(_nth_pending(world, int(n)), None)
            case ["no", "fork", n]:
                if world.kernel.pending:
                    world.not_spawned(_nth_pending(world, int(n)), "no fork")
            case ["end", n, code]:
                alive = list(world.kernel.alive)
                if alive:
                    world.ended(alive[int(n) % len(alive)], _outcome(int(code)))
            case ["answer", n, verdict]:
                asked = list(world.kernel.asking)
                if asked:
                    whom, kind = asked[int(n) % len(asked)]
                    world.answered(str(whom), kind, ok=verdict == "ok")
            case ["refuse", n]:
                sent_to = [pid for pid in world.kernel.alive if world.kernel.sent[pid]]
                if sent_to:
                    world.refused(sent_to[int(n) % len(sent_to)])
            case _:
                world.play(step)


def _nth_pending(world: World, n: int) -> str:
    return str(list(world.kernel.pending)[n % len(world.kernel.pending)])


def _outcome(code: int) -> Outcome:
    return Outcome(code=code) if code >= 0 else Outcome(signum=-code)


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
