"""Pairs of daemons for the cases, and the marks that say what a case shows."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.register_assert_rewrite("contestants")

from contestants import Pair, StartPair, new_pair  # noqa: E402 - as told above


def _starting(parent: Callable[[], Path], ends: ExitStack) -> StartPair:
    def start(config: str, *flags: str, files: Mapping[str, str] | None = None) -> Pair:
        pair = new_pair(parent(), config, files=files)
        ends.callback(pair.theirs.kill)
        ends.callback(pair.ours.end)
        pair.both(lambda one: one.start_and_wait(*flags))
        return pair

    return start


@pytest.fixture
def start_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPair]:
    """Pairs for one test. Short paths, since a socket's may not be long."""
    with ExitStack() as ends:
        yield _starting(lambda: tmp_path_factory.mktemp("p"), ends)


@pytest.fixture(scope="module")
def start_shared_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPair]:
    """Pairs for all tests of a module, which don't disturb each other."""
    with ExitStack() as ends:
        yield _starting(lambda: tmp_path_factory.mktemp("p"), ends)
