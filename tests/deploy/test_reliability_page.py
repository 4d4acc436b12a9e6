"""What docs/reliability.md promises names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
CITED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", PAGE)))


def test_every_promise_names_a_test() -> None:
    """No row of a table is without one."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    bare = [row for row in rows if "`tests/" not in row]
    assert {row.split("|")[1].strip() for row in bare} <= {"Promise", "Fault", "Attack"}
    assert len(CITED) > 40


@pytest.mark.parametrize("cited", CITED)
def test_the_test_exists(cited: str) -> None:
    """By its file, and by its name there."""
    path, _, name = cited.partition("::")
    assert (ROOT / path).is_file()
    text = (ROOT / path).read_text()
    assert not name or re.search(rf"^(async )?def {name}\(", text, re.MULTILINE)
