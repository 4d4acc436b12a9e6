"""The keepers of a daemon under test."""

import os
import signal
from contextlib import suppress

from daemon import Daemon, eventually


def keepers_of(daemon: Daemon) -> list[int]:
    """Every keeper there is, but one that has not got its name yet."""
    title = "opsvisord: keeper for "
    return [pid for pid, command in daemon.offspring().items() if command.startswith(title)]


def keeper_of(daemon: Daemon) -> int:
    """Its keeper, of which there is one. It names itself a moment after it was started."""
    (pid,) = eventually(lambda: keepers_of(daemon))
    return pid


def signal_keepers(daemon: Daemon, signum: signal.Signals) -> None:
    """Send this to all of them, as soon as there is any that has its name."""
    eventually(lambda: keepers_of(daemon))
    signal_any_keepers(daemon, signum)


def signal_any_keepers(daemon: Daemon, signum: signal.Signals) -> None:
    """The same where there may be none now."""
    for pid in keepers_of(daemon):
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
