"""Random configurations, read by the real Supervisor and by opsvisord."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from ini_files import IniFiles, environment_of_files, ini_files
from known_differences import DIFFERENCES, Readings, disagreements, explanations
from real_supervisor import read

from opsvisor.compat.supervisor.config.load import load
from opsvisor.config.problems import ConfigError
from opsvisor.config.settings import Loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder of both readers. One for all examples: each writes its files anew."""
    before, there = Path.cwd(), tmp_path_factory.mktemp("ini")
    os.chdir(there)
    yield there
    os.chdir(before)


def read_by_both(files: IniFiles, folder: Path) -> Readings:
    """What each of the two makes of a configuration."""
    path = files.write(folder)
    with environment_of_files():
        try:
            ours: Loaded | ConfigError = load(path, os.environ)
        except ConfigError as why:
            ours = why
        try:
            theirs = read(path)
        except Exception as why:  # noqa: BLE001 - whatever it is, it would not start
            theirs = why
    return Readings(files, ours, theirs)


@settings(max_examples=2 * settings().max_examples)
@given(ini_files())
def test_both_agree(folder: Path, files: IniFiles) -> None:
    """On accepting or refusing, and on every fact of what both accept; or there is a reason.

    `--hypothesis-profile=long` looks at thousands of files instead of two hundred.
    """
    readings = read_by_both(files, folder)
    event("refused by theirs" if isinstance(readings.theirs, Exception) else "accepted by theirs")
    for found in disagreements(readings):
        reasons = explanations(found, files)
        assert reasons, f"{found}\n\n{files.texts()}"
        event(reasons[0])


@pytest.mark.parametrize("name", DIFFERENCES)
def test_every_reason_has_a_file_that_shows_it(folder: Path, name: str) -> None:
    """The two disagree about the example, for this reason and no other."""
    files = IniFiles(f"[supervisord]\n{DIFFERENCES[name].example}")
    found = disagreements(read_by_both(files, folder))
    assert {reason for one in found for reason in explanations(one, files)} == {name}
    assert all(explanations(one, files) for one in found)


def test_without_a_reason_a_disagreement_is_seen(folder: Path) -> None:
    """The property can fail: what is explained of one file is not explained of another."""
    example = DIFFERENCES["numbers have bounds"].example
    (found,) = disagreements(read_by_both(IniFiles(f"[supervisord]\n{example}"), folder))
    assert explanations(found, IniFiles("[supervisord]\n[program:a]\ncommand=x\n")) == []
