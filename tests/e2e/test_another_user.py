"""A daemon that root starts, and that becomes another user for good."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from commands import BIN, Ran
from daemon import PATIENCE, eventually
from procfs import is_alive, status_of

_TRIAL = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/run"]


@pytest.fixture(autouse=True)
def _may_become_others() -> None:
    if os.geteuid() != 0 or subprocess.run(_TRIAL, check=False, capture_output=True).returncode:
        pytest.skip("only root becomes somebody else, and /run is to be the test's alone")


_NOBODY = 65534
_SERVER = """
    [server]
    unix = "{folder}/s"
    """
_DAEMON = """
    [daemon]
    user = "nobody"
    log = "{folder}/daemon.log"
    [program.web]
    command = "sleep 1000"
    """


def _opened(program: Path, behind: Path) -> str:
    """What lets anybody come to a program that is where only root may go, as Python may be."""
    for folder in reversed(program.parents):
        if not folder.stat().st_mode & 0o001:
            way = program.relative_to(folder).parts[0]
            return (
                f"mount -n --bind {folder} {behind} && mount -n -t tmpfs -o mode=755 none {folder}"
                f" && mkdir {folder}/{way} && mount -n --bind {behind}/{way} {folder}/{way} &&"
            )
    return ""


class Place:
    """A daemon's /run and all else of its own, which nobody may enter: for pytest's only root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "o.toml"
        self._daemon: subprocess.Popen[bytes] | None = None
        for name in ("run", "tmp", "behind"):
            (folder / name).mkdir()
        self._opened = _opened(Path(sys.executable).resolve(), folder / "behind")
        folder.chmod(0o777)
        (folder / "tmp").chmod(0o1777)

    def begin(self, text: str) -> None:
        """Start it with this configuration, and wait until its program runs."""
        self.config.write_text(text.format(folder=self.folder))
        with (self.folder / "out").open("ab") as out:
            self._daemon = subprocess.Popen(
                self._inside(BIN / "opsvisord", "-n", "-c", self.config),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        eventually(lambda: "RUNNING" in self.ctl("status").out or self.has_ended)
        assert not self.has_ended, (self.folder / "out").read_text()

    def refused(self, text: str) -> Ran:
        """What it says that does not start with this configuration."""
        self.config.write_text(text.format(folder=self.folder))
        return self._done(BIN / "opsvisord", "-n", "-c", self.config)

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "TMPDIR": str(self.folder / "tmp")}

    def _inside(self, *command: str | Path) -> list[str | Path]:
        script = f'mount --bind {self.folder}/run /run && {self._opened} exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "sh", *command]

    def ctl(self, *words: str, user: int = 0) -> Ran:
        """What opsvisorctl says of it to this user."""
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        return self._done(*as_user, BIN / "opsvisorctl", "-c", self.config, *words)

    def _done(self, *command: str | Path) -> Ran:
        done = subprocess.run(
            self._inside(*command),
            env={**self._environment, "HOME": "/"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    @property
    def pid(self) -> int:
        """That of the daemon."""
        assert self._daemon is not None
        return self._daemon.pid

    @property
    def web(self) -> int:
        """The pid of its program."""
        return int(self.ctl("pid", "web").out)

    @property
    def has_ended(self) -> bool:
        """Whether the daemon has."""
        return self._daemon is None or self._daemon.poll() is not None

    def log(self) -> str:
        """What the daemon has written."""
        return (self.folder / "daemon.log").read_text()

    def begin_anew(self) -> None:
        """Have it read its configuration and begin again."""
        before = self.web
        os.kill(self.pid, signal.SIGHUP)
        eventually(lambda: self.ctl("pid", "web").out.strip() not in {"", "0", str(before)})

    def crash(self) -> None:
        """Kill the daemon, and nobody else."""
        self.end(signal.SIGKILL)

    def end(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        if self._daemon is None:
            return 0
        with suppress(ProcessLookupError):
            os.kill(self.pid, signum)
        status = self._daemon.wait(PATIENCE)
        self._daemon = None
        return status


@pytest.fixture
def place() -> Iterator[Place]:
    """A place, whose daemon is gone at the end."""
    made = Place(Path(tempfile.mkdtemp(prefix="opsvisor-user-", dir="/tmp")))
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(made.folder)


@pytest.mark.parametrize("socket", [_SERVER, ""], ids=["socket", "default"])
def test_programs_survive_its_crash_also_after_a_reload(place: Place, socket: str) -> None:
    """What it remembers is where it was as root, whoever it is by now."""
    text = socket + _DAEMON
    place.begin(text)
    assert status_of(place.pid)["Uid"].split() == [str(_NOBODY)] * 4
    place.begin_anew()
    web = place.web
    place.crash()
    place.begin(text)
    assert place.web == web
    assert place.end() == 0
    assert not is_alive(web)
    assert "lost" not in place.log()


@pytest.mark.parametrize("socket", [_SERVER, ""], ids=["socket", "default"])
def test_it_can_be_upgraded(place: Place, socket: str) -> None:
    """Again and again: the directory is the same, and so is the default socket."""
    text = socket + _DAEMON
    place.begin(text)
    pid, web = place.pid, place.web
    for _ in range(2):
        assert place.ctl("upgrade").status == 0
    assert place.web == web
    place.begin_anew()
    assert place.ctl("upgrade").status == 0
    assert place.pid == pid
    web = place.web
    place.crash()
    place.begin(text)
    assert place.web == web
    assert place.end() == 0


def test_without_a_server_root_and_that_user_find_it(place: Place) -> None:
    """Its socket is in a directory of that user's own, in that of root's."""
    place.begin(_DAEMON)
    for user in (0, _NOBODY):
        assert "RUNNING" in place.ctl("status", user=user).out
    assert place.ctl("status", user=1).status != 0
    assert place.end() == 0
    assert [str(one) for one in place.folder.rglob("*.sock")] == []


def _foreign_runtime(run: Path) -> str:
    (run / "opsvisor").mkdir(mode=0o750)
    os.chown(run / "opsvisor", 1234, 1234)
    return "/run/opsvisor: not trusted: /run/opsvisor belongs to another user (uid 1234)"


def _linked_runtime(run: Path) -> str:
    (run / "opsvisor").symlink_to("evil")
    return "/run/opsvisor: not trusted: /run/opsvisor is a symbolic link"


def _open_runtime(run: Path) -> str:
    (run / "opsvisor").mkdir()
    (run / "opsvisor").chmod(0o777)
    return "/run/opsvisor: not trusted: others may write to /run/opsvisor (mode 0777)"


def _linked_folder(run: Path) -> str:
    (run / "opsvisor").mkdir(mode=0o711)
    (run / f"opsvisor/user-{_NOBODY}").symlink_to("/run/evil")
    folder = f"/run/opsvisor/user-{_NOBODY}"
    return f"{folder}: not trusted: {folder} is a symbolic link"


def _foreign_folder(run: Path) -> str:
    (run / "opsvisor").mkdir(mode=0o711)
    (run / f"opsvisor/user-{_NOBODY}").mkdir(mode=0o700)
    os.chown(run / f"opsvisor/user-{_NOBODY}", 1234, 1234)
    folder = f"/run/opsvisor/user-{_NOBODY}"
    return f"{folder}: not trusted: {folder} belongs to another user (uid 1234)"


@pytest.mark.parametrize(
    "spoil",
    [_foreign_runtime, _linked_runtime, _open_runtime, _linked_folder, _foreign_folder],
)
def test_root_makes_no_room_where_others_have_a_hand(
    place: Place, spoil: Callable[[Path], str]
) -> None:
    """Who made the directory, or a link in its place, would choose where the socket is."""
    run = place.folder / "run"
    (run / "evil").mkdir()
    problem = spoil(run)
    before = _as_it_is(run)
    refused = place.refused(_DAEMON)
    assert refused.status == 2
    said = f"Error: no directory for the default socket of the daemon's user: {problem}\n"
    assert refused.err.startswith(said)
    assert _as_it_is(run) == before


def _as_it_is(run: Path) -> dict[str, tuple[int, int]]:
    """Mode and owner of all that is there but the state directory, which is judged by itself."""
    found = (one for one in sorted(run.rglob("*")) if not one.name.startswith("o-"))
    return {str(one): (one.lstat().st_mode, one.lstat().st_uid) for one in found}
