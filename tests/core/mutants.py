"""Bugs to plant into a copy of the core, each of which the tests have to find.

Each is one textual replacement. A text that is no longer there, or there more than once, fails
the test as loudly as a bug that nobody finds: whoever rewrites a line moves its bug along.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A bug: in which module of the core, which text becomes which."""

    name: str
    module: str
    right: str
    wrong: str


MUTANTS = (
    Mutant(
        name="a stop during the fork is lost",
        module="process",
        right="        if state.stop_wanted is not None:\n            return [*effects,",
        wrong="        if False:\n            return [*effects,",
    ),
    Mutant(
        name="anybody's end is taken for ours",
        module="process",
        right="        assert end.pid == pid_of(state), ",
        wrong="        assert end.pid, ",
    ),
    Mutant(
        name="SIGKILL goes to the wrong process",
        module="process",
        right="return told + self._send_kill(state.pid,",
        wrong="return told + self._send_kill(Pid(state.pid + 1),",
    ),
    Mutant(
        name="the retry lies in the past",
        module="process",
        right="state = Backoff(retry_at=now.mono + decision.delay, cause=cause)",
        wrong="state = Backoff(retry_at=now.mono - decision.delay, cause=cause)",
    ),
    Mutant(
        name="an early exit is judged like any other",
        module="restart",
        right="(policy.early_exit_fails and not run.came_up)",
        wrong="(policy.early_exit_fails and run.came_up)",
    ),
    Mutant(
        name="a start during STARTING starts a second one",
        module="process",
        right="            case Starting() | Running():\n                return []\n",
        wrong=(
            "            case Starting():\n"
            '                return [*self._spawn(cause, "start requested", now)]\n'
            "            case Running():\n                return []\n"
        ),
    ),
    Mutant(
        name="a double start that tells nobody",
        module="process",
        right="            case Starting() | Running():\n                return []\n",
        wrong=(
            "            case Starting() | Running():\n                return [Spawn(self.spec)]\n"
        ),
    ),
    Mutant(
        name="a start by hand does not reset the counter",
        module="process",
        right='leaves a clean slate."""\n        self._tally = _NO_FAILURES',
        wrong='leaves a clean slate."""',
    ),
    Mutant(
        name="one retry too many",
        module="restart",
        right="tally.failed_starts > retries",
        wrong="tally.failed_starts > retries + 1",
    ),
    Mutant(
        name="one retry too few",
        module="restart",
        right="tally.failed_starts > retries",
        wrong="tally.failed_starts >= retries",
    ),
    Mutant(
        name="only one SIGKILL is ever sent",
        module="process",
        right="kills=kills, kill_at=kill_at)",
        wrong="kills=kills, kill_at=float('inf'))",
    ),
    Mutant(
        name="SIGKILL in a hot loop",
        module="process",
        right="kills=kills, kill_at=kill_at)",
        wrong="kills=kills)",
    ),
    Mutant(
        name="a changed kill_delay counts from the change",
        module="policy_changes",
        right="return replace(state, kill_at=state.kill_at + later)",
        wrong="return replace(state, kill_at=state.kill_at + later + 1)",
    ),
    Mutant(
        name="a job that is done is done again for any change",
        module="policy_changes",
        right="case Exited() if _wants_another(spec.restart, record):",
        wrong="case Exited():",
    ),
    Mutant(
        name="an essential program that failed ends all with 0",
        module="supervisor",
        right="status = status if went_well else max(status, 1)",
        wrong="status = max(status, 0) if went_well else status",
    ),
    Mutant(
        name="flapping never ends by itself",
        module="process",
        right="        effects = self._calm_down(now)\n        due =",
        wrong="        effects: list[Effect] = []\n        due =",
    ),
    Mutant(
        name="the end of flapping has no deadline",
        module="process",
        right="return calm_at if of_state is None else min(of_state, calm_at)",
        wrong="return of_state",
    ),
    Mutant(
        name="shutdown starts programs",
        module="supervisor",
        right="may_start = not self.state.is_ending and machine.id",
        wrong="may_start = machine.id",
    ),
    Mutant(
        name="crashes restart during shutdown",
        module="process",
        right="        if self._retired:\n            return Leave",
        wrong="        if False:\n            return Leave",
    ),
    Mutant(
        name="attempts go on during shutdown",
        module="supervisor",
        right="            effects += machine.retire(now)\n",
        wrong="",
    ),
    Mutant(
        name="a doomed process is started",
        module="supervisor",
        right=" and machine.id not in self._doomed\n        match request",
        wrong="\n        match request",
    ),
    Mutant(
        name="a process is forgotten while it lives",
        module="supervisor",
        right="is_over = machine.is_down and machine.id in self._doomed",
        wrong="is_over = machine.id in self._doomed",
    ),
    Mutant(
        name="a spared process is still doomed",
        module="supervisor",
        right="            self._doomed.discard(spec.id)\n            returning",
        wrong="            returning",
    ),
    Mutant(
        name="shutdown does not wait for a level",
        module="supervisor",
        right="while self._levels and not self._level:",
        wrong="while self._levels:",
    ),
    Mutant(
        name="shutdown waits for what no signal reaches",
        module="process",
        right="return not self.is_down and not isinstance(self.state, Unknown)",
        wrong="return not self.is_down",
    ),
    Mutant(
        name="the slow retry out of FATAL is forgotten",
        module="process",
        right="Fatal(retry_at=None if delay is None else now.mono + delay)",
        wrong="Fatal(retry_at=None)",
    ),
    Mutant(
        name="a stop in BACKOFF leaves the retry",
        module="process",
        right="            case Backoff() | Fatal(retry_at=float()):\n",
        wrong="            case Backoff():\n                return []\n"
        "            case Fatal(retry_at=float()):\n",
    ),
    Mutant(
        name="a changed spec never comes into force",
        module="process",
        right="            self.spec, self._next_spec = self._next_spec, None",
        wrong="            self._next_spec = None",
    ),
    Mutant(
        name="failures are never forgotten",
        module="process",
        right="settled_at = reset_at if self._tally.failures else None",
        wrong="settled_at = None",
    ),
    Mutant(
        name="a live change is lost while another waits",
        module="process",
        right="        if not restart and self._next_spec is not None:\n",
        wrong="        if False:\n",
    ),
    Mutant(
        name="the window of restarts is never emptied",
        module="restart",
        right="if latest and latest[0] + longest <= now:",
        wrong="if latest and latest[0] + longest < -now:",
    ),
    Mutant(
        name="the window of restarts is emptied one at a time",
        module="restart",
        right="tuple(at for at in latest if at + longest > now)",
        wrong="latest[1:]",
    ),
    Mutant(
        name="availability is booked after the change",
        module="process",
        right="        self._account(now)\n        self.state = state\n",
        wrong="        self.state = state\n        self._account(now)\n",
    ),
    Mutant(
        name="one wrong answer is enough",
        module="health",
        right="if self.failures >= self.spec.failure_threshold",
        wrong="if self.failures >= 1",
    ),
    Mutant(
        name="wrong answers add up over right ones",
        module="health",
        right="self.successes, self.failures = self.successes + 1, 0",
        wrong="self.successes += 1",
    ),
    Mutant(
        name="readiness kills",
        module="probes",
        right="return self is not ProbeKind.READINESS",
        wrong="return True",
    ),
    Mutant(
        name="the others do not wait for the startup probe",
        module="health",
        right="self._is_up is (kind is ProbeKind.STARTUP)",
        wrong="self._is_up and kind is ProbeKind.STARTUP",
    ),
    Mutant(
        name="nobody begins when the startup probe has passed",
        module="health",
        right="            told += _stop(spec.id, answer.kind, probe)\n"
        "            told += self.begin(spec, run, now)\n",
        wrong="            told += _stop(spec.id, answer.kind, probe)\n",
    ),
    Mutant(
        name="answers of an earlier run count",
        module="health",
        right="run.pid != answer.pid",
        wrong="False",
    ),
    Mutant(
        name="probes outlive their run",
        module="process",
        right="unasked = [] if is_asked else self._health.end(self.id)",
        wrong="unasked: list[Effect] = []",
    ),
    Mutant(
        name="an unhealthy process is left alone",
        module="process",
        right="                if self._health.complaint:\n",
        wrong="                if False:\n",
    ),
    Mutant(
        name="a stop for health ends like one that was asked for",
        module="process",
        right="state.cause is StopCause.HEALTH and not state.start_after",
        wrong="False",
    ),
    Mutant(
        name="a stop by hand of an unhealthy process restarts it",
        module="process",
        right="taken_over = cause if was_health else self.state.cause",
        wrong="taken_over = self.state.cause",
    ),
    Mutant(
        name="being up is proof enough",
        module="process",
        right="        if self._tally.failed_starts and self._health.is_proven:",
        wrong="        if self._tally.failed_starts:",
    ),
    Mutant(
        name="a complaint outlives its run",
        module="health",
        right='        self.complaint = ""\n        for probe',
        wrong="        for probe",
    ),
    Mutant(
        name="deadlines are not scheduled again",
        module="supervisor",
        right="        self._schedule(machine)\n        if machine.holds_up",
        wrong="        if machine.holds_up",
    ),
    Mutant(
        name="old deadlines are hoarded",
        module="supervisor",
        right="            self._sweep_heap()\n",
        wrong="            pass\n",
    ),
    Mutant(
        name="a stop is not asked for again by the next supervisor",
        module="process",
        right="                return told + self._send_stop(pid, now)\n",
        wrong="                return told\n",
    ),
    Mutant(
        name="the next supervisor spawns without a look",
        module="process",
        right="return [FindSpawn(self.spec)]",
        wrong="return [Spawn(self.spec)]",
    ),
    Mutant(
        name="a spawn that was called off is made by the next supervisor",
        module="process",
        right="            return self._call_off(state, now)\n        return [Spawn(self.spec)]",
        wrong="            return [Spawn(self.spec)]\n        return [Spawn(self.spec)]",
    ),
    Mutant(
        name="a wish is forgotten with the supervisor",
        module="process",
        right="machine.wanted = memento.wanted",
        wrong="machine.wanted = True",
    ),
    Mutant(
        name="attempts begin anew with the supervisor",
        module="process",
        right="        machine._tally = memento.tally\n",
        wrong="",
    ),
    Mutant(
        name="flapping is forgotten with the supervisor",
        module="process",
        right="        machine._flapping = memento.flapping\n",
        wrong="",
    ),
    Mutant(
        name="a spec that waits is forgotten with the supervisor",
        module="process",
        right="        machine._next_spec = memento.next_spec\n",
        wrong="",
    ),
    Mutant(
        name="restarts are forgotten with the supervisor",
        module="process",
        right="machine._record = replace(memento.record)",
        wrong="machine._record = Record(since=memento.record.since)",
    ),
    Mutant(
        name="readiness is forgotten with the supervisor",
        module="health",
        right="                probe.recall(memento)\n",
        wrong="                pass\n",
    ),
    Mutant(
        name="changes of machines are not told",
        module="supervisor",
        right="        self._changed[machine.id] = None\n        deadline",
        wrong="        deadline",
    ),
    Mutant(
        name="changes of machines have no number",
        module="supervisor",
        right="        self._revise(machine)\n        self._changed",
        wrong="        self._changed",
    ),
    Mutant(
        name="changes of the plan are not told",
        module="supervisor",
        right="        self._itself_changed = True\n        changes",
        wrong="        changes",
    ),
    Mutant(
        name="who is forgotten is not told",
        module="supervisor",
        right="        self._forgotten[process_id] = None\n",
        wrong="",
    ),
    Mutant(
        name="what left the plan is spared by the next supervisor",
        module="supervisor",
        right="        if memento.is_doomed:\n",
        wrong="        if False:\n",
    ),
    Mutant(
        name="after an unfinished shutdown nothing starts",
        module="supervisor",
        right="return self._begins_anew or self.state.is_ending",
        wrong="return False",
    ),
    Mutant(
        name="answers that decide something are not told",
        module="supervisor",
        right="return effects if machine.standing == before else",
        wrong="return effects if True else",
    ),
    Mutant(
        name="an unseen end counts as success",
        module="restart",
        right="        return ExitCause.UNKNOWN\n",
        wrong="        return ExitCause.SUCCESS\n",
    ),
)
