"""What a daemon does for each deed, and how that grows with its programs. No clock is asked.

Lines of Python, callbacks of the loop, and system calls. Each bound is what was measured, and a
quarter more. Whoever makes something better lowers it; whoever raises it says why.
"""

import platform
from collections.abc import Mapping

import pytest
from lives import RESTARTS, Life, live
from tally import breakdown, total

FEW, SOME, MANY = 10, 100, 400

# Lines for each program, and what is done once however many there are.
EACH_AND_ONCE = {
    "start": (3200, 1_230_000),
    "first status": (370, 4000),
    "status of all": (72, 2200),
    "scrape": (640, 30_000),
    "stop": (2120, 7200),
}
# Lines that do not depend on how many programs there are.
RESTART = 3700
STATUS_OF_ONE = 2450
# Pieces of output and ends come in one turn of the loop or in several, as the kernel has it.
CALLBACKS = {"restart": 8 * RESTARTS, "status of one": 15}

# What two daemons may differ by chance: in how many turns of the loop something comes to pass.
BY_CHANCE = 1.15

CALLS_PER_RESTART = 100
KEEPERS_CALLS_PER_RESTART = 7
WRITTEN_PER_RESTART = 4500  # with few programs the memory is written anew now and then

# How a thread may wait, by the machine's numbers: for how long is in the argument of that number,
# and this value means for ever. A lock of Python, the loop, the keeper's socket.
_FOR_EVER = {0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF}
_LIMITED_BY = {
    "x86_64": {202: 3, 232: 3, 281: 3, 7: 2, 271: 2, 47: None, 45: None, 0: None},
    "aarch64": {98: 3, 22: 3, 73: 2, 212: None, 207: None, 63: None},
}


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Life]:
    """A daemon of each size, by its number of programs: dear, so that all tests share them."""
    base = tmp_path_factory.mktemp("lives")
    return {count: live(base / str(count), count) for count in (FEW, SOME, MANY)}


def lines(life: Life, deed: str) -> int:
    """How many lines the deed took."""
    return life.deeds[deed].lines.total()


def grown(lives: Mapping[int, Life], deed: str) -> str:
    """What took more lines with many programs than with few."""
    few, many = (lives[count].deeds[deed].lines for count in (FEW, MANY))
    return f"lines of {deed!r} with {MANY} programs:\n{breakdown(many, beside=few)}"


@pytest.mark.parametrize("deed", EACH_AND_ONCE)
def test_every_further_program_costs_the_same(lives: Mapping[int, Life], deed: str) -> None:
    """Nothing looks at all programs for each of them: that would be quadratic."""
    first, then = (
        (lines(lives[more], deed) - lines(lives[fewer], deed)) / (more - fewer)
        for fewer, more in ((FEW, SOME), (SOME, MANY))
    )
    assert then <= first * BY_CHANCE, f"{first:.0f}, then {then:.0f} each: {grown(lives, deed)}"


@pytest.mark.parametrize("deed", EACH_AND_ONCE)
def test_work_for_many(lives: Mapping[int, Life], deed: str) -> None:
    """So many lines for each program at most, and so many once."""
    each, once = EACH_AND_ONCE[deed]
    took = lines(lives[MANY], deed)
    assert took <= each * MANY + once, f"{took}: {grown(lives, deed)}"


@pytest.mark.parametrize(
    ("deed", "times", "most"),
    [("restart", RESTARTS, RESTART), ("status of one", 1, STATUS_OF_ONE)],
)
def test_work_for_one(lives: Mapping[int, Life], deed: str, times: int, most: int) -> None:
    """It takes so many lines at most, and not more where there are more programs beside it."""
    few, many = (lines(lives[count], deed) / times for count in (FEW, MANY))
    assert few <= most, breakdown(lives[FEW].deeds[deed].lines, per=times)
    assert many <= few * BY_CHANCE, f"{few:.0f}, then {many:.0f}: {grown(lives, deed)}"


@pytest.mark.parametrize("count", [FEW, MANY])
@pytest.mark.parametrize("deed", CALLBACKS)
def test_callbacks_of_the_loop(lives: Mapping[int, Life], deed: str, count: int) -> None:
    """A restart happens in the turn that sees the death, or in the next; a request in a few."""
    tally = lives[count].deeds[deed]
    table = f"{tally.callbacks} callbacks of the loop, and calls:\n{breakdown(tally.calls)}"
    assert 0 < tally.callbacks <= CALLBACKS[deed], table


@pytest.mark.parametrize("count", [FEW, SOME, MANY])
def test_system_calls_of_a_restart(lives: Mapping[int, Life], count: int) -> None:
    """So many at most, and as many however many programs there are: nothing goes through all."""
    calls = lives[count].calls
    table = breakdown(calls.counts, per=RESTARTS)
    assert calls.counts["epoll_wait"] + calls.counts["epoll_pwait"] > 0, f"not seen:\n{table}"
    assert total(calls.counts) <= CALLS_PER_RESTART * RESTARTS, table


@pytest.mark.parametrize("count", [FEW, SOME, MANY])
def test_bytes_written_for_a_restart(lives: Mapping[int, Life], count: int) -> None:
    """To log and memory goes what has changed, not all there is."""
    assert 0 < lives[count].calls.written / RESTARTS <= WRITTEN_PER_RESTART


@pytest.mark.parametrize("count", [FEW, SOME, MANY])
def test_keepers_system_calls(lives: Mapping[int, Life], count: int) -> None:
    """The keeper takes and closes descriptors, and that is all."""
    counts = lives[count].keepers_calls.counts
    most = KEEPERS_CALLS_PER_RESTART * RESTARTS
    assert 0 < total(counts) <= most, breakdown(counts, per=RESTARTS)


@pytest.mark.parametrize("count", [FEW, MANY])
def test_processes_are_made_without_a_copy_of_the_daemon(
    lives: Mapping[int, Life], count: int
) -> None:
    """One for each restart, by vfork: fork copies the page tables of all that the daemon has."""
    births = lives[count].calls.births
    assert len(births) == RESTARTS, births
    copies = [one for one in births if not one.startswith("vfork(") and "CLONE_VFORK" not in one]
    assert not copies, copies


@pytest.mark.parametrize("count", [FEW, MANY])
def test_nothing_is_due_when_nothing_is_to_be_done(lives: Mapping[int, Life], count: int) -> None:
    """All threads of daemon and keeper wait without a limit: not one wakes up by itself, ever.

    That says more than counting how often they woke, for which somebody would have to wait.
    """
    limits = _LIMITED_BY[platform.machine()]
    assert len(lives[count].sleeps) >= 2
    for thread, waits in lives[count].sleeps:
        number, *words = waits.split()
        assert number.isdecimal(), f"{thread} does not sleep: {waits}"
        assert int(number) in limits, f"{thread} waits in a system call unknown here: {waits}"
        limit = limits[int(number)]
        assert limit is None or int(words[limit], 16) in _FOR_EVER, (
            f"{thread} has a limit: {waits}"
        )
