"""A program of the stack while it runs: started, found listening, ended by its process id."""

import contextlib
import http.client
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tools.stack.ending import Ended
from tools.stack.errors import StackError
from tools.stack.waiting import PATIENCE, until

HOST = "127.0.0.1"
# Somebody who is killed can't end what they started: the kernel does (PR_SET_PDEATHSIG). It is
# the thread that counts, so programs are started by the main one. Of util-linux, which Debian
# always has; it becomes the program, with the same process id.
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
_LAST_LINES = 15  # of what a program said before it gave up


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A program of a Debian package."""

    name: str
    package: str

    def path(self) -> str:
        """Where it is. Raises StackError if it is not installed."""
        found = shutil.which(self.name)
        if found is None:
            raise StackError(
                f"there is no {self.name} on this machine",
                f"tools/system_packages.sh {self.package} (as root, on Debian)",
            )
        return found


class Program:
    """A server that runs. What it says goes to `log`; port 0 lets the kernel choose one."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                [*_ENDS_WITH_US, *command],
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C in a terminal is for whoever started it, who then ends it in order.
                process_group=0,
            )
        self.pid = self._child.pid
        self._address = ""

    @property
    def address(self) -> str:
        """Its host:port, once it is ready."""
        return self._address

    def until_ready(self, path: str, *, address: str = "") -> Self:
        """Wait until it answers 200 here. It is ended, and StackError raised, if that fails.

        Without an `address` it is found out: the only TCP socket that it listens on.
        """
        try:
            self._address = address or until(self._listening)
            until(lambda: self._answers(path))
        except BaseException:
            self.stop()
            raise
        return self

    def signal(self, signum: int) -> None:
        """Send it a signal."""
        self._child.send_signal(signum)

    def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        self._child.terminate()
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(PATIENCE)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._child.poll() is None

    def said(self) -> str:
        """The last lines of what it wrote."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])

    def _listening(self) -> str:
        self._check_alive()
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in psutil.Process(self.pid).net_connections("tcp"):
                if one.status == psutil.CONN_LISTEN:
                    return f"{HOST}:{one.laddr.port}"
        return ""

    def _answers(self, path: str) -> bool:
        self._check_alive()
        connection = http.client.HTTPConnection(self._address, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _check_alive(self) -> None:
        if self.is_running:
            return
        said = self.said()
        hint = ""
        if "already in use" in said or "already listening" in said:
            hint = "another program has this port: end it, or choose another port"
        raise StackError(f"{self.name} ended before it was ready. It said:\n{said}", hint)


class Server(Ended):
    """A server that answers HTTP. A context manager: stopped at the end."""

    def __init__(self, program: Program) -> None:
        self.program = program

    @property
    def address(self) -> str:
        """Its host:port."""
        return self.program.address

    @property
    def url(self) -> str:
        """Where its pages are."""
        return f"http://{self.address}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.program.pid

    def stop(self) -> None:
        """End it."""
        self.program.stop()
