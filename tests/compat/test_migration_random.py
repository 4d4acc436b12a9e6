"""Random files of Supervisor's: the same plan afterwards, or a word about what isn't."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from ini_files import ENVIRON, IniFiles, environment_of_files, ini_files
from migrations import HEAD, both, facts
from supervisor_files import write

from opsvisor.compat.supervisor.config.load import load
from opsvisor.compat.supervisor.migrate.migration import migrate
from opsvisor.config.load import native_text
from opsvisor.config.problems import ConfigError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder. One for all examples: each writes its files anew."""
    before, there = Path.cwd(), tmp_path_factory.mktemp("ini")
    os.chdir(there)
    yield there
    os.chdir(before)


@given(ini_files())
def test_nothing_differs_in_silence(folder: Path, files: IniFiles) -> None:
    """A file that can be used is migrated to one that can be, and what differs is told."""
    path = files.write(folder)
    with environment_of_files():
        try:
            load(path, ENVIRON, start_directory=folder)
        except ConfigError:
            event("refused")
            return
        done = migrate(path, ENVIRON, start=folder, target=folder / "opsvisor.toml")
        before, after = both(folder, done, ENVIRON)
    event("with differences" if done.differences else "the same")
    told = [one.what for one in done.differences]
    for subject in differing(facts(before, folder), facts(after, folder)):
        assert any(word in what for what in told for word in subject), (subject, told, done.text)


def differing(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """What must be told about: for each, the words of which one must be in it."""
    old, new = before["settings"], after["settings"]
    if old["servers"] != new["servers"]:
        yield ("server",)
    yield from ((f"opsvisord: {key}",) for key in old if key != "servers" and old[key] != new[key])
    for name, *rest in before["groups"]:
        if [name, *rest] not in [list(group) for group in after["groups"]]:
            yield (f"group {name}",)
    for name, process in before["processes"].items():
        other = after["processes"].get(name)
        if other is None:
            # It never starts, has another name, or its section is left out, blanks and all.
            program = process["program"]
            yield name, f":{program}]", f": {program} ]", f": {program}]", f":{program} ]"
        elif other != process:
            yield (f"{name}: {next(key for key in process if other[key] != process[key])}",)


# What a value may be made of: all that means something to one of the readers, and more.
_PIECES = st.sampled_from(
    [*"'\"\\{}$%#;=,: \t", "${HOME}", "{replica}", "{{", "%(process_num)d", "%(program_name)s"]
)
_VALUES = st.lists(_PIECES | st.text(max_size=3), max_size=12).map("".join)


@given(
    _VALUES, _VALUES, st.sampled_from(["command", "directory", "stdout_logfile", "environment"])
)
def test_any_value_survives(folder: Path, first: str, second: str, key: str) -> None:
    """Whatever is in it, for the three processes of a program."""
    if key == "environment":
        first, second = first.replace('"', ""), second.replace('"', "")
    value = {
        "command": f"/bin/x {first}'{second}",
        "directory": f"/{first}{second}",
        "stdout_logfile": f"{folder}/x{first.replace('/', '')}{second.replace('/', '')}",
        "environment": f'A="{first}",B="{second}"',
    }[key]
    command = "" if key == "command" else "command = /bin/cat\n"
    text = (
        f"{HEAD}[program:a]\n{command}numprocs = 3\nprocess_name = p%(process_num)d\n"
        f"{key} = {value}\n"
    )
    try:
        path = write(folder, text)
    except UnicodeEncodeError:
        assume(False)
    try:
        before = load(path, {"HOME": "/home"}, start_directory=folder)
    except ConfigError:
        event("refused")
        return
    done = migrate(path, {"HOME": "/home"}, start=folder, target=folder / "opsvisor.toml")
    after = native_text(done.text, folder / "opsvisor.toml", {"HOME": "/home"})
    # Of what Supervisor reads otherwise than we do, ours is carried over.
    told = {one.what for one in done.differences if "reads another value" not in one.what}
    if told:
        event("told")
        assert ".." in value or any("can never start" in what for what in told), told
        return
    event("the same")
    assert facts(before, folder) == facts(after, folder), done.text
