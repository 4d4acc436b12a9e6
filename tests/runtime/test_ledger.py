"""Totals that go on in another ledger."""

from opsvisor.core.outcome import Usage
from opsvisor.core.spec import Pid
from opsvisor.runtime.cgroups import Throttling
from opsvisor.runtime.ledger import Ledger, ThrottleLedger
from opsvisor.runtime.proctree import Spent

ROOT, MEMBER = Pid(100), Pid(101)


def test_a_later_ledger_tells_the_same_and_adds_to_it() -> None:
    """What lived then and ends now is in one sum only."""
    ledger = Ledger()
    ledger.run_ended(Pid(99), Usage(user_seconds=2.0))
    ledger.saw({ROOT: Spent(user_seconds=1.0, io_read_bytes=10), MEMBER: Spent(1.0)})
    later = Ledger.recall(ledger.remember())
    assert later.total() == ledger.total() == Spent(user_seconds=4.0, io_read_bytes=10)
    later.run_ended(ROOT, Usage(user_seconds=2.5))
    assert later.total() == Spent(user_seconds=4.5, io_read_bytes=10)


def test_what_was_told_is_never_less_later() -> None:
    """Also before the members have been seen again."""
    ledger = Ledger()
    ledger.saw({ROOT: Spent(user_seconds=5.0)})
    ledger.total()
    ledger.saw({})
    later = Ledger.recall(ledger.remember())
    assert later.total().user_seconds == 5.0


def test_throttling_is_counted_on() -> None:
    """From what its cgroup had counted when it was last seen."""

    def seen(periods: int) -> Throttling:
        return Throttling(folder="f", periods=periods, throttled_periods=0, throttled_seconds=0.0)

    ledger = ThrottleLedger(seen(10))
    ledger.saw(seen(14))
    later = ThrottleLedger.recall(ledger.remember())
    later.saw(seen(15))
    assert later.total().periods == 5
