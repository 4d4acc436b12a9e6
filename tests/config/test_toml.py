from collections.abc import Iterator
from typing import Any

import pytest

from opsvisor.config.document import KeyPath
from opsvisor.config.problems import ConfigError, Place
from opsvisor.config.toml import parse

TRICKY = '''\
# [not.a.table]
top = """
[program.fake]
command = "x" \\"""""" # closed by three after an escaped one and two more
literal = \'\'\'
it's [fake] \\\'\'\'\'\'

"quoted key" = 1
'single.quoted' = { inline = { deep = 1 }, list = [ # comment with ] and "
    "one", # ], "
    { two = 2, three = [3,
      4] },
  ] }
"esc\\u0061ped".dotted . key = 1979-05-27 07:32:00

  [ program . web ]   # indented
  command = ["a", \'b]\',
    "c\\"]", ]
[program."my.app"]
env.A = "1"
env.B = "2"
[[item]]
x = 1
[[item]]
x = 2
[item.sub]
y = 3
[[item.more]]
[[item.more]]
z = -0.5e3
'''

LINES = {
    ("top",): 2,
    ("literal",): 5,
    ("quoted key",): 8,
    ("single.quoted",): 9,
    ("single.quoted", "inline"): 9,
    ("single.quoted", "inline", "deep"): 9,
    ("single.quoted", "list"): 9,
    ("single.quoted", "list", 0): 10,
    ("single.quoted", "list", 1): 11,
    ("single.quoted", "list", 1, "two"): 11,
    ("single.quoted", "list", 1, "three"): 11,
    ("single.quoted", "list", 1, "three", 0): 11,
    ("single.quoted", "list", 1, "three", 1): 12,
    ("escaped",): 14,
    ("escaped", "dotted"): 14,
    ("escaped", "dotted", "key"): 14,
    ("program",): 16,
    ("program", "web"): 16,
    ("program", "web", "command"): 17,
    ("program", "web", "command", 0): 17,
    ("program", "web", "command", 1): 17,
    ("program", "web", "command", 2): 18,
    ("program", "my.app"): 19,
    ("program", "my.app", "env"): 20,
    ("program", "my.app", "env", "A"): 20,
    ("program", "my.app", "env", "B"): 21,
    ("item",): 22,
    ("item", 0): 22,
    ("item", 0, "x"): 23,
    ("item", 1): 24,
    ("item", 1, "x"): 25,
    ("item", 1, "sub"): 26,
    ("item", 1, "sub", "y"): 27,
    ("item", 1, "more"): 28,
    ("item", 1, "more", 0): 28,
    ("item", 1, "more", 1): 29,
    ("item", 1, "more", 1, "z"): 30,
}


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every path that leads to a value, tables and arrays included."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*path, index))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_key_has_its_line(line_end: str) -> None:
    """Strings, comments and brackets inside strings don't lead the scanner astray."""
    document = parse(TRICKY.replace("\n", line_end), "f.toml")
    assert {path: place.line for path, place in document.places.items()} == LINES


def test_the_scanner_sees_what_tomli_sees() -> None:
    """The two readings of the text agree on which keys there are."""
    document = parse(TRICKY, "f.toml")
    assert set(paths(document.values)) == set(document.places)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a = 1\nb = [1,\n", 3, "not valid TOML: "),
        ("[a]\nb = 1\n[a]\n", 3, "not valid TOML: cannot declare ('a',) twice, column 3"),
        ('a = "x\n', 1, "not valid TOML: illegal character"),
    ],
)
def test_a_syntax_error_has_its_line(text: str, where: int, what: str) -> None:
    """Tomli's message, in our form, at the line that tomli names."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.toml")
    (problem,) = caught.value.problems
    assert problem.where == Place("f.toml", where)
    assert problem.what.startswith(what)


def test_what_tomli_nests_the_scanner_follows() -> None:
    """Tomli takes 400 levels; the scanner has to get to the bottom of them as well."""
    document = parse(f"a = {'[' * 350}{']' * 350}\nb = 1\n", "f.toml")
    assert document.place(("b",)) == Place("f.toml", 2)


@pytest.mark.parametrize("text", [f"a = {'[' * 5000}{']' * 5000}", f"{'a.' * 5000}a = 1"])
def test_nesting_without_end_is_a_problem(text: str) -> None:
    """A problem like any other, and never a RecursionError."""
    with pytest.raises(ConfigError, match=r"f.toml: arrays or tables nest too deeply"):
        parse(text, "f.toml")


def test_a_place_falls_back_to_what_is_around_it() -> None:
    """A key that isn't written is looked for in its table, then in the file."""
    document = parse("[a]\nb = 1\n", "f.toml")
    assert document.place(("a", "missing", "deep")) == Place("f.toml", 1)
    assert document.place(("missing",)) == Place("f.toml")


@pytest.mark.parametrize("text", [f"a = {'9' * 5000}", "a = 2026-02-31"])
def test_values_that_python_cant_hold(text: str) -> None:
    """Tomli lets Python's own errors through for some of them; here they are problems."""
    with pytest.raises(ConfigError, match=r"^f.toml\S*: not valid TOML: "):
        parse(text, "f.toml")
