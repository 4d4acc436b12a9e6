"""Collections of garbage look at what is new, and now and then at everything."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from opsvisor.daemon import garbage
from opsvisor.daemon.garbage import LongLived


class _Circle:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def long_lived() -> Iterator[LongLived]:
    """All there is so far is set aside, and comes back afterwards."""
    one = LongLived()
    gc.collect()
    one.set_aside()
    with one.kept_aside():
        yield one


@pytest.mark.usefixtures("long_lived")
def test_a_full_collection_looks_at_what_is_new_only() -> None:
    """What the one before has found alive is not in any generation any more."""
    alive = [[number] for number in range(10_000)]
    gc.collect()
    assert len(gc.get_objects(generation=2)) < 1_000
    assert len(alive) == 10_000


@pytest.mark.usefixtures("long_lived")
def test_what_is_new_and_given_up_is_found() -> None:
    """As without all this."""
    gone = weakref.ref(_Circle())
    gc.collect()
    assert gone() is None


@pytest.mark.usefixtures("long_lived")
def test_a_circle_given_up_after_it_was_set_aside_is_found_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the collection that looks at everything."""
    monkeypatch.setattr(garbage, "_ALL_EVERY", 3)
    circle = _Circle()
    gone = weakref.ref(circle)
    gc.collect()
    del circle
    gc.collect()
    assert gone() is not None
    gc.collect()
    assert gone() is None


def test_afterwards_nothing_is_set_aside(long_lived: LongLived) -> None:
    """The next life of a daemon begins with a collector that sees all that this one left."""
    with long_lived.kept_aside():
        gc.collect()
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
