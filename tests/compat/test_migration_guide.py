"""What docs/guide/migrating-from-supervisor.md shows is what comes out."""

import re
from pathlib import Path

from supervisor_files import write

from opsvisor.compat.supervisor.migrate.migration import migrate

GUIDE = Path(__file__).parents[2] / "docs/guide/migrating-from-supervisor.md"


def block(language: str) -> str:
    """The one block of this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    return str(found)


def test_the_example(tmp_path: Path) -> None:
    """Line by line, without a difference."""
    path = write(tmp_path, block("ini"))
    done = migrate(path, {}, start=tmp_path, target=tmp_path / "opsvisor.toml")
    assert done.text.replace(str(tmp_path), "/etc") == block("toml")
    assert done.differences == ()
