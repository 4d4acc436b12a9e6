"""Real cgroups for a test, see tools/stack/cells.py."""

from tools.stack.cells import Cell, can_have, cell

__all__ = ["Cell", "can_have", "cell"]
