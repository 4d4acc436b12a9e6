"""A real systemd for a test: as the first process of namespaces of its own, with our unit in it.

Nothing of the machine's own is touched: it has its mounts, its processes, its network and a cgroup
of version 2 for itself, sees no units but those of the test, and ends with all it runs when the
test does. Only root can have that.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cells import can_have, cell
from commands import BIN, Ran
from daemon import eventually
from home import Home

SYSTEMD = Path("/lib/systemd/systemd")
_DEPLOY = Path(__file__).parents[1] / "deploy" / "systemd"
_UNIT = "opsvisord.service"
# Runs inside of the new namespaces, and becomes systemd.
_BOOT = """\
set -eu
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys  # systemd raises limits of the kernel, which are everybody's
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH="$1" \
    "$0" --system --unit=basic.target --log-target=null --show-status=no --dump-core=no
"""
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")
_UNSHARE = ("unshare", *_NAMESPACES, "--propagation=private", "--fork", "--kill-child")
_END_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # whatever becomes of this test


def can_boot() -> bool:
    """Whether there can be a systemd here."""
    return SYSTEMD.exists() and can_have("")


class System:
    """A booted systemd, whose only service is ours. `opsvisord` is `home`'s."""

    def __init__(self, pid: int, home: Home) -> None:
        self.pid = pid
        self.home = home

    def run(self, *command: str | Path) -> Ran:
        """Run a command inside, as root would there."""
        return run_inside(self.pid, *command)

    def systemctl(self, *words: str) -> str:
        """What systemctl prints; AssertionError if it fails."""
        done = self.run("systemctl", *words)
        assert done.status == 0, f"{done}\n{self.status()}\n{self.log}"
        return done.out

    def ctl(self, *words: str) -> Ran:
        """Run opsvisorctl inside."""
        return self.run(BIN / "opsvisorctl", "-c", self.home.config, *words)

    def shown(self, name: str) -> str:
        """What systemd knows of our unit under this name."""
        return self.systemctl("show", _UNIT, f"--property={name}", "--value").strip()

    def status(self) -> str:
        """What an administrator sees of our unit."""
        return self.run("systemctl", "status", _UNIT, "--no-pager").out

    @property
    def log(self) -> str:
        """The log of the daemon; where there is none, what it said."""
        log, output = self.home.log_file, self.home.output
        return (log if log.exists() else output).read_text()

    def until(self, name: str, value: str) -> None:
        """Wait until a property is that."""
        try:
            eventually(lambda: self.shown(name) == value)
        except AssertionError:
            raise AssertionError(f"{name} is no {value}\n{self.status()}\n{self.log}") from None

    @property
    def daemon(self) -> int:
        """The pid of the daemon, out here."""
        return self.outside(int(self.shown("MainPID")))

    def outside(self, inside: int) -> int:
        """What a process of in there is called out here."""
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
            except OSError:
                continue
            numbers = text.partition("NSpid:")[2].partition("\n")[0].split()
            if len(numbers) > 1 and numbers[-1] == str(inside) and self._is_inside(status.parent):
                return int(numbers[0])
        raise AssertionError(f"there is no process {inside}")

    def _is_inside(self, process: Path) -> bool:
        try:
            return os.readlink(process / "ns/pid") == os.readlink(f"/proc/{self.pid}/ns/pid")  # noqa: PTH115 - no paths
        except OSError:
            return False


@contextmanager
def booted(home: Home, *, lines: Sequence[str] = ()) -> Iterator[System]:
    """A systemd that knows our units, with `lines` more for the section of the service."""
    units = home.directory / "units"
    _write_units(units, home, lines)
    with first_process(home.directory, "sh", "-c", _BOOT, SYSTEMD, units) as pid:
        system = System(pid, home)
        eventually(lambda: system.run("systemctl", "is-system-running").out == "running\n")
        yield system


@contextmanager
def first_process(folder: Path, *command: str | Path) -> Iterator[int]:
    """Run this, which becomes a systemd, as the first process of namespaces of its own: its pid.

    What it says when it can't comes to lie in `boot.err` of the folder.
    """
    with cell("") as box:
        with (folder / "boot.err").open("wb") as errors:
            child = subprocess.Popen(
                [*_END_WITH_US, *box.entry, *_UNSHARE, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        try:
            yield eventually(lambda: _only_child_of(child.pid))
        finally:
            pid = _only_child_of(child.pid)
            if pid:
                os.kill(pid, signal.SIGKILL)  # the first process: all go with it
            child.wait(20)
            _remove_below(box.folder)


def run_inside(pid: int, *command: str | Path) -> Ran:
    """Run a command where that process is the first one, as root would there."""
    done = subprocess.run(
        ["nsenter", "--target", str(pid), "--all", "--root", "--wd=/", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def _only_child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def _write_units(units: Path, home: Home, lines: Sequence[str]) -> None:
    units.mkdir()
    for target in ("basic", "sysinit", "shutdown", "network", "sockets", "multi-user"):
        (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    for unit in _DEPLOY.iterdir():
        text = unit.read_text().replace("/opt/opsvisor/bin/", f"{BIN}/")
        text = text.replace("/etc/opsvisor/opsvisor.toml", str(home.config))
        text = text.replace("/run/opsvisor/opsvisor.sock", str(home.socket))
        (units / unit.name).write_text(text)
    folder = units / f"{_UNIT}.d"
    folder.mkdir()
    output = f"append:{home.output}"
    more = [f"StandardOutput={output}", f"StandardError={output}", *lines]
    (folder / "test.conf").write_text("\n".join(["[Service]", *more, ""]))


def _remove_below(cgroup: Path) -> None:
    """Cgroups that systemd has made, the innermost first, as soon as they are empty."""
    for folder, _, _ in os.walk(cgroup, topdown=False):
        if Path(folder) != cgroup:
            eventually(lambda folder=folder: not _is_populated(Path(folder)))  # type: ignore[misc]  # bound at once
            Path(folder).rmdir()


def _is_populated(cgroup: Path) -> bool:
    return "populated 1" in (cgroup / "cgroup.events").read_text()
