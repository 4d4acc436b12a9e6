"""What is remembered has bounds, however much happens."""

import pickle

from programs import plan_of, process_id, program

from opsvisor.core import inputs
from opsvisor.core.instant import Instant
from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import LinearBackoff, Pid, RestartMode
from opsvisor.core.supervisor import Supervisor

WEB = process_id("web")


def test_restarts_and_deadlines_are_not_hoarded() -> None:
    """Thousands of crashes and signals later the supervisor is as small as after the first."""
    supervisor = Supervisor(float)
    spec = program("web", mode=RestartMode.ALWAYS, run_backoff=LinearBackoff(step=0.0), limit=None)
    clock = 0.0

    def handle(happened: inputs.Input) -> None:
        supervisor.handle(happened, Instant(mono=clock, wall=clock))

    def size_after(crashes: int) -> int:
        nonlocal clock
        for n in range(crashes):
            handle(inputs.Spawned(WEB, Pid(n)))
            clock += 0.01
            handle(inputs.SendSignal(WEB, 1))
            handle(inputs.Exited(WEB, Pid(n), Outcome(code=0), Usage()))
        return len(pickle.dumps(supervisor))

    handle(inputs.ApplyPlan(plan_of(spec)))
    handle(inputs.Start(WEB))
    full = size_after(1200)
    assert size_after(1200) < full * 1.05
