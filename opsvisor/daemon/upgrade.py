"""Replacing this daemon by the code that is installed now, without a program noticing.

Theory of operation
-------------------
1. **Try.** All that this daemon knows is written to a hand-over, and the installed code is run on
   it and on the configuration as it is, as a child that does nothing else (`check`). What it says
   if it can't is the reason of the refusal, and nothing has changed.
2. **Come to rest.** Requests that are being answered may take a moment longer; then nobody is
   accepted any more, and who connects waits. Readers of streams are told to come back, those who
   wait for a process to ask again. Spawns that are due are made, as far as that has an end.
3. **Replace.** In one go, with all signals held back: ends that are known are handled, the
   hand-over is written anew, descriptors are marked to be inherited, and execve(2) is called. The
   pid stays, so children stay children.
   If that fails (no memory), all of it is undone and the daemon goes on.

What goes wrong after that ends the new code like a crash: programs run on, and whoever is started
next takes them back by the memory file.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Sequence

from opsvisor import __version__
from opsvisor.api.passed import PassedSockets
from opsvisor.api.server import HttpServer
from opsvisor.config.settings import LogLevel
from opsvisor.control.upgrades import Coming, UpgradeRefusedError
from opsvisor.core.outcome import Outcome, Usage
from opsvisor.core.spec import Pid
from opsvisor.core.struct import Struct
from opsvisor.daemon.flags import CHECK_HAND_OVER
from opsvisor.daemon.hand_over import HandOver, UpgradeMemento, announce
from opsvisor.daemon.invocation import Invocation
from opsvisor.runtime import clock

# Seconds. A check of 1,000 programs takes one; one beside a dozen busy processes was seen to take
# thirty. The daemon goes on meanwhile.
_CHECK_PATIENCE = 120.0
_LONGEST_REASON = 4000  # characters of what a check may say
_PIPE = 65536  # pipe(7)
_OF_BEFORE_PATIENCE = 5.0  # seconds for requests that were there when all was ready
_OTHERS_PATIENCE = 1.0  # for those that came since, once nobody is accepted any more
_PUT_OFF_PATIENCE = 0.5
_LOOK_AGAIN_AFTER = 0.002
_TURNS = 10


Watch = Callable[[Pid, Callable[[Pid, Outcome, Usage], None]], None]


async def try_out(invocation: Invocation, hand_over: int, watch: Watch) -> str:
    """Run a check of the installed code on this hand-over; the version that it is.

    `watch` is `Reaper.watch`. UpgradeRefusedError if it says no, or says nothing in time.
    """
    with _answers() as (said, problem):
        outcome = await _run(invocation, hand_over, watch, said.write_end, problem.write_end)
        if outcome.code != 0:
            raise UpgradeRefusedError(_reason_in(problem.text()) or f"its check ended: {outcome}")
        return _version_in(said.text())


def _reason_in(text: str) -> str:
    """What a check has said; of a bug what it was, and where it was met."""
    lines = text.strip().splitlines()
    if lines and lines[0].startswith("Traceback"):
        places = [line.strip() for line in lines if line.startswith('  File "')]
        lines = ["what is installed can't be run", f"{lines[-1]} ({', '.join(places[-1:])})"]
        return ": ".join(lines)[:_LONGEST_REASON]
    return "\n".join(lines)[-_LONGEST_REASON:]


async def _run(
    invocation: Invocation, hand_over: int, watch: Watch, stdout: int, stderr: int
) -> Outcome:
    command = [*invocation.words, f"{CHECK_HAND_OVER}={hand_over}"]
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    try:
        # Not asyncio's: its watcher and our reaper would take the end from each other.
        child = subprocess.Popen(  # noqa: ASYNC220 - it returns in a millisecond
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=[hand_over],
            cwd=usable_directory(invocation),
            start_new_session=True,
        )
    except OSError as error:
        raise UpgradeRefusedError(f"cannot run {command[0]}: {error.strerror}") from error
    child.returncode = 0  # the reaper collects it, see spawn.py
    with contextlib.suppress(OSError):  # out of descriptors: its end comes by SIGCHLD then
        watch(Pid(child.pid), lambda _pid, outcome, _usage: ended.set_result(outcome))
    try:
        async with asyncio.timeout(_CHECK_PATIENCE):
            return await asyncio.shield(ended)
    except TimeoutError:
        raise UpgradeRefusedError(
            f"the installed version did not finish its check in {_CHECK_PATIENCE:g} s"
        ) from None
    finally:
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


class _Answer:
    """What a child writes: as much as fits into a pipe, which no good answer exceeds."""

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)

    def text(self) -> str:
        """What has been written by now."""
        try:
            return os.read(self._read_end, _PIPE).decode("utf-8", "replace")
        except BlockingIOError:
            return ""

    def close(self) -> None:
        """Close both ends."""
        os.close(self._read_end)
        os.close(self.write_end)


@contextlib.contextmanager
def _answers() -> Iterator[tuple[_Answer, _Answer]]:
    said, problem = _Answer(), _Answer()
    try:
        yield said, problem
    finally:
        said.close()
        problem.close()


def usable_directory(invocation: Invocation) -> str | None:
    """Where the daemon was started, unless it may not go there any more: its user has changed."""
    return invocation.directory if os.access(invocation.directory, os.X_OK) else None


def _version_in(said: str) -> str:
    try:
        version = json.loads(said)["version"]
    except (ValueError, TypeError, KeyError):
        version = None
    if not isinstance(version, str):
        raise UpgradeRefusedError("what is installed there now did not answer as opsvisord does")
    return version


class Ground(Struct, frozen=True, kw_only=True):
    """What an upgrade needs of the daemon around it.

    `hand_over` gives everything as it is now, and `rest` returns when nothing is half done.
    Between `hold_signals` and `release_signals` they wait. `count` is told of each result.
    """

    invocation: Invocation
    passed: PassedSockets
    watch: Watch
    log: Callable[[LogLevel, str], None]
    count: Callable[[str], None]
    why_not_now: Callable[[], str]
    servers: Callable[[], Sequence[HttpServer]]
    end_other_streams: Callable[[], None]
    rest: Callable[[], Awaitable[None]]
    flush: Callable[[], None]
    hand_over: Callable[[UpgradeMemento], HandOver]
    hold_signals: Callable[[], None]
    release_signals: Callable[[], None]


class Upgrades:
    """Carries out upgrades, one at a time. `count` is how many this daemon has been through."""

    def __init__(self, ground: Ground, *, count: int = 0) -> None:
        self._ground = ground
        self._count = count
        self._is_under_way = False
        self._task: asyncio.Task[None] | None = None

    async def begin(self, reason: str) -> Coming:
        """Try out what is installed, and have it take over. UpgradeRefusedError if it can't."""
        ground = self._ground
        asked_at = clock.now().mono
        problem = "another upgrade is under way" if self._is_under_way else ground.why_not_now()
        try:
            if problem:
                raise UpgradeRefusedError(problem)  # noqa: TRY301 - told like all the others
            self._is_under_way = True
            try:
                ground.log(LogLevel.INFO, f"upgrade {reason}: checking what is installed")
                version = await self._try_out(asked_at)
                if problem := ground.why_not_now():
                    raise UpgradeRefusedError(problem)  # noqa: TRY301 - likewise
            except BaseException:
                self._is_under_way = False
                raise
        except UpgradeRefusedError as error:
            ground.count("refused")
            ground.log(LogLevel.ERROR, f"upgrade refused, nothing has changed: {error}")
            raise
        ground.log(LogLevel.INFO, f"upgrading from {__version__} to {version}")
        self._task = asyncio.get_running_loop().create_task(self._carry_out(asked_at))
        return Coming(from_version=__version__, to_version=version)

    async def _try_out(self, asked_at: float) -> str:
        now = self._ground.hand_over(self._memento(asked_at, silent_since=asked_at))
        os.close(now.descriptors["directory"])  # nobody goes there yet
        descriptor = now.write()
        try:
            return await try_out(self._ground.invocation, descriptor, self._ground.watch)
        finally:
            os.close(descriptor)

    def _memento(self, asked_at: float, *, silent_since: float) -> UpgradeMemento:
        return UpgradeMemento(
            from_version=__version__,
            asked_at=asked_at,
            silent_since=silent_since,
            count=self._count + 1,
        )

    async def _carry_out(self, asked_at: float) -> None:
        """Come to rest, and be replaced. Returns only if that can't be."""
        ground = self._ground
        try:
            silent_since = await self._come_to_rest()
            ground.hold_signals()
            for _ in range(_TURNS):  # of the loop: what came before may be an order to end
                await asyncio.sleep(0)
            ground.flush()
            problem = ground.why_not_now()
            if not problem:
                self._replace(self._memento(asked_at, silent_since=silent_since))
        except OSError as error:
            problem = f"{error.filename or 'the hand-over'}: {error.strerror}"
        except Exception as error:  # noqa: BLE001 - whatever it is: the daemon goes on as it was
            problem = f"{type(error).__name__}: {error}"
        finally:
            ground.release_signals()
            self._is_under_way = False
        ground.count("failed")
        ground.log(LogLevel.ERROR, f"upgrade failed, everything goes on as it was: {problem}")
        for server in ground.servers():
            await server.go_on()

    async def _come_to_rest(self) -> float:
        """Answer what is to be answered, then accept nobody; since when (monotonic)."""
        servers = self._ground.servers()
        self._ground.end_other_streams()
        before = [request for server in servers for request in server.requests()]
        if before:
            await asyncio.wait(before, timeout=_OF_BEFORE_PATIENCE)
        silent_since = clock.now().mono
        for server in servers:
            server.pause()
            server.end_streams()
        await self._ground.rest()
        if not await _are_at_rest(servers, _OTHERS_PATIENCE):
            for server in servers:
                server.put_off_requests()
            await _are_at_rest(servers, _PUT_OFF_PATIENCE)
        return silent_since

    def _replace(self, upgrade: UpgradeMemento) -> None:
        """Execute what is installed. OSError if that can't be, and nothing has changed."""
        words, environment = self._ground.invocation.words, dict(os.environ)
        hand_over = self._ground.hand_over(upgrade)
        text = hand_over.write()
        inherited = [text, *hand_over.inherited]
        announce(text, environment)
        self._ground.passed.pass_on(environment)
        try:
            for descriptor in inherited:
                os.set_inheritable(descriptor, True)
            if (directory := usable_directory(self._ground.invocation)) is not None:
                os.chdir(directory)
            os.execve(words[0], words, environment)  # noqa: S606 - ourselves
        finally:
            os.fchdir(hand_over.descriptors["directory"])
            for descriptor in inherited:
                os.set_inheritable(descriptor, False)
            self._ground.passed.keep()
            os.close(text)
            os.close(hand_over.descriptors["directory"])


async def _are_at_rest(servers: Sequence[HttpServer], patience: float) -> bool:
    """Whether all requests are answered within that many seconds."""
    until = clock.now().mono + patience
    for _ in range(_TURNS):  # of the loop: whoever was just accepted is a connection then
        await asyncio.sleep(0)
    while True:
        resting = [server.comes_to_rest() for server in servers]
        if all(resting):
            return True
        if clock.now().mono > until:
            return False
        await asyncio.sleep(_LOOK_AGAIN_AFTER)
