"""`python -m opsvisor ctl …` is opsvisorctl; `python -m opsvisor [daemon] …` is opsvisord."""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

_NOT_WRITTEN = 120  # Python's exit status when the last of its output has gone nowhere


def opsvisord(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run opsvisord, by default with the arguments of this process, and end with it.

    The first process of a container has no default actions: a SIGTERM that comes before there is a
    handler would be lost, and whoever sent it would wait for nothing. Blocked, it waits for us,
    through 0.2 s of imports. Anybody else may be killed as long as nothing runs.

    At the end all is written and closed. To take the interpreter apart as well would be a large
    part of a stop: 100 ms with 1,000 programs, or 8 if it did not look for garbage.
    """
    if os.getpid() == 1:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    from opsvisor.daemon import main as daemon  # noqa: PLC0415 - see above

    status = daemon(arguments)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except AttributeError:
            pass  # whoever started us had closed it
        except (OSError, ValueError):
            status = status or _NOT_WRITTEN
    os._exit(status)


def opsvisorctl(arguments: Sequence[str] | None = None) -> int:
    """Run opsvisorctl; by default with the arguments of this process.

    What it imports stays to its end. Not to look for garbage among that, neither meanwhile nor as
    the interpreter ends, takes 16 ms off the 78 of a `status`.
    """
    gc.disable()
    from opsvisor.ctl.main import main as ctl  # noqa: PLC0415 - see above

    gc.freeze()
    gc.enable()
    try:
        return ctl(arguments)
    finally:
        gc.freeze()


def main() -> int:
    """Run the program that the first word names, with the words after it."""
    match sys.argv[1:]:
        case ["ctl", *arguments]:
            return opsvisorctl(arguments)
        case ["daemon", *arguments] | arguments:
            opsvisord(arguments)


if __name__ == "__main__":
    sys.exit(main())
