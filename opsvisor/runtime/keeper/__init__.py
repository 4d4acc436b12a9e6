"""Descriptors outlive the daemon here: a small process holds copies of them, by name."""

from opsvisor.runtime.keeper.client import Keeper, WhenAlone
from opsvisor.runtime.keeper.kill_files import KillFiles

__all__ = ["Keeper", "KillFiles", "WhenAlone"]
