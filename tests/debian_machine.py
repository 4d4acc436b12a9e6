"""A Debian machine for a test: this one's files under an overlay, with a systemd as first process.

What is installed or changed in it is gone when the test is over. Only root can have that.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands import Ran
from daemon import eventually
from real_systemd import SYSTEMD, first_process, run_inside

# Runs inside of the new namespaces, and becomes systemd. No unit of this machine is known there:
# only the targets that a boot cannot do without, and what packages bring.
_BOOT = """\
set -eu
above=$1
mount -t tmpfs tmpfs "$above"
mkdir "$above/upper" "$above/work" "$above/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$above/upper",workdir="$above/work" "$above/root"
root=$above/root
mkdir -p "$root/packages"
mount --bind "$2" "$root/packages"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t sysfs -o ro sysfs "$root/sys" 2>/dev/null || mount --rbind /sys "$root/sys"
umount -R "$root/sys/fs/cgroup" 2>/dev/null || true
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"  # systemd raises limits of the kernel
rm -rf "$root/etc/systemd/system" "$root/lib/systemd/system" "$root"/etc/rc?.d "$root"/etc/init.d/*
rm -f "$root/usr/sbin/policy-rc.d"
mkdir "$root/etc/systemd/system" "$root/lib/systemd/system"
for target in basic sysinit shutdown network sockets multi-user; do
    printf '[Unit]\\nDefaultDependencies=no\\n' >"$root/lib/systemd/system/$target.target"
done
cd "$root"
mkdir old
pivot_root . old
umount -l /old
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test \
    "$0" --system --unit=multi-user.target --log-target=null --show-status=no --dump-core=no
"""


class Machine:
    """A booted Debian. `packages` is a folder of out here, which is /packages in there."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def try_to(self, *command: str) -> Ran:
        """Run a command as root."""
        return run_inside(self._pid, *command)

    def run(self, *command: str) -> str:
        """What a command prints; AssertionError if it fails."""
        done = self.try_to(*command)
        assert done.status == 0, done
        return done.out

    def has(self, path: str) -> bool:
        """Whether there is a file of that name."""
        return self.try_to("test", "-e", path).status == 0

    def write(self, path: str, text: str) -> None:
        """Make a file of what a shell's printf understands as its text."""
        self.run("sh", "-c", 'printf %s "$2" >"$1"', "sh", path, text)


@contextmanager
def debian_machine(folder: Path, packages: Path) -> Iterator[Machine]:
    """A Debian that has booted."""
    above = folder / "machine"
    above.mkdir()
    with first_process(folder, "sh", "-c", _BOOT, SYSTEMD, above, packages) as pid:
        machine = Machine(pid)
        eventually(lambda: machine.try_to("systemctl", "is-system-running").out == "running\n")
        yield machine
    shutil.rmtree(above)
