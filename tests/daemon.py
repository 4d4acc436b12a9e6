"""A real opsvisord for a test: started, asked, ended, and searched for anything it left behind."""

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple, Protocol, Self, TypeVar

import pytest

from opsvisor.client import Client, EventGap, NoDaemon
from opsvisor.wire import Event, ProcessStatus

# Longer than anything here takes on a busy machine. Only a failure ever waits for so long.
PATIENCE = 20.0
_LOOK_AGAIN_AFTER = 0.02

_BIN = Path(sys.executable).parent
# Every process of a daemon inherits this variable, so what it leaves behind can be found.
_MARK = "OPSVISOR_TEST_DAEMON"

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
        time.sleep(_LOOK_AGAIN_AFTER)


class Dialect(Enum):
    """The two languages a configuration can be written in."""

    TOML = "toml"
    INI = "ini"


@dataclass(frozen=True)
class Programs:
    """The program part of a configuration.

    In the text, $VICTIM is the command that starts victim.py, and $HERE the test's directory.
    """

    text: str
    dialect: Dialect = Dialect.TOML


def in_both_languages(*, ini: str, toml: str) -> pytest.MarkDecorator:
    """Run a test twice, with `programs` the same life in Supervisor's words and in our own."""
    return pytest.mark.parametrize(
        "programs",
        [
            pytest.param(Programs(ini, Dialect.INI), id="ini"),
            pytest.param(Programs(toml), id="toml"),
        ],
    )


class Ran(NamedTuple):
    """What a program that ended left behind."""

    status: int
    out: str
    err: str


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    text: str


class Home:
    """A directory with a configuration: the daemon's own file, and one that it includes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "s"
        self.log_file = directory / "daemon.log"
        self.pid_file = directory / "daemon.pid"
        self.output = directory / "daemon.out"
        self.config = directory / "opsvisor.toml"
        self.programs = directory / "conf.d" / "programs.toml"
        self.programs.parent.mkdir()

    def write(self, programs: Programs, *, main: str = "", daemon: str = "") -> None:
        """Write both files, with further lines for the daemon's own.

        `daemon` goes into its section about the daemon, `main` to the end, where TOML is in
        [server].
        """
        if programs.dialect is Dialect.INI:
            self.config = self.directory / "supervisord.conf"
            self.programs = self.programs.with_suffix(".ini")
            text = _INI.format(here=self.directory, main=dedent(main), daemon=dedent(daemon))
        else:
            text = _TOML.format(main=dedent(main), daemon=dedent(daemon))
        self.config.write_text(text)
        self.rewrite(programs.text)

    def rewrite(self, text: str, *, file: str = "") -> None:
        """Write the programs anew, or another file of programs beside them."""
        target = self.programs.with_stem(file) if file else self.programs
        target.write_text(self.filled_in(text))

    def filled_in(self, text: str) -> str:
        """The text with $VICTIM and $HERE replaced."""
        victim = f"{sys.executable} -I -S {Path(__file__).with_name('victim.py')}"
        return dedent(text).replace("$VICTIM", victim).replace("$HERE", str(self.directory))


_TOML = """\
schema = 1
include = ["conf.d/*.toml"]

[daemon]
log = "daemon.log"
pid_file = "daemon.pid"
{daemon}
[server]
unix = "s"
{main}
"""

_INI = """\
[unix_http_server]
file = {here}/s

[supervisord]
logfile = {here}/daemon.log
pidfile = {here}/daemon.pid
nodaemon = true
{daemon}
[supervisorctl]
serverurl = unix://{here}/s

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = conf.d/*.ini
{main}
"""


class Daemon:
    """A running opsvisord, and everything a test asks of it."""

    def __init__(
        self, home: Home, *, options: Sequence[str] = (), wrapper: Sequence[str] = ()
    ) -> None:
        """Start it, and wait until it says that it is ready. `wrapper` goes before its command."""
        self.home = home
        self._mark = uuid.uuid4().hex
        self._environment = environment(self._mark)
        with home.output.open("wb") as output:
            self._child = subprocess.Popen(
                [*wrapper, _BIN / "opsvisord", "-c", home.config, *options],
                cwd=home.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._client: Client | None = None
        eventually(self._is_ready)
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

    def following_ctl(self, *words: str) -> "Following":
        """Opsvisorctl with a command that goes on until Ctrl-C."""
        command = [str(_BIN / "opsvisorctl"), "-c", str(self.home.config), *words]
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
        return request(
            _UnixHttp(self.home.socket), path, method=method, headers=headers, body=body
        )

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

    def output_of(self, name: str, stream: str = "stdout") -> str:
        """The recent output of a process."""
        assert stream in ("stdout", "stderr")
        return self.client.log(name, stream, last_bytes=1 << 20).text  # type: ignore[arg-type]  # narrowed by the line above

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

    def until_says(self, name: str, text: str, stream: str = "stdout") -> str:
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

    # -- ending ------------------------------------------------------------------------------

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self._child.send_signal(signum)

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
        for pid in marked(self._mark):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not marked(self._mark))

    def end(self) -> None:
        """Shut down what still runs, and see that nothing of it is left."""
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
        assert status == 0, self._said()
        assert left == {}, f"processes outlived their daemon: {left}\n{self.log}"
        assert not self.home.socket.exists(), "the socket is left behind"
        assert not self.home.pid_file.exists(), "the pid file is left behind"
        for symptom in ("internal error", "Traceback", "never awaited", "Task exception"):
            assert symptom not in self._said()

    def _is_ready(self) -> bool:
        assert self._child.poll() is None, f"it ended: {self.home.output.read_text()}"
        try:
            return self.http("/readyz").status == 200
        except OSError:
            return False

    def _said(self) -> str:
        return self.log + self.home.output.read_text()


class Following:
    """A program that prints as things happen. A context manager: Ctrl-C at the end."""

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str]
    ) -> None:
        self._child = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.text = ""
        self.status: int | None = None

    def until(self, text: str) -> str:
        """All it has printed, as soon as this is in it."""
        assert self._child.stdout is not None
        output = self._child.stdout.fileno()
        while text not in self.text:
            readable, _, _ = select.select([output], [], [], PATIENCE)
            piece = os.read(output, 65536) if readable else b""
            assert piece, f"{text!r} does not come after {self.text!r}"
            self.text += piece.decode()
        return self.text

    def __enter__(self) -> Self:
        """The program itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Press Ctrl-C, and keep its exit status."""
        assert self._child.stdout is not None
        self._child.send_signal(signal.SIGINT)
        self.text += self._child.stdout.read().decode()
        self._child.stdout.close()
        self.status = self._child.wait(PATIENCE)


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


def environment(mark: str) -> dict[str, str]:
    """The environment of our programs in a test: nothing of the caller's that they listen to."""
    ours = {name: value for name, value in os.environ.items() if name != "OPSVISOR_URL"}
    return {**ours, _MARK: mark, "PYTHONWARNINGS": "error::RuntimeWarning", "TZ": "UTC"}


def marked(mark: str) -> dict[int, str]:
    """All live processes with this mark, and their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if f"{_MARK}={mark}".encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it has ended meanwhile, or is not ours to look into
    return found


def run_program(program: str, *words: str, directory: Path, mark: str = "") -> Ran:
    """Run opsvisord or opsvisorctl to its end, without a terminal."""
    done = subprocess.run(
        [_BIN / program, *words],
        cwd=directory,
        env={**environment(mark), "XDG_STATE_HOME": str(directory / "state")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


class _UnixHttp(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def request(
    connection: http.client.HTTPConnection,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str = "",
) -> Answer:
    """One request on a connection of its own."""
    try:
        connection.request(method, path, body or None, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read().decode())
    finally:
        connection.close()


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def nothing_happens_for(seconds: float) -> None:
    """Let this time pass. For claims that nothing happens, which no fact can ever end."""
    select.select([], [], [], seconds)
