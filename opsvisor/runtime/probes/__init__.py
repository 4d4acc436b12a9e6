"""Asks the probes of running processes.

To add a kind of probe: its spec in core/probes.py, a module here with a coroutine that asks once,
and its case in handlers.py, which the type checker demands. Periods, timeouts, and how many are
asked at a time are the schedule's; what the answers come to is decided in core/health.py.
"""

from opsvisor.runtime.probes.commands import Commands
from opsvisor.runtime.probes.handlers import ask
from opsvisor.runtime.probes.names import Names
from opsvisor.runtime.probes.schedule import Probes

__all__ = ["Commands", "Names", "Probes", "ask"]
