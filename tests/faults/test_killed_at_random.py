"""The daemon is killed again and again, in the middle of everything: only its clients notice.

KILL_SEED repeats what was done; KILLS says how often the daemon is killed in each of four lives.
"""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bystanders import Bystanders, live_tickers
from daemon import PATIENCE, Daemon, StartDaemon, eventually

from opsvisor.client import Client, NoDaemon

KILLS = int(os.environ.get("KILLS", "50"))
SEED = int(os.environ.get("KILL_SEED", str(random.SystemRandom().randrange(1 << 32))))
LONGEST_LIFE = 0.4  # seconds from one kill to the next

# Programs that clients stop and start: what was answered to them holds.
WISHES = Bystanders(folder=Path(), name="wish", count=3, interval=0.01)


@dataclass
class Wishes:
    """What clients asked for, and were told that it is so."""

    granted: dict[str, bool] = field(default_factory=dict)  # whether it is to run
    asked: set[str] = field(default_factory=set)  # of these the answer did not come

    def ask(self, client: Client, name: str, *, run: bool) -> None:
        """Ask, and keep in mind what was answered. NoDaemon if it was killed meanwhile."""
        self.asked.add(name)
        client.act("start" if run else "stop", [name])
        self.granted[name] = run
        self.asked.discard(name)

    def check(self, daemon: Daemon) -> None:
        """What was granted is so; what was asked for without an answer may be either."""
        statuses = daemon.statuses()
        for name, run in self.granted.items():
            if name not in self.asked:
                assert bool(statuses[name].pid) == run, (name, statuses[name])


Deed = Callable[[Daemon, Client, random.Random, Wishes], None]


def stop_and_start(_: Daemon, client: Client, dice: random.Random, wishes: Wishes) -> None:
    """Stop and start programs by name."""
    wishes.ask(client, dice.choice(WISHES.names), run=dice.random() < 0.5)


def reconfigure(daemon: Daemon, client: Client, dice: random.Random, _: Wishes) -> None:
    """Let a program come, change and go."""
    number = dice.randrange(3)
    passing = f'[program.passing]\ncommand = "$VICTIM \'say {number}\'"\nmin_uptime = "0s"\n'
    daemon.home.rewrite(passing if number else "", file="passing")
    client.apply()


def reopen_logs(daemon: Daemon, _: Client, dice: random.Random, __: Wishes) -> None:
    """Have logs opened anew, while they are rotated all the time."""
    daemon.signal(signal.SIGUSR2)
    threading.Event().wait(dice.random() / 50)


def crash_programs(daemon: Daemon, _: Client, dice: random.Random, __: Wishes) -> None:
    """Kill programs that are to be restarted."""
    for name in dice.sample(["mortal1", "mortal2", "mortal3"], 2):
        for pid in live_tickers(daemon, name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    threading.Event().wait(dice.random() / 20)


@contextmanager
def busy(daemon: Daemon, deed: Deed, dice: random.Random, wishes: Wishes) -> Iterator[None]:
    """Somebody does this all the time while the block lasts, or until there is no daemon."""
    over = threading.Event()
    errors: list[Exception] = []

    def go_on() -> None:
        try:
            with (
                suppress(NoDaemon, ProcessLookupError),
                Client(f"unix://{daemon.home.socket}", timeout=PATIENCE) as client,
            ):
                while not over.is_set():
                    deed(daemon, client, dice, wishes)
        except Exception as error:  # noqa: BLE001 - told in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)
    assert not errors, errors


@pytest.mark.parametrize("deed", [stop_and_start, reconfigure, reopen_logs, crash_programs])
def test_killed_at_random(start_daemon: StartDaemon, tmp_path: Path, deed: Deed) -> None:
    """No program and no line is lost or there twice, and what was asked for is not forgotten."""
    print(f"seed {SEED}: repeat with KILL_SEED={SEED}")  # noqa: T201 - shown if it fails
    dice = random.Random(f"{SEED} {deed.__name__}")
    bystanders = Bystanders(folder=tmp_path, count=3)
    wished = Bystanders(folder=tmp_path, name="wish", count=3, interval=0.01)
    mortals = Bystanders(folder=tmp_path, name="mortal", count=3, interval=0.01)
    endless = 'restart_limit_count = 1000\nbackoff_delay = "0.05s"\nbackoff_limit = "0.1s"\n'
    mortal = mortals.toml.replace('min_uptime = "0s"\n', f'min_uptime = "0s"\n{endless}')
    daemon = start_daemon(bystanders.toml + wished.toml + mortal)
    pids = bystanders.up(daemon)
    wishes = Wishes()
    for kill in range(KILLS):
        with busy(daemon, deed, dice, wishes):
            threading.Event().wait(dice.random() * LONGEST_LIFE)
            daemon.crash()
        if dice.random() < 0.2:
            daemon.begin_and_crash(after=dice.random() * LONGEST_LIFE)
        daemon.begin_again()
        wishes.check(daemon)
        for name in (*bystanders.names, *wished.names, *mortals.names):
            assert len(live_tickers(daemon, name)) <= 1, f"{name} after kill {kill}"
    for name in mortals.names:
        daemon.until(name, "RUNNING")
        eventually(lambda name=name: len(live_tickers(daemon, name)) == 1)  # type: ignore[misc]  # mypy's limit
    bystanders.tick_on()
    bystanders.check(daemon, pids)
    for name in (*wished.names, *mortals.names):
        wished.check_lines(name)
