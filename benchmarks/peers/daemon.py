"""A supervisor that runs for a while: started, asked, stopped, and never left behind."""

import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Self

from benchmarks.peers.peer import Job, Peer, Questions, fair_environment
from benchmarks.probe import cpu_of
from benchmarks.processes import Process, tree

_PATIENCE = 60.0
_PATIENCE_AT_EXIT = 10.0  # when nobody measures how long it takes


class Daemon:
    """A supervisor that runs while the block lasts. Files of its directory are empty afterwards.

    `began` is the CLOCK_MONOTONIC, in ns, just before its fork and exec.
    """

    def __init__(self, peer: Peer, directory: Path, job: Job) -> None:
        self.peer = peer
        self.job = job
        self.directory = directory
        self.began = 0
        self._programs = {os.path.realpath(program.command[0]) for program in job.programs}
        self._environment = {**fair_environment(directory.parent.parent)}
        self._child: subprocess.Popen[bytes]
        self._starter: subprocess.Popen[bytes] | None = None
        self._own: list[Process] = []
        self._known: set[Process] = set()
        directory.mkdir()
        peer.configure(directory, job)

    def __enter__(self) -> Self:
        self._environment |= self.peer.environment(self.directory)
        with (self.directory / "output").open("wb") as output:
            self.began = time.monotonic_ns()
            self._child = subprocess.Popen(
                self.peer.command(self.directory, self.job),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
            )
        if command := self.peer.started(self.directory):
            # Not waited for: a daemon in a flood may never answer it.
            self._starter = subprocess.Popen(
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environment,
            )
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._know_all()
        if self._child.poll() is None:
            with suppress(TimeoutError):
                self.stop(patience=_PATIENCE_AT_EXIT)
        for process in self._known:
            process.end()
        if error is None:  # or somebody will look for the reason there
            _empty_files(self.directory)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def socket(self) -> Path:
        """Where those listen that speak HTTP."""
        return self.directory / "s"

    def stop(self, programs: Sequence[int] = (), patience: float = _PATIENCE) -> float:
        """End it and all its programs; seconds until it and these of its programs were gone."""
        self._know_all()
        pidfds = [os.pidfd_open(pid) for pid in (self.pid, *programs)]
        poll = select.epoll()
        try:
            for pidfd in pidfds:
                poll.register(pidfd, select.EPOLLIN)
            began = time.monotonic()
            os.kill(self.pid, self.peer.stop_signal)
            left = len(pidfds)
            while left:
                ended = poll.poll(max(0.0, began + patience - time.monotonic()))
                if not ended:
                    raise TimeoutError(f"{left} still run {patience:g} s after they were stopped")
                for pidfd, _ in ended:
                    poll.unregister(pidfd)
                left -= len(ended)
            return time.monotonic() - began
        finally:
            poll.close()
            for pidfd in pidfds:
                os.close(pidfd)
            with suppress(ProcessLookupError):
                os.kill(self.pid, SIGKILL)
            self._child.wait()

    def look(self) -> list[Process]:
        """All processes that it consists of, without its programs; kept for `cpu`."""
        self._own = [
            process for process in tree(self.pid) if process.executable not in self._programs
        ]
        return self._own

    def cpu(self) -> float:
        """CPU seconds of all processes that `look` has found, until now."""
        used = 0.0
        for process in self._own:
            with suppress(OSError):
                used += cpu_of(process.pid)
        return used

    def log_bytes(self) -> int:
        """How much of what programs have written is in files."""
        return sum(path.stat().st_size for path in self.peer.logs(self.directory))

    def questions(self) -> Questions | None:
        """Somebody who asks it, once it answers."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self.peer.questions(self.directory, self.job)
            except (OSError, RuntimeError, subprocess.SubprocessError):
                self._check(deadline)
            time.sleep(0.002)

    def wait_for_answer(self) -> float:
        """Seconds from exec until it can be asked."""
        questions = self.questions()
        took = (time.monotonic_ns() - self.began) / 1e9
        if questions is not None:
            questions.close()
        return took

    def ask_status(self) -> int:
        """Run its `status` command, as a script would; how many programs it said are running."""
        return self._run(self.peer.status(self.directory, self.job)).count(self.peer.running)

    def _know_all(self) -> None:
        """Whom to end: once the daemon is gone, nothing tells any more whose they were."""
        self._known |= {*tree(self.pid)}
        if self._starter is not None:
            self._known |= {*tree(self._starter.pid)}

    def _run(self, command: Sequence[str]) -> bytes:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
            env=self._environment,
        )
        return done.stdout

    def _check(self, deadline: float) -> None:
        if self._child.poll() is not None:
            raise RuntimeError((self.directory / "output").read_text()[-500:])
        if time.monotonic() > deadline:
            raise TimeoutError(f"no answer in {_PATIENCE:g} s")


def _empty_files(directory: Path) -> None:
    """Give back what logs take, and leave the files themselves.

    The logs of many turns would fill the memory, page by page that a virtual machine has to be
    given first: then a write costs the next one ten times as much. But without a journal ext4
    passes over every inode that was freed in the last minutes whenever it makes one: after a
    thousand files were removed, each new one nearby takes 0.6 ms instead of 0.02.
    """
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder, name)
            with suppress(OSError):
                if path.is_file() and not path.is_symlink():
                    os.truncate(path, 0)
