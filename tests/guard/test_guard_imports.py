"""What our two programs import: each module costs its millisecond, and its part of the memory.

Numbers are of modules beyond those that Python has by itself. Whoever needs one more raises the
bound, and says what it costs; whoever needs one less lowers it.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from commands import BIN, environment
from daemon import StartDaemon
from home import Home

PROGRAM = """
    [program.web]
    command = "sleep 1000"
    min_uptime = "0s"
    """
_LINE = "import time:"

DAEMONS_MODULES = 589
DAEMONS_KIBIBYTES = 6560  # of source
CTLS_MODULES = 116
# What nobody needs who only asks for a status: the first line is heavy, the rest are for others.
NOT_FOR_STATUS = {
    "aiohttp", "asyncio", "click", "dataclasses", "email", "http", "rich", "ssl",
    "concurrent.futures", "logging", "opsvisor.api",
    "opsvisor.core.supervisor", "opsvisor.daemon", "opsvisor.runtime",
    "prometheus_client", "prompt_toolkit", "psutil", "pydoc", "subprocess", "unittest", "xml",
    "yarl", "zoneinfo",
}  # fmt: skip
# What a daemon does not need that has no such thing in its configuration.
NOT_FOR_DAEMON = {
    "aiohttp.client", "aiohttp.connector", "aiohttp.cookiejar", "aiohttp.resolver", "click",
    "ctypes.util", "difflib", "opsvisor.client", "opsvisor.compat", "opsvisor.ctl",
    "opsvisor.samples", "prompt_toolkit", "pydoc", "rich", "tomli_w", "tkinter", "unittest",
    "xml", "xmlrpc", "concurrent.futures.process", "multiprocessing.pool",
}  # fmt: skip


def imported(report: str) -> list[str]:
    """The modules that -X importtime tells of, in that order."""
    return [line.rpartition("|")[2].strip() for line in report.splitlines() if _LINE in line][1:]


def own(modules: list[str]) -> list[str]:
    """Without those that an interpreter of this installation imports before anything is run."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", ""],
        env=environment(""),
        capture_output=True,
        text=True,
        check=True,
    )
    before = set(imported(done.stderr))
    return [name for name in modules if name not in before]


def packages(modules: list[str]) -> str:
    """How many modules each package has brought."""
    counts = Counter(name.partition(".")[0] for name in modules)
    return "\n".join(f"{number:5} {name}" for name, number in counts.most_common(25))


def forbidden(modules: list[str], names: set[str]) -> list[str]:
    """Those of the names that are there, or something inside of them."""
    return sorted({name for name in names for one in modules if f"{one}.".startswith(f"{name}.")})


def kibibytes_of(modules: list[str]) -> dict[str, float]:
    """How much source each has, as far as it is Python. Asked of an interpreter without us."""
    found = {}
    for name in modules:
        parts = name.replace(".", "/")
        for folder in map(Path, sys.path):
            for candidate in (folder / f"{parts}.py", folder / parts / "__init__.py"):
                if name not in found and candidate.is_file():
                    found[name] = candidate.stat().st_size / 1024
    return found


@pytest.fixture
def daemons(start_daemon: StartDaemon, home: Home) -> list[str]:
    """What a daemon has imported when it runs a program and has answered a request."""
    daemon = start_daemon(PROGRAM, wrapper=[sys.executable, "-X", "importtime"])
    daemon.until("web", "RUNNING")
    modules = own(imported(home.output.read_text()))
    assert "opsvisor.daemon" in modules
    return modules


def test_modules_of_the_daemon(daemons: list[str]) -> None:
    """They decide when it is ready, and how much memory it has with nothing to supervise."""
    assert not forbidden(daemons, NOT_FOR_DAEMON), packages(daemons)
    assert len(daemons) <= DAEMONS_MODULES, packages(daemons)
    sizes = kibibytes_of(daemons)
    largest = sorted(sizes, key=lambda name: -sizes[name])[:20]
    table = "\n".join(f"{sizes[name]:6.0f} KiB {name}" for name in largest)
    assert sum(sizes.values()) <= DAEMONS_KIBIBYTES, f"{sum(sizes.values()):.0f} KiB\n{table}"


def test_modules_of_a_status(start_daemon: StartDaemon, home: Home) -> None:
    """`opsvisorctl status` in a script imports nothing that a status does not need."""
    start_daemon(PROGRAM).until("web", "RUNNING")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", BIN / "opsvisorctl", "-c", home.config, "status"],
        cwd=home.directory,
        env={**environment(""), "XDG_STATE_HOME": str(home.directory)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = own(imported(done.stderr))
    assert "opsvisor.ctl.main" in modules
    assert "RUNNING" in done.stdout
    assert not forbidden(modules, NOT_FOR_STATUS), packages(modules)
    assert len(modules) <= CTLS_MODULES, packages(modules)


def test_what_msgspec_can_do_without(home: Home) -> None:
    """It asks for typing_extensions, which somebody else may have: an eighth of a status."""
    script = """
import sys
from opsvisor.__main__ import opsvisorctl
status = opsvisorctl(["-s", "unix:///none", "status"])
print(status, *(name in sys.modules for name in ("msgspec", "typing_extensions")))
import typing_extensions
"""
    told = subprocess.check_output(
        [sys.executable, "-c", script], cwd=home.directory, stderr=subprocess.DEVNULL, text=True
    )
    assert told.splitlines()[-1] == "4 True False"
