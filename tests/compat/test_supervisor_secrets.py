"""Values that may be secrets never reach a message: messages are logged, and served by the API."""

from pathlib import Path

import pytest
from supervisor_files import load_text, problems

HEAD = "[supervisord]\n"
PROGRAM = f"{HEAD}[program:a]\ncommand=x\n"
HTTP = f"{HEAD}[inet_http_server]\nport=1\n"
CHECK = "check backslashes, inner quotes and unquoted letters beyond ASCII"
UNIX = f"{HEAD}[unix_http_server]\nfile=/s\n"


@pytest.mark.parametrize("head", [HEAD, PROGRAM])
@pytest.mark.parametrize(
    "value",
    [
        "DB_PASSWORD=hunter2!,B",
        "DB_PASSWORD=hunter2,=",
        'DB_PASSWORD="hunter2',
        "DB_PASSWORD=hunter2%ss",
        "DB_PASSWORD=hunter2% 5hunter2",
        "DB_PASSWORD=hunter2%",
        "DB_PASSWORD=hunter2%y",
        "DB_PASSWORD=hunter2%(",
        "DB_PASSWORD=hunter2%(nope)s",
        'A="50%(of,B=hunter2)s"',
    ],
)
def test_refused_environments_are_not_quoted(tmp_path: Path, head: str, value: str) -> None:
    """Neither the value nor a part of it, whatever is wrong with it."""
    (problem,) = problems(tmp_path, f"{head}environment={value}\n")
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize("section", [HTTP, UNIX])
@pytest.mark.parametrize(("key", "other"), [("username", "password"), ("password", "username")])
@pytest.mark.parametrize("value", ["hunter2%ss", "hunter2%q", "%hunter2", "hunter2%(x,hunter2)s"])
def test_refused_logins_are_not_quoted(
    tmp_path: Path, section: str, key: str, other: str, value: str
) -> None:
    """The option is named, so that it can be found."""
    (problem,) = problems(tmp_path, f"{section}{other}=x\n{key}={value}\n")
    assert f"_http_server.{key}'" in problem.what
    assert "unter2" not in str(problem)


def test_what_follows_the_percent_sign_is_said(tmp_path: Path) -> None:
    """Of a secret the name or the character after the percent sign is shown, and the place."""
    password = f"{HTTP}username=u\npassword="
    what = [
        problems(tmp_path, f"{password}{value}\n")[0].what.partition(". Available")[0]
        for value in ("hunter2%ss", "hunter2%y", "hunter2%(nope)s", "%(a b)s")
    ]
    about = "Format string for 'inet_http_server.password'"
    assert what == [
        f"{about} is badly formatted: '%' at index 7 names nothing",
        f"{about} is badly formatted: unsupported format character 'y' (0x79) at index 8",
        f"{about} contains names ('nope') which cannot be expanded",
        f"{about} contains names which cannot be expanded",
    ]


def test_what_is_no_secret_is_quoted_as_before(tmp_path: Path) -> None:
    """Supervisor's words, the text included."""
    (problem,) = problems(tmp_path, f"{PROGRAM}directory=/a%ss\n")
    assert problem.what.startswith("Format string '/a%ss' for 'program:a.directory' is badly")


@pytest.mark.parametrize(
    ("value", "doubts"),
    [
        ("PW=$hunter2", ["PW ends early, quote its value if it goes on"]),
        ("PW=x$hunter2=y;C=1", ["PW ends early, quote its value if it goes on"]),
        (
            r'PW="hunter2\\",C=1',
            [f"Supervisor up to 4.3 reads another value of PW: {CHECK}"],
        ),
        (r'PW=x$hunter2="\\"', ["PW ends early, quote its value if it goes on"]),
        ("PW=hunter2#x", ["'#' begins a comment, quote the value if it belongs to it"]),
    ],
)
def test_doubts_do_not_quote(tmp_path: Path, value: str, doubts: list[str]) -> None:
    """After a likely misreading, what seems to be the next variable is not named either."""
    found = load_text(tmp_path, f"{HEAD}environment={value}\n").warnings
    assert [w.what for w in found] == [
        f"environment of [supervisord]: {doubt}" for doubt in doubts
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[a]\npassword hunter2\n", "Source contains parsing errors: 'password'"),
        ("[a]\n  password\thunter2\n", "Source contains parsing errors: 'password'"),
        ('[a]\n"hunter2"\n', "Source contains parsing errors"),
        ("[a]\nhunter2!,B\n", "Source contains parsing errors"),
        (f"[a]\n{'hunter2' * 9}\n", "Source contains parsing errors"),
        ("password=hunter2\n", "File contains no section headers: 'password'"),
        ("password : hunter2\n", "File contains no section headers: 'password'"),
    ],
)
def test_lines_that_cannot_be_read_are_not_quoted(tmp_path: Path, text: str, what: str) -> None:
    """Of a line that is no `key = value` the first word is shown, and only if it may be a key."""
    (problem,) = problems(tmp_path, text)
    assert problem.what == what
    assert "hunter2" not in str(problem)
