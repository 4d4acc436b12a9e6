"""A supervisor here: how it is configured, started, asked, and where its logs are.

Each gets what serves it best, and the modules beside this one say what that is.
"""

import os
import shlex
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGTERM

MIN_FDS = 4096
ROTATED = 3  # files that are kept
PEERS_DIRECTORY = Path(__file__).parents[1] / ".peers"  # where `make bench-setup` puts them

# What may go wrong with somebody else's supervisor; it ends the turn, and never the run.
FAILURES = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    AssertionError,
    subprocess.SubprocessError,
)


@dataclass(frozen=True, kw_only=True)
class Program:
    """So many processes of one command line, of this user if one is named."""

    name: str
    command: Sequence[str]
    replicas: int = 1
    user: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be supervised. `rotate_size` in MiB; three rotated files are kept."""

    programs: Sequence[Program]
    rotate_size: int = 50

    @property
    def count(self) -> int:
        """How many processes that are."""
        return sum(program.replicas for program in self.programs)

    def singles(self) -> Iterator[Program]:
        """A program for each, for those who have no replicas."""
        for program in self.programs:
            for number in range(program.replicas):
                yield replace(program, name=f"{program.name}_{number}", replicas=1)


class Questions(ABC):
    """A client of a supervisor's own interface, which stays connected."""

    @abstractmethod
    def all(self) -> int:
        """Ask for the status of everything; how many processes run, as the answer says."""

    @abstractmethod
    def one(self, times: int) -> None:
        """Ask for the status of one process, so many times, one after the other."""

    def clog(self, clients: int) -> None:
        """Have so many further clients ask for everything, and never read what they are told."""
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027  # nothing to close is no omission
        """Disconnect, the further clients too."""


class Peer(ABC):
    """A supervisor."""

    name: str
    stop_signal = SIGTERM
    may_clog = False  # whether its questions know how
    restarts_in_seconds = False  # its restarts wait for a timer: it is asked less often
    notes_restarts = False  # in files, for others to see
    most_programs = 1_000_000  # what it can bear

    @abstractmethod
    def version(self) -> str:
        """Its version as installed."""

    def missing(self) -> str:
        """What is not installed, or "" if it can be measured."""
        return ""

    @abstractmethod
    def configure(self, directory: Path, job: Job) -> None:
        """Write its configuration for this job into a directory that holds nothing else."""

    @abstractmethod
    def command(self, directory: Path, job: Job) -> list[str]:
        """Its daemon, in the foreground."""

    def environment(self, _directory: Path) -> Mapping[str, str]:
        """What it needs beside the usual."""
        return {}

    def started(self, directory: Path) -> list[str]:  # noqa: ARG002  # for those who need it
        """The command that gives it its programs, where a daemon has to be told."""
        return []

    def questions(self, directory: Path, job: Job) -> Questions | None:  # noqa: ARG002
        """Somebody who asks it about the first process of the job; None: nobody can."""
        return None

    def status(self, directory: Path, job: Job) -> list[str]:  # noqa: ARG002
        """Its `status` command for all processes; none: it has no such thing."""
        return []

    running = b"RUNNING"  # what `status` says of each process that runs

    def logs(self, directory: Path) -> Iterator[Path]:
        """The files that hold what programs have written."""
        yield from (path for path in (directory / "log").rglob("*") if path.is_file())


def run_file(path: Path, command: Sequence[str]) -> None:
    """A service's `run`, as runit and s6 want it.

    The kernel itself takes one argument of the program from the first line, so that the programs
    whose start is measured cost no shell.
    """
    if len(command) <= 2:
        text = f"#!{' '.join(command)}\n"
    else:
        text = f"#!/bin/sh\nexec {shlex.join(command)}\n"
    path.write_text(text)
    path.chmod(0o755)


def fair_environment(directory: Path) -> dict[str, str]:
    """Ours, with one cache of byte code for all: none of them compiles anything in a measurement.

    Whatever else changes how Python runs is taken out.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONPYCACHEPREFIX"] = str(directory / "pycache")
    return environment
