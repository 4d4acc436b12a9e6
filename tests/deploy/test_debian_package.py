"""The Debian package: built by Debian's own tools, installed on a machine, upgraded, removed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import eventually
from debian_machine import Machine, debian_machine
from real_systemd import can_boot

import opsvisor

pytestmark = pytest.mark.skipif(not can_boot(), reason="needs root, namespaces and systemd")

_ROOT = Path(__file__).parents[2]
_NEXT = "99.0"
_LIMIT = 600.0  # seconds; a build takes half a minute of CPU, and other tests want that too
_PROGRAMS = ("opsvisord", "opsvisorctl")
_FOR_READERS_AND_SHELLS = (
    "man/man1/opsvisorctl.1.gz",
    "man/man5/opsvisor.toml.5.gz",
    "man/man8/opsvisord.8.gz",
    *(f"bash-completion/completions/{program}" for program in _PROGRAMS),
    *(f"fish/vendor_completions.d/{program}.fish" for program in _PROGRAMS),
    *(f"zsh/vendor-completions/_{program}" for program in _PROGRAMS),
)
_PROGRAM = """\
[program.steady]
command = ["sleep", "1000"]
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, and the same one as of a later version."""
    folder = tmp_path_factory.mktemp("packages")
    run(_ROOT / "tools" / "build_deb.sh", folder)
    (package,) = folder.glob("*.deb")
    later = tmp_path_factory.mktemp("later") / "opsvisor"
    run("dpkg-deb", "--raw-extract", package, later)
    (module,) = later.glob("opt/opsvisor/lib/python3.*/site-packages/opsvisor/__init__.py")
    for file in (module, later / "DEBIAN" / "control"):
        file.write_text(file.read_text().replace(opsvisor.__version__, _NEXT))
    compiled = "--invalidation-mode=unchecked-hash"
    run("/usr/bin/python3", "-m", "compileall", "-q", "-f", compiled, module)
    run("dpkg-deb", "-Znone", "--build", later, folder / f"opsvisor_{_NEXT}_later.deb")
    return folder


def run(*command: str | Path) -> None:
    """Run a program that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.fixture
def machine(tmp_path: Path, packages: Path) -> Iterator[Machine]:
    """A machine with this version of the package, as it is right after the installation."""
    with debian_machine(tmp_path, packages) as machine:
        install(machine, opsvisor.__version__)
        yield machine


def install(machine: Machine, version: str) -> None:
    """Install the package of that version, over an older one or not."""
    machine.run("sh", "-c", f"dpkg --install /packages/opsvisor_{version}_*.deb")


def pid_of_steady(machine: Machine) -> str:
    """The process of the program, as soon as it runs."""

    def found() -> str:
        pid = machine.run("opsvisorctl", "pid", "steady").strip()
        return "" if pid == "0" else pid

    return eventually(found)


def test_life_of_an_installation(machine: Machine) -> None:
    """It runs when it is installed, takes up programs, and keeps them running over an upgrade.

    Removed, it ends them; purged, nothing of it is left.
    """
    assert machine.run("systemctl", "is-active", "opsvisord") == "active\n"
    assert machine.run("systemctl", "is-enabled", "opsvisord") == "enabled\n"
    assert machine.run("opsvisorctl", "version").strip() == opsvisor.__version__
    for path in _FOR_READERS_AND_SHELLS:
        machine.run("test", "-s", f"/usr/share/{path}")
    machine.write("/etc/opsvisor/conf.d/mine.toml", _PROGRAM)
    machine.run("opsvisorctl", "update")
    pid = pid_of_steady(machine)

    install(machine, _NEXT)
    assert machine.run("opsvisorctl", "version").strip() == _NEXT
    assert pid_of_steady(machine) == pid
    assert machine.run("systemctl", "is-active", "opsvisord") == "active\n"

    machine.run("dpkg", "--remove", "opsvisor")
    assert machine.try_to("kill", "-0", pid).status != 0
    assert not machine.has("/opt/opsvisor")
    assert machine.has("/etc/opsvisor/opsvisor.toml")  # what may have been changed is kept

    machine.run("rm", "/etc/opsvisor/conf.d/mine.toml")
    machine.run("dpkg", "--purge", "opsvisor")
    assert not machine.has("/etc/opsvisor")
    assert not machine.has("/var/log/opsvisor")
    assert machine.try_to("sh", "-c", "ls /etc/systemd/system/*.wants/opsvisord*").status != 0


def test_changed_configuration_survives_an_upgrade(machine: Machine) -> None:
    """It is known as one to dpkg, which leaves it alone."""
    path = "/etc/opsvisor/opsvisor.toml"
    machine.write(path, f'{_PROGRAM}\n[server]\nunix = "/run/opsvisor/opsvisor.sock"\n')
    mine = machine.run("cat", path)
    machine.run("sh", "-c", f"dpkg --force-confold --install /packages/opsvisor_{_NEXT}_*.deb")
    assert machine.run("cat", path) == mine


def test_configuration_that_is_refused_leaves_the_package_whole(machine: Machine) -> None:
    """The daemon doesn't begin, which systemd says; the programs run on, and dpkg is content."""
    machine.write("/etc/opsvisor/conf.d/mine.toml", _PROGRAM)
    machine.run("opsvisorctl", "update")
    pid = pid_of_steady(machine)
    machine.write("/etc/opsvisor/conf.d/mine.toml", "[program.steady]\ncommandd = 1\n")

    machine.try_to("sh", "-c", f"dpkg --install /packages/opsvisor_{_NEXT}_*.deb")

    machine.run("kill", "-0", pid)
    machine.write("/etc/opsvisor/conf.d/mine.toml", _PROGRAM)
    machine.run("systemctl", "restart", "opsvisord")
    assert machine.run("dpkg", "--audit") == ""
    assert pid_of_steady(machine) == pid
