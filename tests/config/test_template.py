import pytest

from opsvisor.config.template import fill
from opsvisor.config.units import Refused


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
    ],
)
def test_fill(template: str, filled: str) -> None:
    """The number where it is asked for, braces where they are doubled."""
    assert fill(template, 7) == filled


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("a { b", "holds a lone '{'"),
        ("a } b", "holds a lone '}'"),
        ("{}", "holds '{}', which means nothing here"),
        ("${HOME}", "holds '{HOME}', which means nothing here"),
        ("{replica.x}", "holds '{replica.x}', which means nothing here"),
        ("{replica!r}", "holds '{replica!r}', which means nothing here"),
        ("{replica:999}", "holds '{replica:999}', which is no way to write a number"),
        ("{replica:s}", "holds '{replica:s}', which is no way to write a number"),
    ],
)
def test_what_cant_be_filled(template: str, says: str) -> None:
    """Whatever else is in braces is refused, and only that part is quoted."""
    with pytest.raises(Refused) as caught:
        fill(f"secret {template}", 0)
    assert caught.value.says == says
