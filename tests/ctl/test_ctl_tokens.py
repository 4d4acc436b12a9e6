"""`opsvisorctl hash-token`: a token that is told once, and what a configuration has for it."""

import hashlib
import io
import json

import pytest
from ctl_runs import Ctl, Ran


@pytest.fixture
def said(run: Ctl, monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """Run it with this on its standard input."""

    def say(text: str, *words: str) -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        return run("hash-token", *words)

    return say


def hash_line(token: str) -> str:
    """What stands for a token."""
    return f'token_hash = "sha256:{hashlib.sha256(token.encode()).hexdigest()}"'


def test_a_new_token_is_told_once(run: Ctl) -> None:
    """Two lines for a script, and beside them what they are; every time another one."""
    ran = run("hash-token")
    token, line = ran.out.splitlines()
    assert (ran.status, line) == (0, hash_line(token))
    assert len(token) == 64
    assert "kept nowhere" in ran.err
    assert run("hash-token").out.splitlines()[0] != token


def test_the_hash_of_a_token_that_is_there(said: Ctl) -> None:
    """Without the blanks around it, and without a word of the token."""
    ran = said("  0123456789abcdef0123456789abcdef\n", "-")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == f"{hash_line('0123456789abcdef0123456789abcdef')}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\n", "is empty"),
        ("hunter2\n", "has fewer than 20 characters, so it can be found by its hash"),
        ("a token with blanks in it, which no header has\n", "can't be sent as a token"),
    ],
)
def test_what_is_no_token(text: str, says: str, said: Ctl) -> None:
    """Told, and not quoted."""
    ran = said(text, "-")
    assert (ran.status, ran.out) == (1, "")
    assert f"Error: the token on standard input {says}\nhint: " in ran.err
    assert text.strip() == "" or text.strip() not in ran.err


def test_for_programs(run: Ctl) -> None:
    """One object, with both."""
    told = json.loads(run("--json", "hash-token").out)
    assert hash_line(told["token"]) == f'token_hash = "{told["token_hash"]}"'


def test_it_takes_nothing_else(run: Ctl) -> None:
    """A token among the arguments could be read by everybody on the machine."""
    ran = run("hash-token", "0123456789abcdef0123456789abcdef")
    assert ran.status == 1
    assert "hash-token takes nothing, or - for a token on standard input" in ran.out + ran.err
