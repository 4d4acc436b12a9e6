"""Whom Supervisor's interfaces tell what they do; the daemon gives them to the edge."""

from collections.abc import Callable

from opsvisor.config.settings import LogLevel

# Writes a line to the activity log.
Log = Callable[[LogLevel, str], None]
# Takes the name of a subscriber, and how many events more it has missed.
CountDropped = Callable[[str, int], None]
