"""The check run of an upgrade: could this code take over from the daemon that asks? Does nothing.

All that the take-over itself would refuse is tried here: to read the configuration, to understand
the hand-over, to make every machine from it, and to listen where nobody does yet. Whatever fails
is said on standard error, and the daemon that asks goes on as it is.
"""

import random
from collections.abc import Iterable
from pathlib import Path

from opsvisor.config.addresses import address_in
from opsvisor.config.settings import Loaded, TcpServer, UnixServer
from opsvisor.core.inputs import Resume
from opsvisor.core.supervisor import Supervisor
from opsvisor.daemon.footing import place_of
from opsvisor.daemon.hand_over import HandOver, HandOverError
from opsvisor.daemon.host import HostError, why_not
from opsvisor.daemon.succession import give_up, listen_ahead
from opsvisor.runtime import clock
from opsvisor.runtime.bus import EventBus
from opsvisor.runtime.keeper import names
from opsvisor.runtime.memory.codec import Undecodable
from opsvisor.telemetry.instruments import Instruments
from opsvisor.telemetry.rows import Counts


def check_take_over(hand_over: HandOver, loaded: Loaded, runtime: Path) -> None:
    """Raise what keeps this code from taking over, with this configuration.

    `runtime` is the runtime directory of who started the daemon.
    """
    problem = why_not(loaded.settings)
    if problem:
        raise HostError(problem)
    _check_state_directory(hand_over, loaded, runtime)
    _go_on(hand_over)
    if loaded.settings.supervisor_interfaces:
        _check_edges(hand_over.edges)
    _listen(hand_over, loaded.settings.listeners)


def _check_state_directory(hand_over: HandOver, loaded: Loaded, runtime: Path) -> None:
    """Whoever looked into the old one later would take our programs for lost ones."""
    wanted = place_of(loaded, runtime).path
    if hand_over.state_directory and str(wanted) != hand_over.state_directory:
        raise HostError(
            f"the state directory would be {wanted}, and that of the daemon is"
            f" {hand_over.state_directory}\n"
            "    hint: a reload takes over a change of state_dir, an upgrade does not"
        )


def _go_on(hand_over: HandOver) -> None:
    """Make everything from it that is made from it."""
    supervisor = Supervisor(jitter=random.random)
    past = hand_over.supervisor
    supervisor.handle(Resume(past, is_exact=True), clock.now())
    for remembered in past.processes:
        supervisor.view(remembered.spec.id, clock.now())
    instruments = Instruments(version="", revision="", started_at=0.0)
    instruments.count_on(hand_over.metrics.series)
    specs = {remembered.spec.id: remembered.spec for remembered in past.processes}
    for counts in hand_over.metrics.counts:
        if counts.id in specs:
            Counts.of(specs[counts.id]).recall(counts)
    if hand_over.bus is not None:
        EventBus().recall(hand_over.bus)


def _check_edges(edges: Iterable[str]) -> None:
    from opsvisor.compat.supervisor.edge import SupervisorEdge  # noqa: PLC0415 - where it is wanted

    for text in edges:
        try:
            SupervisorEdge.check_memento(text)
        except (Undecodable, ValueError) as error:
            raise HandOverError(f"event listeners can't be taken over: {error}") from error


def _listen(hand_over: HandOver, servers: Iterable[UnixServer | TcpServer]) -> None:
    """Listen for a moment where the daemon does not. BindError if that can't be."""
    ours = [
        address_in(name.removeprefix(names.LISTENER))
        for name in hand_over.descriptors
        if name.startswith(names.LISTENER)
    ]
    give_up(listen_ahead(servers, ours))
