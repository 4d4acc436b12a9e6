"""The daemon's own log: a file, memory for followers, and a copy on standard output."""

import asyncio
import sys
import time

from opsvisor.core.spec import LogSpec
from opsvisor.runtime.logs.capture import StreamCapture


class DaemonLog:
    """Lines the daemon says about itself. Rotated and degraded like a program's log.

    `echo` also writes them to standard output, as a foreground process does.
    """

    def __init__(
        self, spec: LogSpec, *, echo: bool, ring_size: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.path = spec.path
        self.echo = echo
        self.capture = StreamCapture(spec, ring_size=ring_size, loop=loop, wall=time.time)

    def write(self, line: str) -> None:
        """Append one line, given without its newline. Never raises."""
        text = f"{line}\n"
        self.capture.write(text.encode("utf-8", "replace"))
        if self.echo:
            try:
                # What a terminal can't show must not cost the lines after it.
                encoding = sys.stdout.encoding or "utf-8"
                sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
                sys.stdout.flush()
            except (OSError, ValueError):
                self.echo = False  # whoever read it is gone; the file and the memory go on

    def close(self) -> None:
        """Release the file."""
        self.capture.close()
