"""Random command lines of opsvisord, read beside the real supervisord."""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_supervisor import RejectedBySupervisor, options
from supervisor.loggers import (  # type: ignore[import-untyped]  # comes without annotations
    getLevelNumByDescription,
)

from opsvisor.daemon.flags import FLAGS, SETTINGS, BadFlags, Flags, parse

FILE = "supervisord.conf"
PATHS = ("a.log", "logs/x", "logs", "/nodir/x", "~/x", "~nosuch/x", ".", "..", "", "syslog", "a b")
NUMBERS = ("5", "0", "-1", "1_000", " 7 ", "1.5", "x", "", "٣", "0x10", "007")
TEXTS: dict[str, tuple[str, ...]] = {
    "user": ("root", "0", "daemon", "nosuch", "99999", "root:root", "", "-1", "00", " 0 ", "+0"),
    "umask": ("022", "0", "0o22", "9", "", "7777", "x", "-1", "10000"),
    "directory": PATHS,
    "childlogdir": PATHS,
    "logfile": PATHS,
    "pidfile": PATHS,
    "logfile_maxbytes": (*NUMBERS, "5KB", "5 mb", "1GB", "1M", "KB"),
    "logfile_backups": NUMBERS,
    "loglevel": ("info", "DEBUG", "trace", "blather", "warning", "warn", "", "10"),
    "identifier": ("one", "", "a b", "ö", "=x"),
    "minfds": NUMBERS,
    "minprocs": NUMBERS,
    "configuration": (FILE, FILE, FILE, "none.conf"),  # "" is a traceback there
}


class _Options(options.ServerOptions):  # type: ignore[misc]  # comes without annotations
    def usage(self, msg: object) -> None:
        raise RejectedBySupervisor(str(msg))


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before, there = Path.cwd(), tmp_path_factory.mktemp("flags")
    os.chdir(there)
    Path(FILE).write_text("[supervisord]\n")
    Path("logs").mkdir()
    yield
    os.chdir(before)


@st.composite
def words(draw: st.DrawFn) -> list[str]:
    """A few flags in all their spellings, now and then something else among them."""
    found: list[str] = []
    known = [flag for flag in FLAGS if flag.long in TEXTS or not flag.value]
    known = [flag for flag in known if flag.long not in ("check", "help", "version")]
    for flag in draw(st.lists(st.sampled_from(known), max_size=4)):
        text = draw(st.sampled_from(TEXTS.get(flag.long, ("",))))
        short_of = draw(st.integers(0, 3))
        long = f"--{flag.long[: len(flag.long) - short_of]}"
        spellings = [[long, text], [f"{long}={text}"], [f"-{flag.short}", text]]
        spellings += [[f"-{flag.short}{text}"]]
        if not flag.value:
            spellings = [[long], [f"-{flag.short}"], [f"-{flag.short}"], [f"{long}={text}"]]
        found += draw(st.sampled_from(spellings if flag.short else spellings[:2]))
    if draw(st.integers(0, 9)) == 5:
        odd = ("-x", "--nosuch", "word", "--", "-", "-n", "--no", "--log", "--m", "-?x", "-nkx")
        found.insert(draw(st.integers(0, len(found))), draw(st.sampled_from(odd)))
    return found


def ours(line: list[str]) -> Flags | str:
    """What opsvisord makes of it, or why it doesn't."""
    try:
        return parse(line)
    except BadFlags as why:
        return str(why)


def theirs(line: list[str]) -> Any:
    """Supervisor's options; or why there are none; or None where it printed and ended."""
    found = _Options()
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # root is advised to name the file
            found.realize(line, doc="", progname="supervisord")
    except RejectedBySupervisor as why:
        return str(why)
    except SystemExit:
        return None
    return found


@settings(max_examples=3 * settings().max_examples)
@given(words())
def test_both_agree(line: list[str]) -> None:
    """On refusing it, and in which words; or on the value of every flag."""
    mine, real = ours(line), theirs(line)
    if real is None:
        assert isinstance(mine, Flags)
        assert mine.info
        return
    if isinstance(real, str):
        if not real.startswith("could not find config"):  # which we look for when all is read
            assert isinstance(mine, str)
            assert mine == real or "value out of range" in mine
        return
    if isinstance(mine, str):
        assert "value out of range" in mine
        return
    assert mine.settings.keys() <= {flag.long for flag in SETTINGS}
    for name, value in mine.settings.items():
        assert same(name, value, real), (name, value, getattr(real, name))


def same(name: str, value: Any, real: Any) -> bool:
    """Whether both have this value. Paths are absolute here, as soon as they are read."""
    their = getattr(real, name)
    match name:
        case "directory" | "childlogdir":
            return bool(value == str(Path(their).expanduser().absolute()))
        case "logfile" | "pidfile":
            return bool(os.path.normpath(value) == os.path.normpath(their))
        case "user":
            return bool(value.uid == real.uid)
        case "loglevel":
            return bool(their == getLevelNumByDescription(value.value))
        case _:
            return bool(value == their)
