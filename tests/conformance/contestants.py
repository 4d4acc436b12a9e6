"""Both daemons with the same configuration: started, asked, compared, ended without trace."""

import json
import os
import re
import signal
import subprocess
import sys
import uuid
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPConnection
from pathlib import Path
from textwrap import dedent
from typing import Any, Protocol, TypeVar

from commands import BIN, Ran, environment, kill_marked, marked
from daemon import PATIENCE, eventually
from http_requests import Answer, UnixHttp, free_port, request

T = TypeVar("T")

VICTIM = f"{sys.executable} -I -S {Path(__file__).parent.with_name('victim.py')}"
_AGAIN_AND_AGAIN = Path(__file__).with_name("again_and_again.py")
_LIMIT = 60.0  # seconds for a program that should end by itself; only a failure takes as long

# What nearly every configuration begins with. A case adds its programs.
HEAD = """\
[unix_http_server]
file = $HERE/s

[inet_http_server]
port = 127.0.0.1:$PORT

[supervisord]
logfile = $HERE/daemon.log
pidfile = $HERE/daemon.pid
childlogdir = $HERE

[supervisorctl]
serverurl = unix://$HERE/s

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

"""


class Kind(Enum):
    """Who is who. The directories have names of one length, so that sizes of logs agree."""

    THEIRS = "real"
    OURS = "opsv"


@dataclass(frozen=True)
class Fault:
    """An XML-RPC fault as an answer."""

    code: int
    text: str


@dataclass(frozen=True)
class HttpError:
    """An answer that is no XML-RPC at all."""

    status: int


class Contestant:
    """One of the two daemons in a directory of its own."""

    def __init__(self, kind: Kind, parent: Path, *, name: str = "") -> None:
        self.kind = kind
        self.directory = parent / (name or kind.value)
        self.directory.mkdir()
        self.port = free_port()
        self.config = self.directory / "supervisord.conf"
        self.socket = self.directory / "s"
        self.log_file = self.directory / "daemon.log"
        self.output = self.directory / "daemon.out"
        self.started: list[subprocess.Popen[bytes]] = []
        self._mark = uuid.uuid4().hex
        self.environment = {
            **environment(self._mark),
            "XDG_STATE_HOME": str(self.directory / "state"),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }

    @property
    def is_ours(self) -> bool:
        """Whether this is opsvisord. For cases that differ on purpose, and for nothing else."""
        return self.kind is Kind.OURS

    def write(self, text: str, name: str = "supervisord.conf") -> Path:
        """A file in its directory, with $HERE, $PORT and $VICTIM replaced."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.filled_in(text), "utf-8")
        return path

    def filled_in(self, text: str) -> str:
        """The text with $VICTIM (see victim.py), $HERE and $PORT (its own) replaced."""
        filled = dedent(text).replace("$VICTIM", VICTIM).replace("$HERE", str(self.directory))
        return filled.replace("$PORT", str(self.port))

    # -- its life ----------------------------------------------------------------------------

    @property
    def command(self) -> list[str]:
        """The daemon, before its flags."""
        return [str(BIN / ("opsvisord" if self.is_ours else "supervisord"))]

    def start(self, *flags: str, extra_environment: Mapping[str, str] | None = None) -> None:
        """Start the daemon in the foreground. Does not wait for anything."""
        with self.output.open("ab") as output:
            child = subprocess.Popen(
                [*self.command, "-n", "-c", self.config, *flags],
                cwd=self.directory,
                env={**self.environment, **(extra_environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # As a shell starts it, whatever the test runner does about signals.
                restore_signals=True,
            )
        self.started.append(child)

    def start_and_wait(self, *flags: str) -> None:
        """Start the daemon, and wait until it answers."""
        self.start(*flags)
        eventually(self.answers)

    def answers(self) -> bool:
        """Whether somebody takes requests on its socket. AssertionError if the daemon ended."""
        status = self.child.poll()
        assert status is None, f"{self.kind} ended with {status}\n{self.said()}"
        try:
            state = self.call("supervisor.getState")
            return bool(state == {"statecode": 1, "statename": "RUNNING"})
        except OSError:
            return False

    @property
    def child(self) -> subprocess.Popen[bytes]:
        """The daemon that was started last."""
        return self.started[-1]

    @property
    def pid(self) -> int:
        """Its pid."""
        return self.child.pid

    def run_daemon(self, *flags: str) -> Ran:
        """Run the daemon with these flags only, to its end."""
        return self.run([*self.command, *flags])

    def run(self, command: Sequence[str], stdin: str = "") -> Ran:
        """Run any program to its end, in the directory and environment of the daemon."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
        return Ran(done.returncode, self.neutral(done.stdout), self.neutral(done.stderr))

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self.child.send_signal(signum)

    def wait(self) -> int:
        """Its exit status, as soon as it has ended by itself."""
        return self.child.wait(PATIENCE)

    def terminate(self) -> int:
        """Have it shut down; gives its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        """End whatever still runs. Ours must do so by itself, and leave nothing behind."""
        symptoms = []
        if self.is_ours and self.started and self.child.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                status = self.wait()
                symptoms += [f"it ended with {status}"] * (status != 0)
                symptoms += [f"{line} outlived it" for line in marked(self._mark).values()]
            except subprocess.TimeoutExpired:
                symptoms.append("it does not end")
        self.kill()
        if self.is_ours:
            said = self.said()
            found = ("internal error", "Traceback", "never awaited", "Task exception")
            symptoms += [symptom for symptom in found if symptom in said]
            assert not symptoms, f"{symptoms}\n{said}"

    def kill(self) -> None:
        """End the daemon and all that it ran the hard way."""
        for child in self.started:
            child.kill()
            child.wait(PATIENCE)
        kill_marked(self._mark)
        eventually(lambda: not marked(self._mark))

    # -- asking ------------------------------------------------------------------------------

    def call(self, method: str, *params: Any) -> Any:
        """Call an XML-RPC method; gives its result, Fault or HttpError, in neutral words."""
        body = xmlrpc.client.dumps(params, method)
        answer = self.post(body)
        return self.neutral(parsed(answer))

    def post(
        self,
        body: str | bytes,
        path: str = "/RPC2",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """POST this to its unix socket."""
        typed = {"Content-Type": "text/xml", **(headers or {})}
        return request(self.unix, path, method="POST", headers=typed, body=body)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET this from its unix socket."""
        return request(self.unix, path, headers=headers)

    @property
    def unix(self) -> HTTPConnection:
        """A new connection to its unix socket."""
        return UnixHttp(self.socket)

    @property
    def tcp(self) -> HTTPConnection:
        """A new connection to its TCP port."""
        return HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def info(self, name: str) -> dict[str, Any]:
        """What getProcessInfo tells about a process that exists."""
        found = self.call("supervisor.getProcessInfo", name)
        assert isinstance(found, dict), (name, found)
        return found

    def state(self, name: str) -> str:
        """The state of a process by name, or the text of the fault."""
        found = self.call("supervisor.getProcessInfo", name)
        if isinstance(found, Fault):
            return found.text
        assert isinstance(found, dict), (name, found)
        return str(found["statename"])

    def until(self, name: str, *states: str) -> str:
        """The state of this process, as soon as it is one of these."""
        seen = []

        def look() -> str:
            seen.append(self.state(name))
            return seen[-1] if seen[-1] in states else ""

        try:
            return eventually(look)
        except AssertionError:
            raise AssertionError(
                f"{self.kind}: {name} is {seen[-1]}, not {states}\n{self.said()}"
            ) from None

    def supervisorctl(self, *words: str, stdin: str = "") -> Ran:
        """Run the real supervisorctl against it."""
        command = [str(BIN / "supervisorctl"), "-c", str(self.config), *words]
        return self.run(command, stdin)

    def opsvisorctl(self, *words: str, stdin: str = "") -> Ran:
        """Run opsvisorctl against it."""
        command = [str(BIN / "opsvisorctl"), "-c", str(self.config), *words]
        return self.run(command, stdin)

    # -- reading -----------------------------------------------------------------------------

    @property
    def log(self) -> str:
        """Its activity log."""
        return self.log_file.read_text("utf-8") if self.log_file.exists() else ""

    def until_logged(self, text: str, times: int = 1) -> str:
        """Its activity log, as soon as this is in it so many times."""
        try:
            return eventually(lambda: self.log if self.log.count(text) >= times else "")
        except AssertionError:
            raise AssertionError(f"{self.kind}: no {text!r} in\n{self.said()}") from None

    def said(self) -> str:
        """All that it has told, for messages."""
        printed = self.output.read_text() if self.output.exists() else ""
        return f"{printed}\n{self.log}"

    def until_text(self, name: str, text: str = "", *, lines: int = 0) -> str:
        """A file in its directory, as soon as this text, or so many lines, are in it."""
        path = self.directory / name

        def look() -> str:
            found = path.read_text("utf-8", "replace") if path.exists() else ""
            return found if text in found and found.count("\n") >= lines else ""

        try:
            return eventually(look)
        except AssertionError:
            found = path.read_text() if path.exists() else "not there"
            raise AssertionError(
                f"{self.kind}: {name}: no {text!r} in {found!r}\n{self.said()}"
            ) from None

    # -- comparing ---------------------------------------------------------------------------

    def neutral(self, found: Any) -> Any:
        """The same without its directory, its port and its pid, however deep they are."""
        match found:
            case str():
                text = found.replace(str(self.directory), "$HERE")
                text = text.replace(f":{self.port}", ":$PORT")
                return _AUTO_LOG.sub(r"\1-RANDOM.log", text)
            case list() | tuple():
                return [self.neutral(one) for one in found]
            case dict():
                return {key: self.neutral(value) for key, value in found.items()}
            case Fault(code, text):
                return Fault(code, self.neutral(text))
            case _:
                return found


def parsed(answer: Answer) -> Any:
    """The result in an XML-RPC response, or what it is instead."""
    if answer.status != 200:
        return HttpError(answer.status)
    try:
        (result,), _ = xmlrpc.client.loads(answer.text)
    except xmlrpc.client.Fault as fault:
        return Fault(fault.faultCode, fault.faultString)
    return result


def typed(found: Any) -> Any:
    """The same with truth values that are unequal to numbers, as they are in XML-RPC."""
    match found:
        case bool():
            return f"<{found}>"
        case list():
            return [typed(one) for one in found]
        case tuple():
            return tuple(typed(one) for one in found)
        case dict():
            return {key: typed(value) for key, value in found.items()}
        case _:
            return found


def timeless(answer: Any) -> Any:
    """An answer about processes without times and pids."""
    match answer:
        case {"pid": pid, "now": _, "description": str(text), **rest}:
            times = {key: bool(rest.pop(key)) for key in ("start", "stop")}
            return {**rest, **times, "pid": bool(pid), "description": undated(text)}
        case list():
            return [timeless(one) for one in answer]
        case _:
            return answer


_DATED = [
    (re.compile(r"pid \d+, uptime \d:\d\d:\d\d"), "pid N, uptime T"),
    (re.compile(r"\w{3} \d\d \d\d:\d\d [AP]M"), "DATE"),
    (re.compile(r"file: \S+ line: \d+"), "file: F line: N"),
    (re.compile(r"\b(?:supervisor|opsvisor)(ctl|d)\b -h"), r"\1 -h"),
]


def undated(text: str) -> str:
    """What programs print for people, without times, pids, and places in source files."""
    for pattern, plain in _DATED:
        text = pattern.sub(plain, text)
    return text


_MODULES = {
    "supervisorctl": "supervisor.supervisorctl",
    "opsvisorctl": "opsvisor.ctl.main",
    "supervisord": "supervisor.supervisord",
    "opsvisord": "opsvisor.daemon",
}


class Repeated:
    """A program that is run many times to its end, in the surroundings of a contestant."""

    def __init__(self, contestant: Contestant, program: str) -> None:
        self._contestant = contestant
        self._child = subprocess.Popen(
            [sys.executable, _AGAIN_AND_AGAIN, _MODULES[program], "main", BIN / program],
            cwd=contestant.directory,
            env=contestant.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, stdin: str = "") -> Ran:
        """Run it with these words behind its name."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(json.dumps({"words": words, "stdin": stdin}), file=self._child.stdin, flush=True)
        found = json.loads(self._child.stdout.readline())
        neutral = self._contestant.neutral
        return Ran(found["status"], neutral(found["out"]), neutral(found["err"]))

    def close(self) -> None:
        """Run it no more."""
        self._child.communicate(timeout=PATIENCE)


@dataclass(frozen=True)
class Pair:
    """Supervisor and opsvisor side by side."""

    theirs: Contestant
    ours: Contestant

    def both(self, script: Callable[[Contestant], T]) -> tuple[T, T]:
        """Play a script on both at the same time; gives Supervisor's result first."""
        with ThreadPoolExecutor(2) as stage:
            results = [stage.submit(script, one) for one in (self.theirs, self.ours)]
            return results[0].result(), results[1].result()

    def agree(self, script: Callable[[Contestant], T]) -> T:
        """Play a script on both, see that the results are equal, and give it."""
        theirs, ours = self.both(script)
        assert typed(ours) == typed(theirs)
        return theirs


def new_pair(parent: Path, config: str, *, files: Mapping[str, str] | None = None) -> Pair:
    """Both daemons, not started yet, with this configuration and further files beside it."""
    pair = Pair(Contestant(Kind.THEIRS, parent), Contestant(Kind.OURS, parent))
    for one in (pair.theirs, pair.ours):
        one.write(config)
        for name, text in (files or {}).items():
            one.write(text, name)
    return pair


class StartPair(Protocol):
    """Starts both daemons with one configuration."""

    def __call__(self, config: str, *flags: str, files: Mapping[str, str] | None = None) -> Pair:
        """Both, when they answer."""


# The file of AUTO has a random part in its name.
_AUTO_LOG = re.compile(r"(---\w+)-\w{8}\.log")
_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", re.MULTILINE)
_PID = re.compile(r"\bpid \d+|\(\d+\)")


def without_times(log: str) -> list[str]:
    """The lines of an activity log without their times, and with N for every pid."""
    return [_PID.sub(_number_hidden, line) for line in _TIME.sub("", log).splitlines()]


def _number_hidden(found: re.Match[str]) -> str:
    return re.sub(r"\d+", "N", found[0])
