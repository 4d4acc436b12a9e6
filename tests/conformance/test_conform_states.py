"""Every method that takes the name of a process, asked in every state a process can be in."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from contestants import HEAD, Contestant, Fault, StartPair, timeless, typed
from daemon import eventually

# What makes a process stay in a state for as long as the test needs it there.
STATES = {
    "STOPPED": "command=/bin/cat\nstartsecs=0\nautostart=false",
    "STARTING": "command=/bin/cat\nstartsecs=3600",
    "RUNNING": "command=/bin/cat\nstartsecs=0",
    "BACKOFF": "command=/bin/false\nstartsecs=3600\nstartretries=1000000",
    "STOPPING": "command=/bin/sh -c \"trap '' TERM; echo deaf; exec cat\"\n"
    "startsecs=0\nstopwaitsecs=3600",
    # When it is started again it stays, or nobody could say what that start came to.
    "EXITED": 'command=/bin/sh -c "mkdir $HERE/%(program_name)s 2>&- && exit; exec cat"\n'
    "startsecs=0\nautorestart=false",
    # Fails when it is told a line: at once, and one that doesn't wait may see the end of it.
    "FATAL": "command=/bin/sh -c 'read x; exit 1'\nstartsecs=3600\nstartretries=0",
}

# By the name of the method, or that and what is special about the call. `*` is the process.
CALLS: Mapping[str, tuple[Any, ...]] = {
    "getProcessInfo": ("*",),
    "startProcess": ("*",),
    "startProcess, not waiting": ("*", False),
    "startProcess, of a group": ("*:*",),
    "startProcess, of a group, not waiting": ("*:*", False),
    "startProcessGroup": ("*",),
    "startProcessGroup, not waiting": ("*", False),
    "stopProcess": ("*",),
    "stopProcess, not waiting": ("*", False),
    "stopProcess, of a group": ("*:*",),
    "stopProcess, of a group, not waiting": ("*:*", False),
    "stopProcessGroup": ("*",),
    "stopProcessGroup, not waiting": ("*", False),
    "signalProcess": ("*", "CONT"),
    "signalProcess, by number": ("*", "18"),
    "signalProcess, by an unknown name": ("*", "NOPE"),
    "signalProcess, of a group": ("*:*", "SIGCONT"),
    "signalProcessGroup": ("*", "cont"),
    "signalProcessGroup, by an unknown name": ("*", "NOPE"),
    "sendProcessStdin": ("*", "hello\n"),
    "clearProcessLogs": ("*",),
    "clearProcessLog": ("*",),
    "readProcessStdoutLog": ("*", 0, 0),
    "readProcessLog": ("*", 0, 0),
    "readProcessStderrLog": ("*", 0, 0),
    "tailProcessStdoutLog": ("*", 0, 100),
    "tailProcessLog": ("*", 0, 100),
    "tailProcessStderrLog": ("*", 0, 100),
    "addProcessGroup": ("*",),
    "removeProcessGroup": ("*",),
}


@dataclass(frozen=True)
class Case:
    """One call of a method while a process of its own is in a state."""

    state: str
    call: str

    @property
    def process(self) -> str:
        """The process that belongs to this case, and so its group."""
        return f"{self.state.lower()}-{list(CALLS).index(self.call):02}"

    @property
    def method(self) -> str:
        """What is called."""
        return f"supervisor.{self.call.partition(',')[0]}"

    @property
    def waits_for_a_start(self) -> bool:
        """Whether the answer only comes when it has become clear what a start came to."""
        return self.call.startswith("startProcess") and "not waiting" not in self.call

    @property
    def params(self) -> list[Any]:
        """What it is called with."""
        return [
            p.replace("*", self.process, 1) if isinstance(p, str) else p for p in CALLS[self.call]
        ]


CASES = [Case(state, call) for state in STATES for call in CALLS]


@pytest.fixture(scope="module")
def answers(start_shared_pair: StartPair) -> tuple[Mapping[Case, Any], Mapping[Case, Any]]:
    """The answers of both to all cases."""
    programs = [f"[program:{case.process}]\n{STATES[case.state]}\n" for case in CASES]
    pair = start_shared_pair(HEAD + "".join(programs))
    return pair.both(_ask_all)


def _ask_all(one: Contestant) -> Mapping[Case, Any]:
    with ThreadPoolExecutor(8) as askers:
        found = dict(zip(CASES, askers.map(lambda case: _ask(one, case), CASES), strict=True))
    for case in CASES:
        if case.state == "STOPPING":  # or it would take as long as it may
            one.call("supervisor.signalProcess", case.process, "KILL")
    return found


def _ask(one: Contestant, case: Case) -> Any:
    if case.state == "STOPPING":
        eventually(
            lambda: one.call("supervisor.readProcessStdoutLog", case.process, 0, 0) == "deaf\n"
        )
        assert one.call("supervisor.stopProcess", case.process, False) is True

    if case.state == "FATAL":
        eventually(lambda: one.state(case.process) == "FATAL" or _let_it_fail(one, case))

    def ask() -> list[Any]:
        """The answer, alone in a list, or none."""
        one.until(case.process, case.state)
        before = one.info(case.process)
        answer = _answer(one, case)
        after = one.call("supervisor.getProcessInfo", case.process)
        # What retries by itself may have done so in between. Then it says nothing.
        still_the_run = isinstance(after, Fault) or after["start"] == before["start"]
        says_something = before["statename"] == "BACKOFF" and still_the_run
        if case.state == "BACKOFF" and not says_something:
            # It may have been started by its policy just before, and this call have stopped it.
            one.call("supervisor.startProcess", case.process, False)
            return []
        return [timeless(answer)]

    return eventually(ask)[0]


def _answer(one: Contestant, case: Case) -> Any:
    if case.state != "FATAL" or not case.waits_for_a_start:
        return one.call(case.method, *case.params)
    with ThreadPoolExecutor(1) as asking:
        answer = asking.submit(one.call, case.method, *case.params)
        eventually(lambda: answer.done() or _let_it_fail(one, case))
        return answer.result()


def _let_it_fail(one: Contestant, case: Case) -> bool:
    """Tell it a line, if it runs; False, since that isn't the end of it yet."""
    one.call("supervisor.sendProcessStdin", case.process, "\n")
    return False


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.call} - {case.state}")
def test_same_answer_in_every_state(
    answers: tuple[Mapping[Case, Any], Mapping[Case, Any]], case: Case
) -> None:
    """Result or fault, code and text."""
    theirs, ours = answers
    assert typed(ours[case]) == typed(theirs[case])
