"""circus: a watcher for each process, since a watcher's processes share one log and one status.

It looks for ended programs every second instead of every five; statistics and publishing
are off, restarts without limit.
"""

import shlex
from importlib import metadata
from pathlib import Path

from benchmarks.peers.peer import PEERS_DIRECTORY, ROTATED, Job, Peer, Questions
from benchmarks.peers.remote import RemoteQuestions

_HOME = PEERS_DIRECTORY / "circus"
_DAEMON = """\
[circus]
check_delay = {check_delay}
endpoint = ipc://{here}/s
pubsub_endpoint = ipc://{here}/p
loglevel = WARNING
logoutput = {here}/daemon.log
warmup_delay = 0
statsd = false
"""
_PROGRAM = """
[watcher:{name}]
cmd = {command}
numprocesses = 1
max_retry = -1
respawn = true
close_child_stderr = false
stdout_stream.class = FileStream
stdout_stream.filename = {here}/log/{name}
stdout_stream.max_bytes = {rotate_size}
stdout_stream.backup_count = {rotated}
"""


class Circus(Peer):
    """circus, in an environment of its own."""

    name = "circus"
    may_clog = True
    restarts_in_seconds = True
    running = b"active"

    def version(self) -> str:
        """See Peer."""
        site = next((_HOME / "lib").glob("python*/site-packages"))
        return next(iter(metadata.distributions(name="circus", path=[str(site)]))).version

    def missing(self) -> str:
        """See Peer."""
        return "" if (_HOME / "bin" / "circusd").exists() else "no circus"

    def configure(self, directory: Path, job: Job) -> None:
        """See Peer."""
        (directory / "log").mkdir()
        programs = (
            _PROGRAM.format(
                here=directory,
                name=program.name,
                command=shlex.join(program.command),
                rotate_size=job.rotate_size << 20,
                rotated=ROTATED,
            )
            + (f"uid = {program.user}\n" if program.user else "")
            for program in job.singles()
        )
        daemon = _DAEMON.format(here=directory, check_delay=1.0)
        (directory / "circus.ini").write_text(daemon + "".join(programs))

    def command(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """See Peer."""
        return [str(_HOME / "bin" / "circusd"), str(directory / "circus.ini")]

    def questions(self, directory: Path, job: Job) -> Questions:
        """Over ZeroMQ."""
        asker = Path(__file__).with_name("circus_asker.py")
        words = [f"ipc://{directory}/s", f"{job.programs[0].name}_0"]
        return RemoteQuestions([str(_HOME / "bin" / "python"), str(asker), *words])

    def status(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """See Peer."""
        control = str(_HOME / "bin" / "circusctl")
        return [control, "--endpoint", f"ipc://{directory}/s", "status"]
