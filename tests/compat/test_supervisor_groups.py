"""[group:x] and the groups that programs form on their own."""

from pathlib import Path

import pytest
from supervisor_files import brief, load_text, problems, specs

from opsvisor.core.spec import TcpSocketSpec

HEAD = "[supervisord]\n"
TWO = f"{HEAD}[program:a]\ncommand=run a\n[program:b]\ncommand=run b\n"


def test_members_have_no_group_of_their_own(tmp_path: Path) -> None:
    """They live in the group under their own names; the others stay where they are."""
    loaded = load_text(tmp_path, f"{TWO}[group:g]\nprograms=b\npriority=3\n")
    assert [(g.name, g.priority) for g in loaded.plan.groups] == [("g", 3), ("a", 999)]
    assert list(specs(loaded)) == ["g:b", "a:a"]
    assert specs(loaded)["g:b"].program == "b"


def test_processes_are_ordered_by_their_own_priority(tmp_path: Path) -> None:
    """Inside a group the program's priority counts, whatever the order of writing."""
    loaded = load_text(tmp_path, f"{TWO}priority=1\n[group:g]\nprograms=a,b\n")
    assert list(specs(loaded)) == ["g:b", "g:a"]


def test_members_of_both_kinds(tmp_path: Path) -> None:
    """In the order they are written, each with what belongs to its kind."""
    text = f"{TWO}[fcgi-program:f]\ncommand=x\nsocket=tcp://localhost:1\n[group:g]\nprograms=f,a\n"
    loaded = load_text(tmp_path, text)
    assert list(specs(loaded)) == ["b:b", "g:a", "g:f"]
    assert specs(loaded)["g:f"].socket == TcpSocketSpec(host="localhost", port=1)
    assert specs(loaded)["g:a"].socket is None
    assert loaded.warnings == ()


def test_two_processes_of_one_name(tmp_path: Path) -> None:
    """The later one is run, as Supervisor does, but with a warning."""
    text = (
        f"{HEAD}[program:a]\ncommand=run a\nprocess_name=p\n[program:b]\ncommand=run b\n"
        "process_name=p\n[group:g]\nprograms=a,b\n"
    )
    loaded = load_text(tmp_path, text)
    assert [s.program for s in specs(loaded).values()] == ["b"]
    (warning,) = loaded.warnings
    assert (warning.where.line, warning.what) == (9, "[group:g] has two processes called 'p'")
    assert warning.hint.startswith("only that of program b is run")


@pytest.mark.parametrize(("priority", "kept"), [("5", "b"), ("1000", "a")])
def test_group_called_like_a_program(tmp_path: Path, priority: str, kept: str) -> None:
    """Of two groups with one name the one that comes first by its priority is run."""
    text = f"{TWO}[group:a]\nprograms=b\npriority={priority}\n"
    loaded = load_text(tmp_path, text)
    assert list(specs(loaded)) == [f"a:{kept}"]
    (warning,) = loaded.warnings
    assert warning.what.endswith("is left out: another group is called 'a' too")


def test_two_sections_of_one_name(tmp_path: Path) -> None:
    """Blanks around a name don't count, so these two are one program, the first."""
    loaded = load_text(tmp_path, f"{TWO}[program: a ]\ncommand=other\n")
    assert specs(loaded)["a:a"].command == "run a"
    assert [w.what for w in loaded.warnings] == [
        "[program: a ] is left out: [program:a] is called the same"
    ]


@pytest.mark.parametrize(
    ("members", "hint"),
    [("aa", "add a section [program:aa]"), ("webb", "did you mean 'web'?")],
)
def test_unknown_members_come_with_advice(tmp_path: Path, members: str, hint: str) -> None:
    """Either the name is misspelt or the section is missing."""
    text = f"{HEAD}[program:web]\ncommand=x\n[group:g]\nprograms={members}\n"
    (problem,) = problems(tmp_path, text)
    assert problem.what == f"[group:g] names unknown program or fcgi-program {members}"
    assert problem.hint == hint


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ("[program:all]\ncommand=x\n", "2: [program:all]"),
        ("[eventlistener: all ]\ncommand=x\nevents=TICK_5\n", "2: [eventlistener: all ]"),
        ("[program:a]\ncommand=x\n[group:all]\nprograms=a\n", "4: [group:all]"),
    ],
)
def test_a_group_called_like_all_of_them(tmp_path: Path, text: str, section: str) -> None:
    """`stop all` is not about it, or not about it alone."""
    (warning,) = load_text(tmp_path, f"{HEAD}{text}").warnings
    assert brief((warning,), tmp_path) == [
        f"{section} is called as commands call all processes together"
    ]
    assert warning.hint == "rename it: `supervisorctl stop all` stops everything"


def test_a_member_called_all_is_addressed_by_its_group(tmp_path: Path) -> None:
    """As g:all."""
    text = f"{HEAD}[program:all]\ncommand=x\n[group:g]\nprograms=all\n"
    assert load_text(tmp_path, text).warnings == ()
