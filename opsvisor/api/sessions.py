"""Those who have logged in at one server: a browser shows the key of a session, and no password.

Theory of operation
-------------------
A key is 256 random bits, which only the browser has: here is its digest. A session ends

- when whoever has it says so,
- when nobody has used it for a while, or some hours after it began, used or not,
- when what its identity has to show has become something else, or the identity is gone: what was
  shown left a stamp, and a session lasts only as long as the present one is the same,
- when its identity begins more of them than one person has browsers. So nobody can fill the
  memory, nor push out others.

An open stream is use. What is open when its session ends is ended with it.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opsvisor.core.struct import Struct, field

# Of one identity; the one that was used longest ago makes room.
SESSIONS_MAX = 32
_KEY = 32  # bytes


class SessionMemento(Struct, frozen=True, kw_only=True):
    """A session as it goes over to the version that takes our place; instants are monotonic."""

    digest: bytes
    name: str
    stamp: bytes
    began: float
    used: float


class SessionsMemento(Struct, frozen=True, kw_only=True):
    """All sessions of one server. Without the `salt` no stamp would be known again."""

    salt: bytes
    sessions: tuple[SessionMemento, ...] = ()


class Session(Struct, kw_only=True):
    """One login of the identity of this `name`. Instants are monotonic seconds."""

    digest: bytes
    name: str
    stamp: bytes
    began: float
    used: float
    open: set[asyncio.Task[Any]] = field(default_factory=set)

    def memento(self) -> SessionMemento:
        """What the next version needs to know it."""
        return SessionMemento(
            digest=self.digest, name=self.name, stamp=self.stamp, began=self.began, used=self.used
        )

    @classmethod
    def of(cls, memento: SessionMemento) -> "Session":
        """The same session in the next version."""
        return cls(
            digest=memento.digest,
            name=memento.name,
            stamp=memento.stamp,
            began=memento.began,
            used=memento.used,
        )


class Sessions:
    """All of one server. `stamp_of` tells the present stamp of an identity, None if it is gone.

    `idle_timeout` and `lifetime` are in seconds.
    """

    def __init__(
        self,
        stamp_of: Callable[[str], bytes | None],
        *,
        idle_timeout: float,
        lifetime: float,
        now: Callable[[], float],
    ) -> None:
        self._stamp_of = stamp_of
        self._idle_timeout = idle_timeout
        self._lifetime = lifetime
        self._now = now
        # So that nobody could try passwords on what is remembered of them.
        self._salt = secrets.token_bytes(_KEY)
        self._sessions: dict[bytes, Session] = {}

    def __len__(self) -> int:
        """How many there are, those included that have run out without anybody looking."""
        return len(self._sessions)

    def begin(self, name: str) -> tuple[str, Session]:
        """A new session of an identity that has just shown what it has to, and its key."""
        stamp = self._stamp(name)
        assert stamp is not None, "who has shown something is known"
        for one in tuple(self._sessions.values()):
            if not self.is_alive(one):
                self.end(one)
        own = [one for one in self._sessions.values() if one.name == name]
        if len(own) >= SESSIONS_MAX:
            self.end(min(own, key=lambda one: one.used))
        key, now = secrets.token_urlsafe(_KEY), self._now()
        session = Session(digest=_digest(key), name=name, stamp=stamp, began=now, used=now)
        self._sessions[session.digest] = session
        return key, session

    def find(self, key: str) -> Session | None:
        """The session of this key, which is thereby used; None if there is none any more."""
        session = self._sessions.get(_digest(key))
        if session is None:
            return None
        if not self.is_alive(session):
            self.end(session)
            return None
        session.used = self._now()
        return session

    def is_alive(self, session: Session) -> bool:
        """Whether it goes on: not ended, in time, and of an identity that is as it was."""
        now = self._now()
        stamp = self._stamp(session.name)
        return (
            self._sessions.get(session.digest) is session
            and now - session.began < self._lifetime
            and (bool(session.open) or now - session.used < self._idle_timeout)
            and stamp is not None
            and hmac.compare_digest(stamp, session.stamp)
        )

    def left(self, session: Session) -> float:
        """Seconds until it ends however much it is used."""
        return session.began + self._lifetime - self._now()

    def end(self, session: Session) -> None:
        """End it, and whatever is being answered to it."""
        self._sessions.pop(session.digest, None)
        for task in tuple(session.open):
            if task is not asyncio.current_task():  # which is the one that asked for the end
                task.cancel()

    def remember(self) -> SessionsMemento:
        """What the next version needs to know all of them."""
        alive = (one for one in self._sessions.values() if self.is_alive(one))
        return SessionsMemento(salt=self._salt, sessions=tuple(one.memento() for one in alive))

    def recall(self, memento: SessionsMemento) -> None:
        """Go on with these. What ends a session has ended it meanwhile as well."""
        self._salt = memento.salt
        self._sessions = {one.digest: Session.of(one) for one in memento.sessions}

    @contextmanager
    def in_use(self, session: Session, task: asyncio.Task[Any]) -> Iterator[None]:
        """Keep it from being idle, and have the task ended with it, while the block lasts."""
        session.open.add(task)
        try:
            yield
        finally:
            session.open.discard(task)
            session.used = self._now()

    def _stamp(self, name: str) -> bytes | None:
        stamp = self._stamp_of(name)
        return None if stamp is None else hmac.digest(self._salt, stamp, "sha256")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
