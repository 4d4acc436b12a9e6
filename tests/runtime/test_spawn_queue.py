"""Who is made first when many are to be."""

from engine_room import program

from opsvisor.core.spec import ProcessId
from opsvisor.runtime.spawn_queue import Line, Place, SpawnQueue

BOTH = (Line.AGAIN, Line.FIRST)


def queue_of(*, first: int = 0, again: int = 0) -> SpawnQueue:
    """So many that were never made, f0, f1 ..., and so many that were, a0, a1 ..."""
    queue = SpawnQueue()
    for n in range(first):
        queue.add(program(f"f{n}", "true"), Line.FIRST)
    for n in range(again):
        queue.add(program(f"a{n}", "true"), Line.AGAIN)
    return queue


def take(queue: SpawnQueue, count: int, *, without: str = "") -> list[str]:
    """The names of those that are taken."""
    return names(queue.take(count, BOTH, may_be_made=lambda one: one.name != without))


def names(taken: list[Place]) -> list[str]:
    """Their names. Each comes with the line that it was in."""
    assert all(spec.id.name[0] == line.value[0] for line, spec in taken)
    return [spec.id.name for _, spec in taken]


def test_both_lines_move_whatever_the_length_of_the_other() -> None:
    """Half of the places for each, in the order they were asked for."""
    queue = queue_of(first=100, again=100)
    assert take(queue, 8) == ["a0", "a1", "a2", "a3", "f0", "f1", "f2", "f3"]
    assert take(queue, 3) == ["a4", "f4", "f5"]
    assert len(queue) == 189


def test_no_place_stays_empty() -> None:
    """Where one line has too few, the other has the rest."""
    assert take(queue_of(first=9, again=1), 4) == ["a0", "f0", "f1", "f2"]
    assert take(queue_of(first=1, again=9), 4) == ["a0", "a1", "f0", "a2"]
    assert take(queue_of(again=9), 4) == ["a0", "a1", "a2", "a3"]
    assert take(queue_of(first=2), 4) == ["f0", "f1"]


def test_of_one_line_alone_may_be_taken() -> None:
    """While the other is held up."""
    queue = queue_of(first=3, again=3)
    assert names(queue.take(4, [Line.FIRST], may_be_made=_anyone)) == ["f0", "f1", "f2"]
    assert names(queue.take(2, [Line.AGAIN], may_be_made=_anyone)) == ["a0", "a1"]
    assert names(queue.take(2, [], may_be_made=_anyone)) == []


def test_who_ran_for_a_while_waits_in_a_line_of_its_own() -> None:
    """To be taken first, whoever else waits, and for however long."""
    queue = queue_of(first=9, again=9)
    for n in range(3):
        queue.add(program(f"s{n}", "true"), Line.SETTLED)
    settled = queue.take_settled(2, may_be_made=lambda one: one.name != "s0")
    assert names(settled) == ["s1", "s2"]
    assert take(queue, 4) == ["a0", "a1", "f0", "f1"]
    assert names(queue.take_settled(9, may_be_made=_anyone)) == ["s0"]


def test_who_may_not_be_made_yet_keeps_its_place() -> None:
    """And holds up nobody."""
    queue = queue_of(first=3)
    assert take(queue, 2, without="f0") == ["f1", "f2"]
    assert take(queue, 2, without="f0") == []
    assert take(queue, 2) == ["f0"]


def test_a_process_waits_once() -> None:
    """The last spec counts, and who is called off does not wait."""
    queue = queue_of(first=2, again=1)
    queue.add(program("f0", "false"), Line.AGAIN)
    process_id = program("f0", "true").id
    assert (len(queue), process_id in queue) == (3, True)
    assert queue.discard(process_id)
    assert not queue.discard(process_id)
    assert (len(queue), process_id in queue) == (2, False)


def test_the_last_spec_is_made() -> None:
    """Not the one before."""
    queue, specs = SpawnQueue(), [program("web", word) for word in ("true", "false")]
    for spec in specs:
        queue.add(spec, Line.FIRST)
    assert queue.take(2, BOTH, may_be_made=_anyone) == [(Line.FIRST, specs[1])]


def _anyone(_: ProcessId) -> bool:
    return True
