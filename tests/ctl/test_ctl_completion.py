"""What shells offer: by the answers to their scripts, and in bash, zsh and fish themselves."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect  # type: ignore[import-untyped]  # has no types
import pytest
from ctl_runs import Ctl
from msgspec.structs import replace
from recorded_daemon import RecordedDaemon, running
from terminals import environment

from opsvisor import wire
from opsvisor.ctl import main
from opsvisor.ctl.completion import SHELLS
from opsvisor.ctl.registry import COMMANDS
from opsvisor.daemon.flags import FLAGS

Answer = Callable[[str], list[str]]

_LIMIT = 60.0
_BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def _processes(daemon: RecordedDaemon) -> None:
    names = ["leaky", "web:0", "web:1", "$(reboot)", "a;b", "sp ace", "esc\x1b[2J"]
    daemon.answers["GET /api/v1/processes"] = wire.ProcessList(
        processes=[replace(running(name), name=name) for name in names]
    )
    daemon.answers["GET /api/v1/groups"] = wire.GroupList(
        groups=[
            wire.GroupStatus(name=name, priority=999, processes=[], states={})
            for name in ("leaky", "web")
        ]
    )


@pytest.fixture
def answer(
    daemon: RecordedDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Answer:
    """What opsvisorctl answers to a script: the words, for a line up to the cursor."""

    def asked(line: str) -> list[str]:
        monkeypatch.setenv("_OPSVISORCTL_COMPLETE", "words")
        monkeypatch.setenv("COMP_WORDS", line.replace("CTL", f"opsvisorctl -s {daemon.url}"))
        assert main.main([]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [f"{kind}:{word}" if kind == "file" else word for kind, word, _ in map(_cut, lines)]

    return asked


def _cut(line: str) -> tuple[str, str, str]:
    kind, word, says = line.split("\t")
    return kind, word, says


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("CTL start l", ["leaky"]),
        ("CTL start web:", ["web:0", "web:1", "web:*"]),
        ("CTL stop leaky we", ["web:0", "web:1", "web:*"]),
        ("CTL update ", ["leaky", "web"]),
        ("CTL wait --", ["--for", "--timeout"]),
        ("CTL wait --for r", ["running", "ready"]),
        ("CTL wait --for=r", ["--for=running", "--for=ready"]),
        ("CTL wait --timeout ", []),
        ("CTL wait --timeout 3s l", ["leaky"]),
        ("CTL wait --for ready --f", []),
        ("CTL logs -n 5 -f l", ["leaky"]),
        ("CTL logs -n ", []),
        ("CTL logs -f --fo", []),
        ("CTL signal HU", ["HUP"]),
        ("CTL tail leaky std", ["stdout", "stderr"]),
        ("CTL apply --y", ["--yes"]),
        ("CTL completion ", ["bash", "zsh", "fish"]),
        ("CTL completion bash ", []),
        ("CTL migrate superv", ["file:superv"]),
        ("CTL nonsense ", []),
        ("CTL diff ", []),
        ("opsvisorctl -c ops", ["file:ops"]),
        ("opsvisorctl -u ", []),
        ("opsvisorctl --ve", ["--version"]),
        ("opsvisorctl --plain sta", ["status", "start"]),
        ("opsvisorctl -s nonsense: start l", []),
        ("opsvisorctl -s 'unix:///no where' start l", []),
        ("opsvisorctl 'sta", ["status", "start"]),
    ],
)
def test_offers(answer: Answer, line: str, offered: list[str]) -> None:
    """Commands, options, their values, names: what may stand there and begins so."""
    assert answer(line) == offered


def test_nothing_is_offered_that_would_do_something(answer: Answer) -> None:
    """A shell pastes it into the command line, and the next key may be Enter."""
    assert answer("CTL stop ") == ["leaky", "web:0", "web:1", "web:*", "all"]


def test_every_command_is_offered(answer: Answer) -> None:
    """All of the registry, whatever is added to it."""
    assert answer("opsvisorctl ") == list(COMMANDS)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed_without_a_daemon(run: Ctl, shell: str) -> None:
    """For eval; it names every flag of opsvisord."""
    ran = run("completion", shell)
    assert (ran.status, ran.err) == (0, "")
    assert all(flag.long in ran.out for flag in FLAGS)


def test_a_shell_that_is_not_known(run: Ctl) -> None:
    """Those that are, are named."""
    ran = run("completion", "tcsh")
    assert ran.status == 1
    assert ran.out.startswith("Error: completion requires a shell: bash, zsh, fish")


def _variables(tmp_path: Path) -> dict[str, str]:
    home = str(tmp_path)
    # Fish leaves a pipe in its own directory of /tmp where it isn't told another place.
    places = {"HOME": home, "XDG_RUNTIME_DIR": home, "PATH": f"{_BIN}:{os.environ['PATH']}"}
    return environment(tmp_path, **places)


def _said(command: list[str], tmp_path: Path) -> list[str]:
    """What a shell prints, in an order that doesn't depend on its own."""
    done = subprocess.run(
        command,
        capture_output=True,
        check=True,
        text=True,
        timeout=_LIMIT,
        cwd=tmp_path,
        env=_variables(tmp_path),
    )
    return sorted(done.stdout.splitlines())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("opsvisorctl -s URL start l", ["leaky"]),
        ("opsvisorctl -s URL start web:", ["0", "1", r"\*"]),
        ("opsvisorctl wait --for=re", ["ready"]),
        ("opsvisorctl -c op", ["opsvisor.toml", "op two"]),
        ("opsvisord --logf", ["--logfile", "--logfile_maxbytes", "--logfile_backups"]),
        ("opsvisord -e d", ["debug"]),
        ("opsvisord -c ops", ["opsvisor.toml"]),
    ],
)
def test_in_bash(daemon: RecordedDaemon, tmp_path: Path, line: str, offered: list[str]) -> None:
    """Bash replaces what stands behind a colon or an equals sign only."""
    (tmp_path / "opsvisor.toml").touch()
    (tmp_path / "op two").touch()
    typed = line.replace("URL", daemon.url)
    script = """
        eval "$(opsvisorctl completion bash)"
        COMP_LINE=$1 COMP_POINT=${#1}
        read -ra COMP_WORDS <<<"$1"
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        "_${COMP_WORDS[0]}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert _said(["bash", "--norc", "-c", script, "bash", typed], tmp_path) == sorted(offered)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("opsvisorctl -s URL start l", ["leaky"]),
        ("opsvisorctl -s URL start web:", ["web:0", "web:1", "web:*"]),
        ("opsvisorctl mig", ["migrate\twrite the opsvisor.toml for a file of Supervisor's"]),
        ("opsvisorctl wait --for=re", ["--for=ready"]),
        ("opsvisorctl -c ops", ["opsvisor.toml"]),
        ("opsvisord --logfile_b", ["--logfile_backups\thow many rotated logs to keep"]),
        ("opsvisord -c ops", ["opsvisor.toml"]),
    ],
)
def test_in_fish(daemon: RecordedDaemon, tmp_path: Path, line: str, offered: list[str]) -> None:
    """With what the words mean."""
    (tmp_path / "opsvisor.toml").touch()
    script = 'opsvisorctl completion fish | source; complete -C "$argv[1]"'
    assert _said(
        ["fish", "--no-config", "-c", script, line.replace("URL", daemon.url)], tmp_path
    ) == sorted(offered)


@pytest.fixture
def zsh(tmp_path: Path) -> Iterator["pexpect.spawn[str]"]:
    """Zsh at its prompt, with completion; Ctrl-P shows what its line holds."""
    child = pexpect.spawn(
        "zsh",
        ["-f", "-i"],
        env=_variables(tmp_path) | {"TERM": "dumb"},
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=_LIMIT,
        dimensions=(40, 200),
    )
    child.sendline(
        "PROMPT='> '; autoload -Uz compinit && compinit -u -D;"
        ' eval "$(opsvisorctl completion zsh)";'
        " show() { print -r -- \"line:<$BUFFER>\" }; zle -N show; bindkey '^P' show;"
        " echo rea''dy"
    )
    child.expect("ready")
    yield child
    child.close(force=True)


def test_in_zsh(daemon: RecordedDaemon, tmp_path: Path, zsh: "pexpect.spawn[str]") -> None:
    """What Tab makes of a line; of several words, as far as they agree."""
    (tmp_path / "opsvisor.toml").touch()
    for line, made in (
        (f"opsvisorctl -s {daemon.url} start lea", f"opsvisorctl -s {daemon.url} start leaky "),
        (f"opsvisorctl -s {daemon.url} start w", f"opsvisorctl -s {daemon.url} start web:"),
        ("opsvisorctl migr", "opsvisorctl migrate "),
        ("opsvisorctl wait --for=rea", "opsvisorctl wait --for=ready "),
        ("opsvisorctl -c opsv", "opsvisorctl -c opsvisor.toml "),
        ("opsvisord --childl", "opsvisord --childlogdir "),
        ("opsvisord -e blath", "opsvisord -e blather "),
    ):
        zsh.send(f"{line}\t\x10")
        zsh.expect("line:<(.*?)>")
        assert zsh.match.group(1) == made
        zsh.send("\x15")  # Ctrl-U: another line


def test_the_shells_are_there() -> None:
    """No test of them is skipped for want of one."""
    assert all(shutil.which(shell) for shell in SHELLS)
