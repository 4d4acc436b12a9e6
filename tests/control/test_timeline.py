"""What happened to one process, out of all that the bus remembers."""

import pytest
from engine_room import key

from opsvisor.control import names
from opsvisor.control.timeline import LONGEST, PATTERNS_MAX, timeline_of
from opsvisor.core.events import ActionResult, ControlAction
from opsvisor.core.struct import replace
from opsvisor.runtime.bus import EventBus

ASKED = ControlAction(
    at=0.0,
    action="restart",
    targets=(),
    target_count=1,
    identity="deploy",
    user="",
    source="unix",
    listener="unix",
    interface="api",
    result=ActionResult.OK,
    code="",
    reason="",
    seconds=0.1,
)


def asked(*targets: str) -> ControlAction:
    """Somebody asked for a restart of these."""
    return replace(ASKED, targets=targets)


@pytest.mark.parametrize("name", ["shop:web", "shop:*", "shop:", "all", "w?b", "*:web", "s*:"])
def test_what_was_asked_of_a_process_is_told_by_whatever_name(name: str) -> None:
    """It stands for this process, and beside it for others or for none."""
    bus = EventBus()
    bus.publish(asked("nobody", name))
    bus.publish(asked("other"))
    (told,) = timeline_of(bus, key("shop:web"))
    assert told.event == asked("nobody", name)


def test_only_the_newest_are_told() -> None:
    """The newest comes first."""
    bus = EventBus()
    for number in range(LONGEST + 1):
        bus.publish(asked("web", str(number)))
    told = timeline_of(bus, key("web"))
    assert [item.number for item in told] == list(range(LONGEST + 1, 1, -1))


def test_patterns_that_clients_make_up_do_not_hold_up_the_daemon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thousands of different ones are not tried; one that comes again and again costs nothing."""
    tried: list[str] = []

    def matches(text: str, pattern: str) -> bool:
        tried.append(pattern)
        return text == pattern.rstrip("*")

    monkeypatch.setattr(names, "fnmatchcase", matches)
    bus = EventBus()
    bus.publish(asked("web"))
    for number in range(300):
        bus.publish(asked(f"{number:0198}*", "nobody*"))
    told = timeline_of(bus, key("web"))
    assert [item.event for item in told] == [asked("web")]
    assert sum(map(len, tried)) <= PATTERNS_MAX
    assert tried.count("nobody*") == 1
