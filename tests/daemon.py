"""A real opsvisord for a test: started, asked, ended, and searched for anything it left behind."""

import os
import select
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from commands import BIN, Following, Ran, environment, kill_marked, marked, run_program
from home import Home, Programs
from http_requests import Answer, UnixHttp, request
from procfs import own_pipes_of

from opsvisor.client import Client, EventGap, NoDaemon, StreamName
from opsvisor.runtime.logs.spares import _KEPT
from opsvisor.wire import Event, ProcessStatus

# Longer than anything here takes on a busy machine. Only a failure ever waits for so long.
PATIENCE = 60.0
_LOOK_AGAIN_AFTER = 0.02

T = TypeVar("T")


def eventually(claim: Callable[[], T | None], *, patience: float = PATIENCE) -> T:
    """What `claim` gives, as soon as that is true. AssertionError if it does not become so.

    The one place in the tests that looks again and again: for facts that nobody announces.
    """
    deadline = time.monotonic() + patience
    while True:
        found = claim()
        if found:
            return found
        assert time.monotonic() < deadline, f"did not become true in {patience:g} s: {found!r}"
        time.sleep(_LOOK_AGAIN_AFTER)  # noqa: TID251 - the one place


class Daemon:
    """A running opsvisord, and everything a test asks of it."""

    def __init__(
        self, home: Home, *, options: Sequence[str] = (), wrapper: Sequence[str] = ()
    ) -> None:
        """Start it, and wait until it says that it is ready. `wrapper` goes before its command."""
        self.home = home
        self.expected_status = 0
        self._mark = uuid.uuid4().hex
        self._environment = environment(self._mark)
        self._command: list[str | Path] = [
            *wrapper,
            BIN / "opsvisord",
            "-c",
            home.config,
            *options,
        ]
        self._client: Client | None = None
        home.output.unlink(missing_ok=True)
        self._begin()

    def _begin(self) -> None:
        self._fork()
        try:
            eventually(self._is_ready)
        except BaseException:
            self.kill()
            raise

    def _fork(self) -> None:
        with self.home.output.open("ab") as output:
            self._child = subprocess.Popen(
                self._command,
                cwd=self.home.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.pid = self._child.pid

    # -- asking ------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """A connection to its API, kept for the test."""
        if self._client is None:
            self._client = Client(f"unix://{self.home.socket}", timeout=PATIENCE)
        return self._client

    def ctl(self, *words: str) -> Ran:
        """Run opsvisorctl with its configuration."""
        return self.run("opsvisorctl", "-c", str(self.home.config), *words)

    def following_ctl(self, *words: str) -> Following:
        """Opsvisorctl with a command that goes on until Ctrl-C."""
        command = [str(BIN / "opsvisorctl"), "-c", str(self.home.config), *words]
        return Following(command, self.home.directory, self._environment)

    def run(self, program: str, *words: str) -> Ran:
        """Run one of our two programs in the daemon's directory, to its end."""
        return run_program(program, *words, directory=self.home.directory)

    def http(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str = "",
    ) -> Answer:
        """An HTTP request as any client may send it, over the unix socket."""
        return request(UnixHttp(self.home.socket), path, method=method, headers=headers, body=body)

    def status(self, name: str) -> ProcessStatus:
        """One process as it is now."""
        return self.client.process(name).status

    def statuses(self) -> dict[str, ProcessStatus]:
        """All processes by name."""
        return {one.name: one for one in self.client.processes().processes}

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series, which must be there exactly once."""
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        found = []
        for line in self.http("/metrics").text.splitlines():
            series, _, value = line.rpartition(" ")
            family, _, rest = series.partition("{")
            if family == name and wanted <= set(rest.rstrip("}").split(",")):
                found.append(float(value))
        assert len(found) == 1, f"{name} {labels}: {found}"
        return found[0]

    @property
    def log(self) -> str:
        """What it has written to its own log."""
        return self.home.log_file.read_text() if self.home.log_file.exists() else ""

    def output_of(self, name: str, stream: StreamName = "stdout") -> str:
        """The recent output of a process."""
        return self.client.log(name, stream, last_bytes=1 << 20).text

    # -- waiting for facts -------------------------------------------------------------------

    def events_until(self, is_last: Callable[[Event], bool], *, after: int = 0) -> list[Event]:
        """All events from number `after` + 1 to the first that `is_last` recognises."""
        seen: list[Event] = []
        with self.client.events(last_event_id=after) as stream:
            giving_up = threading.Timer(PATIENCE, stream.hang_up)
            giving_up.start()
            try:
                for event in stream:
                    assert not isinstance(event, EventGap), event
                    seen.append(event)
                    if is_last(event):
                        return seen
            finally:
                giving_up.cancel()
        raise AssertionError(f"it did not come: {[event.text for event in seen]}")

    def until(self, name: str, state: str) -> ProcessStatus:
        """The status of a process, as soon as it is in this state."""

        def look() -> ProcessStatus | None:
            status = self.status(name)
            return status if status.state == state else None

        try:
            return eventually(look)
        except AssertionError:
            status = self.status(name)
            raise AssertionError(
                f"{name} is {status.state} ({status.reason}), not {state}\n{self.log}"
            ) from None

    def until_says(self, name: str, text: str, stream: StreamName = "stdout") -> str:
        """The output of a process, as soon as this is in it."""

        def look() -> str:
            output = self.output_of(name, stream)
            return output if text in output else ""

        return eventually(look)

    def until_logged(self, text: str) -> str:
        """The daemon's log, as soon as this is in it."""
        return eventually(lambda: self.log if text in self.log else "")

    def until_begun_anew(self, *, after: float) -> None:
        """Wait for a life of the daemon that began after this moment, and is ready."""

        def look() -> bool:
            try:
                return self.client.daemon().started_at > after and self._is_ready()
            except NoDaemon:
                return False

        eventually(look)

    @property
    def state_directory(self) -> Path:
        """Where it keeps what the next one has to know, unless its configuration says where."""
        base = Path(os.environ["RUNTIME_DIRECTORY"])
        return next(
            path.parent
            for path in base.glob(f"{self.home.config.stem}-*/lock")
            if path.read_text().split()[0] == str(self.pid)
        )

    @property
    def has_pipes_ready(self) -> bool:
        """Whether it has what it keeps for the next runs, beside the pipe that wakes its loop."""
        return len(own_pipes_of(self.pid)) > _KEPT

    def offspring(self) -> dict[int, str]:
        """Everything alive that comes of this daemon or an earlier one, and its command lines."""
        return {pid: command for pid, command in marked(self._mark).items() if pid != self.pid}

    # -- ending ------------------------------------------------------------------------------

    def crash(self) -> None:
        """Kill the daemon and nothing else, as a bug or the OOM killer would."""
        self._child.kill()
        self._child.wait(PATIENCE)

    def begin_and_crash(self, *, after: float) -> None:
        """After a crash: start a daemon in the same place, which is killed so soon (seconds)."""
        assert self._child.poll() is not None
        self._fork()
        with suppress(subprocess.TimeoutExpired):
            status = self._child.wait(after)
            raise AssertionError(f"it ended with {status}\n{self._said()}")
        self.crash()

    def begin_again(self) -> None:
        """After a crash: start a daemon in the same place, and wait until it is ready."""
        with self.beginning_again():
            pass

    def begin_and_die(self) -> None:
        """After a crash: start a daemon in the same place that is going to kill itself soon."""
        assert self._child.poll() is not None
        self._fork()
        assert self._child.wait(PATIENCE) == -signal.SIGKILL, self._said()

    def refused(self, *wrapper: str) -> str:
        """After a crash: a daemon in the same place refuses to begin. What it says of that."""
        done = subprocess.run(
            [*wrapper, *self._command],
            cwd=self.home.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 2, done
        return done.stderr

    @contextmanager
    def beginning_again(self) -> Iterator[None]:
        """As `begin_again`, with something to be done before it is waited for."""
        assert self._child.poll() is not None
        if self._client is not None:
            self._client.close()
            self._client = None
        self._fork()
        try:
            yield
            eventually(self._is_ready)
        except BaseException:
            self.kill()
            raise

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self._child.send_signal(signum)

    @property
    def wake_ups(self) -> int:
        """How often its main thread has slept, and was woken."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._child.poll() is not None

    def wait(self) -> int:
        """Its exit status, as soon as it has ended by itself."""
        return self._child.wait(PATIENCE)

    def terminate(self) -> int:
        """Have it shut down; gives its exit status."""
        if self._child.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it the hard way, and what it ran as well: nothing is asked of it any more."""
        self._child.kill()
        self._child.wait(PATIENCE)
        kill_marked(self._mark)
        eventually(lambda: not marked(self._mark))

    def end(self) -> None:
        """Shut down what still runs; see that it ends as expected and leaves nothing behind."""
        if self._client is not None:
            self._client.close()
        try:
            was_killed = self._child.poll() == -signal.SIGKILL
            status = self.terminate()
            left = marked(self._mark)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self._said()}") from None
        finally:
            if self._child.poll() is None or marked(self._mark):
                self.kill()
        if was_killed:
            return
        assert status == self.expected_status, self._said()
        assert left == {}, f"processes outlived their daemon: {left}\n{self.log}"
        assert not self.home.socket.exists(), "the socket is left behind"
        assert not self.home.pid_file.exists(), "the pid file is left behind"
        for symptom in ("internal error", "Traceback", "never awaited", "Task exception"):
            assert symptom not in self._said(), self._said()

    def _is_ready(self) -> bool:
        assert self._child.poll() is None, f"it ended: {self.home.output.read_text()}"
        try:
            return self.http("/readyz").status == 200
        except OSError:
            return False

    def _said(self) -> str:
        return self.log + self.home.output.read_text()


class StartDaemon(Protocol):
    """Starts the daemon of a test; see `Home.write` and `Daemon`."""

    def __call__(
        self,
        programs: Programs | str,
        *,
        main: str = "",
        daemon: str = "",
        options: Sequence[str] = (),
        wrapper: Sequence[str] = (),
    ) -> Daemon:
        """A daemon that is ready. A plain string is TOML."""


def nothing_happens_for(seconds: float) -> None:
    """Let this time pass. For claims that nothing happens, which no fact can ever end."""
    select.select([], [], [], seconds)
