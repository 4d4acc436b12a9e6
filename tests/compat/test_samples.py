"""echo_opsvisord_conf: what it prints can be used as it is, and knows every option."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import Authority, parts_of
from real_supervisor import read
from supervisor_files import load_text

from opsvisor.compat.supervisor.config.control_file import read_control_settings
from opsvisor.compat.supervisor.config.options import KNOWN_KEYS
from opsvisor.config.load import native, native_text
from opsvisor.config.option import Section, options_of
from opsvisor.config.schema import TABLES, FileOptions
from opsvisor.samples import main

# What begins a line that can be switched on.
_OPTION_OFF = re.compile(r"^[;#](?=[a-z_.]+ ?=|\[)", re.MULTILINE)
_SHORT_FORMS = {"eventlistener": "program", "fcgi-program": "program"}


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Both samples."""
    texts = {}
    for name, words in (("ini", []), ("toml", ["--toml"])):
        assert main(words) == 0
        texts[name] = capsys.readouterr().out
    return texts


def test_the_sample_in_supervisors_format(tmp_path: Path, printed: dict[str, str]) -> None:
    """Both daemons read it, nobody warns, and nothing would be run."""
    text = printed["ini"]
    assert "Sample supervisor config file" in text.splitlines()[0]
    loaded = load_text(tmp_path, text)
    assert (loaded.warnings, len(loaded.plan.groups)) == ((), 0)
    theirs = read(tmp_path / "supervisord.conf")
    assert theirs.process_group_configs == []
    assert (theirs.logfile, theirs.pidfile) == (loaded.settings.log.path, loaded.settings.pid_file)
    (server,) = loaded.settings.servers
    found = read_control_settings(tmp_path / "supervisord.conf", {})
    assert found.server_url == f"unix://{tmp_path}/supervisor.sock" == theirs.serverurl
    assert server.name == "unix_http_server"


def test_everything_in_it_may_be_switched_on(
    tmp_path: Path, printed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then too both daemons read it, and find the same programs."""
    monkeypatch.chdir(tmp_path)
    loaded = load_text(tmp_path, _OPTION_OFF.sub("", printed["ini"]))
    assert [w.what.partition(" ")[0] for w in loaded.warnings] == ["No"]  # conf.d is empty
    theirs = read(tmp_path / "supervisord.conf")
    ours = {group.name: [p.id.name for p in group.processes] for group in loaded.plan.groups}
    assert ours == {
        group.name: sorted(process.name for process in group.process_configs)
        for group in theirs.process_group_configs
    }
    assert ours == {"watcher": ["watcher"], "site": ["php", "web"]}


def test_it_names_every_option(printed: dict[str, str]) -> None:
    """In the section where it belongs; what a listener shares with a program is told once."""
    named: dict[str, set[str]] = {}
    section = ""
    for line in _OPTION_OFF.sub("", printed["ini"]).splitlines():
        if header := re.match(r"\[([a-z_-]+)", line):
            section = header[1]
        elif option := re.match(r"([a-z_]+)=", line):
            named.setdefault(section, set()).add(option[1])
    for kind, known in KNOWN_KEYS.items():
        told = named[kind] | named.get(_SHORT_FORMS.get(kind, ""), set())
        assert told == known, kind


def test_our_own_sample(tmp_path: Path, printed: dict[str, str]) -> None:
    """It is a good file as it stands, and runs nothing."""
    path = tmp_path / "opsvisor.toml"
    path.write_text(printed["toml"])
    loaded = native(path, {})
    assert (loaded.warnings, len(loaded.plan.groups)) == ((), 0)


def _options(table: type, prefix: str = "") -> Iterator[str]:
    for option in options_of(table).values():
        if isinstance(option.kind, Section):
            yield from _options(option.kind.options, f"{prefix}{option.name}.")
        else:
            yield f"{prefix}{option.name}"


def _tables(text: str) -> dict[str, list[str]]:
    """The options of each table as they are shown, by the table's kind."""
    found: dict[str, list[str]] = {"": []}
    table = ""
    for line in text.splitlines():
        if header := re.fullmatch(r"#\[([a-z]+)(?:\.example)?\]", line):
            table = header[1]
            found[table] = []
        elif line.startswith("#") and not line.startswith("# ") and line != "#":
            found[table].append(line.removeprefix("#"))
    return found


def test_our_own_sample_names_every_option(printed: dict[str, str]) -> None:
    """In the table where it belongs."""
    found = _tables(printed["toml"])
    for name, table in {"": FileOptions, **TABLES}.items():
        known = [] if name == "defaults" else list(_options(table))
        assert [line.partition(" = ")[0] for line in found[name]] == known


_LISTEN = 'listen = "127.0.0.1:1"'
# What an option needs beside it, by how the option begins.
_NEEDED = {
    "unix.": 'unix.path = "/s"',
    "http.": f"http.{_LISTEN}",
    "unix.username": 'unix.password = "x"',
    "unix.password": 'unix.username = "x"',
    "http.username": 'http.password = "x"',
    "http.password": 'http.username = "x"',
    "socket.": 'socket.listen = "unix:///s"',
    "events": 'stdin = "pipe"',
    **{
        f"{server}{name}": "\n".join(f"{server}{line}" for line in lines)
        for server in ("http.", "")
        for name, lines in (
            ("tls_cert", (_LISTEN,)),
            ("tls_key", (_LISTEN, 'tls_cert = "server.crt"')),
            ("client_c", (_LISTEN, 'tls_cert = "server.pem"', 'client_ca = "clients.pem"')),
        )
    },
    # One question for each probe; its own line replaces this one.
    **{
        f"{probe}_probe.{name}": f"{probe}_probe.{question}"
        for probe in ("startup", "readiness", "liveness")
        for name, question in (
            ("http", 'http.url = "http://127.0.0.1/"'),
            *((name, "tcp = 8000") for name in ("initial", "period", "timeout", "success")),
            ("failure", "tcp = 8000"),
        )
    },
}


def test_every_option_in_it_may_be_switched_on(tmp_path: Path, printed: dict[str, str]) -> None:
    """One at a time: not all of them go together."""
    (tmp_path / "web.env").write_text("A=1\n")
    (tmp_path / "prometheus.token").write_text("secret\n")
    Authority(tmp_path, "clients")
    key, chain = parts_of(Authority(tmp_path).issue("server.pem"))
    (tmp_path / "server.key").write_bytes(key)
    (tmp_path / "server.crt").write_bytes(chain)
    tables = {
        "program": "[program.x]",
        "group": "[group.x]",
        "identity": "[identity.x]",
        "": "",
    }
    for table, shown in _tables(printed["toml"]).items():
        for line in shown:
            lines = [tables.get(table, f"[{table}]"), line]
            for start, more in _NEEDED.items():
                lines += more.splitlines() if line.startswith(start) else []
            if table == "program":
                lines.append('command = "/bin/cat"')
            elif table == "identity":
                is_proof = not line.startswith(("access", "groups"))
                lines.append('access = "read"' if is_proof else 'token = "x"')
                lines += ['access = "read"'] if line.startswith("groups") else []
            elif table == "group":
                lines += ["[program.y]", 'command = "/bin/cat"', 'group = "x"']
            unique = {each.partition(" = ")[0]: each for each in reversed(lines)}
            text = "\n".join(reversed(unique.values()))
            if table in ("program", "group"):
                text += "\n[server]\nsupervisor_interfaces = true"
            native_text(text, tmp_path / "opsvisor.toml", {})


def test_unknown_words_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2; --help says what there is."""
    assert main(["--ini"]) == 2
    assert capsys.readouterr().err.startswith("Error: --ini not recognized\n")
    assert main(["--help"]) == 0
    assert "--toml" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--toml"]])
def test_it_loads_no_daemon(words: list[str]) -> None:
    """Printing a text needs neither aiohttp nor, for our own, anything of Supervisor's."""
    code = f"import sys; from opsvisor.samples import main; main({words}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert not [
        m for m in loaded if m.startswith(("aiohttp", "opsvisor.daemon", "opsvisor.compat"))
    ]
