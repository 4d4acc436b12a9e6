"""Pasts for worlds: what may happen to three programs, in any order.

Between any two steps, and in the midst of any, the supervisor may be killed; another goes on.
"""

from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from programs import program, supervisor_program
from world import NEVER_HANDLED, World

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

NAMES = ("db", "app:web", "app:job")
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
# The supervisor is killed in the next step: before it decides, or when it has done some of what it
# decided. Of the spawns it asked for some are made; of what lives, some ends unseen.
KILLS = [
    f"killed {when} {made} {over}"
    for when in ("undecided", "0", "1", "2", "9")
    for made in ("none", "0", "012")
    for over in ("none", "none", "0", "1", "012")
]
# Or it comes to its end while it is going on after the one before it.
KILLS += [f"twice {inputs}" for inputs in (0, 1, 2, 3) for _ in range(4)]
STEPS = [*REQUESTS, *KERNEL, *OTHERS]
SCRIPTS = st.lists(st.sampled_from(STEPS), min_size=10, max_size=50)
DEADLY_SCRIPTS = st.lists(
    st.one_of(st.sampled_from(STEPS), st.sampled_from(STEPS), st.sampled_from(KILLS)),
    min_size=10,
    max_size=50,
)
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
    steps = iter(script)
    for step in steps:
        match step.split():
            case ["killed", when, made, over]:
                performs = NEVER_HANDLED if when == "undecided" else int(when)
                with world.killing(performs):
                    carry_out_one(world, _next_harmless(steps))
                world.goes_on(made=_numbers(made), over=_numbers(over))
            case ["twice", inputs]:
                with world.killing(0, after=int(inputs)):
                    world.goes_on()
                world.goes_on()
            case _:
                carry_out_one(world, step)


def _next_harmless(steps: Iterator[str]) -> str:
    return next((step for step in steps if step not in KILLS), "deadline")


def _numbers(digits: str) -> set[int]:
    return set() if digits == "none" else {int(digit) for digit in digits}


def carry_out_one(world: World, step: str) -> None:
    """One step of a past."""
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
            asked = sorted(world.kernel.asking, key=str)
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
    return str(sorted(world.kernel.pending)[n % len(world.kernel.pending)])


def _outcome(code: int) -> Outcome:
    return Outcome(code=code) if code >= 0 else Outcome(signum=-code)
