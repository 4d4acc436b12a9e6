"""Whatever is in a file, reading it ends soon, in a configuration or in a ConfigError."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import pytest
import read_within_limits
from hypothesis import given, settings
from hypothesis import strategies as st
from ini_files import ENVIRON, IniFiles, ini_files
from supervisor_files import write

from opsvisor.compat.supervisor.config.control_file import read_control_settings
from opsvisor.compat.supervisor.config.load import load
from opsvisor.config.problems import ConfigError

SAMPLE = (files("supervisor") / "skel" / "sample.conf").read_bytes()
FULL_SAMPLE = SAMPLE.replace(b"\n;", b"\n")  # all that is commented out there as well
# Pieces that mean something to one of the layers of the grammar.
PIECES = (
    *(character.encode() for character in "[]=:;#%()\"',\\\n\r\t \0~/é\x85\u2028\ufeff"),
    *(b"%(", b")s", b"%(here)s", b"%%", b"%(ENV_LONG)s", b"9" * 40, b"${", b"\x1b"),
    *(b"\n ", b"\n[", b"]\n", b"\n[DEFAULT]\n", b"\n[include]\nfiles=*\n", b"[program:"),
    *(b"numprocs=", b"\nenvironment=", b"\xff", b"\xc3", b"\xed\xa0\x80"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder. One for all examples: each writes its file anew."""
    before, there = Path.cwd(), tmp_path_factory.mktemp("fuzz")
    os.chdir(there)
    yield there
    os.chdir(before)


def survives(folder: Path, text: bytes) -> None:
    """Both readers take these bytes, or refuse them in the one way there is."""
    path = folder / "supervisord.conf"
    path.write_bytes(text)
    for reader in (load, read_control_settings):
        with suppress(ConfigError):
            reader(path, ENVIRON)


@settings(max_examples=2 * settings().max_examples)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=60))
def test_random_bytes(folder: Path, pieces: Iterable[bytes]) -> None:
    """Of any kind, and with whatever the grammar gives a meaning to."""
    survives(folder, b"".join(pieces))
    survives(folder, b"[supervisord]\n[program:a]\ncommand=x\n" + b"".join(pieces))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A file that somebody uses, with pieces of it lost, doubled, exchanged or put in."""
    texts = st.sampled_from((SAMPLE, FULL_SAMPLE)) | ini_files().map(_main_of)
    text = draw(texts)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        piece = text[start:end]
        change = draw(st.sampled_from((b"", piece * 2, piece[::-1])) | st.sampled_from(PIECES))
        text = text[:start] + change + text[end:]
    return text


def _main_of(drawn: IniFiles) -> bytes:
    return drawn.main.encode()


@settings(max_examples=2 * settings().max_examples)
@given(mutated())
def test_mutated_files(folder: Path, text: bytes) -> None:
    """Slips of the editor in real files."""
    survives(folder, text)


HEAD = "[supervisord]\n"
PROGRAM = f"{HEAD}[program:a]\ncommand=x\n"
MANY = "numprocs=10000\nprocess_name=%(process_num)d\n"
MB = 1_000_000
NESTED = (
    f"{HEAD}environment=A='{'%(ENV_LONG)s' * 100}'\n[program:a]\n"
    f"environment=B='{'%(ENV_A)s' * 1000}'\ncommand={'%(ENV_B)s' * 1000}\n"
)

# What each is answered with begins so. All of them took minutes or gigabytes, or could.
HOSTILE = {
    "a long variable": (f"{PROGRAM}environment=A={'x' * MB}\n", "environment is longer"),
    "an open quote": (f'{PROGRAM}environment=A="{"x" * 200_000}\n', "No closing quotation"),
    "many variables": (f"{PROGRAM}environment={'A=1,' * 60_000}\n", "accepted"),
    "a long command": (f"{PROGRAM}command={'x' * MB}\n", "accepted"),
    "many words": (f"{PROGRAM}command={'a ' * 120_000}\n", "accepted"),
    "many percent signs": (f"{PROGRAM}command={'%%' * 500_000}\n", "accepted"),
    "many open parentheses": (f"{PROGRAM}command={'%(' * 500_000}\n", "Format string"),
    "deep parentheses": (f"{PROGRAM}command=%({'(' * MB}{')' * MB})s\n", "becomes longer"),
    "many names": (f"{PROGRAM}command={'%(here)s' * 100_000}\n", "becomes longer than"),
    "a wide name": (f"{PROGRAM}command=%(here)999999999s\n", "a width is beyond 255"),
    "a wide number": (f"{PROGRAM}process_name=%(process_num)0999999d\n", "a width is beyond"),
    "a precise name": (f"{PROGRAM}command=%(here).999999999s\n", "a width is beyond 255"),
    "names of names of names": (NESTED, "becomes longer than"),
    "a long section": (f"{HEAD}[{'p' * MB}]\n", "accepted"),
    "open brackets": (f"{HEAD}{'[' * MB}\n", "Source contains parsing errors"),
    "many keys": (PROGRAM + "".join(f"k{i}=1\n" for i in range(30_000)), "accepted"),
    "many sections": (HEAD + "".join(f"[s{i}]\na=1\n" for i in range(10_000)), "accepted"),
    "defaults of many sections": (
        "[DEFAULT]\n"
        + "".join(f"k{i}=1\n" for i in range(10_000))
        + "".join(f"[s{i}]\n" for i in range(10_000))
        + HEAD,
        "accepted",
    ),
    "many programs": (
        HEAD + "".join(f"[program:p{i}]\ncommand=x\n" for i in range(10_000)),
        "accepted",
    ),
    "many processes": (
        HEAD + "".join(f"[program:p{i}]\ncommand=x\n{MANY}" for i in range(10_000)),
        "there are more than 50000 processes",
    ),
    "many processes of a group": (
        f"{PROGRAM}{MANY}[group:g]\nprograms={'a,' * 10_000}a\n",
        "there are more than 50000 processes",
    ),
    "many members": (f"{PROGRAM}[group:g]\nprograms={'a,' * 10_000}a\n", "accepted"),
    "many lines of a value": (f"{PROGRAM}command=a\n" + "  b\n" * 100_000, "accepted"),
    "many blank lines in a value": (
        f"{PROGRAM}command=a\n" + " \n" * 100_000 + " b\n",
        "accepted",
    ),
    "many comments": (PROGRAM + "; note\n" * 100_000, "accepted"),
    "many comments in a line": (f"{PROGRAM}command={' ;' * 500_000}\n", "accepted"),
    "many lines without a key": (HEAD + "oops\n" * 200_000, "Source contains"),
    "many commented lines without a key": (
        HEAD + "oops ; a=b\n" * 100_000,
        "Source contains parsing errors",
    ),
    "a long number": (f"{PROGRAM}startsecs={'9' * MB}\n", "Exceeds the limit"),
    "a long size": (f"{PROGRAM}stdout_logfile_maxbytes={'9' * 4000}GB\n", "value out of range"),
    "a long mode": (f"{PROGRAM}umask={'7' * MB}\n", "value out of range"),
    "a long path": (f"{PROGRAM}stdout_logfile={'x/' * MB}\n", "The directory named as part"),
    "a long user": (f"{PROGRAM}user={'x' * MB}\n", "Invalid user name"),
    "a long port": (f"{HEAD}[inet_http_server]\nport={'1' * MB}\n", "not a valid port number"),
    "a long port of FastCGI": (
        f"{HEAD}[fcgi-program:a]\ncommand=x\nsocket=tcp://a:{'1' * MB}\n",
        "111111 is above upper bound",
    ),
    "many events": (
        f"{HEAD}[eventlistener:a]\ncommand=x\nevents={'FOO,' * 100_000}\n",
        "Unknown event type",
    ),
    "many patterns": (f"[include]\nfiles={'*.zzz ' * 20_000}\n{HEAD}", "accepted"),
    "a deep pattern": (f"[include]\nfiles={'*/' * 2000}\n{HEAD}", "accepted"),
    "including itself": (f"[include]\nfiles={'supervisord.conf ' * 5000}\n{HEAD}", "the config"),
    "including what has no end": (f"[include]\nfiles=/dev/zero\n{HEAD}", "the configuration has"),
    "including a pipe": (f"[include]\nfiles=pipe\n{HEAD}", "accepted"),
    "NUL in a pattern": (f"[include]\nfiles=a\0b\n{HEAD}", "accepted"),
    "NUL in a path": (f"{PROGRAM}stdout_logfile=\0/x\n", "The directory named as part"),
    "NUL in a socket": (f"{HEAD}[unix_http_server]\nfile=\0\nchown=\0:\0\n", "Invalid sockchown"),
    "a byte order mark": (f"\ufeff{PROGRAM}", "File contains no section headers"),
    "other line ends": (PROGRAM.replace("\n", "\r"), "accepted"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path: Path, name: str) -> None:
    """Read with little work and memory, and the answer that fits."""
    text, answer = HOSTILE[name]
    os.mkfifo(tmp_path / "pipe")
    path = write(tmp_path, text)
    ran = subprocess.run(
        [sys.executable, read_within_limits.__file__, path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert answer in ran.stdout[:300]
