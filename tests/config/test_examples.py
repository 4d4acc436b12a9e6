from pathlib import Path

import pytest

from opsvisor.config.load import native

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_examples_load_without_a_word(path: Path) -> None:
    """No problems and no warnings, since people copy them."""
    assert native(path, {}).warnings == ()


def test_programs_of_the_predicaments_exist() -> None:
    """Except the one whose predicament it is not to."""
    plan = native(EXAMPLES / "predicaments.toml", {}).plan
    scripts = {
        spec.program: Path(spec.working_dir or "", spec.argv[2])
        for spec in plan.specs().values()
        if spec.argv[0] == "python3"
    }
    assert [program for program, script in scripts.items() if not script.is_file()] == []
    assert {spec.program for spec in plan.specs().values()} - scripts.keys() == {"missing"}
