"""Supervisor: its file, and the two daemons that run it.

One program with `numprocs` (it signals the members of a group together, but groups one after the
other), both outputs in one pipe, no echo of its log, and restarts without limit.
"""

import shlex
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.peers.http import HttpQuestions, call
from benchmarks.peers.peer import MIN_FDS, ROTATED, Job, Peer, Program, Questions

_BIN = Path(sys.executable).parent
_DAEMON = """\
[unix_http_server]
file = {here}/s

[supervisord]
logfile = {here}/daemon.log
pidfile = {here}/daemon.pid
nodaemon = true
silent = true
minfds = {min_fds}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{here}/s
"""
_PROGRAM = """
[program:{name}]
command = {command}
numprocs = {replicas}
process_name = %(program_name)s_%(process_num)d
autorestart = true
startsecs = 0
startretries = 1000000
stdout_logfile = {here}/log/{name}_%(process_num)d
stdout_logfile_maxbytes = {rotate_size}MB
stdout_logfile_backups = {rotated}
redirect_stderr = true
"""


class Supervisor(Peer):
    """Supervisor itself."""

    name = "supervisor"
    may_clog = True
    restarts_in_seconds = True
    _daemon = "supervisord"

    def version(self) -> str:
        """See Peer."""
        return metadata.version("supervisor")

    def configure(self, directory: Path, job: Job) -> None:
        """See Peer."""
        (directory / "log").mkdir()
        programs = (_program(directory, program, job.rotate_size) for program in job.programs)
        text = _DAEMON.format(here=directory, min_fds=MIN_FDS) + "".join(programs)
        (directory / "supervisord.conf").write_text(text)

    def command(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """See Peer."""
        return [str(_BIN / self._daemon), "-c", str(directory / "supervisord.conf")]

    def questions(self, directory: Path, job: Job) -> Questions:
        """Over XML-RPC."""
        name = job.programs[0].name
        return HttpQuestions(
            directory / "s",
            everything=call("supervisor.getAllProcessInfo"),
            single=call("supervisor.getProcessInfo", f"{name}:{name}_0"),
            running=b"<string>RUNNING</string>",
        )

    def status(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """See Peer."""
        return [str(_BIN / "supervisorctl"), "-c", str(directory / "supervisord.conf"), "status"]


class SameFile(Supervisor):
    """opsvisor with Supervisor's file, asked as Supervisor is asked."""

    name = "opsvisor"
    restarts_in_seconds = False
    _daemon = "opsvisord"

    def version(self) -> str:
        """See Peer."""
        return metadata.version("opsvisor")


def _program(directory: Path, program: Program, rotate_size: int) -> str:
    return _PROGRAM.format(
        here=directory,
        name=program.name,
        command=shlex.join(program.command),
        replicas=program.replicas,
        rotate_size=rotate_size,
        rotated=ROTATED,
    ) + (f"user = {program.user}\n" if program.user else "")
