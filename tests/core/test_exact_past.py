"""Going on from a memento that was made at the very end: everything was done, and is known."""

import signal

from programs import plan_of, process_id, program

from opsvisor.core import inputs
from opsvisor.core.effects import Adopt, Effect, Publish, SignalProcess
from opsvisor.core.events import SupervisorStateChanged
from opsvisor.core.instant import Instant
from opsvisor.core.spec import Pid
from opsvisor.core.state import PublicState
from opsvisor.core.supervisor import Supervisor

WEB, API = process_id("web"), process_id("api")


class Two:
    """A supervisor, and one that goes on from its memento."""

    def __init__(self) -> None:
        self.now = 0.0
        self.one = Supervisor(float)
        self.other = Supervisor(float)

    def tell(self, supervisor: Supervisor, *happened: inputs.Input) -> list[Effect]:
        """All that follows from these, one second after what was before."""
        self.now += 1.0
        now = Instant(mono=self.now, wall=self.now)
        return [effect for one in happened for effect in supervisor.handle(one, now)]

    def go_on(self) -> list[Effect]:
        """Let the other one go on, and take everything back."""
        resume = inputs.Resume(self.one.memento(), is_exact=True, reason="upgraded")
        effects = self.tell(self.other, resume)
        for effect in tuple(effects):
            if isinstance(effect, Adopt):
                effects += self.tell(self.other, inputs.Adopted(effect.spec.id, effect.pid))
        return effects


def test_nobody_is_told_anew_of_what_everybody_knows() -> None:
    """One fact says that there was an upgrade, and nothing else happens."""
    two = Two()
    two.tell(two.one, inputs.ApplyPlan(plan_of(program("web"), program("api"))))
    two.tell(two.one, inputs.Start(WEB), inputs.Start(API))
    two.tell(two.one, inputs.Spawned(WEB, Pid(1)), inputs.Spawned(API, Pid(2)))
    effects = two.go_on()
    (fact,) = [effect.event for effect in effects if isinstance(effect, Publish)]
    assert isinstance(fact, SupervisorStateChanged)
    assert fact.reason == "upgraded"
    assert {type(effect) for effect in effects} == {Publish, Adopt}
    assert two.other.memento().processes == two.one.memento().processes


def test_a_stop_in_progress_is_not_begun_again() -> None:
    """A second SIGTERM means "at once" to some programs. SIGKILL comes when it was due."""
    two = Two()
    two.tell(two.one, inputs.ApplyPlan(plan_of(program("web"))), inputs.Start(WEB))
    two.tell(two.one, inputs.Spawned(WEB, Pid(1)))
    two.tell(two.one, inputs.Stop(WEB))
    deadline = two.one.deadline
    assert deadline is not None
    assert not [one for one in two.go_on() if isinstance(one, SignalProcess)]
    now = Instant(mono=deadline, wall=deadline)
    assert two.other.deadline == deadline
    assert two.other.view(WEB, now).state is PublicState.STOPPING
    (kill,) = [
        effect
        for effect in two.other.handle(inputs.DeadlinePassed(), now)
        if isinstance(effect, SignalProcess)
    ]
    assert kill.signum == signal.SIGKILL
