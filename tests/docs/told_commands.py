"""Commands as pages tell them: read from the Markdown, and carried out as a reader would.

A page is read from top to bottom. Its blocks are

* `console`: each line with a `$` is typed at a prompt, and what follows it is what is to be seen;
* `console` with the title "A terminal of its own": typed there, and left running;
* any block whose title is the name of a file: a file of that name with that text.

What a page shows of an answer is an example: numbers differ each time, and a line of `…` stands
for any lines. What is shown must come, sooner or later: a reader looks again as well.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemon import eventually

OWN_TERMINAL = "A terminal of its own"
_BLOCK = re.compile(
    r'^```(?P<kind>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
_NUMBERS = re.compile(r"\d+")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Typed:
    """One command, and the lines that a page shows under it."""

    command: str
    shown: tuple[str, ...] = ()
    in_own_terminal: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A file that the reader is told to write."""

    name: str
    text: str


def steps(page: str) -> Iterator[Typed | Written]:
    """What a page has its reader do, in order."""
    for block in _BLOCK.finditer(page):
        title = block["title"] or ""
        if block["kind"] == "console":
            yield from _typed(block["text"], in_own_terminal=title == OWN_TERMINAL)
        elif title:
            yield Written(title, block["text"])


def _typed(text: str, *, in_own_terminal: bool) -> Iterator[Typed]:
    command, shown = "", list[str]()
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield Typed(command, tuple(shown), in_own_terminal)
            command, shown = line.removeprefix("$ "), []
        elif command.endswith("\\"):
            command = f"{command[:-1]}{line.strip()}"
        elif line.strip():
            shown.append(line)
    if command:
        yield Typed(command, tuple(shown), in_own_terminal)


def without_comment(command: str) -> str:
    """A command without what is said about it behind a `#`."""
    return re.sub(r"\s+#\s.*$", "", command).strip()


def expected_status(command: str) -> int:
    """What a comment says that a command exits with, else success."""
    said = re.search(r"\s#.*\bexits with (\d+)", command)
    return int(said[1]) if said else 0


def shape(line: str) -> str:
    """A line with what differs each time taken out: numbers, and how many spaces there are."""
    return _SPACES.sub(" ", _NUMBERS.sub("0", line)).strip()


def is_shown(shown: Sequence[str], answer: str) -> bool:
    """Whether these lines came, in this order. A line that begins with a path may have another."""
    lines = iter(shape(line) for line in answer.splitlines())
    return all(
        any(_is_same(shape(wanted), line) for line in lines) for wanted in shown if wanted != "…"
    )


def _is_same(wanted: str, line: str) -> bool:
    if wanted.startswith("/"):  # /home/you/opsvisor.toml: ok
        wanted, line = (text.rpartition("/")[2] for text in (wanted, line))
    return wanted == line


@dataclass
class Reader:
    """Does what a page says, in a directory. `instead` are words to be replaced, such as ports."""

    directory: Path
    environment: Mapping[str, str]
    instead: Mapping[str, str] = field(default_factory=dict)
    _terminals: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def follow(self, page: str) -> None:
        """Do all of it. AssertionError, with the command, where it does not go as shown."""
        for step in steps(page):
            match step:
                case Written(name, text):
                    (self.directory / name).write_text(self._mine(text))
                case Typed(command, shown, in_own_terminal):
                    if in_own_terminal:
                        self._open_terminal(self._mine(command))
                    else:
                        self._type(self._mine(command), shown)

    def close(self) -> None:
        """Leave no terminal open."""
        for terminal in self._terminals:
            if terminal.poll() is None:
                os.killpg(terminal.pid, signal.SIGTERM)
        for terminal in self._terminals:
            terminal.wait(30)

    def _mine(self, text: str) -> str:
        for word, other in self.instead.items():
            text = text.replace(word, other)
        return text

    def _type(self, command: str, shown: Sequence[str]) -> None:
        answers = list[str]()

        def is_as_shown() -> bool:
            done = subprocess.run(
                ["bash", "-c", f"set -o pipefail; {without_comment(command)}"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            answers.append(f"{done.stdout}{done.stderr}[{done.returncode}]")
            return done.returncode == expected_status(command) and is_shown(shown, done.stdout)

        try:
            eventually(is_as_shown, patience=60)
        except AssertionError:
            said = "".join(path.read_text() for path in self.directory.glob(".terminal-*"))
            problem = f"$ {command}\n{answers[-1]}\nnot as shown: {shown}\n{said[-4000:]}"
            raise AssertionError(problem) from None

    def _open_terminal(self, command: str) -> None:
        output = (self.directory / f".terminal-{len(self._terminals)}").open("wb")
        with output:
            terminal = subprocess.Popen(
                ["bash", "-c", f"exec {without_comment(command)}"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._terminals.append(terminal)
