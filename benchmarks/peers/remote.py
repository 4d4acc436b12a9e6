"""Questions that a small program asks for us, where an interface wants its own libraries."""

import select
import subprocess
from collections.abc import Mapping, Sequence

from benchmarks.peers.peer import Questions

_PATIENCE = 60.0


class RemoteQuestions(Questions):
    """A program that reads `all`, `one TIMES`, `clog CLIENTS`, and answers each with a number."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment,
        )
        try:
            self._ask("all")  # it is connected then
        except (OSError, RuntimeError):
            self.close()
            raise

    def all(self) -> int:
        """See Questions."""
        return self._ask("all")

    def one(self, times: int) -> None:
        """See Questions."""
        self._ask(f"one {times}")

    def clog(self, clients: int) -> None:
        """See Questions."""
        self._ask(f"clog {clients}")

    def close(self) -> None:
        """See Questions."""
        self._child.kill()
        self._child.communicate()

    def _ask(self, words: str) -> int:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{words}\n")
        if not select.select([self._child.stdout], [], [], _PATIENCE)[0]:
            raise TimeoutError(f"no answer to {words!r} in {_PATIENCE:g} s")
        answer = self._child.stdout.readline()
        if not answer.strip().isdigit():
            raise RuntimeError(f"asked for {words!r}, was told {answer!r}")
        return int(answer)
