"""Nothing that Supervisor has a name for is left out of the comparison."""

import pytest
from differences import DIFFERENCES
from evidence import EVIDENCE
from known_names import known_names

KNOWN = [name for names in known_names().values() for name in names]
SHOWN = sorted({name for names in EVIDENCE.values() for name in names})


@pytest.mark.parametrize("name", KNOWN)
def test_every_name_has_a_test(name: str) -> None:
    """Options, methods, faults, commands, events, flags and signals."""
    assert name in SHOWN


@pytest.mark.parametrize("name", SHOWN)
def test_evidence_is_about_something(name: str) -> None:
    """No test is said to show what Supervisor doesn't know, such as all names of a section."""
    assert name in KNOWN


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.id)
def test_differences_are_about_something(difference: object) -> None:
    """Nor is a difference."""
    assert set(getattr(difference, "names", ())) <= set(KNOWN)


def test_differences_are_told_once() -> None:
    """By their names, which the marks of tests use."""
    names = [difference.id for difference in DIFFERENCES]
    assert len(names) == len(set(names))
