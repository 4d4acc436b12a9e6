"""Everything an edge may ask of the daemon, in one place."""

from collections.abc import Awaitable, Callable

from opsvisor.control.actions import Actions
from opsvisor.control.audit import Audit
from opsvisor.control.configuration import Configuration
from opsvisor.control.upgrades import Coming, Upgraded
from opsvisor.core.instant import Instant
from opsvisor.core.struct import Struct
from opsvisor.core.supervisor import Supervisor
from opsvisor.runtime.bus import EventBus
from opsvisor.runtime.daemon_log import DaemonLog
from opsvisor.runtime.engine import Engine
from opsvisor.runtime.post_mortem import PostMortems
from opsvisor.runtime.sampler import Sampler


class Control(Struct, frozen=True, kw_only=True):
    """The use cases and what they work on. Built once, by the composition root.

    `shut_down`, `reload` and `upgrade` take the reason that is logged, and don't wait for the end.
    `reload` raises ConfigError, and changes nothing, if the files can't be used; `upgrade` raises
    UpgradeRefusedError if the installed version can't take over. `upgraded` tells of the last one.
    `audit` is to be told of all that clients ask for.
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
    audit: Audit
    shut_down: Callable[[str], None]
    reload: Callable[[str], Awaitable[None]]
    upgrade: Callable[[str], Awaitable[Coming]]
    upgraded: Callable[[], Upgraded | None] = lambda: None
