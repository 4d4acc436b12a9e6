"""The supervisors under test: how each is configured, started, asked and stopped.

Each gets what serves it best: one program with many replicas (Supervisor signals the members of a
group together, and groups one after the other), both outputs in one pipe, no echo of its log, and
restarts without delay or limit.
"""

import os
import select
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Self

from benchmarks.probe import Usage, usage_of

_BIN = Path(sys.executable).parent
_PATIENCE = 60.0
_MIN_FDS = 4096


@dataclass(frozen=True, kw_only=True)
class Job:
    """One program to supervise. `rotate_size` in MiB; three rotated files are kept."""

    command: Sequence[str]
    replicas: int
    rotate_size: int = 50


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A supervisor. Its command lines contain {config}, or the words of the job itself."""

    name: str
    package: str
    config_name: str
    config: str
    daemon: Sequence[str]
    status: Sequence[str] = ()

    @property
    def version(self) -> str:
        """Its version as installed."""
        return metadata.version(self.package)

    def configure(self, directory: Path, job: Job) -> Path:
        """Write its configuration for this job."""
        path = directory / self.config_name
        (directory / "log").mkdir(parents=True)
        path.write_text(
            self.config.format(
                here=directory,
                command=shlex.join(job.command),
                replicas=job.replicas,
                rotate_size=job.rotate_size,
                min_fds=_MIN_FDS,
            )
        )
        return path


OPSVISOR = Peer(
    name="opsvisor",
    package="opsvisor",
    config_name="opsvisor.toml",
    config="""\
schema = 1

[daemon]
log = "daemon.log"
min_fds = {min_fds}

[server]
unix = "s"

[program.p]
command = "{command}"
replicas = {replicas}
restart = "always"
min_uptime = "0s"
backoff_delay = "0s"
restart_limit_count = 0
flapping_count = 0
log = {{ stdout = "log/{{replica}}", stderr = "merge", rotate_size = "{rotate_size}M", \
rotate_keep = 3 }}
""",
    daemon=[str(_BIN / "opsvisord"), "-s", "-c", "{config}"],
    status=[str(_BIN / "opsvisorctl"), "-c", "{config}", "status"],
)

SUPERVISOR = Peer(
    name="supervisor",
    package="supervisor",
    config_name="supervisord.conf",
    config="""\
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

[program:p]
command = {command}
numprocs = {replicas}
process_name = %(program_name)s_%(process_num)d
autorestart = true
startsecs = 0
startretries = 1000000
stdout_logfile = {here}/log/%(process_num)d
stdout_logfile_maxbytes = {rotate_size}MB
stdout_logfile_backups = 3
redirect_stderr = true
""",
    daemon=[str(_BIN / "supervisord"), "-c", "{config}"],
    status=[str(_BIN / "supervisorctl"), "-c", "{config}", "status"],
)

PEERS = (OPSVISOR, SUPERVISOR)

# No peer, but what is left of a supervisor without everything that makes it one.
FLOOR = Peer(
    name="bare loop",
    package="opsvisor",
    config_name="unused",
    config="",
    daemon=[sys.executable, "-I", "-S", str(Path(__file__).with_name("floor.py")), "{replicas}"],
)


class Daemon:
    """A supervisor that runs while the block lasts, in a directory of its own.

    `began` is the CLOCK_MONOTONIC, in ns, just before its fork and exec.
    """

    def __init__(self, peer: Peer, directory: Path, job: Job) -> None:
        self.peer = peer
        self.job = job
        self.directory = directory
        self.socket = directory / "s"
        self.config = peer.configure(directory, job)
        self.began = 0
        self._child: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        command = [
            word.format(config=self.config, replicas=self.job.replicas)
            for word in self.peer.daemon
        ]
        if self.peer is FLOOR:
            command += self.job.command
        with (self.directory / "output").open("wb") as output:
            self.began = time.monotonic_ns()
            self._child = subprocess.Popen(
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=fair_environment(self.directory.parent.parent),
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.poll() is None:
            self.stop()

    def stop(self) -> float:
        """End it and all its programs by SIGTERM; seconds until it was gone."""
        pidfd = os.pidfd_open(self._child.pid)  # Popen.wait with a limit would look now and then
        try:
            began = time.monotonic()
            self._child.terminate()
            ended = select.select([pidfd], [], [], _PATIENCE)[0]
            took = time.monotonic() - began
        finally:
            os.close(pidfd)
        if not ended:
            self._child.kill()
        self._child.wait()
        if not ended:
            raise TimeoutError(f"{self.peer.name} did not end in {_PATIENCE:g} s")
        return took

    def usage(self) -> Usage:
        """What it has used until now."""
        return usage_of(self._child.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def wait_for_answer(self) -> float:
        """Seconds from exec to the first byte of the first answer over its socket."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if self._answers():
                return (time.monotonic_ns() - self.began) / 1e9
            if self._child.poll() is not None:
                raise RuntimeError((self.directory / "output").read_text())
            time.sleep(0.002)
        raise TimeoutError(f"{self.peer.name} did not answer in {_PATIENCE:g} s")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_PATIENCE)
            try:
                client.connect(str(self.socket))
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return bool(client.recv(1))
            except (FileNotFoundError, ConnectionError):
                return False

    def ask_status(self) -> int:
        """Run its `status` command, as a script would; how many programs it said are RUNNING."""
        done = subprocess.run(
            [word.format(config=self.config) for word in self.peer.status],
            capture_output=True,
            check=False,
            env=fair_environment(self.directory.parent.parent),
        )
        return done.stdout.count(b"RUNNING")


def fair_environment(directory: Path) -> dict[str, str]:
    """Ours, with one cache of byte code for all: none of them compiles anything in a measurement.

    Whatever else changes how Python runs is taken out.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONPYCACHEPREFIX"] = str(directory / "pycache")
    return environment
