"""Who asked for what, and what came of it: every control action, whoever made it possible.

The edges tell of what their clients ask for; here it becomes a count, and a fact on the bus, from
which the audit log and the streams of events are made. What was refused is told too, and so is
what somebody asked for whom nobody knows: who sends half a request, say, and goes. But whoever can
reach a port could do that without end. So of these only some are told a minute, and the next one
says how many were left out. All of them are counted. Those who are known have a share of their
own: what they were refused is not lost in what strangers try.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from urllib.parse import unquote

from opsvisor.core.events import ActionResult, ControlAction
from opsvisor.core.harmless import harmless
from opsvisor.core.struct import Struct
from opsvisor.runtime import clock

# The header in which clients say why, in UTF-8 and percent-encoded where that is no ASCII.
REASON_HEADER = "Opsvisor-Reason"
# Labels in the place of a name. They are words that may be names too: then both are one series.
ANYBODY = "anybody"  # where nobody is asked who they are
NOBODY = "nobody"  # who could not prove to be anybody

TARGETS_MAX = 20
NAME_MAX = 200  # characters
REASON_MAX = 500  # characters
REFUSALS_A_MINUTE = 30.0

# Codes of problems that are about who asks and how, and not about what is asked for.
REFUSALS = frozenset(
    {
        "unauthorized",
        "forbidden",
        "foreign_origin",
        "not_json",
        "wrong_host",
        "too_many_attempts",
    }
)


class Asker(Struct, frozen=True, kw_only=True):
    """Who asks, as far as it is known. `is_known`: it was let in, be it as nobody in particular.

    The other fields are as those of ControlAction.
    """

    identity: str = ""
    is_known: bool = False
    user: str = ""
    source: str = ""
    listener: str = ""
    reason: str = ""

    @property
    def label(self) -> str:
        """Its identity as a label, of which there are only as many as identities."""
        return self.identity or (ANYBODY if self.is_known else NOBODY)


# Who asks for what this task does: for edges that tell of their actions themselves.
ASKER: ContextVar[Callable[[], Asker]] = ContextVar("asker", default=Asker)


class Ended(Struct, frozen=True):
    """What came of an action, and in a word why if it wasn't all that was asked for."""

    result: ActionResult
    code: str = ""


def ended_with(code: str) -> Ended:
    """What a problem of this code makes of an action; "" is none."""
    if not code:
        return Ended(ActionResult.OK)
    return Ended(ActionResult.REFUSED if code in REFUSALS else ActionResult.FAILED, code)


class Audit:
    """Tells of control actions: `publish` takes the fact, `count` its labels."""

    def __init__(
        self,
        publish: Callable[[ControlAction], None],
        count: Callable[[str, str, str], None] = lambda _action, _identity, _result: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publish = publish
        self._count = count
        self._now = now
        self._shares = {is_known: _Share(REFUSALS_A_MINUTE, now()) for is_known in (True, False)}
        self._left_out = 0

    def tell(
        self,
        action: str,
        targets: Sequence[str],
        asker: Asker,
        ended: Ended,
        *,
        interface: str,
        seconds: float,
    ) -> None:
        """An action has ended so, after so many seconds."""
        self._count(action, asker.label, ended.result.value)
        is_rationed = ended.result is ActionResult.REFUSED or not asker.is_known
        if is_rationed and not self._shares[asker.is_known].take(self._now()):
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        self._publish(
            ControlAction(
                at=clock.now().wall - seconds,
                action=action,
                targets=tuple(_short(name, NAME_MAX) for name in targets[:TARGETS_MAX]),
                target_count=len(targets),
                identity=asker.identity,
                user=asker.user,
                source=asker.source,
                listener=asker.listener,
                interface=interface,
                result=ended.result,
                code=ended.code,
                reason=asker.reason,
                seconds=round(seconds, 6),
                left_out=left_out,
            )
        )


class _Share(Struct):
    """How many of those that come without end may still be told, as of one moment."""

    left: float
    at: float

    def take(self, now: float) -> bool:
        """Have one told, if that may be."""
        gained = (now - self.at) * REFUSALS_A_MINUTE / 60
        self.left, self.at = min(REFUSALS_A_MINUTE, self.left + gained), now
        if self.left < 1:
            return False
        self.left -= 1
        return True


def reason_in(headers: Mapping[str, str]) -> str:
    """Why a client asks, as it says itself; "" if it doesn't."""
    return _short(unquote(headers.get(REASON_HEADER, "")), REASON_MAX)


def _short(text: str, most: int) -> str:
    """One line of so many characters in which nothing commands a terminal."""
    return harmless(" ".join(text[: most + 1].split("\n")))[:most]
