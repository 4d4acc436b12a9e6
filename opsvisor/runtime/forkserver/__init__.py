"""Forks where that costs little: in a small process beside the daemon, for whose children."""

from opsvisor.runtime.forkserver.awaited import Awaited
from opsvisor.runtime.forkserver.birth import Birth, NotBornError, fork_here
from opsvisor.runtime.forkserver.client import ForkServer
from opsvisor.runtime.forkserver.serve import Order

__all__ = ["Awaited", "Birth", "ForkServer", "NotBornError", "Order", "fork_here"]
