"""No peers, but what is left of a supervisor without everything that makes it one.

The bare loop spawns, waits for a pidfd and spawns again; for logs it moves what one program writes
into files that it rotates: by splice, by read and write, or by splice once it has counted lines.
"""

import platform
import sys
from pathlib import Path

from benchmarks.peers.peer import ROTATED, Job, Peer

_HERE = Path(__file__).parent


class Floor(Peer):
    """The least that Python allows for the job."""

    name = "bare loop"

    def version(self) -> str:
        """Python's."""
        return platform.python_version()

    def configure(self, directory: Path, job: Job) -> None:
        """Nothing to write: the command line says it all."""

    def command(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """See Peer."""
        words = [sys.executable, "-I", "-S", str(_HERE / "floor_loop.py")]
        for program in job.programs:
            words += [str(program.replicas), *program.command, "--"]
        return words


class LogFloor(Peer):
    """The least for the output of a single program. `way`: "splice", "copy" or "look"."""

    def __init__(self, name: str, way: str) -> None:
        self.name = name
        self._way = way

    def version(self) -> str:
        """Python's."""
        return platform.python_version()

    def configure(self, directory: Path, job: Job) -> None:  # noqa: ARG002
        """See Peer."""
        (directory / "log").mkdir()

    def command(self, directory: Path, job: Job) -> list[str]:
        """See Peer."""
        (program,) = job.programs
        rotation = [str(job.rotate_size << 20), str(ROTATED)]
        script = str(_HERE / "floor_logs.py")
        words = [sys.executable, "-I", "-S", script, self._way, str(directory / "log" / "p")]
        return [*words, *rotation, *program.command]
