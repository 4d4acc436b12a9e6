"""What a daemon hands to the code that takes its place by exec: all it knows, in a file of memory.

Theory of operation
-------------------
Two lines of JSON. The first says what this is, in which format, and who wrote it: enough to refuse
what can't be understood, in words. The second is everything, written by the codec of the memory:
fields that the reader does not know are passed over, and those that the writer did not know have
their defaults. So the format's number changes only when a field changes its meaning.

The file has no name: a memfd, which only this process has, and whose number stays valid across the
exec. Where it is is told by an environment variable with the pid, so that a program that inherits
the environment does not believe that it was meant.

Descriptors are listed by the names that the keeper has for them (`out:INODE`, `in:INODE`,
`pid:PID`, `socket:URL`), and some of our own: `listen:URL` for our servers, `lock` for that of the
state directory, `keeper` for the connection to it, `directory` for where we are.
"""

import json
import os
from collections.abc import Mapping, MutableMapping
from typing import Any, Self

from opsvisor import __version__
from opsvisor.api.sessions import SessionsMemento
from opsvisor.config.problems import OpsvisorError
from opsvisor.core.instant import Instant
from opsvisor.core.memento import SupervisorMemento
from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct, field
from opsvisor.runtime.bus import BusMemento
from opsvisor.runtime.inheritance import EngineMemento
from opsvisor.runtime.logs.capture import CaptureMemento
from opsvisor.runtime.memory.codec import Undecodable, decode, encode
from opsvisor.runtime.post_mortem import PostMortemMemento
from opsvisor.runtime.sampler import SamplerMemento
from opsvisor.telemetry.metrics import MetricsMemento

FORMAT = 1

_VARIABLE = "OPSVISOR_HAND_OVER"
_LONGEST_HEADER = 1024


class HandOverError(OpsvisorError):
    """This is no hand-over, or none that this version can take."""


class KeeperMemento(Struct, frozen=True, kw_only=True):
    """The keeper at the other end of `keeper`: what it has, by our descriptors."""

    pid: Pid
    held: Mapping[str, int]


class UpgradeMemento(Struct, frozen=True, kw_only=True):
    """An upgrade: from which version, when it was asked for, and since when nobody was answered.

    Both instants are monotonic. `count` is how many there have been with this one.
    """

    from_version: str
    asked_at: float
    silent_since: float
    count: int = 1


class HandOver(Struct, frozen=True, kw_only=True):
    """Everything. What has no default could not be done without.

    `directory` is where the daemon was started, which files are relative to, and `runtime` the
    runtime directory of who did it ("" from versions that did not tell). `state_directory` is
    a path, "" without one. `connections` are descriptors of clients between two requests, by the
    URL of their server, and `sessions` those who have logged in there. `edges` are what other
    interfaces have, in their own words.
    """

    started: Instant
    directory: str
    supervisor: SupervisorMemento
    engine: EngineMemento
    upgrade: UpgradeMemento
    descriptors: Mapping[str, int] = field(default_factory=dict)
    connections: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    sessions: Mapping[str, SessionsMemento] = field(default_factory=dict)
    runtime: str = ""
    state_directory: str = ""
    keeper: KeeperMemento | None = None
    bus: BusMemento | None = None
    metrics: MetricsMemento = field(default_factory=MetricsMemento)
    sampler: SamplerMemento = field(default_factory=SamplerMemento)
    post_mortems: tuple[PostMortemMemento, ...] = ()
    log: CaptureMemento | None = None
    edges: tuple[str, ...] = ()
    event_serial: int = 0
    marks: int = 0

    @property
    def inherited(self) -> list[int]:
        """All descriptors that are handed over."""
        of_clients = [one for some in self.connections.values() for one in some]
        held = [] if self.keeper is None else list(self.keeper.held.values())
        return [*{*self.descriptors.values(), *of_clients, *held}]

    def write(self) -> int:
        """A descriptor of a file that has it, which no program inherits."""
        descriptor = os.memfd_create("opsvisor-hand-over", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(self.text())
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def text(self) -> bytes:
        """As it is written."""
        header = {"opsvisor_hand_over": FORMAT, "version": __version__}
        lines = (header, encode(HandOver, self))
        return b"".join(
            json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n" for line in lines
        )

    @classmethod
    def read(cls, descriptor: int) -> Self:
        """What is written in this file, which is closed. HandOverError if it can't be used."""
        try:
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                return cls.of(file.read())
        except OSError as error:
            raise HandOverError(f"the hand-over can't be read: {error.strerror}") from error

    @classmethod
    def of(cls, text: bytes) -> Self:
        """What is written in this. HandOverError if it can't be used."""
        head, _, rest = text.partition(b"\n")
        _check(head)
        found = _json(rest)
        if found is None:
            raise HandOverError("the hand-over is not complete")
        try:
            memento = decode(cls, found)
        except Undecodable as error:
            raise HandOverError(f"the hand-over can't be understood: {error}") from error
        assert isinstance(memento, cls)
        return memento


def _check(head: bytes) -> None:
    found = _json(head) if len(head) <= _LONGEST_HEADER else None
    number = found.get("opsvisor_hand_over") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(number, int):
        raise HandOverError("this is no hand-over of opsvisord")
    if number > FORMAT:
        raise HandOverError(
            f"the hand-over of opsvisord {found.get('version')} is in format {number}, and"
            f" opsvisord {__version__} knows those up to {FORMAT}\n"
            "    hint: an older version can't take over from a newer one; opsvisorctl shutdown,"
            " then start it"
        )


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def announce(descriptor: int, environment: MutableMapping[str, str]) -> None:
    """Tell whoever is executed in this process that a hand-over waits there."""
    environment[_VARIABLE] = f"{os.getpid()}:{descriptor}"


def announced(environment: MutableMapping[str, str]) -> int | None:
    """The descriptor of the hand-over that is for this process; nobody else hears of it."""
    pid, _, descriptor = environment.pop(_VARIABLE, "").partition(":")
    if pid != str(os.getpid()) or not descriptor.isdecimal():
        return None
    return int(descriptor)
