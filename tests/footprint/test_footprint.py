"""How much memory a daemon has with nothing to supervise, and what each program adds.

How soon it is ready is a matter of time, which no test can judge: what it imports and carries out
until then is counted in tests/guard, and how long that takes is in docs/performance.md.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from commands import BIN
from daemon import PATIENCE, Daemon, StartDaemon, eventually
from home import Home, Programs
from procfs import children_of

IDLE = 45.0  # MiB of RSS with ten programs
PROGRAM = 5.0  # KiB of RSS for each further program
BEYOND = 2.0  # KiB of what Python allocates for each, without specs and rings
FEW = 10
# Once what all have in common is full, as the last 2,000 events. Twice as many, so that each map
# has grown once.
MANY, TWICE = 600, 1200

# Where the description of a program is made and kept, and where its last output is.
SPECS = ("opsvisor/config/", "opsvisor/core/spec.py", "opsvisor/core/plan.py")
RINGS = ("opsvisor/runtime/logs/ring.py",)

_WEIGHED = Path(__file__).with_name("weighed.py")
_PROGRAMS = """
    [program.p]
    command = "sleep 1000"
    replicas = {count}
    min_uptime = "0s"
    """


def resident(daemon: Daemon) -> int:
    """Its memory in KiB, exactly: /proc/PID/status is only brought up to date now and then."""
    rollup = Path(f"/proc/{daemon.pid}/smaps_rollup").read_text()
    return int(rollup.partition("\nRss:")[2].split()[0])


def until_all_run(daemon: Daemon, count: int) -> Daemon:
    """Wait without asking the daemon, since what is asked for the first time stays in memory."""
    eventually(lambda: len(children_of(daemon.pid)) == count)
    return daemon


def weight(folder: Path, count: int) -> Counter[str]:
    """Bytes that a daemon of so many programs has, by the line that asked for them."""
    folder.mkdir()
    home, fifo, answer = Home(folder), folder / "ask", folder / "answer"
    os.mkfifo(fifo)
    home.write(Programs(_PROGRAMS.format(count=count)))
    wrapper = [sys.executable, str(_WEIGHED), str(fifo), str(answer)]
    daemon = Daemon(home, wrapper=wrapper)
    try:
        until_all_run(daemon, count)
        fifo.write_text("now")
        eventually(answer.exists, patience=6 * PATIENCE)  # it counts 400,000 blocks
    except BaseException:
        daemon.kill()
        raise
    daemon.end()
    found = Counter[str]()
    for file, line, size in json.loads(answer.read_text()):
        found[f"{file}:{line}"] += size
    return found


def table(sizes: Counter[str]) -> str:
    """The most of it, by file and by line."""
    files = Counter[str]()
    for place, size in sizes.items():
        files[place.rpartition(":")[0]] += size
    rows = [*files.most_common(12), *sizes.most_common(12)]
    return "\n".join(f"{size / (TWICE - MANY):8.0f} B  {place}" for place, size in rows)


def test_memory_of_a_daemon(
    start_daemon: StartDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ten programs that do nothing it is so large, where it has been started before.

    A start that compiles its modules needs up to 2 MiB more, which stay with it.
    """
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "compiled"))
    subprocess.run([BIN / "opsvisord", "--version"], check=True, capture_output=True)
    daemon = until_all_run(start_daemon(_PROGRAMS.format(count=FEW)), FEW)
    assert 10 < resident(daemon) / 1024 <= IDLE


def test_resident_memory_of_a_program(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each further program adds so much, with everything that belongs to it.

    The first ones are not looked at: they have what the imports needed and gave back.
    """
    sizes = {}
    for count in (MANY, TWICE):
        home = Home(tmp_path_factory.mktemp(f"of{count}"))
        home.write(Programs(_PROGRAMS.format(count=count)))
        daemon = Daemon(home)
        sizes[count] = resident(until_all_run(daemon, count))
        daemon.end()
    assert 0 < (sizes[TWICE] - sizes[MANY]) / (TWICE - MANY) <= PROGRAM


def test_what_a_large_answer_took_is_given_back() -> None:
    """Also if there was a larger one before, from which the C library learns to keep such room."""
    script = """
import sys
from opsvisor.daemon import allocator

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

if "keep little" in sys.argv:
    allocator.keep_little()
bytes(16 << 20)
before = resident()
pieces = [None] * 128  # which grows no more: what it leaves would lie between them
for number in range(128):
    pieces[number] = b"x" * (64 << 10)
last = b"x" * (64 << 10)
if "hole" not in sys.argv:
    del last
del pieces
if "give" in sys.argv:
    allocator.give_back()
print(resident() - before)
"""

    def left(*words: str) -> int:
        return int(subprocess.check_output([sys.executable, "-c", script, *words]))

    little, much = 3 << 20, 6 << 20
    assert left("keep little") < little < much < left()
    # What is free below something that is not is another matter.
    assert left("keep little", "hole", "give") < little < much < left("keep little", "hole")


def test_what_a_flood_takes_is_not_given_back_after_each_read() -> None:
    """A read of it and the copy in which its lines are counted are where those before were."""
    script = """
import os, resource
from opsvisor.daemon.allocator import keep_little
from opsvisor.runtime.logs.capture import READ_SIZE
from opsvisor.runtime.logs.line_count import LineCounter

def take(reads):
    for _ in range(reads):
        os.lseek(0, 0, os.SEEK_SET)
        counter.count(os.read(0, READ_SIZE))

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

keep_little()
counter = LineCounter()
take(10)
before = faults()
take(100)
print(faults() - before)
"""
    with TemporaryFile() as lines:
        lines.write((b"x" * 99 + b"\n") * 10_000)
        lines.flush()
        told = subprocess.check_output([sys.executable, "-c", script], stdin=lines)
    assert int(told) < 100  # of 12,800 pages that are touched, and twice as many with the copy


def test_memory_of_a_program_beyond_its_spec_and_its_rings(tmp_path: Path) -> None:
    """Of what Python allocates for each program, most describes it or is its last output."""
    added = weight(tmp_path / "twice", TWICE)
    # With what is less, unlike `-`: the table of all names that are interned, a mebibyte, is now
    # due to one import and now to another.
    added.subtract(weight(tmp_path / "many", MANY))
    known = {place for place in added if any(part in place for part in (*SPECS, *RINGS))}
    assert known, table(added)
    beyond = Counter({place: size for place, size in added.items() if place not in known})
    each = beyond.total() / (TWICE - MANY) / 1024
    assert each <= BEYOND, f"{each:.2f} KiB\n{table(beyond)}"
