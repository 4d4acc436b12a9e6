"""What tests of `top` look at: a model with processes in it, and its picture as text."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from prompt_toolkit.utils import get_cwidth
from recorded_daemon import DAEMON, NOW, fatal, running, stopped

from opsvisor import wire
from opsvisor.ctl.top.model import Model
from opsvisor.ctl.top.orders import Order
from opsvisor.ctl.top.picture import picture


def process(name: str, **facts: Any) -> wire.ProcessStatus:
    """One that runs, but for these facts."""
    return msgspec.structs.replace(running(name), **facts)


# Control characters, and marks that turn the direction of what follows.
_COMMANDS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

FLEET = (
    process("web", cpu_usage=0.25, rss_bytes=50 << 20, labels={"team": "shop"}),
    process("db", cpu_usage=0.5, rss_bytes=10 << 20, since=NOW - 5, restarts=3),
    process("slow", ready=False, cpu_usage=0.0),
    fatal("bad"),
    stopped("jobs:off"),
)


def scene(*processes: wire.ProcessStatus, wanted: tuple[str, ...] = ()) -> Model:
    """A model that has heard of these."""
    model = Model(wanted=wanted)
    daemon = msgspec.structs.replace(DAEMON, started_at=NOW - 3600, uptime=3600.0)
    model.watched(wire.WatchSnapshot(processes=list(processes or FLEET), daemon=daemon), NOW)
    return model


def press(model: Model, *keys: str) -> list[Order]:
    """What comes of these keys, one after the other; a word is typed letter by letter."""
    orders: list[Order] = []
    for key in keys:
        orders += model.press(key, NOW)
    return orders


def shown(model: Model, width: int = 80, height: int = 24, now: float = NOW) -> list[str]:
    """The lines of the picture, which are as many and no wider than they may be."""
    lines = ["".join(text for _, text in line) for line in picture(model, width, height, now)]
    assert len(lines) == height
    assert max(get_cwidth(line) for line in lines) <= width, lines
    assert not _COMMANDS.search("".join(lines)), lines
    return [line.rstrip() for line in lines]


def names(model: Model) -> Sequence[str]:
    """Those that are shown, in their order."""
    return [one.name for one in model.visible()]
