"""opsvisorctl on a terminal of its own."""

import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CTL = [sys.executable, "-m", "opsvisor", "ctl"]
_LIMIT = 60.0


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """What a program on a terminal is told of it."""
    ours = {"NO_COLOR", "COLUMNS", "LINES"}
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    return {
        **kept,
        "TERM": "xterm-256color",
        "PROMPT_TOOLKIT_NO_CPR": "1",  # nobody here answers where the cursor is
        "XDG_STATE_HOME": str(tmp_path / "state"),
        **more,
    }


@contextmanager
def on_terminal(
    words: Sequence[str], variables: dict[str, str], *, width: int = 120
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program on a terminal of its own, and our end of it."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, width))
    with subprocess.Popen(
        [*CTL, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=variables,
        start_new_session=True,  # or passwords would be asked for on the terminal of the tests
    ) as program:
        os.close(theirs)
        try:
            yield program, ours
        finally:
            program.kill()
            os.close(ours)


def read_until(terminal: int, text: str) -> str:
    """What the terminal shows up to and including `text`."""
    seen = b""
    while text.encode() not in seen:
        readable, _, _ = select.select([terminal], [], [], _LIMIT)
        assert readable, f"waited for {text!r}, saw {seen!r}"
        seen += os.read(terminal, 4096)
    return seen.decode()


def read_to_end(terminal: int) -> str:
    """What the terminal shows until the program ends (EIO, pty(7))."""
    seen = b""
    try:
        while piece := os.read(terminal, 4096):
            seen += piece
    except OSError:
        pass
    return seen.decode()


def shown(words: Sequence[str], variables: dict[str, str], *, width: int = 120) -> str:
    """All that opsvisorctl shows there."""
    with on_terminal(words, variables, width=width) as (_, terminal):
        return read_to_end(terminal)
