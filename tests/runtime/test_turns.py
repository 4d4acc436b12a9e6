"""Going on later, when others have had their turns of the loop."""

import asyncio

from opsvisor.runtime.turns import Later


async def turns(count: int) -> None:
    """Let so many turns of the loop go by."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_is_called_after_so_many_turns_of_others() -> None:
    """And at the earliest in the next one."""
    called: list[str] = []
    later = Later(asyncio.get_running_loop(), lambda: called.append("then"))
    for others in (0, 1, 4):
        later.ask(others)
        await turns(others)
        assert (later.is_due, called) == (True, [])
        await turns(1)
        assert (later.is_due, called) == (False, ["then"])
        called.clear()


async def test_who_asks_again_meanwhile_gets_one_call_for_all() -> None:
    """When it was due already; after it, another."""
    called: list[str] = []
    later = Later(asyncio.get_running_loop(), lambda: called.append("then"))
    later.ask(2)
    later.ask()
    await turns(2)
    later.ask(7)
    await turns(20)
    assert called == ["then"]
    later.ask()
    await turns(1)
    assert called == ["then", "then"]


async def test_what_is_called_may_ask_for_the_next_call() -> None:
    """That is how it goes on."""
    called: list[bool] = []

    def then() -> None:
        called.append(later.is_due)
        later.ask()

    later = Later(asyncio.get_running_loop(), then)
    later.ask()
    await turns(3)
    assert called == [False] * 3
    later.cancel()


async def test_what_is_cancelled_is_not_called() -> None:
    """Until it is asked for again."""
    called: list[str] = []
    later = Later(asyncio.get_running_loop(), lambda: called.append("then"))
    later.cancel()
    later.ask(1)
    await turns(1)
    later.cancel()
    assert not later.is_due
    await turns(5)
    assert called == []
    later.ask()
    await turns(1)
    assert called == ["then"]
