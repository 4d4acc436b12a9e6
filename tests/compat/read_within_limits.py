"""Read a configuration in a process of its own, with little time and memory to do it in.

`read_within_limits.py FILE` prints "accepted", or all that is wrong with the file. It ends with a
signal or a traceback if it takes too much, or if anything but ConfigError comes out of it.
"""

import resource
import sys
from pathlib import Path

from opsvisor.compat.supervisor.config.load import load
from opsvisor.config.problems import ConfigError

# The slowest of the tests' files takes three seconds and 250 MiB on a machine of today.
CPU_SECONDS = 30
BYTES = 1 << 30


def main() -> None:
    """Read the file that the command line names."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    try:
        load(Path(sys.argv[1]), {"HOME": "/", "LONG": "x" * 1000})
    except ConfigError as refused:
        sys.stdout.write(str(refused))
    else:
        sys.stdout.write("accepted")


if __name__ == "__main__":
    main()
