"""What is told of processes is made anew only where something has changed."""

import msgspec
import pytest
from engine_room import key, program, sleeper
from served import Serve, Served

from opsvisor import wire
from opsvisor.api import statuses as module
from opsvisor.api.convert import process_status
from opsvisor.api.statuses import Statuses
from opsvisor.core.instant import Instant
from opsvisor.core.spec import Startup
from opsvisor.runtime import clock

LABELS = (("description", '","uptime":0.0'), ("uptime", '"description":""'))


def told(statuses: Statuses, name: str, now: Instant) -> wire.ProcessStatus:
    """What it says of one process."""
    return msgspec.json.decode(statuses.encoded(key(name), now), type=wire.ProcessStatus)


class Made:
    """The processes whose status was made, one after the other."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._names: list[str] = []
        make = process_status

        def counted(*given: object) -> wire.ProcessStatus:
            status = make(*given)  # type: ignore[arg-type]  # passed on as it is
            self._names.append(status.name)
            return status

        patch.setattr(module, "process_status", counted)

    def since(self) -> list[str]:
        """Those since this was last asked."""
        names, self._names = self._names, []
        return names


async def listed(api: Served, **params: str | int) -> list[wire.ProcessStatus]:
    """All of them, as of no particular sweep."""
    return (await api.get("/api/v1/processes", wire.ProcessList, resources=0, **params)).processes


async def test_what_is_kept_says_the_same(serve: Serve) -> None:
    """At any time, alive or not, whatever others have named it."""
    api = await serve(
        sleeper("up", labels=LABELS), sleeper("off", labels=LABELS, startup=Startup.DISABLED)
    )
    control, statuses = api.house.control, Statuses(api.house.control)
    await control.sampler.sweep()
    first = clock.now()
    for later in (0.0, 1.5, 100_000.25):
        now = Instant(mono=first.mono + later, wall=first.wall + later)
        for name in ("up", "off"):
            made = process_status(control, control.engine.view(key(name)), now)
            assert told(statuses, name, now) == made


async def test_nothing_is_made_again_that_has_not_changed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is asked for; and one that changes costs nobody else anything."""
    api = await serve(sleeper("a"), sleeper("b"), sleeper("c"))
    made = Made(monkeypatch)
    await listed(api)
    assert made.since() == ["a", "b", "c"]
    await listed(api)
    await listed(api, name="b")
    assert made.since() == []
    await api.act("stop", "b")
    after = await listed(api)
    assert made.since() == ["b"]
    assert [one.state for one in after] == ["RUNNING", "STOPPED", "RUNNING"]


async def test_figures_of_a_new_sweep_are_told(serve: Serve) -> None:
    """They come with no event."""
    api = await serve(sleeper("a"))
    assert (await listed(api))[0].rss_bytes is None
    await api.house.control.sampler.sweep()
    assert (await listed(api))[0].rss_bytes


async def test_when_an_attempt_is_due_is_told_as_the_clock_is_now(serve: Serve) -> None:
    """It is a moment of the wall clock, which may be set while a process waits for it."""
    api = await serve(program("a", "/nonexistent/program"))
    control = api.house.control
    await api.house.room.until(lambda: control.engine.view(key("a")).retry_at is not None)
    statuses, now = Statuses(control), clock.now()
    moved = Instant(mono=now.mono, wall=now.wall + 3600)
    told_before, told_after = (told(statuses, "a", when).retry_at for when in (now, moved))
    assert told_after - told_before == pytest.approx(3600)


async def test_one_of_many_is_looked_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """No view of all the others is made, and they are not gone through."""
    api = await serve(sleeper("a"), sleeper("b"))
    engine = api.house.room.engine
    monkeypatch.setattr(type(engine), "views", lambda _: pytest.fail("all were viewed"))
    monkeypatch.setattr(type(engine), "ids", lambda _: pytest.fail("all were listed"))
    assert [one.name for one in await listed(api, name="b")] == ["b"]
    await api.get("/api/v1/processes/b", wire.ProcessDetail)
    await api.act("stop", "b")
