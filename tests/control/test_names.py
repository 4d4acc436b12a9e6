"""What people type for processes."""

from collections.abc import Iterable

import pytest
from engine_room import key, program
from hypothesis import given
from hypothesis import strategies as st

from opsvisor.control.names import (
    Among,
    NoSuchGroup,
    NoSuchProcess,
    Reach,
    Resolved,
    Target,
    may_start,
    resolve,
)
from opsvisor.core.spec import ProcessId, Startup

KNOWN = [key(name) for name in ("cat", "db:main", "web:0", "web:1", "web:[x]", "x-1")]


def named(name: str) -> Target:
    """A process that was meant by its own name."""
    return Target(key(name), Reach.NAMED)


def swept(*names: str) -> list[Resolved]:
    """Processes that were meant along with others."""
    return [Target(key(name), Reach.SWEPT) for name in names]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cat", [named("cat")]),
        ("cat:cat", [named("cat")]),
        ("web:0", [named("web:0")]),
        ("web:*", swept("web:0", "web:1", "web:[x]")),
        ("web:", swept("web:0", "web:1", "web:[x]")),
        ("cat:*", swept("cat")),
        ("all", swept("cat", "db:main", "web:0", "web:1", "web:[x]", "x-1")),
        ("x-*", swept("x-1")),
        ("web:[01]", swept("web:0", "web:1")),
        ("*:main", swept("db:main")),
        ("?at", swept("cat")),
        ("cat:c*", swept("cat")),
        ("web:[x]", [named("web:[x]")]),  # a name before it is a pattern
        ("web", [NoSuchProcess("web")]),  # a group's bare name is no process
        ("main", [NoSuchProcess("main")]),
        ("CAT", [NoSuchProcess("CAT")]),
        ("web:9", [NoSuchProcess("web:9")]),
        ("none*", [NoSuchProcess("none*")]),
        ("none:*", [NoSuchGroup("none")]),
        ("none:", [NoSuchGroup("none")]),
        ("", [NoSuchProcess("")]),
        (":", [NoSuchGroup("")]),
    ],
)
def test_a_name_means(typed: str, meant: list[Resolved]) -> None:
    """Supervisor's names, and globs besides."""
    assert resolve([typed], KNOWN) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["cat", "cat"], [named("cat")]),
        (["x-1", "cat"], [named("x-1"), named("cat")]),
        (["none", "cat", "none"], [NoSuchProcess("none"), named("cat")]),
        (["web:0", "web:*"], [named("web:0"), *swept("web:1", "web:[x]")]),
        (["web:*", "web:0"], [named("web:0"), *swept("web:1", "web:[x]")]),
        (
            ["cat", "all", "cat"],
            [named("cat"), *swept("db:main", "web:0", "web:1", "web:[x]", "x-1")],
        ),
        ([], []),
    ],
)
def test_names_together_mean_each_process_once(typed: list[str], meant: list[Resolved]) -> None:
    """The nearest way it was named is what counts, whatever the order."""
    assert resolve(typed, KNOWN) == meant


class Unlisted(frozenset[ProcessId]):
    """Processes that must not be gone through for names of single ones."""

    def ids(self) -> Iterable[ProcessId]:
        """Fail: that is all of them."""
        pytest.fail("all processes were listed")


def test_names_of_single_processes_are_looked_up() -> None:
    """One name of a thousand processes would else cost a thousand times what it has to."""
    known = Among(Unlisted(key(f"w:{number}") for number in range(5)), lambda _: True)
    assert resolve(["w:4", "w:0", "w:9"], known) == [
        named("w:4"),
        named("w:0"),
        NoSuchProcess("w:9"),
    ]


def test_what_is_not_seen_is_not_there() -> None:
    """Neither by its own name nor by one that stands for all."""
    everything = Everything(key(name) for name in ("a:0", "a:1", "b:0"))
    known = Among(everything, lambda one: one.group == "b")
    assert resolve(["a:0", "all", "a:*"], known) == [
        NoSuchProcess("a:0"),
        *swept("b:0"),
        NoSuchGroup("a"),
    ]


class Everything(frozenset[ProcessId]):
    """Processes, as an engine has them."""

    def ids(self) -> Iterable[ProcessId]:
        """All, in order."""
        return sorted(self)


_words = st.text("ab:*?[]-", max_size=4)
_ids = st.builds(ProcessId, st.text("ab-", min_size=1, max_size=3), st.text("ab-", max_size=3))


@given(st.lists(_words | st.just("all"), max_size=5), st.lists(_ids, unique=True, max_size=6))
def test_every_name_is_answered_and_no_process_twice(
    names: list[str], known: list[ProcessId]
) -> None:
    """Targets are known and unique; a name either means something or is told to mean nothing."""
    found = resolve(names, known)
    targets = [item.id for item in found if isinstance(item, Target)]
    assert len(targets) == len(set(targets))
    assert set(targets) <= set(known)
    for name in names:
        if name == "all":
            assert set(targets) >= set(known)
        else:
            assert any(
                item in found or isinstance(item, Target) for item in resolve([name], known)
            )
    for process_id in known:
        assert resolve([f"{process_id.group}:{process_id.name}"], known) != []


@pytest.mark.parametrize(
    ("startup", "by_name", "by_sweep"),
    [
        (Startup.ENABLED, True, True),
        (Startup.DISABLED, True, True),
        (Startup.MANUAL, True, False),
    ],
)
def test_a_manual_process_wants_its_own_name(
    startup: Startup, *, by_name: bool, by_sweep: bool
) -> None:
    """Only that says that it is really meant."""
    spec = program("cat", startup=startup)
    assert may_start(named("cat"), spec) is by_name
    assert may_start(Target(key("cat"), Reach.SWEPT), spec) is by_sweep
