"""Gathers everything that a daemon knows into a hand-over, and lets the next one go on from it."""

import os
import socket
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from opsvisor import __version__
from opsvisor.api.server import HttpServer, listener_of
from opsvisor.config.settings import TcpServer, UnixServer
from opsvisor.core.inputs import Resume
from opsvisor.core.instant import Instant
from opsvisor.core.struct import Struct
from opsvisor.core.supervisor import Supervisor
from opsvisor.daemon.hand_over import HandOver, UpgradeMemento
from opsvisor.daemon.remembering import Sources
from opsvisor.daemon.succession import Serials
from opsvisor.daemon.survival import Survival
from opsvisor.runtime.bus import EventBus
from opsvisor.runtime.daemon_log import DaemonLog
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.inheritance import Inheritance
from opsvisor.runtime.keeper import names
from opsvisor.runtime.post_mortem import PostMortems
from opsvisor.runtime.sampler import Sampler
from opsvisor.telemetry.metrics import Metrics

# Bytes of what programs printed last that are handed over, of all of them together. Followers of
# logs go on where they were if it is among them.
_OUTPUT_MAX = 32 * 1024 * 1024
# Descriptors that are neither a program's nor a server's.
_OF_DAEMON = ("directory", "keeper", "lock")


class HandedOver(Protocol):
    """An interface of the daemon whose state goes over."""

    def remember(self) -> str:
        """All of it, in its own words."""
        ...

    def recall(self, text: str) -> None:
        """Go on from there."""
        ...


class Whole(Struct, frozen=True, kw_only=True):
    """One life of the daemon: everything that has something to hand over."""

    started: Instant
    directory: str
    runtime: str
    supervisor: Supervisor
    engine: Engine
    bus: EventBus
    metrics: Metrics
    sampler: Sampler
    post_mortems: PostMortems
    log: DaemonLog
    survival: Survival
    event_serials: Serials
    servers: Sequence[HttpServer]
    edges: Sequence[HandedOver]
    history_size: int

    @property
    def sources(self) -> Sources:
        """What its memory is made of."""
        return Sources(
            supervisor=self.supervisor,
            engine=self.engine,
            metrics=self.metrics,
            sampler=self.sampler,
            post_mortems=self.post_mortems,
            history_size=self.history_size,
        )

    def hand_over(self, upgrade: UpgradeMemento) -> HandOver:
        """Everything as it is now."""
        streams = max(1, self.engine.stream_count)
        ours, keeper = self.survival.hand_over()
        return HandOver(
            started=self.started,
            directory=self.directory,
            runtime=self.runtime,
            supervisor=self.supervisor.memento(),
            engine=self.engine.remember(output_limit=_OUTPUT_MAX // streams),
            upgrade=upgrade,
            descriptors={**self.engine.descriptors(), **self._own_descriptors(), **ours},
            connections={
                server.url: tuple(one.fileno() for one in server.between_requests())
                for server in self.servers
            },
            sessions={
                server.url: sessions.remember()
                for server in self.servers
                if (sessions := server.sessions) is not None and len(sessions)
            },
            state_directory=self.survival.path,
            keeper=keeper,
            bus=self.bus.remember(),
            metrics=self.metrics.remember(),
            sampler=self.sampler.remember(),
            post_mortems=self.post_mortems.remember(),
            log=self.log.capture.remember(output_limit=_OUTPUT_MAX),
            edges=tuple(edge.remember() for edge in self.edges),
            event_serial=self.event_serials.next_number,
            marks=self.engine.marks.seed,
        )

    def _own_descriptors(self) -> dict[str, int]:
        return {
            "directory": os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
            **self._listeners(),
        }

    def _listeners(self) -> dict[str, int]:
        return {
            f"{names.LISTENER}{listener_of(server.settings)}": server.listener.fileno()
            for server in self.servers
            if not server.is_passed  # else it comes as it came to us
        }

    def go_on_from(self, past: HandOver, others: Mapping[str, int]) -> None:
        """Be what the daemon was that handed this over. The engine is open, and does nothing.

        `others` are the descriptors besides those of our servers.
        """
        text = f"upgraded from {past.upgrade.from_version} to {__version__}"
        specs = [remembered.spec for remembered in past.supervisor.processes]
        self.metrics.take_over(specs, past.metrics.counts)
        self.metrics.count_on(past.metrics.series)
        if past.bus is not None:
            self.bus.recall(past.bus)
        for kept in past.post_mortems:
            self.post_mortems.recall(kept)
        self.sampler.recall(past.sampler)
        self.event_serials.next_number = past.event_serial
        self.survival.go_on(past, self.sources)
        if past.log is not None:
            self.log.capture.recall(past.log)
        inheritance = Inheritance(past.engine, others)
        self.engine.inherit(Resume(past.supervisor, is_exact=True, reason=text), inheritance)
        inheritance.close()
        self.survival.drop_unclaimed()
        for server in self.servers:
            sessions, then = server.sessions, past.sessions.get(server.url)
            if sessions is not None and then is not None:
                sessions.recall(then)
        for edge, words in zip(self.edges, past.edges, strict=False):
            edge.recall(words)


def listeners_of(
    past: HandOver, servers: Sequence[UnixServer | TcpServer]
) -> tuple[dict[str, socket.socket], dict[str, int]]:
    """The listening sockets that these servers go on with, by name; and what programs have.

    One whose file somebody has removed is closed, for nobody would find it; and so is one where no
    server is to listen any more.
    """
    listeners: dict[str, socket.socket] = {}
    others: dict[str, int] = {}
    wanted = {listener_of(server) for server in servers}
    for name, descriptor in past.descriptors.items():
        url = name.removeprefix(names.LISTENER)
        if name in _OF_DAEMON:
            pass
        elif url == name:
            others[name] = descriptor
        elif url in wanted and _is_reachable(url):
            listeners[url] = socket.socket(fileno=descriptor)
        else:
            os.close(descriptor)
    return listeners, others


def connections_of(
    past: HandOver, servers: Sequence[HttpServer]
) -> Mapping[str, list[socket.socket]]:
    """The connections of clients that go over, by the URL of their server."""
    urls = {server.url for server in servers}
    found: dict[str, list[socket.socket]] = {}
    for url, descriptors in past.connections.items():
        for descriptor in descriptors:
            if url in urls:
                found.setdefault(url, []).append(socket.socket(fileno=descriptor))
            else:
                os.close(descriptor)
    return found


def _is_reachable(url: str) -> bool:
    if not url.startswith("unix://"):
        return True
    try:
        return stat.S_ISSOCK(Path(url.removeprefix("unix://")).stat().st_mode)
    except OSError:
        return False
