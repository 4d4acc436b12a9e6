"""Whom Supervisor's interfaces tell what they do; the daemon gives them to the edge."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from opsvisor.config.settings import LogLevel

# Writes a line to the activity log.
Log = Callable[[LogLevel, str], None]
# Takes the name of a subscriber, and how many events more it has missed.
CountDropped = Callable[[str, int], None]
# Counts a streaming response of a kind as long as the context lasts.
Streaming = Callable[[str], AbstractContextManager[object]]
