"""Who passes when, while many want to."""

import asyncio

from opsvisor.api.turnstile import TURN, Turnstile


class Spent:
    """Processor time: so much for each that has passed."""

    def __init__(self, each: float) -> None:
        self.each = each
        self.passed: list[str] = []

    def __call__(self) -> float:
        """All that was spent so far."""
        return len(self.passed) * self.each


async def crowd(spent: Spent, *sources: str) -> list[list[str]]:
    """Have one of each come at the same moment; who has passed after each turn of the loop."""
    turnstile, turns = Turnstile(spent), list[list[str]]()

    async def come(source: str) -> None:
        await turnstile.turn(source)
        spent.passed.append(source)

    async with asyncio.TaskGroup() as together:
        for source in sources:
            together.create_task(come(source))
        while len(spent.passed) < len(sources):
            before = len(spent.passed)
            await asyncio.sleep(0)
            turns.append(spent.passed[before:])
    return [turn for turn in turns if turn]


async def test_who_is_dear_passes_alone() -> None:
    """What takes longer than a turn should is not done twice in one."""
    turns = await crowd(Spent(2 * TURN), *["a"] * 20)
    assert [len(turn) for turn in turns] == [1] * 20


async def test_who_is_cheap_passes_in_company() -> None:
    """As many as are good for some milliseconds, and no more."""
    turns = await crowd(Spent(TURN / 8), *["a"] * 200)
    assert max(len(turn) for turn in turns) <= 16
    assert len(turns) < 60


async def test_sources_take_turns() -> None:
    """Who comes alone and last does not wait for those who came together before."""
    spent = Spent(2 * TURN)
    await crowd(spent, *["crowd"] * 100, "alone")
    assert "alone" in spent.passed[:4]


async def test_who_goes_away_holds_up_nobody() -> None:
    """A client that hangs up while it waits is passed over."""
    turnstile = Turnstile()
    await turnstile.turn("first")
    waiting = [asyncio.ensure_future(turnstile.turn("crowd")) for _ in range(10)]
    last = asyncio.ensure_future(turnstile.turn("crowd"))
    await asyncio.sleep(0)
    for one in waiting:
        one.cancel()
    async with asyncio.timeout(60):
        await last
    await asyncio.gather(*waiting, return_exceptions=True)
