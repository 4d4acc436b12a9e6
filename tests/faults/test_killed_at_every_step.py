"""The daemon is killed just before each single step of what it does, see mortal.py.

STEP_STRIDE=1 takes every step, of each deed. Usually only every so manieth is taken, beginning
with STEP_FIRST or where the dice say.
"""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from bystanders import Bystanders, live_tickers
from daemon import Daemon, StartDaemon, eventually
from steps import Steps

from opsvisor.client import NoDaemon

STRIDE = int(os.environ.get("STEP_STRIDE", "5"))
FIRST = int(os.environ.get("STEP_FIRST", str(1 + random.SystemRandom().randrange(STRIDE))))
A_MOMENT = 0.3  # seconds
OF_A_BEGINNING = 15  # steps, more or less: then it goes on as others do

MOVED = Bystanders(folder=Path(), name="moved", count=2).names


def restart(daemon: Daemon) -> None:
    """Stop both and start them."""
    daemon.client.act("restart", MOVED)


def stop_and_start(daemon: Daemon) -> None:
    """One after the other."""
    daemon.client.act("stop", MOVED)
    daemon.client.act("start", MOVED)


def change(daemon: Daemon) -> None:
    """Restart one with another spec, let one come or go."""
    text = daemon.home.programs.read_text()
    is_there = "[program.passing]" in text
    passing = '[program.passing]\ncommand = "$PYTHON -c \'input()\'"\nstdin = "pipe"\n'
    changed = text.partition("[program.passing]")[0] + ("" if is_there else passing)
    daemon.home.rewrite(changed.replace("0.003", "0.004") if is_there else changed)
    daemon.client.apply()


def die_by_themselves(daemon: Daemon) -> None:
    """Have both killed by somebody else, and restarted."""
    for name in MOVED:
        for pid in live_tickers(daemon, name):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
    eventually(lambda: daemon.has_ended or all(daemon.status(name).pid for name in MOVED))
    daemon.client.daemon()


def die_after_a_while(daemon: Daemon) -> None:
    """Have one killed that nobody had to do with for a moment, so that the next is made early."""
    name = MOVED[0]
    eventually(lambda: daemon.has_ended or (daemon.status(name).uptime or 0.0) > A_MOMENT)
    (pid,) = live_tickers(daemon, name)
    os.kill(pid, 9)
    eventually(lambda: daemon.has_ended or daemon.status(name).pid not in {None, pid})
    daemon.client.daemon()


@pytest.mark.parametrize(
    ("deed", "more"),
    [
        (restart, ""),
        (stop_and_start, ""),
        (change, ""),
        (die_by_themselves, ""),
        (die_after_a_while, ""),
        (die_by_themselves, "nice = 1\n"),  # forked, and not by the daemon as a rule
    ],
)
def test_killed_at_every_step(
    start_daemon: StartDaemon, tmp_path: Path, deed: Callable[[Daemon], None], more: str
) -> None:
    """The next daemon ends what was begun; nothing is lost or there twice, and no line either."""
    print(f"repeat with STEP_FIRST={FIRST} STEP_STRIDE={STRIDE}")  # noqa: T201 - shown if it fails
    steps = Steps(tmp_path)
    bystanders = Bystanders(folder=tmp_path, count=2)
    moved = Bystanders(folder=tmp_path, name="moved", count=2, interval=0.003)
    eager = f'min_uptime = "0s"\nbackoff_delay = "0.05s"\nrestart_limit_count = 100\n{more}'
    daemon = start_daemon(
        bystanders.toml + moved.toml.replace('min_uptime = "0s"\n', eager), wrapper=steps.wrapper
    )
    pids = bystanders.up(daemon)
    moved.up(daemon)
    step = FIRST
    while _dies(daemon, steps, step, deed):
        died = steps.disarm()
        daemon.begin_again()
        for name in MOVED:
            assert len(live_tickers(daemon, name)) <= 1, f"{name}: {step}, {died}"
        bystanders.check(daemon, pids)
        if deed is not stop_and_start:
            for name in MOVED:
                daemon.until(name, "RUNNING")
        daemon.client.act("restart", MOVED)  # whatever has become of them
        moved.up(daemon)
        for name in MOVED:
            assert live_tickers(daemon, name) == {daemon.status(name).pid}, f"{step}, {died}"
        step += STRIDE
    assert step > FIRST, "there is no such step"
    for name in MOVED:
        moved.check_lines(name)
    bystanders.check(daemon, pids)


def _dies(daemon: Daemon, steps: Steps, step: int, deed: Callable[[Daemon], None]) -> bool:
    steps.arm(step)
    with suppress(NoDaemon):
        deed(daemon)
        if not steps.was_reached:
            steps.disarm()
            daemon.crash()
            daemon.begin_again()  # what counts steps begins anew
            return False
    daemon.wait()
    return True


def test_successors_killed_at_every_step(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """While they take back: what they had taken over already is there for the one after them."""
    print(f"repeat with STEP_FIRST={FIRST} STEP_STRIDE={STRIDE}")  # noqa: T201 - shown if it fails
    steps = Steps(tmp_path)
    bystanders = Bystanders(folder=tmp_path, count=2)
    daemon = start_daemon(bystanders.toml, wrapper=steps.wrapper)
    pids = bystanders.up(daemon)
    for step in range(FIRST, OF_A_BEGINNING, STRIDE):
        daemon.crash()
        steps.arm(step)
        daemon.begin_and_die()
        steps.disarm()
        daemon.begin_again()
        bystanders.check(daemon, pids)
    bystanders.tick_on()
    bystanders.check(daemon, pids)
