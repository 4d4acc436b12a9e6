"""How each process is, encoded: anew only for those of which something has changed.

Theory of operation
-------------------
To say how 1,000 processes are takes 40,000 values, which is 15 ms of work. Most of them are what
they were when somebody last asked, so what was told of a process is kept, with all that it
followed from:

- what the core knows, by the revision of that;
- what the last sweep has found, and what the process has used up in all;
- what no event tells of: trouble with its log or its limits, and its cgroup.

All of these are looked at for every answer, which takes a few microseconds, so nobody has to think
of telling us. What moves by itself is how long the process has been up, in two places, and so the
pieces around those are kept. When an attempt is due moves with the wall clock, if that is set:
such a process, of which there are few and never for long, is encoded for every answer.

What is kept is forgotten a minute after nobody has asked for it any more.
"""

import asyncio
from typing import NamedTuple

from msgspec.structs import replace

from opsvisor import wire
from opsvisor.api.convert import process_status
from opsvisor.control.control import Control
from opsvisor.control.describe import describe_running
from opsvisor.core.instant import Instant
from opsvisor.core.spec import ProcessId
from opsvisor.core.state import PublicState
from opsvisor.core.view import ProcessView
from opsvisor.runtime.proctree import Spent
from opsvisor.runtime.sweep import TreeSample

_KEPT_FOR = 60.0  # seconds
# Where time is put in. No text in JSON has these bytes, since a quote has a backslash before it
# there; and what others have named (labels) comes after them.
_DESCRIPTION = b',"description":""'
_UPTIME = b',"uptime":0.0'


class _Basis(NamedTuple):
    """What an answer follows from, besides time."""

    revision: int
    tree: TreeSample | None
    spent: Spent
    cores: float | None
    log_problem: str
    cgroup: str | None
    limits_problem: str


class _Told(NamedTuple):
    """What is told of one process, and in pieces if it is alive: around what time changes."""

    basis: _Basis
    pieces: tuple[bytes, ...]
    began: float = 0.0  # monotonic
    pid: int = 0  # of what is RUNNING, the description of which tells how long

    def at(self, now: Instant) -> bytes:
        """As of now."""
        if len(self.pieces) == 1:
            return self.pieces[0]
        head, middle, tail = self.pieces
        uptime = max(0.0, now.mono - self.began)
        description = describe_running(self.pid, uptime).encode() if self.pid else b""
        parts = (head, description, middle, uptime, tail)
        return b'%b,"description":"%b"%b,"uptime":%a%b' % parts


class Statuses:
    """What is told of each process, at whatever server."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._told: dict[ProcessId, _Told] = {}
        self._was_asked = False
        self._tidying: asyncio.TimerHandle | None = None

    def encoded(self, process_id: ProcessId, now: Instant) -> bytes:
        """One process as it is, as a wire.ProcessStatus. KeyError if there is no such process."""
        self._was_asked = True
        basis = self._basis(process_id)
        told = self._told.get(process_id)
        if told is None or told.basis != basis:
            told = self._tell(process_id, basis, now)
        return told.at(now)

    def _basis(self, process_id: ProcessId) -> _Basis:
        sampler, engine = self._control.sampler, self._control.engine
        return _Basis(
            self._control.supervisor.revision_of(process_id),
            sampler.tree(process_id),
            sampler.spent(process_id),
            sampler.recent.cores(process_id),
            engine.streams(process_id).problem,
            engine.limits.folder_of(process_id),
            engine.limits.problem_of(process_id),
        )

    def _tell(self, process_id: ProcessId, basis: _Basis, now: Instant) -> _Told:
        view = self._control.engine.view(process_id)
        status = process_status(self._control, view, now)
        if view.retry_at is not None:
            self._told.pop(process_id, None)
            return _Told(basis, (wire.encode(status),))
        told = self._told[process_id] = _in_pieces(status, view, basis)
        if self._tidying is None:
            loop = asyncio.get_running_loop()
            self._tidying = loop.call_later(_KEPT_FOR, self._tidy)
        return told

    def _tidy(self) -> None:
        """Keep what was asked for lately, and is there. An idle daemon is not woken for it."""
        self._tidying = None
        known = self._control.supervisor
        self._told = {one: told for one, told in self._told.items() if one in known}
        if not self._was_asked:
            self._told.clear()
        elif self._told:
            self._was_asked = False
            self._tidying = asyncio.get_running_loop().call_later(_KEPT_FOR, self._tidy)


def _in_pieces(status: wire.ProcessStatus, view: ProcessView, basis: _Basis) -> _Told:
    if view.pid is None or view.started is None:
        return _Told(basis, (wire.encode(status),))
    encoded = wire.encode(replace(status, description="", uptime=0.0))
    head, _, rest = encoded.partition(_DESCRIPTION)
    middle, _, tail = rest.partition(_UPTIME)
    pid = view.pid if view.state is PublicState.RUNNING else 0
    return _Told(basis, (head, middle, tail), view.started.mono, pid)
