from pathlib import Path

import pytest

from opsvisor.config import envfile
from opsvisor.config.problems import Place, Problem
from opsvisor.config.units import Refused


def test_lines_become_variables(tmp_path: Path) -> None:
    """Comments, blank lines, `export`, quotes, and equals signs inside of values."""
    path = tmp_path / "app.env"
    path.write_text(
        "# a comment\n\nA=1\nexport B=two words\n  C = 'quoted'\nD=\"x\"\nE=\nURL=http://h/?a=b#c\n"
        "F='\nA=again\n"
    )
    variables, problems = envfile.read(str(path))
    assert variables["A"] == envfile.Variable("again", 10)
    assert variables["C"].line == 5
    assert {name: variable.value for name, variable in variables.items()} == {
        "A": "again",
        "B": "two words",
        "C": "quoted",
        "D": "x",
        "E": "",
        "URL": "http://h/?a=b#c",
        "F": "'",
    }
    assert problems == ()


def test_other_lines_are_problems_of_that_file(tmp_path: Path) -> None:
    """Each has its line; its content isn't repeated, as it may be a secret."""
    path = tmp_path / "app.env"
    path.write_text("A=1\nhunter2\n=x\nA B=2\n")
    variables, problems = envfile.read(str(path))
    assert variables == {"A": envfile.Variable("1", 1)}
    assert problems == tuple(
        Problem(Place(str(path), line), "not an environment variable", "write NAME=value")
        for line in (2, 3, 4)
    )


def test_a_missing_file(tmp_path: Path) -> None:
    """The refusal names the file and the reason."""
    with pytest.raises(Refused, match=r"can't be read: '.*/none': no such file or directory"):
        envfile.read(str(tmp_path / "none"))


def test_a_file_of_bytes(tmp_path: Path) -> None:
    """Only UTF-8 is text."""
    path = tmp_path / "app.env"
    path.write_bytes(b"A=\xff\n")
    with pytest.raises(Refused, match="isn't UTF-8"):
        envfile.read(str(path))
