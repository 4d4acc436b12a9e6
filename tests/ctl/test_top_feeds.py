"""What `top` reads by threads, where none can be made."""

import threading

import pytest
from top_scenes import scene, shown

from opsvisor.client import Client
from opsvisor.ctl.session import BadArguments
from opsvisor.ctl.top.feeds import Feeds, Inbox
from opsvisor.ctl.top.orders import Act


@pytest.fixture
def inbox() -> Inbox:
    """One that nobody has to be woken for."""
    return Inbox(lambda: None)


@pytest.fixture
def feeds(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Feeds:
    """Those of somebody who has too many processes already."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return Feeds(Client("unix:///nowhere"), inbox)


def test_it_does_not_begin(feeds: Feeds) -> None:
    """And says what is missing, as other commands do."""
    with pytest.raises(BadArguments, match=r"ERROR: no thread .* too many processes"):
        feeds.begin()
    feeds.end()


def test_an_action_fails(feeds: Feeds, inbox: Inbox) -> None:
    """The screen says so, and goes on."""
    model = scene()
    feeds.carry_out(Act("stop", ("web",)))
    for news in inbox.take():
        news(model)
    assert "stop: no thread can be made here: too many processes" in "\n".join(shown(model))
