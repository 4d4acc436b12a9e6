import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from opsvisor.config.load import load, native
from opsvisor.config.problems import ConfigError, system_says
from opsvisor.config.settings import DaemonSettings, Loaded
from opsvisor.core.plan import Plan


def write(directory: Path, files: Mapping[str, str]) -> Path:
    """Create files; the path of the first."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return directory / next(iter(files))


def problems(path: Path) -> list[str]:
    """All problems of a file that can't be loaded, without its directory and without hints."""
    with pytest.raises(ConfigError) as caught:
        native(path, {})
    prefix = f"{path.parent}/"
    return [f"{p.where}: {p.what}".replace(prefix, "") for p in caught.value.problems]


def test_included_files_add_programs_and_groups(tmp_path: Path) -> None:
    """In the order of their names, each once, the main file never."""
    path = write(
        tmp_path,
        {
            "opsvisor.toml": 'include = ["conf.d/*.toml", "*.toml", "conf.d/a.toml"]\n'
            "[program.main]\ncommand = 'x'\n[defaults]\nnice = 3\n",
            "conf.d/b.toml": "[program.b]\ncommand = 'x'\nenv_file = 'b.env'\n"
            "log = { stdout = 'b.log' }\n",
            "conf.d/b.env": "A=1\n",
            "conf.d/a.toml": "[program.a]\ncommand = 'x'\ngroup = 'g'\n[group.g]\npriority = 4\n",
        },
    )
    loaded = native(path, {})
    assert loaded.files == tuple(
        str(tmp_path / name) for name in ("opsvisor.toml", "conf.d/a.toml", "conf.d/b.toml")
    )
    assert [(g.name, g.priority) for g in loaded.plan.groups] == [
        ("g", 4),
        ("b", 999),
        ("main", 999),
    ]
    specs = {spec.program: spec for spec in loaded.plan.specs().values()}
    assert {spec.nice for spec in specs.values()} == {3}
    # A relative path begins at the file that it is written in.
    assert specs["b"].stdout.path == str(tmp_path / "conf.d/b.log")
    assert specs["b"].environment == (("A", "1"),)


def test_a_relative_default_begins_at_the_file_of_the_defaults(tmp_path: Path) -> None:
    """Not at the file of the program that inherits it."""
    path = write(
        tmp_path,
        {
            "opsvisor.toml": "include = 'conf.d/*.toml'\ndefaults.working_dir = 'work'\n",
            "conf.d/a.toml": "[program.a]\ncommand = 'x'\n",
        },
    )
    (spec,) = native(path, {}).plan.specs().values()
    assert spec.working_dir == str(tmp_path / "work")


def test_relative_names_stay_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are named as the user named them, but paths in the plan are absolute."""
    write(
        tmp_path,
        {
            "opsvisor.toml": "include = 'conf.d/*.toml'\n",
            "conf.d/a.toml": "[program.a]\ncommand = 'x'\nworking_dir = '.'\n",
        },
    )
    monkeypatch.chdir(tmp_path)
    loaded = native(Path("opsvisor.toml"), {})
    assert loaded.files == ("opsvisor.toml", "conf.d/a.toml")
    (spec,) = loaded.plan.specs().values()
    assert spec.working_dir == str(tmp_path / "conf.d")


def test_problems_of_all_files_come_together(tmp_path: Path) -> None:
    """Syntax errors, double definitions and what doesn't belong into an included file."""
    path = write(
        tmp_path,
        {
            "opsvisor.toml": "include = 'conf.d/*'\n[program.web]\nnice = 'y'\ncommand = 'x'\n",
            "conf.d/a.toml": "include = 'x'\n[daemon]\nmin_fds = 1\n",
            "conf.d/b.toml": "[program.web]\ncommand = 'x'\n[program.c]\nnice = 'x'\n",
            "conf.d/c.toml": "[program.d]\ncommand =\n",
            "conf.d/d.toml": "group = 1\n[program.c]\ncommand = 'x'\n",
        },
    )
    assert problems(path) == [
        "opsvisor.toml:3: program 'web': nice = 'y': expected an integer, got a string",
        "conf.d/a.toml:1: an included file can't include others",
        "conf.d/a.toml:2: an included file can't hold 'daemon'",
        "conf.d/b.toml:1: program 'web' is already defined at opsvisor.toml:2",
        "conf.d/b.toml:3: program 'c': command is missing",
        "conf.d/b.toml:4: program 'c': nice = 'x': expected an integer, got a string",
        "conf.d/c.toml:2: not valid TOML: invalid value, column 10",
        "conf.d/d.toml:1: group is not a table",
        "conf.d/d.toml:2: program 'c' is already defined at conf.d/b.toml:3",
    ]


def test_a_program_that_isnt_a_table_takes_no_others(tmp_path: Path) -> None:
    """The main file's slip doesn't bring down the merge."""
    path = write(
        tmp_path,
        {
            "opsvisor.toml": "include = 'a.toml'\nprogram = 1\n",
            "a.toml": "[program.web]\ncommand = 'x'\n",
        },
    )
    assert problems(path) == [
        "opsvisor.toml:2: program: expected a table, got an integer",
        "a.toml:1: program is not a table",
    ]


def test_a_pattern_that_matches_nothing_is_odd(tmp_path: Path) -> None:
    """An empty conf.d is no reason to refuse the start."""
    path = write(tmp_path, {"[old]/opsvisor.toml": "\ninclude = 'conf.d/*.toml'\n"})
    (warning,) = native(path, {}).warnings
    assert str(warning) == (
        f"{path}:2: include = 'conf.d/*.toml' matches no file\n"
        f"    hint: it is relative to {path.parent}"
    )


def test_files_that_cant_be_read(tmp_path: Path) -> None:
    """Missing, a directory, or not text: always a problem of that file."""
    assert problems(tmp_path / "none.toml") == [
        "none.toml: can't be read: no such file or directory"
    ]
    (tmp_path / "dir.toml").mkdir()
    assert problems(tmp_path / "dir.toml") == ["dir.toml: can't be read: is a directory"]
    (tmp_path / "bytes.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    assert problems(tmp_path / "bytes.toml") == ["bytes.toml:2: not UTF-8: byte 0xff"]


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    """Some editors write one."""
    path = tmp_path / "opsvisor.toml"
    path.write_bytes(b"\xef\xbb\xbf[program.web]\ncommand = 'x'\n")
    assert len(native(path, {}).plan.groups) == 1


def foreign(path: Path, environ: Mapping[str, str], _: bytes | None) -> Loaded:
    """A frontend for another format, which remembers what it was given."""
    return Loaded(plan=Plan(), settings=DaemonSettings(), files=(str(path), *environ))


@pytest.mark.parametrize(
    ("name", "text", "is_foreign"),
    [
        ("a.toml", "[program.web]\ncommand = 'x'\n", False),
        ("a.conf", "", True),
        ("a.cfg", "; comment\n[supervisord]\n", True),
        ("a", "[program:web]\ncommand=x\n", True),
        ("a", "[program.web]\ncommand = '[supervisord]'\n", False),
        ("a.cfg", "", False),
    ],
)
def test_which_frontend(name: str, text: str, *, is_foreign: bool, tmp_path: Path) -> None:
    """The suffix decides; where it says nothing, a section of Supervisor's does."""
    path = write(tmp_path, {name: text})
    loaded = load(path, {".conf": foreign}, {"HOME": "/"})
    assert (loaded.files == (str(path), "HOME")) is is_foreign


@pytest.mark.parametrize("text", ["[supervisord]\n", "[program.web]\ncommand = 'x'\r\n"])
def test_a_pipe_is_read_once(text: str) -> None:
    """What it is and what it says come out of the same bytes."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    seen: list[bytes | None] = []

    def remember(path: Path, environ: Mapping[str, str], raw: bytes | None) -> Loaded:
        seen.append(raw)
        return foreign(path, environ, raw)

    try:
        loaded = load(Path(f"/dev/fd/{reading}"), {".conf": remember}, {})
    finally:
        os.close(reading)
    if seen:
        assert seen == [text.encode()]
    else:
        assert [str(one) for one in loaded.plan.specs()] == ["web"]


def test_what_has_no_end() -> None:
    """It is no configuration, and takes no memory."""
    with pytest.raises(ConfigError, match="has more than 33554432 bytes"):
        native(Path("/dev/zero"), {})


def test_what_all_files_have_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them alone would be taken; after the first that is too much, none is read."""
    monkeypatch.setattr("opsvisor.config.problems._BYTES_MAX", 1000)
    files = {f"conf.d/{n}.toml": f"# {'x' * 400}" for n in range(5)}
    main = write(tmp_path, {"opsvisor.toml": 'include = "conf.d/*.toml"\n', **files})
    with pytest.raises(ConfigError) as caught:
        native(main, {})
    assert [(one.where.file, one.what) for one in caught.value.problems] == [
        (str(tmp_path / "conf.d/2.toml"), "the configuration has more than 1000 bytes")
    ]


def test_supervisors_format_without_its_frontend(tmp_path: Path) -> None:
    """The answer names the format and isn't a TOML syntax error."""
    path = write(tmp_path, {"supervisord.conf": "[supervisord]\n"})
    with pytest.raises(ConfigError, match="looks like a configuration of Supervisor"):
        load(path, {}, os.environ)


@pytest.mark.parametrize(
    ("error", "text"),
    [(PermissionError(13, "Permission denied"), "permission denied"), (OSError("Odd"), "odd")],
)
def test_what_the_system_says(error: OSError, text: str) -> None:
    """In the middle of a sentence, and something in any case."""
    assert system_says(error) == text
