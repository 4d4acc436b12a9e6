"""The daemon of examples/predicaments.toml, with a program in every predicament, and its visitors.

What the dashboards and their pictures are looked at with. It runs in a directory of its own and
on ports of its own, so that any number of it may run, beside `make run` too.
"""

import contextlib
import json
import random
import re
import shutil
import signal
import socket
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from opsvisor.client import ApiError, Client
from tools.stack.ask import ask
from tools.stack.cells import can_have, cell
from tools.stack.config import Target
from tools.stack.ending import Ended
from tools.stack.errors import StackError
from tools.stack.program import HOST, Program
from tools.stack.waiting import PATIENCE

EXAMPLES = Path(__file__).parents[2] / "examples"

_API_PORT = "9001"  # as the example has it
_WEB_PORT = re.compile(r"\b180(?=\{replica:02\}|\d\d\b)")  # and two digits more: its programs'
_WEB_DIGITS = ("00", "01", "90", "91", "99")
_PREFIXES = range(200, 320)  # below the ports that the kernel gives out by itself
_BETWEEN_VISITS = 1.0  # seconds
_BETWEEN_RESTARTS = 10.0

# In a cgroup with a fifth of a CPU and little more memory than it has.
_HELD_BACK = """
[program.limited]
description = "Wants all the CPU and gets a fifth of one"
command     = {command}
"""
_MEBIBYTES = 64
_PERCENT_OF_A_CPU = 20
_BUSY = f"held = bytearray({_MEBIBYTES - 16} << 20)\nwhile True: pass"

_BROKEN = "\n[program.typo]\ncomand = 'sleep 1'\n"
_ADDED = '\n[program.added]\ncommand = "python3 -u talker.py"\n'


class Scenario(Ended):
    """The daemon while it runs. A context manager: stopped at the end, with all that it runs."""

    def __init__(self, program: Program, config: Path) -> None:
        self.program = program
        self._written = config.read_text()
        self._cells = ExitStack()
        self.config = config

    @classmethod
    def start(cls, directory: Path, *, port: int = 0) -> Self:
        """Copy the example there, give it free ports, and start it. It is ready then.

        `port` is that of its API and of /metrics; 0 takes a free one. A copy that is there from
        last time is replaced.
        """
        examples = directory / "examples"
        if examples.exists():
            shutil.rmtree(examples)
        shutil.copytree(EXAMPLES, examples)
        (directory / "run").mkdir(exist_ok=True)
        port = port or free_port()
        config = examples / "predicaments.toml"
        config.write_text(with_free_ports(config.read_text(), api=port))
        command = [sys.executable, "-m", "opsvisor", "daemon", "-c", str(config)]
        program = Program("opsvisord", command, log=directory / "run" / "opsvisord.out")
        return cls(program.until_ready("/readyz", address=f"{HOST}:{port}"), config)

    @property
    def address(self) -> str:
        """Its host:port, for the API and for /metrics."""
        return self.program.address

    @property
    def target(self) -> Target:
        """What Prometheus is to scrape of it."""
        return Target(address=self.address)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.program.pid

    def client(self) -> Client:
        """A client of its API, to be closed by the caller."""
        return Client(f"http://{self.address}", timeout=PATIENCE)

    def metrics(self) -> str:
        """What it exports right now."""
        return ask(self.address, "/metrics").decode()

    # -- what happens to a daemon ------------------------------------------------------------

    def reload(self) -> None:
        """Add a program to its configuration, or take that away again, and apply it."""
        text = self.config.read_text()
        self.config.write_text(self._written if text != self._written else text + _ADDED)
        with self.client() as client:
            client.apply()

    def reload_broken(self) -> None:
        """Have it refuse a configuration with a slip in it. The file is right again afterwards."""
        text = self.config.read_text()
        self.config.write_text(text + _BROKEN)
        try:
            with self.client() as client, contextlib.suppress(ApiError):
                client.apply()
                raise StackError("the daemon accepted a configuration with a slip in it")
        finally:
            self.config.write_text(text)

    def hold_one_back(self) -> bool:
        """Add a program that has little CPU and memory; whether this machine lets us.

        It takes root and cgroups that can be made.
        """
        if not (can_have("cpu") and can_have("memory")):
            return False
        cpu = self._cells.enter_context(cell("cpu"))
        # In version 2 a process is in one cgroup, which has all controllers.
        memory = self._cells.enter_context(cell("memory")) if cpu.is_legacy else cpu
        cpu.limit_cpu(_PERCENT_OF_A_CPU)
        memory.limit_memory(_MEBIBYTES)
        entry = [*cpu.entry, *memory.entry] if cpu.is_legacy else cpu.entry
        command = [*entry, "python3", "-c", _BUSY]
        self._written += _HELD_BACK.format(command=json.dumps(command))
        self.config.write_text(self._written)
        with self.client() as client:
            client.apply()
        return True

    def visitors(self, *, restart_every: float = _BETWEEN_RESTARTS) -> "Visitors":
        """People and programs that use its API all the time; see there. In seconds."""
        return Visitors(self, restart_every=restart_every)

    # -- ending ------------------------------------------------------------------------------

    def signal(self, signum: signal.Signals) -> None:
        """Send the daemon a signal."""
        self.program.signal(signum)

    def stop(self) -> None:
        """Shut it down."""
        self.program.stop()
        self._cells.close()  # empty now


class Visitors:
    """Uses the API once a second, with a mistake each time, and keeps two streams open unread.

    Now and then somebody restarts a program by hand. A context manager: they leave at the end.
    What a visitor stumbles over is raised then.
    """

    def __init__(self, scenario: Scenario, *, restart_every: float) -> None:
        self._scenario = scenario
        self._rounds_per_restart = max(1, round(restart_every / _BETWEEN_VISITS))
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)
        self._stumbled: BaseException | None = None

    def __enter__(self) -> Self:
        """They come."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """They leave."""
        self._leaving.set()
        self._thread.join()
        if self._stumbled is not None and error is None:
            raise StackError("a visitor of the daemon stumbled") from self._stumbled

    def _visit(self) -> None:
        try:
            with ExitStack() as streams:
                for path in ("/api/v1/events", "/api/v1/processes/chatty/logs/stdout/follow"):
                    streams.enter_context(self._stream(path))
                client = streams.enter_context(self._scenario.client())
                visit = 0
                while not self._leaving.wait(_BETWEEN_VISITS):
                    self._look_around(client)
                    if visit % self._rounds_per_restart == 0:
                        client.act("restart", ["web:web_1"])
                    visit += 1
        except Exception as error:  # noqa: BLE001  # raised where they are called back
            self._stumbled = error

    def _look_around(self, client: Client) -> None:
        client.processes()
        client.daemon()
        client.history("flaky")
        client.log("chatty", "stdout", last_bytes=4096)
        with contextlib.suppress(ApiError):
            client.process("no-such-program")

    def _stream(self, path: str) -> socket.socket:
        """A request whose answer nobody reads."""
        host, _, port = self._scenario.address.partition(":")
        connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return connection


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _free_prefix() -> str:
    """Three digits that, with those of the example's programs behind them, are free ports."""
    # Others may be looking for theirs right now.
    for prefix in random.sample(_PREFIXES, len(_PREFIXES)):
        are_free = all(_is_free(int(f"{prefix}{digits}")) for digits in _WEB_DIGITS)
        if are_free and _claim(prefix):
            return str(prefix)
    raise StackError("no five ports are free for the example's programs")


def _claim(prefix: int) -> bool:
    """Have nobody else choose these ports before our programs listen there.

    A name without a file, which is ours until this process ends. False if it is somebody else's.
    """
    with socket.socket(socket.AF_UNIX) as claim:
        try:
            claim.bind(f"\0opsvisor-example-{prefix}")
        except OSError:
            return False
        claim.detach()
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def with_free_ports(text: str, *, api: int) -> str:
    """The example with other ports. Raises StackError if it is not written as expected."""
    replacements = ((re.compile(rf":{_API_PORT}\b"), f":{api}"), (_WEB_PORT, _free_prefix()))
    for old, new in replacements:
        text, replaced = old.subn(new, text)
        if not replaced:
            raise StackError(f"no port like {old.pattern} is in examples/predicaments.toml")
    return text
