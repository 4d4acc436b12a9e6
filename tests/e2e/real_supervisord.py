"""The real supervisord, for tests that look at both daemons from outside."""

import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from commands import BIN, environment, kill_marked
from daemon import eventually
from home import Home


@contextmanager
def supervisord(home: Home, *, wrapper: Sequence[str] = ()) -> Iterator[None]:
    """It runs from the configuration in this home, for as long as the block lasts."""
    mark = uuid.uuid4().hex
    with home.output.open("wb") as output:
        child = subprocess.Popen(
            [*wrapper, BIN / "supervisord", "-c", home.config],
            cwd=home.directory,
            env=environment(mark),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: home.socket.exists() or child.poll() is not None)
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)
        kill_marked(mark)
