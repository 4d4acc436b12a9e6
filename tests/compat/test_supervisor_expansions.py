"""`%(name)s` and everything that may go wrong with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_supervisor import options

from opsvisor.compat.supervisor.config.expansions import (
    Names,
    environment_names,
    expand,
    expand_log_path,
)
from opsvisor.compat.supervisor.config.refused import Refused

NAMES: Names = {"program_name": "web", "process_num": 7, "ENV_HOME": "/root", "ENV_ODD": "50%"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("%(program_name)s", "web"),
        ("%(program_name)s_%(process_num)02d", "web_07"),
        ("%(ENV_HOME)s/x", "/root/x"),
        ("100%%", "100%"),
        ("%%%%", "%%"),
        ("%%(here)s", "%(here)s"),
        ("%(ENV_ODD)s", "50%"),
        ("%(process_num) d", " 7"),
    ],
)
def test_names_are_replaced(text: str, expected: str) -> None:
    """Python's own formatting, once; what is put in isn't looked at again."""
    assert expand(text, NAMES, of="program:a.command") == expected


@pytest.mark.parametrize(
    "text", ["%(nope)s", "%(nope)s it's", "%H", "echo %", "%d", "%s %s", "%(process_num)", "%("]
)
def test_errors_are_worded_as_supervisor_words_them(text: str) -> None:
    """What Supervisor refuses is refused in the same words."""
    with pytest.raises(ValueError, match="Format string") as theirs:
        options.expand(text, NAMES, "program:a.command")
    with pytest.raises(Refused) as ours:
        expand(text, NAMES, of="program:a.command")
    assert ours.value.what == str(theirs.value)


def test_stray_percent_sign_does_not_print_the_environment() -> None:
    """`100% sure` contains `% s`; Supervisor would put all variables into the command."""
    with pytest.raises(Refused) as caught:
        expand("echo 100% sure", NAMES, of="program:a.command")
    assert caught.value.what == (
        "Format string 'echo 100% sure' for 'program:a.command' is badly formatted: "
        "'% s' at index 8 names nothing"
    )
    assert caught.value.hint == "write %% for a percent sign"
    assert "/root" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("%(programname)s", "did you mean 'program_name'?"),
        (
            "%(ENV_TOKEN)s",
            "set TOKEN before the daemon starts, or in environment of [supervisord]",
        ),
        ("%(zzz)s", "write %% for a percent sign"),
    ],
)
def test_unknown_names_come_with_advice(text: str, hint: str) -> None:
    """A near miss is asked about, a missing variable is explained."""
    with pytest.raises(Refused) as caught:
        expand(text, NAMES, of="x.y")
    assert caught.value.hint == hint


@pytest.mark.parametrize(("text", "expected"), [("a%%b", "a%b"), ("a%%%%b", "a%b"), ("%%", "%")])
def test_log_paths_take_two_or_four_percent_signs(text: str, expected: str) -> None:
    """Supervisor expands them twice and needs four; two mean the same here."""
    assert expand_log_path(text, {}, of="x.y") == expected


def test_log_paths_leave_expanded_values_alone() -> None:
    """A percent sign that comes out of a variable is not read again."""
    names = environment_names({"X": "%%%%(here)s"})
    assert expand_log_path("%(ENV_X)s", names, of="x.y") == "%%%%(here)s"


@given(st.text("%()sd2 ab", max_size=12))
def test_only_unnamed_conversions_part_us_from_supervisor(text: str) -> None:
    """Same result as Supervisor, or the text has a conversion that names nothing."""
    names: Names = {"a": "1", "b": 2}
    try:
        theirs = options.expand(text, names, "x.y")
    except ValueError:
        with pytest.raises(Refused):
            expand(text, names, of="x.y")
        return
    try:
        ours = expand(text, names, of="x.y")
    except Refused as why:
        assert "names nothing" in why.what  # noqa: PT017 - both outcomes are looked at
    else:
        assert ours == theirs
