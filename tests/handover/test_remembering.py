"""What of a daemon goes into its memory, as far as that is not all of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from engine_room import program

from opsvisor.core.instant import Instant
from opsvisor.core.memento import ProcessMemento, SupervisorMemento
from opsvisor.core.outcome import ExitCause, Outcome, Usage
from opsvisor.core.plan import Plan
from opsvisor.core.process import ProcessMachine
from opsvisor.core.spec import Pid, ProcessId, ProcessSpec
from opsvisor.core.struct import replace
from opsvisor.daemon import remembering
from opsvisor.daemon.remembering import (
    Life,
    MarksMemento,
    Past,
    PlanMemento,
    Remembering,
    Sources,
    past_of,
)
from opsvisor.runtime.adoption import RunMemento
from opsvisor.runtime.memory.codec import encode
from opsvisor.runtime.memory.directory import Place, open_state_directory
from opsvisor.runtime.memory.file import Key, MemoryFile, read_memory
from opsvisor.runtime.post_mortem import FinishedRun
from opsvisor.telemetry.rows import CountsMemento

NOBODY: Any = None  # who is not asked
SOURCES = Sources(
    supervisor=NOBODY,
    engine=NOBODY,
    metrics=NOBODY,
    sampler=NOBODY,
    post_mortems=NOBODY,
    history_size=3,
)
PAST = Past(
    version="1",
    memento=SupervisorMemento(plan=Plan(groups=()), generation=1),
    marks=MarksMemento(seed=1),
)
WEB = ProcessId("web", "web")


def run_that_said(words: str) -> FinishedRun:
    """A run that failed, with these last words."""
    return FinishedRun(
        pid=Pid(1),
        ended_at=0.0,
        uptime=1.0,
        outcome=Outcome(code=1),
        problem="",
        cause=ExitCause.FAILURE,
        expected=False,
        decision="",
        usage=Usage(),
        stderr_tail=(words,),
    )


def remembered(folder: Path, past: Past) -> Mapping[str, Any]:
    """What is in the memory of a daemon with this past, which has 3 runs a process at most."""
    directory = open_state_directory(Place(path=folder, is_chosen=True))
    memory = MemoryFile(directory, on_problem=print)
    Remembering(memory, SOURCES).recall(past)
    memory.commit()
    found = read_memory(directory)
    memory.close()
    directory.release(is_over=False)
    assert found is not None
    return found.values


def test_of_histories_only_so_much_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes first; a memory that nobody would read again would cost all programs."""
    monkeypatch.setattr(remembering, "HISTORY_MAX", 3000)
    history = {
        ProcessId(name, name): tuple((number, run_that_said(name * 300)) for number in range(1, 6))
        for name in ("one", "two")
    }
    values = remembered(tmp_path / "state", replace(PAST, history=history))
    runs = [key for key in values if key.startswith("history/")]
    assert runs == ['history/["two","two"]/4', 'history/["two","two"]/5']


def test_runs_are_numbered_on_from_those_of_an_earlier_daemon(tmp_path: Path) -> None:
    """The history grows by what the post-mortems tell, a spawn that failed included."""
    directory = open_state_directory(Place(path=tmp_path / "state", is_chosen=True))
    memory = MemoryFile(directory, on_problem=print)
    some = Remembering(memory, SOURCES)
    some.recall(replace(PAST, history={WEB: ((7, run_that_said("seven")),)}))
    some.run_kept(WEB, run_that_said("eight"))
    some.run_kept(WEB, replace(run_that_said("nine"), pid=None, outcome=None))
    some.run_kept(WEB, run_that_said("ten"))
    memory.commit()
    found = read_memory(directory)
    memory.close()
    directory.release(is_over=False)
    assert found is not None
    runs = {key: one for key, one in found.values.items() if key.startswith("history/")}
    assert list(runs) == [f'history/["web","web"]/{number}' for number in (8, 9, 10)]
    assert [one["stderr_tail"] for one in runs.values()] == [["eight"], ["nine"], ["ten"]]


def test_a_key_is_json_whatever_a_name_is_made_of() -> None:
    """So it is told from that of any other process, and a later version finds it again."""
    for name in ('a"b', "a/1", "ü\n\x7f", "\udce4"):
        kind, _, rest = Key("run", ProcessId("group", name)).text.partition("/")
        assert (kind, json.loads(rest)) == ("run", ["group", name])
        assert rest.isascii()


def life_and_the_rest() -> tuple[Life, dict[str, Any]]:
    """One of `web`, and what a memory holds besides."""
    spec = program("web", "sleep", "1")
    machine = ProcessMachine(spec, group_priority=1, jitter=float, now=Instant(mono=1.0, wall=2.0))
    life = Life(
        memento=machine.memento(is_doomed=False),
        counts=CountsMemento(id=WEB, starts=3),
        run=RunMemento(id=WEB, pid=Pid(42)),
    )
    return life, {
        "daemon": "0.1.0",
        "plan": encode(PlanMemento, PlanMemento(generation=1)),
        "marks": encode(MarksMemento, MarksMemento(seed=1)),
        Key("spec", WEB).text: encode(ProcessSpec, spec),
    }


def test_what_an_earlier_version_wrote_is_read() -> None:
    """It had three values for what is one now."""
    life, rest = life_and_the_rest()
    before = {
        Key("process", WEB).text: encode(ProcessMemento, life.memento),
        Key("run", WEB).text: encode(RunMemento, life.run),
        Key("counts", WEB).text: encode(CountsMemento, life.counts),
    }
    past = past_of({**rest, **before})
    assert past is not None
    assert past == past_of({**rest, Key("life", WEB).text: encode(Life, life)})
    assert (past.runs, past.counts) == ((life.run,), (life.counts,))


def test_news_of_a_run_is_newer_than_its_life() -> None:
    """It is written alone only after that."""
    life, rest = life_and_the_rest()
    intended = RunMemento(id=WEB, is_intended=True, intended_at=7)
    past = past_of(
        {
            **rest,
            Key("life", WEB).text: encode(Life, life),
            Key("run", WEB).text: encode(RunMemento, intended),
        }
    )
    assert past is not None
    assert past.runs == (intended,)
