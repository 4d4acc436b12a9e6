"""Programs that have nothing to do with a fault, and what must hold of them through it.

Bystanders tick (ticker.py) into rotated logs. Whatever happens around them: none is lost, none is
there twice, every line is in its log exactly once and in order, the API answers within a second,
and the metrics tell of no start that did not happen. Daemons may come and go meanwhile.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from daemon import Daemon, eventually
from procfs import is_alive
from stopwatch import in_time

from opsvisor.client import Client

ANSWERS_WITHIN = 1.0  # seconds

_TICKER = Path(__file__).with_name("ticker.py")


@dataclass(frozen=True, kw_only=True)
class Bystanders:
    """`count` programs, called by `name` and a number, that tick every `interval` seconds."""

    folder: Path
    name: str = "bystander"
    count: int = 5
    interval: float = 0.002
    rotate_size: str = "20K"

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return [f"{self.name}{number + 1}" for number in range(self.count)]

    @property
    def toml(self) -> str:
        """Their part of a configuration."""
        return "\n".join(map(self._program, self.names))

    def _program(self, name: str) -> str:
        command = [sys.executable, "-I", "-S", str(_TICKER), str(self.interval), name]
        return f"""
            [program.{name}]
            command = {command}
            min_uptime = "0s"
            log = {{ stdout = "{self.folder}/{name}.log", rotate_size = "{self.rotate_size}",
                    rotate_keep = 1000 }}
            """

    def up(self, daemon: Daemon) -> dict[str, int]:
        """Their pids, as soon as all of them run and have ticked."""
        pids: dict[str, int] = {}
        for name in self.names:
            pid = daemon.until(name, "RUNNING").pid
            assert pid is not None
            pids[name] = pid
        self.tick_on()
        return pids

    def tick_on(self) -> None:
        """Return when each has written more than it had by now: nobody is held up."""
        before = {name: len(self.lines(name)) for name in self.names}
        eventually(lambda: all(len(self.lines(name)) > before[name] for name in self.names))

    def check(self, daemon: Daemon, pids: dict[str, int]) -> None:
        """All that must hold, of programs that have had these pids from the beginning."""
        self.check_answer(daemon)
        statuses = daemon.statuses()
        assert {name: statuses[name].pid for name in pids} == pids
        assert {statuses[name].state for name in pids} == {"RUNNING"}
        assert all(map(is_alive, pids.values()))
        assert {pid for name in pids for pid in live_tickers(daemon, name)} == set(pids.values())
        for name in pids:
            self.check_lines(name)
            metric = {"process": name}
            assert daemon.metric("opsvisor_process_starts_total", **metric) == 1
            assert daemon.metric("opsvisor_process_up", **metric) == 1
        self.check_no_internal_errors(daemon)

    def check_answer(self, daemon: Daemon) -> None:
        """The API answers in time, on a new connection."""

        def ask() -> None:
            with Client(f"unix://{daemon.home.socket}", timeout=ANSWERS_WITHIN) as client:
                client.processes()

        in_time(ask, ANSWERS_WITHIN)

    def check_no_internal_errors(self, daemon: Daemon) -> None:
        """None of what happened was a surprise."""
        lines = daemon.http("/metrics").text.splitlines()
        errors = [one for one in lines if one.startswith("opsvisor_internal_errors_total")]
        assert errors
        assert all(float(one.rpartition(" ")[2]) == 0 for one in errors), errors

    def check_lines(self, name: str) -> None:
        """Every line that a run wrote is in the log once, in order, from its first one on.

        The last run may be in the middle of its next one.
        """
        check_ticks(self.lines(name))

    def lines(self, name: str) -> list[bytes]:
        """All that is in its log and the backups of that, oldest first, without a torn end."""
        return whole_lines(self.folder / f"{name}.log")


def whole_lines(log: Path) -> list[bytes]:
    """The lines of a log and its backups, oldest first, up to the last line break.

    Rotation may happen while the files are read: they are read again if it did.
    """

    def read() -> list[list[bytes]]:
        before = _inode(log)
        backups = sorted(log.parent.glob(f"{log.name}.*"), key=_number_of, reverse=True)
        try:
            text = b"".join(file.read_bytes() for file in (*backups, log))
        except FileNotFoundError:
            return []
        return [text.split(b"\n")[:-1]] if _inode(log) == before else []

    return eventually(read)[0] if log.exists() else []


def check_ticks(lines: Iterable[bytes]) -> None:
    """Each run of a ticker counted from 1, one by one."""
    last: dict[bytes, int] = defaultdict(int)
    for line in lines:
        pid, _, number = line.partition(b" ")
        assert number == b"%d" % (last[pid] + 1), f"after {last[pid]} of {pid!r}: {line!r}"
        last[pid] += 1


def live_tickers(daemon: Daemon, name: str) -> set[int]:
    """Every live ticker of this program that comes of a daemon of this test."""
    ending = f" {name} "
    return {
        pid
        for pid, command in daemon.offspring().items()
        if str(_TICKER) in command and command.endswith(ending)
    }


def _inode(log: Path) -> int:
    try:
        return log.stat().st_ino
    except FileNotFoundError:  # in the middle of a rotation
        return 0


def _number_of(backup: Path) -> int:
    return int(backup.suffix[1:])
