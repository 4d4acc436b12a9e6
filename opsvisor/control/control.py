"""Everything an edge may ask of the daemon, in one place."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from opsvisor.control.actions import Actions
from opsvisor.control.configuration import Configuration
from opsvisor.core.instant import Instant
from opsvisor.core.supervisor import Supervisor
from opsvisor.runtime.bus import EventBus
from opsvisor.runtime.daemon_log import DaemonLog
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.post_mortem import PostMortems
from opsvisor.runtime.sampler import Sampler


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The use cases and what they work on. Built once, by the composition root.

    `shut_down` and `reload` take the reason that is logged, and don't wait for the end. `reload`
    raises ConfigError, and changes nothing, if the files can't be used.
    """

    version: str
    started: Instant
    supervisor: Supervisor
    engine: Engine
    bus: EventBus
    actions: Actions
    configuration: Configuration
    post_mortems: PostMortems
    sampler: Sampler
    daemon_log: DaemonLog
    shut_down: Callable[[str], None]
    reload: Callable[[str], Awaitable[None]]
