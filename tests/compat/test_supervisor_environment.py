"""`environment=`, in POSIX mode and with everything that 4.3.0 accepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_supervisor import datatypes

from opsvisor.compat.supervisor.config.environment import parse_environment
from opsvisor.compat.supervisor.config.refused import Refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("A=1", {"A": "1"}),
        ("A=1,B=2", {"A": "1", "B": "2"}),
        ("A=1,\n B=2,\n", {"A": "1", "B": "2"}),
        ('A="x,y"', {"A": "x,y"}),
        ("A='x y'", {"A": "x y"}),
        ('A=""', {"A": ""}),
        ("A=1,A=2", {"A": "2"}),
        ("A-b.c=/usr/bin:/bin", {"A-b.c": "/usr/bin:/bin"}),
        ("A=\"it's é\" , B = 'x'", {"A": "it's é", "B": "x"}),
        (r"""A='\d',B="C:\dir" """, {"A": r"\d", "B": r"C:\dir"}),
        ('A="a b"c" d"', {"A": "a bc d"}),
    ],
)
def test_pairs(text: str, expected: dict[str, str]) -> None:
    """Quotes, escapes, joined quotes, line breaks; the later of two values counts."""
    variables = parse_environment(text)
    assert variables.values == expected
    assert variables.doubts == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A=it's", {"A": "it's"}), ('A="C:\\"', {"A": "C:\\"})],
)
def test_what_only_the_old_mode_understands_is_read_in_the_old_mode(
    text: str, expected: dict[str, str]
) -> None:
    """Values that POSIX mode refuses keep the meaning they had."""
    assert parse_environment(text).values == expected


@pytest.mark.parametrize(
    ("text", "expected", "names"),
    [
        (r'A="a\"b"', {"A": 'a"b'}, "A"),
        ("""A="'q'" """, {"A": "'q'"}, "A"),
        ("A='\"q\"'", {"A": '"q"'}, "A"),
        ("""A="a"'b'""", {"A": "ab"}, "A"),
        ('"A"=1', {"A": "1"}, "A"),
        ("A=éa", {"A": "éa"}, "A"),
        (r'A="^\d+\\.\\w$",B="1",C="\\"', {"A": r"^\d+\.\w$", "B": "1", "C": "\\"}, "A, C"),
    ],
)
def test_values_that_change_with_the_mode_are_doubted(
    text: str, expected: dict[str, str], names: str
) -> None:
    """4.3.0 gives the program other values; it is told of which variables, never which."""
    theirs = datatypes.dict_of_key_value_pairs(text)
    variables = parse_environment(text)
    assert variables.values == expected
    assert names == ", ".join(name for name in expected if theirs.get(name) != expected[name])
    (doubt,) = variables.doubts
    assert doubt.startswith(f"Supervisor up to 4.3 reads another value of {names}: check ")


@given(st.lists(st.sampled_from(["A=1,", 'B="x y"', "C='z'", ",", '"', "'", "\\", "é", "b"])))
def test_no_value_changes_in_silence(pieces: list[str]) -> None:
    """Whatever is read otherwise than by 4.3.0 is doubted, also if the text is read but once."""
    text = "".join(("D=", *pieces))
    try:
        theirs = datatypes.dict_of_key_value_pairs(text)
        variables = parse_environment(text)
    except ValueError:
        return
    if any(theirs.get(name) != value for name, value in variables.values.items()):
        assert variables.doubts


def test_the_usual_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading takes time, and quotes around whole values leave no doubt."""
    monkeypatch.delattr("opsvisor.compat.supervisor.config.environment._in_old_mode")
    assert parse_environment("A=1,B=\"x=é\", C = '#2' ,\n D=/d").doubts == ()


@pytest.mark.parametrize(
    ("text", "expected", "doubt"),
    [
        ("A=http://h/z?q=1", {"A": "http://h/z", "q": "1"}, "A ends early"),
        ("A=$HOME", {"A": "$"}, "A ends early"),
        ("A=1;B=2", {"A": "1", "B": "2"}, "A ends early"),
        ("A=a#b", {"A": "a"}, "'#' begins a comment"),
        ("A=a#it's", {"A": "a"}, "'#' begins a comment"),
    ],
)
def test_likely_misreadings_are_doubted(text: str, expected: dict[str, str], doubt: str) -> None:
    """Read as Supervisor reads them, but not in silence."""
    variables = parse_environment(text)
    assert variables.values == expected
    assert variables.doubts[0].startswith(doubt)


def test_quoted_hash_is_no_comment() -> None:
    """Nothing to doubt where the quotes are in place."""
    assert parse_environment('A="a#b"').doubts == ()


@pytest.mark.parametrize("text", ["A=", "=1", "A=1,,B=2", "A", "A=x@y", 'A="x'])
def test_refusals_are_worded_as_supervisor_words_them(text: str) -> None:
    """The two texts of 4.3.0, which quotes the value: we don't, it may be a secret."""
    with pytest.raises(ValueError, match=r"Unexpected end|No closing") as theirs:
        datatypes.dict_of_key_value_pairs(text)
    with pytest.raises(Refused) as ours:
        parse_environment(text)
    assert ours.value.what == str(theirs.value).replace(f"value '{text}'", "the value")
    assert ours.value.hint


@given(st.text("AB=,'\"\\ #$é\n;1", max_size=14))
def test_what_supervisor_accepts_is_accepted(text: str) -> None:
    """Whatever 4.3.0 can read, we can, if not always with the same meaning."""
    try:
        datatypes.dict_of_key_value_pairs(text)
    except ValueError:
        return
    parse_environment(text)


@given(
    st.dictionaries(
        st.text("ABC_9", min_size=1),
        st.text(st.characters(codec="utf-8", exclude_characters='"\\')),
    )
)
def test_quoted_values_survive(variables: dict[str, str]) -> None:
    """Inside double quotes everything but a quote and a backslash stands for itself."""
    text = ",".join(f'{key}="{value}"' for key, value in variables.items())
    assert parse_environment(text).values == variables
