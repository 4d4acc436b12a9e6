"""Trying out what is installed, and being replaced by it, as far as a test can be replaced."""

import asyncio
import gc
import os
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from procfs import descriptors_of

from opsvisor import __version__
from opsvisor.api.passed import PassedSockets
from opsvisor.config.settings import LogLevel
from opsvisor.control.upgrades import UpgradeRefusedError
from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid
from opsvisor.core.struct import replace
from opsvisor.daemon import upgrade
from opsvisor.daemon.hand_over import HandOver, UpgradeMemento
from opsvisor.daemon.invocation import Invocation
from opsvisor.daemon.upgrade import Ground, Upgrades
from opsvisor.runtime import signals
from opsvisor.runtime.pidfd import outcome_of

GOLDEN = Path(__file__).with_name("golden") / "format-1"
ANSWER = 'echo \'{"version": "9.9"}\''


def watch(pid: Pid, on_exit: Callable[[Pid, Outcome, Usage], None]) -> None:
    """Tell of the end of a child, as the reaper does."""
    loop, pidfd = asyncio.get_running_loop(), os.pidfd_open(pid)

    def ended() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        on_exit(pid, outcome_of(os.waitpid(pid, 0)[1]), Usage())

    loop.add_reader(pidfd, ended)


@dataclass
class Daemon:
    """What an upgrade sees of one, and what it was told. `script` is what is installed."""

    folder: Path
    script: str
    not_now: str = ""
    counted: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    past: HandOver = field(default_factory=lambda: HandOver.of(GOLDEN.read_bytes()))

    @property
    def upgrades(self) -> Upgrades:
        """The upgrades of this daemon."""
        program = self.folder / "opsvisord"
        program.write_text(f"#!/bin/sh\n{self.script}\n")
        program.chmod(0o755)
        return Upgrades(
            Ground(
                invocation=Invocation(words=(str(program), "-c", "x"), directory="/"),
                passed=PassedSockets(),
                watch=watch,
                log=self._log,
                count=self.counted.append,
                why_not_now=lambda: self.not_now,
                servers=list,
                end_other_streams=lambda: None,
                rest=self._rest,
                flush=lambda: None,
                hand_over=self._hand_over,
                hold_signals=lambda: signals.hold([signal.SIGUSR1]),
                release_signals=self._release,
            )
        )

    def _release(self) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])

    def _log(self, _level: LogLevel, line: str) -> None:
        self.lines.append(line)

    async def _rest(self) -> None:
        pass

    def _hand_over(self, memento: UpgradeMemento) -> HandOver:
        here = os.open(".", os.O_PATH | os.O_DIRECTORY)
        return replace(
            self.past,
            upgrade=memento,
            descriptors={"directory": here},
            connections={},
            keeper=None,
        )


async def refusal(one: Daemon) -> str:
    """Why an upgrade is refused; nothing is left of the attempt."""
    gc.collect()  # what earlier tests have left to it
    before = len(descriptors_of(os.getpid()))
    with pytest.raises(UpgradeRefusedError) as caught:
        await one.upgrades.begin("by a test")
    async with asyncio.timeout(60):
        # One that was killed ends in a moment, and is collected.
        while len(descriptors_of(os.getpid())) != before:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    assert one.counted == ["refused"]
    assert one.lines[-1] == f"upgrade refused, nothing has changed: {caught.value}"
    return str(caught.value)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'the file is bad' >&2; exit 2", "the file is bad"),
        ("exit 3", "its check ended: exit status 3"),
        ("kill -9 $$", "its check ended: terminated by SIGKILL"),
        ("echo hello", "did not answer as opsvisord does"),
        ("echo '[1]'", "did not answer as opsvisord does"),
        ("exec sleep 1000", "did not finish its check in 0.5 s"),
        ("exec cat /dev/zero", "did not finish its check in 0.5 s"),
    ],
)
async def test_what_does_not_pass_the_check_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    """In its own words where it has any, and in time whatever it does."""
    if reason.endswith("in 0.5 s"):
        monkeypatch.setattr(upgrade, "_CHECK_PATIENCE", 0.5)
    assert reason in await refusal(Daemon(tmp_path, script))


async def test_of_a_bug_the_last_step_is_told(tmp_path: Path) -> None:
    """What it was and where: the way there is of no use to an operator."""
    script = f"exec {shlex.quote(sys.executable)} -c 'import json; json.loads(chr(123))'"
    reason = await refusal(Daemon(tmp_path, script))
    assert reason.startswith("what is installed can't be run: json.decoder.JSONDecodeError: ")
    assert reason.count("File ") == 1
    assert "decoder.py" in reason
    assert len(reason.splitlines()) == 1


async def test_nothing_to_execute(tmp_path: Path) -> None:
    """It was removed, or its interpreter was."""
    one = Daemon(tmp_path, "")
    (tmp_path / "opsvisord").mkdir()
    with pytest.raises(IsADirectoryError):
        one.upgrades  # noqa: B018 - writes the script
    (tmp_path / "opsvisord").rmdir()
    upgrades = one.upgrades
    (tmp_path / "opsvisord").unlink()
    with pytest.raises(UpgradeRefusedError, match=r"cannot run .*: No such file or directory"):
        await upgrades.begin("by a test")


async def test_not_now_and_not_twice(tmp_path: Path) -> None:
    """Also if the reason comes up during the check."""
    one = Daemon(tmp_path, ANSWER, not_now="opsvisord is shutting down")
    assert await refusal(one) == "opsvisord is shutting down"
    one = Daemon(tmp_path, f"sleep 0.3; {ANSWER}")
    upgrades = one.upgrades
    first = asyncio.ensure_future(upgrades.begin("by a test"))
    await asyncio.sleep(0)
    with pytest.raises(UpgradeRefusedError, match="another upgrade is under way"):
        await upgrades.begin("by another")
    one.not_now = "opsvisord is restarting"
    with pytest.raises(UpgradeRefusedError, match="opsvisord is restarting"):
        await first


async def test_an_exec_that_fails_is_undone(tmp_path: Path) -> None:
    """What was checked is gone in the next moment: the daemon goes on, and can be asked again."""
    one = Daemon(tmp_path, f'{ANSWER}; rm "$0"')
    before, here = len(descriptors_of(os.getpid())), Path.cwd()
    upgrades = one.upgrades
    coming = await upgrades.begin("by a test")
    assert (coming.from_version, coming.to_version) == (__version__, "9.9")
    assert upgrades._task is not None
    await upgrades._task
    assert one.counted == ["failed"]
    assert "everything goes on as it was" in one.lines[-1]
    assert "opsvisord: No such file or directory" in one.lines[-1]
    assert Path.cwd() == here
    assert signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert len(descriptors_of(os.getpid())) == before
    with pytest.raises(UpgradeRefusedError, match="cannot run"):
        await upgrades.begin("by a test")


async def test_an_order_to_end_outranks_it(tmp_path: Path) -> None:
    """It came when all was at rest already."""
    one = Daemon(tmp_path, ANSWER)
    upgrades = one.upgrades
    await upgrades.begin("by a test")
    one.not_now = "opsvisord is shutting down"
    assert upgrades._task is not None
    await upgrades._task
    assert one.counted == ["failed"]
    assert one.lines[-1].endswith("as it was: opsvisord is shutting down")
