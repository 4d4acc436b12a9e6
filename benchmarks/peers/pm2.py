"""pm2: its daemon, given its programs by its own command; no interpreter, no limit, no delay.

It rotates logs only by a module that is a program of its own, so it writes them without here.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers.peer import PEERS_DIRECTORY, Job, Peer, Questions
from benchmarks.peers.remote import RemoteQuestions

_HOME = PEERS_DIRECTORY / "node" / "node_modules" / "pm2"


class Pm2(Peer):
    """pm2, in node."""

    name = "pm2"
    running = b"online"
    most_programs = 500

    def version(self) -> str:
        """See Peer."""
        return str(json.loads((_HOME / "package.json").read_text())["version"])

    def missing(self) -> str:
        """See Peer."""
        if shutil.which("node") is None:
            return "no node"
        return "" if _HOME.exists() else "no pm2"

    def environment(self, directory: Path) -> Mapping[str, str]:
        """See Peer."""
        return {"PM2_HOME": str(directory), "PM2_DISCRETE_MODE": "true"}

    def configure(self, directory: Path, job: Job) -> None:
        """See Peer."""
        (directory / "log").mkdir()
        apps = [
            {
                "name": program.name,
                "script": program.command[0],
                "args": list(program.command[1:]),
                "interpreter": "none",
                "exec_mode": "fork",
                "autorestart": True,
                "max_restarts": 1_000_000_000,
                "min_uptime": 0,
                "restart_delay": 0,
                "out_file": f"{directory}/log/{program.name}",
                "error_file": f"{directory}/log/{program.name}",
                "pid_file": f"{directory}/pid-{program.name}",
                "merge_logs": True,
                "vizion": False,
                "pmx": False,
                **({"uid": program.user} if program.user else {}),
            }
            for program in job.singles()
        ]
        (directory / "programs.json").write_text(json.dumps({"apps": apps}))

    def command(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """See Peer."""
        return ["node", str(_HOME / "lib" / "Daemon.js")]

    def started(self, directory: Path) -> list[str]:
        """See Peer."""
        words = ["node", str(_HOME / "bin" / "pm2"), "start", str(directory / "programs.json")]
        # Before its daemon listens, the command would begin one of its own.
        wait = "until [ -S rpc.sock ]; do sleep 0.01; done"
        return ["sh", "-c", f'{wait}; exec "$@"', "sh", *words]

    def questions(self, directory: Path, job: Job) -> Questions:
        """Over its own protocol."""
        asker = Path(__file__).with_name("pm2_asker.js")
        first = f"{job.programs[0].name}_0"
        if not (directory / "rpc.sock").exists():
            raise FileNotFoundError("pm2 does not listen yet")  # or a second one would be begun
        environment = {**os.environ, **self.environment(directory)}
        return RemoteQuestions(["node", str(asker), str(_HOME), first], environment)

    def status(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """See Peer."""
        return ["node", str(_HOME / "bin" / "pm2"), "list", "--no-color"]
