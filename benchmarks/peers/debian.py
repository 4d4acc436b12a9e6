"""runit and s6: a directory for each service, and a logger of its own for each.

Their services begin without a shell where the program takes no more than one argument, and with
one where a command of theirs makes it another user's. Asked by their own commands: one for all
with runit, one for each with s6, which has no other.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pwd import getpwnam
from signal import SIGHUP

from benchmarks.peers.peer import PEERS_DIRECTORY, ROTATED, Job, Peer, Questions, run_file

_ROOT = PEERS_DIRECTORY / "debian"
_BIN = _ROOT / "usr" / "bin"
_NO_LOGS = {"config", "lock", "state"}


def debian_environment() -> dict[str, str]:
    """Where the programs of the unpacked packages find each other and their libraries."""
    libraries = {str(path.parent) for path in (_ROOT / "usr" / "lib").rglob("lib*.so.*")}
    return {
        "PATH": f"{_BIN}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": ":".join(sorted(libraries)),
    }


def debian_program(name: str) -> Path:
    """Where a program of the unpacked packages is, or would be."""
    return _BIN / name


def debian_version(package: str) -> str:
    """As the file of versions says that `make bench-setup` has written."""
    lines = (_ROOT / "versions").read_text().splitlines()
    return dict(line.split() for line in lines)[package]


class _Commands(Questions):
    """Whoever asks by running commands: `words`, and the directories of services."""

    def __init__(
        self, words: Sequence[str], services: Sequence[Path], *, many: bool, running: bytes
    ) -> None:
        self._words = words
        self._services = [str(service) for service in services]
        self._many = many
        self._running = running
        self._environment = {**os.environ, **debian_environment()}
        self._run(self._services[:1])

    def all(self) -> int:
        """See Questions."""
        if self._many:
            return self._run(self._services)
        return sum(self._run([service]) for service in self._services)

    def one(self, times: int) -> None:
        """See Questions."""
        for _ in range(times):
            self._run(self._services[:1])

    def _run(self, services: Sequence[str]) -> int:
        done = subprocess.run(
            [*self._words, *services], capture_output=True, check=True, env=self._environment
        )
        return done.stdout.count(self._running)


class _ByDirectory(Peer):
    """What the two have in common."""

    notes_restarts = True

    def version(self) -> str:
        """See Peer."""
        return debian_version(self.name)

    def missing(self) -> str:
        """See Peer."""
        return "" if (_ROOT / "versions").exists() else f"no {self.name}"

    def environment(self, _directory: Path) -> Mapping[str, str]:
        """See Peer."""
        return debian_environment()

    def configure(self, directory: Path, job: Job) -> None:
        """See Peer."""
        for program in job.singles():
            service = _services(directory) / program.name
            log = directory / "log" / program.name
            (service / "log").mkdir(parents=True)
            log.mkdir(parents=True)
            as_user = self._becoming(program.user) if program.user else []
            run_file(service / "run", [*as_user, *program.command])
            run_file(service / "log" / "run", self._logger(log, job.rotate_size << 20))

    def _logger(self, log: Path, size: int) -> Sequence[str]:
        raise NotImplementedError

    def _becoming(self, user: str) -> Sequence[str]:
        """A command that becomes this user, and executes what follows."""
        raise NotImplementedError

    def logs(self, directory: Path) -> Iterator[Path]:
        """See Peer."""
        return (path for path in super().logs(directory) if path.name not in _NO_LOGS)


class Runit(_ByDirectory):
    """runsvdir, and svlogd with the largest buffer that it takes."""

    name = "runit"
    stop_signal = SIGHUP  # it ends its services then; with TERM it would leave them running
    running = b"run: /"

    def _logger(self, log: Path, size: int) -> Sequence[str]:
        (log / "config").write_text(f"s{size}\nn{ROTATED + 1}\n")
        return ["svlogd", "-b", "65536", str(log)]

    def _becoming(self, user: str) -> Sequence[str]:
        return ["chpst", "-u", user]

    def command(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """See Peer."""
        return [str(_BIN / "runsvdir"), str(_services(directory))]

    def questions(self, directory: Path, job: Job) -> Questions:
        """`sv status` with all services."""
        words = [str(_BIN / "sv"), "status"]
        return _Commands(words, _all(directory, job), many=True, running=b"run: /")

    def status(self, directory: Path, job: Job) -> list[str]:
        """See Peer."""
        return [str(_BIN / "sv"), "status", *map(str, _all(directory, job))]


class S6(_ByDirectory):
    """s6-svscan, and s6-log."""

    name = "s6"
    running = b"up "

    def configure(self, directory: Path, job: Job) -> None:
        """See Peer."""
        super().configure(directory, job)
        (directory / "s6-supervise").symlink_to(_BIN / "s6-supervise")  # see setup.py

    def _logger(self, log: Path, size: int) -> Sequence[str]:
        return ["s6-log", f"n{ROTATED}", f"s{size}", str(log)]

    def _becoming(self, user: str) -> Sequence[str]:
        found = getpwnam(user)  # `s6-setuidgid` looks for this one where it was to be installed
        return ["s6-applyuidgid", "-u", str(found.pw_uid), "-g", str(found.pw_gid)]

    def command(self, directory: Path, job: Job) -> list[str]:
        """See Peer."""
        most = str(2 * job.count + 10)  # with the loggers
        return [str(_BIN / "s6-svscan"), "-c", most, str(_services(directory))]

    def questions(self, directory: Path, job: Job) -> Questions:
        """`s6-svstat` with one service at a time."""
        words = [str(_BIN / "s6-svstat")]
        return _Commands(words, _all(directory, job), many=False, running=b"up ")


def _services(directory: Path) -> Path:
    return directory / "services"


def _all(directory: Path, job: Job) -> list[Path]:
    return [_services(directory) / program.name for program in job.singles()]
