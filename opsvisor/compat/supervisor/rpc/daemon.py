"""The daemon itself: what it is, how it ends, and its configuration."""

import os
from typing import Any

from opsvisor.compat.supervisor.config.daemon import server_url
from opsvisor.compat.supervisor.rpc.faults import Fault, RpcFault
from opsvisor.compat.supervisor.rpc.naming import read_group
from opsvisor.compat.supervisor.rpc.shapes import names_in_order, process_config
from opsvisor.compat.supervisor.rpc.xml import Value
from opsvisor.config.problems import ConfigError
from opsvisor.control.configuration import UnknownGroupError
from opsvisor.control.control import Control

API_VERSION = "3.0"
# Clients compare it, to know what they may ask for: it names the Supervisor whose interface this
# is, not opsvisor's own version.
SUPERVISOR_VERSION = "4.3.0"

_RUNNING: Value = {"statecode": 1, "statename": "RUNNING"}


class Daemon:
    """The methods about the daemon."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def api_version(self) -> Value:
        """The version of this interface. supervisorctl speaks to no other than 3.0."""
        return API_VERSION

    async def supervisor_version(self) -> Value:
        """The version of Supervisor that this interface is that of."""
        return SUPERVISOR_VERSION

    async def identification(self) -> Value:
        """The identifier that the configuration gives the daemon."""
        return self._control.configuration.settings.identifier

    async def state(self) -> Value:
        """The state of the daemon. Once a shutdown has begun, the answer is a fault."""
        return _RUNNING

    async def pid(self) -> Value:
        """The process id of the daemon."""
        return os.getpid()

    async def shutdown(self) -> Value:
        """Stop every process, then the daemon."""
        self._control.shut_down("requested by XML-RPC")
        return True

    async def restart(self) -> Value:
        """Stop every process, read the configuration anew, and start again.

        A configuration that can't be used is refused, and nothing is stopped.
        """
        try:
            await self._control.reload("requested by XML-RPC")
        except ConfigError as error:
            raise _cannot_reread(error) from None
        return True

    async def reload_config(self) -> Value:
        """Read the configuration anew, and change nothing yet.

        The answer is [[added, changed, removed]]: names of groups, in an array within an array.
        """
        running = self._control.supervisor.plan.groups
        try:
            found = (await self._control.configuration.reread()).diff
        except ConfigError as error:
            raise _cannot_reread(error) from None
        available = self._control.configuration.available.plan.groups
        return [
            [
                names_in_order(available, found.groups_added),
                names_in_order(available, found.groups_changed),
                names_in_order(running, found.groups_removed),
            ]
        ]

    async def add_group(self, name: Any) -> Value:
        """Take a group of the configuration as last read into what runs."""
        configuration = self._control.configuration
        if name not in [group.name for group in configuration.available.plan.groups]:
            raise RpcFault(Fault.BAD_NAME, name)
        if not configuration.add_group(name):
            raise RpcFault(Fault.ALREADY_ADDED, name)
        return True

    async def remove_group(self, name: Any) -> Value:
        """Take a group out of what runs. All its processes must be down."""
        group = read_group(name)
        try:
            if not self._control.configuration.remove_group(group):
                raise RpcFault(Fault.STILL_RUNNING, group)
        except UnknownGroupError:
            raise RpcFault(Fault.BAD_NAME, group) from None
        return True

    async def all_config(self) -> Value:
        """Every process of the configuration as last read, in use or not, in order of names."""
        available = self._control.configuration.available
        running = self._control.supervisor.plan
        in_use, specs = {group.name for group in running.groups}, running.specs()
        own_url = server_url(self._control.configuration.settings.servers)
        pairs = [(group, spec) for group in available.plan.groups for spec in group.processes]
        return [
            process_config(
                group,
                spec,
                in_use=group.name in in_use,
                carried_out=specs.get(spec.id) is spec,
                own_url=own_url,
            )
            for group, spec in sorted(pairs, key=lambda pair: pair[1].id.name)
        ]


def _cannot_reread(error: ConfigError) -> RpcFault:
    """The first problem, as with Supervisor: in words that its clients know, and where it is."""
    first = error.problems[0]
    is_told = first.where.file in first.what
    return RpcFault(Fault.CANT_REREAD, first.what if is_told else f"{first.what} ({first.where})")
