"""Nothing that Supervisor has a name for is left out of the comparison."""

import pytest
from differences import DIFFERENCES
from evidence import EVIDENCE
from known_names import known_names

KNOWN = [name for names in known_names().values() for name in names]
PATTERNS = sorted({pattern for patterns in EVIDENCE.values() for pattern in patterns})


def _is_meant(pattern: str, name: str) -> bool:
    return name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))


@pytest.mark.parametrize("name", KNOWN)
def test_every_name_has_a_test(name: str) -> None:
    """Options, methods, faults, commands, events, flags and signals."""
    assert any(_is_meant(pattern, name) for pattern in PATTERNS)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_evidence_is_about_something(pattern: str) -> None:
    """No test is said to show what Supervisor doesn't know."""
    assert any(_is_meant(pattern, name) for name in KNOWN)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.id)
def test_differences_are_about_something(difference: object) -> None:
    """Nor is a difference."""
    assert set(getattr(difference, "names", ())) <= set(KNOWN)


def test_differences_are_told_once() -> None:
    """By their names, which the marks of tests use."""
    names = [difference.id for difference in DIFFERENCES]
    assert len(names) == len(set(names))
