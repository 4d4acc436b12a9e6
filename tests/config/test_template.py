import pytest

from opsvisor.config.template import Names, fill, fill_variables
from opsvisor.config.units import Refused

NAMES: Names = {"replica": 7, "program": "web", "group": "shop"}
ENVIRON = {"HOME": "/home/me", "EMPTY": ""}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("plain", "plain"),
        ("{replica}", "7"),
        ("80{replica:02}", "8007"),
        ("{replica:03d}-{replica}", "007-7"),
        ("{replica:x}", "7"),
        ("{replica:}", "7"),
        ("{{replica}}", "{replica}"),
        ("{{{replica}}}", "{7}"),
        ('{{"a": {{"b": {replica}}}}}', '{"a": {"b": 7}}'),
        ("", ""),
        ("{program}/{group}", "web/shop"),
        ("${HOME}/{replica}", "/home/me/7"),
        ("a${EMPTY}b", "ab"),
        ("$${HOME}", "${HOME}"),
        ("$${{HOME}}", "$${HOME}"),
        ("${{HOME}}", "${HOME}"),
        ("$HOME $", "$HOME $"),
    ],
)
def test_fill(template: str, filled: str) -> None:
    """The number where it is asked for, braces where they are doubled."""
    assert fill(template, NAMES, ENVIRON) == filled


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("a { b", "holds a lone '{'"),
        ("a } b", "holds a lone '}'"),
        ("{}", "holds '{}', which means nothing here"),
        ("{HOME}", "holds '{HOME}', which means nothing here"),
        ("${MISSING}", "holds '${MISSING}', a variable that isn't set"),
        ("${not one}", "holds '{not one}', which means nothing here"),
        ("{program:02}", "holds '{program:02}', but only a number can be padded"),
        ("{replica.x}", "holds '{replica.x}', which means nothing here"),
        ("{replica!r}", "holds '{replica!r}', which means nothing here"),
        ("{replica:999}", "holds '{replica:999}', which is no way to write a number"),
        ("{replica:s}", "holds '{replica:s}', which is no way to write a number"),
    ],
)
def test_what_cant_be_filled(template: str, says: str) -> None:
    """Whatever else is in braces is refused, and only that part is quoted."""
    with pytest.raises(Refused) as caught:
        fill(f"secret {template}", NAMES, ENVIRON)
    assert caught.value.says == says


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{SHA}5baa61e4", "{SHA}5baa61e4"),
        ("{replica} {{ }", "{replica} {{ }"),
        ("${HOME}/x", "/home/me/x"),
        ("$${HOME}", "${HOME}"),
        ("${ } ${}", "${ } ${}"),
    ],
)
def test_where_braces_are_braces(text: str, filled: str) -> None:
    """In values of the daemon, such as passwords, only variables are filled in."""
    assert fill_variables(text, ENVIRON) == filled
