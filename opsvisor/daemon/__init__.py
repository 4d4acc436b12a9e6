"""opsvisord: the composition root. Builds every object, wires them, runs, exits with a code."""

from opsvisor.daemon.main import main

__all__ = ["main"]
