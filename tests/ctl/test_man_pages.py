"""The manual pages: made of what the programs know, and as readers of man(7) want them."""

import os
import re
import subprocess
from pathlib import Path

import click
import pytest

from opsvisor.config.option import Section, options_of
from opsvisor.config.schema import ProgramOptions
from opsvisor.ctl.exit_codes import MEANINGS, Exit
from opsvisor.ctl.registry import COMMANDS
from opsvisor.ctl.usage import command
from opsvisor.daemon.flags import FLAGS

_ROOT = Path(__file__).parents[2]
_PAGES = ("opsvisorctl.1", "opsvisord.8", "opsvisor.toml.5")
_LIMIT = 60.0


def _read(page: str) -> str:
    """The page as a reader sees it in a pipe."""
    done = subprocess.run(
        ["man", "-l", str(_ROOT / "docs/man" / page)],
        capture_output=True,
        check=True,
        text=True,
        timeout=_LIMIT,
        env={**os.environ, "MANWIDTH": "200", "LC_ALL": "C.UTF-8", "PAGER": "cat"},
    )
    return re.sub(r".\x08", "", done.stdout)


@pytest.mark.parametrize("page", _PAGES)
@pytest.mark.parametrize(
    "judge",
    [
        ["mandoc", "-T", "lint", "-W", "style"],
        ["groff", "-ww", "-man", "-Kutf8", "-Tutf8", "-z"],
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"],
    ],
)
def test_nothing_is_wrong_with_the_source(judge: list[str], page: str) -> None:
    """Not to mandoc, whose style is the strictest, nor to groff."""
    done = subprocess.run(
        [*judge, str(_ROOT / "docs/man" / page)],
        capture_output=True,
        check=False,
        text=True,
        timeout=_LIMIT,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    found = done.stderr if judge[0] == "man" else f"{done.stdout}{done.stderr}"
    assert (done.returncode, found) == (0, "")


def test_opsvisorctl_explains_every_command_and_option() -> None:
    """What follows a command included; so does `help`, of the same table."""
    text = _read("opsvisorctl.1")
    for one in COMMANDS.values():
        assert f"\n   {one.name}\n" in text
        for form, _ in one.forms:
            assert form in text
        for option in one.options:
            assert option.usage in text
    for param in command.params:
        if isinstance(param, click.Option):
            assert all(name in text for name in param.opts)


def test_opsvisord_explains_every_flag() -> None:
    """Short and long."""
    text = _read("opsvisord.8")
    for flag in FLAGS:
        names = f"-{flag.short}, --{flag.long}" if flag.short else f"--{flag.long}"
        assert f"       {names}" in text


def test_opsvisor_toml_explains_every_option_of_a_program() -> None:
    """With their kinds and defaults."""
    text = _read("opsvisor.toml.5")
    for name, option in options_of(ProgramOptions).items():
        if not isinstance(option.kind, Section):
            assert f"       {name} = {option.kind.name}" in text
    assert "Default: 10s" in text or 'Default: "10s"' in text


def test_every_exit_status_is_explained() -> None:
    """In the manual and in the reference, and each has a meaning."""
    assert {meaning.status for meaning in MEANINGS} == set(Exit)
    text = _read("opsvisorctl.1")
    page = (_ROOT / "docs/reference/exit-codes.md").read_text()
    for meaning in MEANINGS:
        whose = f" ({meaning.commands})" if meaning.commands else ""
        assert f"       {meaning.status.value}{whose}" in text
        assert meaning.says in page
    assert all(
        name in COMMANDS for meaning in MEANINGS for name in meaning.commands.split(", ") if name
    )


def test_every_variable_that_opsvisorctl_reads_is_explained() -> None:
    """Whatever is looked up in the environment by our name."""
    source = (_ROOT / "opsvisor/ctl/connection.py").read_text()
    names = set(re.findall(r'environ\.get\("(OPSVISOR_\w+)"\)', source))
    assert "OPSVISOR_URL" in names
    text = _read("opsvisorctl.1")
    assert [name for name in sorted(names) if f" {name}" not in text] == []
