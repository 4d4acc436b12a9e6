"""The contract against a real daemon: every operation, by what the contract allows and forbids.

schemathesis makes requests from /openapi.json, by examples, by what covers each limit, at random
and along the links, and judges each answer by all of its checks: no server error, status, media
type, headers and body as described, what is valid is accepted, what is not is refused, and nobody
comes in without credentials. No check is left out, and no finding is put up with.

Streams take part behind a relay that ends them. Three operations would end the daemon, and what
was being asked of it: they get what they must refuse, here, and are done for real in tests/e2e.
"""

import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from clipping import clipping_relay
from commands import BIN
from daemon import Daemon
from home import Home, Programs
from http_requests import free_port

TOKEN = "the-token-of-the-fuzzer"
PROGRAMS = """
    [program.web]
    command = "$VICTIM"
    stdin = "pipe"
    log = { stderr = "separate" }

    [program.pair]
    command = "$VICTIM"
    replicas = 2
    min_uptime = "100ms"

    [program.once]
    command = "true"
    restart = "no"
    startup = "disabled"
    """
# A daemon of many clients, one of whom is often wrong about who it is.
MAIN = """
    http = {{ listen = "127.0.0.1:{port}" }}
    limits = {{ failed_logins = 0 }}

    [identity.fuzzer]
    access = "admin"
    token = "{token}"

    [metrics]
    collectors = ["usual", "proportional-memory", "context-switches"]
    """
ENDING = r"/daemon/(shutdown|reload|upgrade)$"
# Of each operation and phase. `make fuzz` has more of them.
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "15"))
LIMIT = 300 + EXAMPLES  # seconds; only a failure takes as long


class Judged(NamedTuple):
    """What schemathesis found."""

    status: int
    cases: int
    report: str


class Place(NamedTuple):
    """A daemon to be asked, and the port of the relay in front of it."""

    daemon: Daemon
    port: int


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One daemon with real processes for all of it; it must end well after that."""
    home = Home(tmp_path_factory.mktemp("contract"))
    port = free_port()
    home.write(Programs(PROGRAMS), main=MAIN.format(port=port, token=TOKEN))
    daemon = Daemon(home)
    try:
        with clipping_relay(port) as relay:
            yield Place(daemon, relay)
    finally:
        daemon.end()


def judged(place: Place, directory: Path, *options: str) -> Judged:
    """Run schemathesis to its end. Its seed, which it reports, follows from that of the tests."""
    seed = str(random.getrandbits(32))
    done = subprocess.run(
        [
            *(BIN / "schemathesis", "run", f"http://127.0.0.1:{place.port}/openapi.json"),
            *("--header", f"Authorization: Bearer {TOKEN}"),
            *("--checks", "all", "--request-timeout", "20", "--seed", seed, "--no-color"),
            *options,
        ],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    cases = re.search(r"(\d+) generated", done.stdout)
    return Judged(done.returncode, int(cases[1]) if cases else 0, done.stdout + done.stderr)


def test_every_operation_keeps_the_contract(place: Place, tmp_path: Path) -> None:
    """Whatever is asked, by whom knows the rules and by whom breaks them: no finding at all."""
    found = judged(
        place, tmp_path, "--exclude-path-regex", ENDING, "--max-examples", str(EXAMPLES)
    )
    assert found.status == 0, found.report
    assert found.cases > 1000, found.report
    assert place.daemon.http("/readyz").status == 200


def test_what_ends_the_daemon_is_refused_if_asked_wrongly(place: Place, tmp_path: Path) -> None:
    """Not one request that breaks the contract ends it, or makes it begin anew."""
    before = place.daemon.client.daemon()
    found = judged(
        place,
        tmp_path,
        *("--include-path-regex", ENDING, "--mode", "negative", "--max-examples", "50"),
        *("--phases", "coverage,fuzzing"),
    )
    assert found.status == 0, found.report
    assert found.cases > 50, found.report
    after = place.daemon.client.daemon()
    assert (after.pid, after.started_at, after.upgrades) == (before.pid, before.started_at, 0)
