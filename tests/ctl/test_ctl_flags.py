"""The command line of opsvisorctl, read beside the real supervisorctl's."""

from pathlib import Path

import pytest
from ctl_runs import Ctl
from supervisor import options  # type: ignore[import-untyped]  # comes without annotations

from opsvisor.ctl.connection import Wishes, discover
from opsvisor.ctl.flags import BadFlags, read


class _Refused(Exception):  # noqa: N818 - says what happened
    pass


class _Options(options.ClientOptions):  # type: ignore[misc]  # comes without annotations
    searchpaths: list[str]

    def usage(self, msg: object) -> None:
        raise _Refused(str(msg))


def supervisors(line: str) -> options.ClientOptions:
    """What supervisorctl makes of a command line; it finds no file."""
    found = _Options()
    found.searchpaths = []
    found.realize(line.split(), doc="", progname="supervisorctl")
    return found


@pytest.mark.parametrize(
    "line",
    [
        "-x",
        "-n status",
        "-c",
        "--serverurl",
        "--interactive=yes",
        "--nosuch",
        "-i -i",
        "-s http://a:1 --serverurl http://b:1",
        "-u a -u b status",
        "-s foo",
        "--server foo status",
        "-s /run/s.sock status",
    ],
)
def test_refusals_are_worded_alike(run: Ctl, line: str) -> None:
    """What supervisorctl refuses is refused, in its words, with exit status 2."""
    with pytest.raises(_Refused) as theirs:
        supervisors(line)
    ran = run(*line.split())
    expected = f"Error: {theirs.value}\nFor help, use opsvisorctl -h\n"
    assert ran == (2, "", expected.replace("for --serverurl", "for -s"))


@pytest.mark.parametrize(
    ("line", "full"),
    [
        ("status", "-- status"),
        ("-i", "--interactive --"),
        ("--p secret status", "--password secret -- status"),
        ("--conf x --user=me", "--configuration x --username me --"),
        ("-ic x.conf tail -f x", "--interactive --configuration x.conf -- tail -f x"),
        ("-r h pid", "--history_file h -- pid"),
        ("--history-file h pid", "--history_file h -- pid"),
        ("-p -s status", "--password -s -- status"),
        ("--json --pl status --json", "--json --plain -- status --json"),
        ("tail --history-x", "-- tail --history-x"),
        ("-- status", "-- status"),
    ],
)
def test_flags_may_be_short_long_and_abbreviated(line: str, full: str) -> None:
    """They end with the first word that is none: what follows is for the command."""
    flags, words = read(line.split())
    typed = [part for pair in flags.items() for part in pair if part]
    assert [*typed, "--", *words] == full.split()


def test_our_flags_make_no_abbreviation_ambiguous() -> None:
    """--p is --password although there is --plain; --h fits two of Supervisor's own."""
    assert supervisors("--p secret status").password == "secret"
    with pytest.raises(BadFlags, match="option --h not a unique prefix"):
        read(["--h"])
    with pytest.raises(_Refused, match="option --h not a unique prefix"):
        supervisors("--h")


def test_a_file_without_a_section_for_us(run: Ctl, tmp_path: Path) -> None:
    """In Supervisor's words on the line that begins with Error; the place stands above."""
    path = tmp_path / "supervisord.conf"
    path.write_text("[supervisord]\n")
    ran = run("-c", str(path), "status")
    assert ran.status == 2
    assert "\nError: .ini file does not include supervisorctl section\nFor help, use " in ran.err
    missing = run("-c", f"{path}x", "status")
    assert f"\nError: could not find config file {path}x\n" in missing.err


def test_credentials_of_a_file_that_is_found_go_no_further_than_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Supervisorctl sends them wherever -s leads; scripts rely on it for the socket."""
    text = "[supervisorctl]\nserverurl=unix:///s\nusername=ops\npassword=secret\n"
    (tmp_path / "supervisord.conf").write_text(text)
    monkeypatch.chdir(tmp_path)
    told = {
        url: discover(Wishes(url=url), "/nowhere/bin/opsvisorctl", {}).password
        for url in (
            "unix:///run/other",
            "http://localhost:9001",
            "http://127.0.0.1:1",
            "http://127.0.0.1.example.org:1",
            "http://localhost.example.org",
            "http://elsewhere:9001",
        )
    }
    assert list(told.values()) == ["secret", "secret", "secret", None, None, None]
