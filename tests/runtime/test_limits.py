"""Limits of a process: what is written where, when, and what is told where that can't be.

The files are those of a test: a kernel with all three controllers in version 2, and the right to
hand them on, is rarely at hand. That a process is inside before its program begins needs none.
"""

import asyncio
from pathlib import Path

import pytest

from opsvisor.core.spec import ProcessId, ProcessSpec, Resources
from opsvisor.core.struct import replace
from opsvisor.runtime.leaves import Leaves
from opsvisor.runtime.limits import Limits

WEB = ProcessId("web", "web")
FILES = ("memory.high", "memory.max", "memory.oom.group", "cpu.max", "pids.max")
ALL = Resources(memory_high=1 << 20, memory_max=1 << 21, oom_group=True, cpu_max=1.5, pids_max=64)


class Field:
    """A place with these controllers, and the leaf of WEB, in which each has its files."""

    def __init__(self, place: Path, controllers: str) -> None:
        self.place = place
        self.told: list[str] = []
        for name, text in (
            ("cgroup.procs", ""),
            ("cgroup.controllers", f"{controllers}\n"),
            ("cgroup.subtree_control", ""),
        ):
            (place / name).write_text(text)
        self.leaf = place / "opsvisord-web"
        self.leaf.mkdir()
        for name in FILES:
            if name.partition(".")[0] in controllers:
                (self.leaf / name).write_text("as it was")
        self.leaves = Leaves(str(place), tell_problem=lambda *_: None, found_kills=lambda *_: None)
        self.limits = Limits(self.leaves, tell=self.told.append)

    def read(self) -> dict[str, str]:
        """What the leaf has, by file."""
        found = {name: self.leaf / name for name in FILES}
        return {name: path.read_text() for name, path in found.items() if path.exists()}


def spec(resources: Resources, *, replica: int = 0) -> ProcessSpec:
    """A program with these limits."""
    name = f"web{replica}" if replica else "web"
    process_id = ProcessId("web", name)
    return ProcessSpec(id=process_id, program="web", command="x", argv=("x",), resources=resources)


@pytest.fixture
def field(tmp_path: Path) -> Field:
    """All three controllers."""
    return Field(tmp_path, "cpu memory pids")


def test_limits_are_set_before_a_run_in_the_kernels_words(field: Field) -> None:
    """Each in its file; the controllers are handed on for them."""
    handed_on = field.place / "cgroup.subtree_control"
    assert field.limits.prepare(spec(ALL)) == str(field.leaf)
    assert field.read() == {
        "memory.high": "1048576",
        "memory.max": "2097152",
        "memory.oom.group": "1",
        "cpu.max": "150000 100000",
        "pids.max": "64",
    }
    assert handed_on.read_text() == "+pids"  # the last of three writes
    assert (field.limits.problem_of(WEB), field.told) == ("", [])


def test_limits_that_are_taken_back_go(field: Field) -> None:
    """The leaf outlives its runs, so what it had is set back."""
    field.limits.prepare(spec(ALL))
    assert field.limits.prepare(spec(Resources())) == str(field.leaf)
    assert set(field.read().values()) == {"max", "0", "max 100000"}
    assert field.limits.prepare(spec(Resources(pids_max=9))) is not None
    assert field.read()["pids.max"] == "9"


def test_a_program_without_limits_needs_no_fork(field: Field) -> None:
    """It is moved after it began, which costs less."""
    assert field.limits.prepare(spec(Resources())) is None
    assert set(field.read().values()) == {"as it was"}


async def test_limits_change_while_it_runs(field: Field) -> None:
    """Without a restart, in a thread; what is the same is not written."""
    field.limits.prepare(spec(ALL))
    (field.leaf / "memory.max").write_text("seen")
    field.limits.changed(spec(ALL))
    assert field.read()["memory.max"] == "seen"
    field.limits.changed(spec(replace(ALL, memory_max=1 << 22)))
    await done(field)
    assert field.read()["memory.max"] == "4194304"
    (field.leaf / "pids.max").unlink()
    field.limits.changed(spec(replace(ALL, pids_max=9)))
    await done(field)
    assert "pids.max" in field.limits.problem_of(WEB)


async def done(field: Field) -> None:
    """Return when the thread of the leaves has nothing more to do, and the loop knows."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(field.leaves._thread, lambda: None)
    await loop.run_in_executor(field.leaves._thread, lambda: None)


def test_a_controller_that_is_missing_is_told_once_for_a_program(tmp_path: Path) -> None:
    """Its replicas are in the same position; each says so of itself, and runs all the same."""
    field = Field(tmp_path, "memory")
    second = spec(ALL, replica=1)
    (field.place / "opsvisord-web:web1").mkdir()
    assert field.limits.prepare(spec(ALL)) == str(field.leaf)
    field.limits.prepare(second)
    assert field.read()["memory.max"] == "2097152"
    problem = field.limits.problem_of(WEB)
    assert problem == (
        f"{field.leaf}/cpu.max: no such controller there;"
        f" {field.leaf}/pids.max: no such controller there"
    )
    assert "web1" in field.limits.problem_of(second.id)
    assert field.told == [f"resources of program 'web' are not enforced: {problem}"]
    field.limits.prepare(spec(Resources(memory_max=1 << 20)))
    assert field.limits.problem_of(WEB) == ""


def test_without_a_place_there_are_no_limits() -> None:
    """It runs without them, which is said once, and taken back with the limits."""
    told: list[str] = []
    limits = Limits(None, tell=told.append)
    assert limits.place == ""
    for _ in range(2):
        assert limits.prepare(spec(ALL)) is None
    assert told == [
        (
            "resources of program 'web' are not enforced: no cgroup was delegated to opsvisord"
            " (cgroup of [daemon] can name one)"
        )
    ]
    assert limits.problem_of(WEB)
    limits.changed(spec(Resources()))
    assert not limits.problem_of(WEB)
    limits.prepare(spec(ALL))
    limits.forget(WEB)
    assert not limits.problem_of(WEB)


def test_a_leaf_that_can_not_be_made_limits_nothing(tmp_path: Path) -> None:
    """Told by whoever makes leaves, and by the limits."""
    field = Field(tmp_path, "memory")
    field.leaf.joinpath("memory.max").unlink()
    gone = Leaves(
        str(tmp_path / "gone"), tell_problem=lambda *_: None, found_kills=lambda *_: None
    )
    limits = Limits(gone, tell=field.told.append)
    assert limits.prepare(spec(ALL)) is None
    assert limits.prepare(spec(ALL)) is None
    assert limits.problem_of(WEB) == "it has no cgroup"


def test_what_a_daemon_before_us_set_is_known(field: Field) -> None:
    """Limits that left the configuration while there was no daemon go from the leaf, too."""
    field.leaves.prepare(WEB)
    field.limits.adopted(spec(ALL))
    assert field.limits.prepare(spec(Resources())) == str(field.leaf)
    assert field.read()["pids.max"] == "max"
    other = Limits(None)
    other.adopted(spec(Resources()))
    assert not other.problem_of(WEB)
    other.adopted(spec(ALL))
    assert other.problem_of(WEB)
