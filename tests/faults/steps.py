"""Has a daemon under test die at a certain step: the test's side of mortal.py."""

import signal
import sys
from pathlib import Path

_MORTAL = Path(__file__).with_name("mortal.py")


class Steps:
    """Where a daemon that is started with `wrapper` reads at which step it is to die."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "step"

    @property
    def wrapper(self) -> list[str]:
        """What goes before the command of the daemon."""
        return [sys.executable, str(_MORTAL), str(self._file)]

    def arm(self, step: int, name: str = "", signum: signal.Signals = signal.SIGKILL) -> None:
        """Let it die before its so manieth step from now, counting those of this name only."""
        whole = self._file.with_suffix(".new")
        whole.write_text(f"{step},{name},{signum.name}\n")
        whole.rename(self._file)

    @property
    def was_reached(self) -> bool:
        """Whether it has come to that step."""
        return "before" in self._file.read_text()

    def disarm(self) -> str:
        """Let it live, and its successors; gives before what it has died, "" if it has not."""
        lines = self._file.read_text().splitlines()
        self._file.unlink()
        return "".join(lines[1:])
