"""Everything that can be told, to the letter, and as Prometheus' own tool reads it.

`WRITE_GOLDEN=1 pytest tests/telemetry/test_metrics_golden.py` writes the files anew; what has
changed is then for a reviewer to see.
"""

import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
from scene import EVERYTHING, OPENMETRICS, RUNS, TEXT, Scene, furnished

from opsvisor.core.spec import Pid
from opsvisor.runtime.ledger import Ledger
from opsvisor.runtime.proctree import Spent
from opsvisor.runtime.sweep import TreeSample

GOLDEN = Path(__file__).parent / "golden"
# What is said of the very process that runs the tests, and of its Python.
LIVE = re.compile(r"(# \w+ )?(process_|python_)")
VARYING: Mapping[str, str] = {
    r'python_version="[^"]*"': 'python_version="3"',
    r"(?m)^opsvisor_tasks .*$": "opsvisor_tasks 2.0",
}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Both processes, with everything told; what /proc says of the one that runs is made up."""
    with furnished(tmp_path, EVERYTHING) as one:
        await one.sampler.sweep()
        pid = one.views[0].pid
        assert pid is not None
        one.sampler._trees[RUNS] = TREE
        # A new one: the sweep also saw what else this process has started in other tests.
        one.sampler._ledgers[RUNS] = Ledger()
        one.sampler._ledgers[RUNS].saw({pid: SPENT})
        yield one


SPENT = Spent(
    user_seconds=1.25,
    system_seconds=0.5,
    io_read_bytes=4096,
    io_written_bytes=8192,
    major_faults=2,
    voluntary_switches=21,
    involuntary_switches=3,
)
TREE = TreeSample(
    pid=Pid(4),
    user_seconds=1.25,
    system_seconds=0.5,
    rss_bytes=1_000_000,
    swap_bytes=0,
    processes=3,
    zombies=1,
    threads=5,
    open_fds=16,
    max_fds=1024,
    fd_usage_ratio=0.015625,
    io_read_bytes=4096,
    io_written_bytes=8192,
    major_faults=2,
    members={},
)


def settled(text: str) -> str:
    """The same without what differs from run to run."""
    lines = [line for line in text.splitlines(keepends=True) if not LIVE.match(line)]
    settled = "".join(lines)
    for pattern, replacement in VARYING.items():
        settled = re.sub(pattern, replacement, settled)
    return settled


@pytest.mark.parametrize(("accept", "name"), [(TEXT, "text"), (OPENMETRICS, "openmetrics")])
async def test_a_scrape_is_the_same_to_the_letter(scene: Scene, accept: str, name: str) -> None:
    """Whoever changes what is told sees it here."""
    told = settled(await scene.scrape(accept))
    file = GOLDEN / f"everything.{name}"
    if os.environ.get("WRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(told, "utf-8")
    assert told == file.read_text("utf-8")


async def test_promtool_finds_nothing_amiss_in_our_own_metrics(scene: Scene) -> None:
    """Names, units, types and help texts are as Prometheus recommends."""
    ours = [line for line in lines_of(await scene.scrape()) if "node_supervisord" not in line]
    assert list(promtool_on("".join(ours))) == []


async def test_promtool_finds_the_one_fault_that_is_node_exporters(scene: Scene) -> None:
    """Its counter is no counter, and we tell it as it did."""
    (complaint,) = promtool_on(await scene.scrape())
    assert complaint.startswith("node_supervisord_start_time_seconds counter")


def lines_of(text: str) -> list[str]:
    """The lines with their ends."""
    return text.splitlines(keepends=True)


def promtool_on(text: str) -> Iterator[str]:
    """What `promtool check metrics` says; nothing, and it takes them all."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    complaints = f"{done.stdout}{done.stderr}".splitlines()
    assert (done.returncode == 0) == (complaints == [])
    return iter(complaints)
