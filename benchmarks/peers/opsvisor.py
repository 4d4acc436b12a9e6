"""opsvisor: a program with replicas, both outputs in one pipe, restarts at once and for ever."""

import shlex
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.peers.http import HttpQuestions, get
from benchmarks.peers.peer import MIN_FDS, ROTATED, Job, Peer, Program, Questions

_BIN = Path(sys.executable).parent
_DAEMON = """\
schema = 1

[daemon]
log = "daemon.log"
min_fds = {min_fds}

[server]
unix = "s"
"""
_PROGRAM = """
[program.{name}]
command = "{command}"
replicas = {replicas}
process_name = "{{program}}_{{replica}}"
restart = "always"
min_uptime = "0s"
backoff_delay = "0s"
restart_limit_count = 0
flapping_count = 0
log = {{ stdout = "log/{{program}}_{{replica}}", stderr = "merge", \
rotate_size = "{rotate_size}M", rotate_keep = {rotated} }}
"""


class Opsvisor(Peer):
    """The one all others are compared with."""

    name = "opsvisor"
    may_clog = True
    notes_restarts = True

    def version(self) -> str:
        """See Peer."""
        return metadata.version("opsvisor")

    def configure(self, directory: Path, job: Job) -> None:
        """See Peer."""
        (directory / "log").mkdir()
        programs = (_program(program, job.rotate_size) for program in job.programs)
        text = _DAEMON.format(min_fds=MIN_FDS) + "".join(programs)
        (directory / "opsvisor.toml").write_text(text)

    def command(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """See Peer."""
        return [str(_BIN / "opsvisord"), "-s", "-c", str(directory / "opsvisor.toml")]

    def questions(self, directory: Path, job: Job) -> Questions:
        """Over JSON, as `opsvisorctl status` and `opsvisorctl status NAME` ask."""
        name = job.programs[0].name
        return HttpQuestions(
            directory / "s",
            everything=get("/api/v1/processes"),
            single=get(f"/api/v1/processes?name={name}:{name}_0"),
            running=b'"RUNNING"',
        )

    def status(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """See Peer."""
        return [str(_BIN / "opsvisorctl"), "-c", str(directory / "opsvisor.toml"), "status"]


def _program(program: Program, rotate_size: int) -> str:
    return _PROGRAM.format(
        name=program.name,
        command=shlex.join(program.command),
        replicas=program.replicas,
        rotate_size=rotate_size,
        rotated=ROTATED,
    ) + (f'user = "{program.user}"\n' if program.user else "")
