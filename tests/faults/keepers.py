"""The keepers of a daemon under test."""

import os
import signal
from contextlib import suppress

from daemon import Daemon


def keepers_of(daemon: Daemon) -> list[int]:
    """Every keeper there is, but one that has not got its name yet."""
    title = "opsvisord: keeper for "
    return [pid for pid, command in daemon.offspring().items() if command.startswith(title)]


def signal_keepers(daemon: Daemon, signum: signal.Signals) -> None:
    """Send this to all of them."""
    for pid in keepers_of(daemon):
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
