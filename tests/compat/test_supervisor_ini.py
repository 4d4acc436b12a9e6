"""Supervisor's INI grammar, includes, and the line of every key."""

import configparser
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor_files import write

from opsvisor.compat.supervisor.config.ini import Ini, _Parser, read_all, read_alone
from opsvisor.config.problems import ConfigError, Place


def read(folder: Path, text: str) -> Ini:
    """A main file of this text and what it includes."""
    return read_all(write(folder, text), {"ENV_KIND": "conf", "host_node_name": "h1"})


def values(ini: Ini, section: str) -> dict[str, str]:
    """The texts of one section."""
    return {key: entry.value for key, entry in ini.sections[section].entries.items()}


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("command = cat", "command", "cat"),
        ("command: cat", "command", "cat"),
        ("COMMAND=cat", "command", "cat"),
        ("command=cat ; comment", "command", "cat"),
        ("command=cat # comment", "command", "cat"),
        ("command=a;b#c", "command", "a;b#c"),
        ("command=sh -c 'a ; b'", "command", "sh -c 'a"),
        ("command=a=b:c", "command", "a=b:c"),
        ("command=", "command", ""),
        ("command=a\n  b\n\n  ; note\n  c", "command", "a\nb\n\nc"),
        ("command=a\n# note\n  b", "command", "a\nb"),
        ("command=a\ncommand=b", "command", "b"),
    ],
)
def test_grammar_is_that_of_supervisor(tmp_path: Path, line: str, key: str, value: str) -> None:
    """Comments, continuations, colons and upper case are read as Supervisor reads them."""
    assert values(read(tmp_path, f"[program:a]\n{line}\n"), "program:a") == {key: value}


def test_every_key_knows_its_line(tmp_path: Path) -> None:
    """A place is the line where the key begins, not where its value ends."""
    path = write(tmp_path, "; top\n[a]\nx = 1\n\n  2\ny = 3\n[b]\nz: 4\n")
    ini = read_all(path, {})
    assert ini.sections["a"].where == Place(str(path), 2)
    places = [entry.where.line for s in ini.sections.values() for entry in s.entries.values()]
    assert places == [3, 6, 8]


def test_duplicate_sections_merge_and_the_last_key_wins(tmp_path: Path) -> None:
    """The section stands where it began; the key stands where it was last set."""
    ini = read(tmp_path, "[a]\nx=1\ny=2\n[b]\n[a]\nx=3\n")
    assert values(ini, "a") == {"x": "3", "y": "2"}
    assert ini.sections["a"].where.line == 1
    assert ini.sections["a"].entries["x"].where.line == 6


def test_defaults_count_for_every_section(tmp_path: Path) -> None:
    """[DEFAULT] gives values to all sections; they keep their line and are marked."""
    ini = read(tmp_path, "[DEFAULT]\nuser=bob\n[a]\nuser=eve\n[b]\n")
    assert ini.sections["a"].entries["user"].value == "eve"
    assert not ini.sections["a"].entries["user"].inherited
    inherited = ini.sections["b"].entries["user"]
    assert (inherited.value, inherited.where.line, inherited.inherited) == ("bob", 2, True)
    assert "DEFAULT" not in ini.sections


def test_umlauts_in_names(tmp_path: Path) -> None:
    """Files are UTF-8, and section names may use it."""
    assert read(tmp_path, "[program:test_öäü]\n").sections["program:test_öäü"].label == "test_öäü"


def test_includes_are_read_in_sorted_order_relative_to_the_main_file(tmp_path: Path) -> None:
    """Patterns in written order, the files of each sorted; later files override earlier ones."""
    for name, value in (("b", "2"), ("a", "1"), ("c", "3")):
        write(tmp_path, f"[x]\nv={value}\n[only_{name}]\n", f"conf.d/{name}.conf")
    ini = read(
        tmp_path, "[include]\nfiles = conf.d/c.conf\n  %(ENV_KIND)s.d/[ab].conf\n[x]\nv=0\n"
    )
    assert values(ini, "x") == {"v": "2"}
    assert [Path(file).name for file in ini.files] == ["supervisord.conf"] + [
        f"{name}.conf" for name in "cab"
    ]
    assert ini.sections["x"].entries["v"].where == Place(str(tmp_path / "conf.d/b.conf"), 2)


def test_unknown_name_in_an_include_pattern(tmp_path: Path) -> None:
    """The message lists what there is."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "[include]\nfiles=%(nope)s\n")
    assert caught.value.problems[0].what == (
        "Format string '%(nope)s' for 'include.files' contains names ('nope') which cannot be "
        "expanded. Available names: ENV_KIND, here, host_node_name"
    )


@pytest.mark.parametrize("pattern", ["%(here)s/more.ini", "%(host_node_name)s.ini", "more.ini"])
def test_names_in_include_patterns(tmp_path: Path, pattern: str) -> None:
    """`here`, the node's name and the environment may be used to say what to include."""
    write(tmp_path, "[found]\n", "more.ini")
    write(tmp_path, "[found]\n", "h1.ini")
    assert "found" in read(tmp_path, f"[include]\nfiles={pattern}\n").sections


def test_absolute_include_patterns(tmp_path: Path) -> None:
    """An absolute pattern leaves the folder of the main file."""
    other = write(tmp_path / "other", "[found]\n", "x.conf")
    main = tmp_path / "main"
    main.mkdir()
    assert "found" in read(main, f"[include]\nfiles={other.parent}/*\n").sections


def test_here_is_the_folder_of_the_file_that_says_it(tmp_path: Path) -> None:
    """Main file and included file each have their own `here`."""
    write(tmp_path, "[b]\ny=%(here)s\n", "sub/inc.conf")
    ini = read(tmp_path, "[include]\nfiles=sub/*\n[a]\nx=%(here)s\n")
    assert ini.sections["a"].entries["x"].here == str(tmp_path)
    assert ini.sections["b"].entries["y"].here == str(tmp_path / "sub")


def test_here_in_a_default_is_the_folder_of_the_later_file(tmp_path: Path) -> None:
    """That of the section that takes it over, if it comes from a file behind the default's own."""
    write(tmp_path, "[DEFAULT]\ny=%(here)s\n[b]\n", "sub/inc.conf")
    ini = read(tmp_path, "[include]\nfiles=sub/*\n[DEFAULT]\nx=%(here)s\n[a]\n")
    main, sub = str(tmp_path), str(tmp_path / "sub")
    assert {key: entry.here for key, entry in ini.sections["a"].entries.items()} == {
        "x": main,
        "y": sub,
    }
    assert {key: entry.here for key, entry in ini.sections["b"].entries.items()} == {
        "x": sub,
        "y": sub,
    }


def test_no_match_is_a_warning_in_supervisors_words(tmp_path: Path) -> None:
    """An empty conf.d is fine."""
    (warning,) = read(tmp_path, "[include]\nfiles=conf.d/*.conf\n").warnings
    assert warning.what == f'No file matches via include "{tmp_path}/conf.d/*.conf"'
    assert warning.where.line == 2


def test_folders_among_the_matches_are_left_out_with_a_warning(tmp_path: Path) -> None:
    """`conf.d/*` may find a folder, which Supervisor passes over in silence."""
    (tmp_path / "conf.d/old").mkdir(parents=True)
    (warning,) = read(tmp_path, "[include]\nfiles=conf.d/*\n").warnings
    assert warning.what == f"could not read {tmp_path}/conf.d/old: Is a directory, it is left out"


def test_includes_do_not_nest(tmp_path: Path) -> None:
    """An [include] in an included file is not followed, and somebody is told."""
    write(tmp_path, "[include]\nfiles=b.inc\n", "a.inc")
    write(tmp_path, "[never]\n", "b.inc")
    ini = read(tmp_path, "[include]\nfiles=a.inc\n")
    assert "never" not in ini.sections
    (warning,) = ini.warnings
    assert warning.where == Place(str(tmp_path / "a.inc"), 1)
    assert warning.what == "[include] has no effect inside an included file"


def test_read_alone_does_not_follow_includes(tmp_path: Path) -> None:
    """The control program reads one file only, whatever that asks for."""
    path = write(tmp_path, "[include]\nfiles=a.inc\n")
    write(tmp_path, "[never]\n", "a.inc")
    assert list(read_alone(path).sections) == ["include"]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("x=1\n", 1, "File contains no section headers: 'x'"),
        ("[a]\nfoo\n", 2, "Source contains parsing errors: 'foo'"),
        ("[a]\n\n= 1\n", 3, "Source contains parsing errors"),
        ("[include]\n", 1, ".ini file has [include] section, but no files setting"),
        (
            "[include]\nfiles=100%\n",
            2,
            "Format string '100%' for 'include.files' is badly formatted: incomplete format",
        ),
    ],
)
def test_syntax_errors_have_a_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    """A broken file is a problem with a place and a hint, not a traceback."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    (problem,) = caught.value.problems
    assert (problem.where.line, problem.what) == (line, what)


def test_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    """Nobody sees it: the line looks as it should. What is said against it works."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "\ufeff[a]\nx = 1\n")
    (problem,) = caught.value.problems
    before, _, command = problem.hint.partition(": ")
    assert before == "remove the byte order mark before it"
    subprocess.run(command, shell=True, check=True)
    assert list(read_alone(Path(problem.where.file)).sections) == ["a"]


def test_syntax_errors_of_all_files_come_together(tmp_path: Path) -> None:
    """Three slips in two files are three problems."""
    write(tmp_path, "[b]\noops\n", "x.inc")
    write(tmp_path, "[c]\noops\nagain\n", "y.inc")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "[include]\nfiles=*.inc\n")
    assert [(Path(p.where.file).name, p.where.line) for p in caught.value.problems] == [
        ("x.inc", 2),
        ("y.inc", 2),
        ("y.inc", 3),
    ]


def test_files_that_are_not_utf8(tmp_path: Path) -> None:
    """Both the main file and an included one are named with the line of the strange byte."""
    (tmp_path / "bad.inc").write_bytes(b"[a]\nx=1\ny=\xff\n")
    for path in (tmp_path / "bad.inc", write(tmp_path, "[include]\nfiles=bad.inc\n")):
        with pytest.raises(ConfigError) as caught:
            read_all(path, {})
        (problem,) = caught.value.problems
        assert problem.where == Place(str(tmp_path / "bad.inc"), 3)
        assert "not UTF-8" in problem.what


def test_files_in_the_encoding_of_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What isn't UTF-8 is read as Supervisor reads it; what is UTF-8 is read as that."""
    monkeypatch.setattr("locale.getpreferredencoding", lambda do_setlocale: "iso-8859-1")  # noqa: ARG005 - as called
    for encoding in ("iso-8859-1", "utf-8"):
        for name in ("supervisord.conf", "x.inc"):
            text = f"[{name}]\r\nname = \u00e4\r\n[include]\r\nfiles = x.inc\r\n"
            (tmp_path / name).write_bytes(text.encode(encoding))
        ini = read_all(tmp_path / "supervisord.conf", {})
        assert values(ini, "supervisord.conf") == values(ini, "x.inc") == {"name": "\u00e4"}


def test_missing_and_unreadable_main_file(tmp_path: Path) -> None:
    """The two texts that supervisord has for them."""
    for path, what in (
        (tmp_path / "none.conf", "could not find config file"),
        (tmp_path, "could not read config file"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_all(path, {})
        assert caught.value.problems[0].what == f"{what} {path}"


_LINES = st.sampled_from(
    [
        "[a]",
        "[b] ; note",
        "[DEFAULT]",
        "  [c]",
        "x = 1",
        "X: 2",
        "y=",
        "key with blanks = v",
        "  indented = 3",
        "    deeper",
        "\tx=tab",
        "",
        "   ",
        "; comment",
        "  # comment",
        "z = a ; b",
        "z = [a]",
        "\x0c",
        "w=\x85\u2028v",
    ]
)


@given(st.lists(_LINES, max_size=12))
def test_positions_agree_with_configparser(lines: list[str]) -> None:
    """Of whatever configparser accepts: values are its own, keys stand where they say."""
    text = "".join(f"{line}\n" for line in lines)
    reference = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        reference.read_string(text)
    except configparser.Error:
        return
    parser = _Parser()
    parser.read_text(text, "f")
    for section, places in parser.header_places.items():
        assert all(lines[place.line - 1].strip().startswith(f"[{section}]") for place in places)
    for section in (*reference.sections(), "DEFAULT"):
        own = reference.defaults() if section == "DEFAULT" else reference._sections[section]  # type: ignore[attr-defined]  # the values without [DEFAULT]
        kept = parser.defaults() if section == "DEFAULT" else parser._sections[section]  # type: ignore[attr-defined]  # the values without [DEFAULT]
        assert kept == own
        for key in own:
            stands = lines[parser.key_places[section, key].line - 1]
            assert stands.strip().lower().startswith(key)
