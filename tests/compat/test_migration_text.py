"""What a migrated file looks like: as if a person had written it, with all that people said."""

from pathlib import Path
from textwrap import dedent

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st
from migrations import HEAD, assert_same, migrated, program
from supervisor_files import write

from opsvisor.compat.supervisor.config.ini import read_alone
from opsvisor.compat.supervisor.migrate import toml_text
from opsvisor.compat.supervisor.migrate.comments import collect
from opsvisor.compat.supervisor.migrate.expressions import escape_process, escape_variables
from opsvisor.compat.supervisor.migrate.migration import migrate
from opsvisor.config.template import fill, fill_variables

SAMPLE = """\
; Ask operations before you change this.

[unix_http_server]
file = /run/supervisor.sock  ; the socket
chmod = 0770

[supervisord]
logfile = /var/log/supervisord.log
pidfile = /run/supervisord.pid
nodaemon = true
; for all programs
environment = STAGE="live"

[rpcinterface:supervisor]
; we need this
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix:///run/supervisor.sock

;[program:old]
;command = /bin/old

[program:web]  # the shop
command = /srv/web --port 80%(process_num)02d  ; one port each
; three are enough
numprocs = 3
process_name = %(program_name)s_%(process_num)02d
autostart = true  ; at boot
stdout_logfile = /var/log/%(program_name)s.log
redirect_stderr = true

[program:mail]
command =
    /srv/mail
    # without this it forgets
    --keep ; all
stdout_logfile = /var/log/%(program_name)s.log
redirect_stderr = true
stopsignal = INT

[group:shop]
programs = web, mail
priority = 5  ; first
; the end
"""

MIGRATED = """\
# Migrated from {folder}/supervisord.conf by opsvisorctl migrate.

# Ask operations before you change this.
[server.unix]
path = "/run/supervisor.sock"  # the socket
mode = "0770"

[server]
supervisor_interfaces = true  # XML-RPC, and the protocol of event listeners

[daemon]
log = "/var/log/supervisord.log"
pid_file = "/run/supervisord.pid"
# environment: for all programs
identifier = "supervisor"
min_procs = 200
remove_auto_logs = true

# supervisor.rpcinterface_factory: we need this

# What all programs share: Supervisor's ways, and what is alike.
[defaults]
stdin = "pipe"
early_exit = "failure"
backoff_delay = "100ms"
backoff_limit = "5s"
backoff_jitter = 0.0
backoff_reset = "1s"
start_backoff_step = "1s"
restart_limit_count = 0
fatal_retry_delay = "never"
start_retries = 3
kill_mode = "process"
log.stdout = "/var/log/{program}.log"
log.stderr = "merge"

[defaults.environment]
SUPERVISOR_ENABLED = "1"
SUPERVISOR_PROCESS_NAME = "{process}"
SUPERVISOR_GROUP_NAME = "{group}"
SUPERVISOR_SERVER_URL = "unix:///run/supervisor.sock"
STAGE = "live"

# [program:old]
# command = /bin/old
[program.web]  # the shop
command = "/srv/web --port 80{replica:02}"  # one port each
# three are enough
replicas = 3
process_name = "{program}_{replica:02}"
# autostart: at boot
group = "shop"

# without this it forgets
[program.mail]
"""


def test_a_whole_file(tmp_path: Path) -> None:
    """Only what differs from our defaults, in the order of the source, with its comments."""
    write(tmp_path, SAMPLE)
    done = assert_same(tmp_path, SAMPLE, head="")
    expected = MIGRATED.replace("{folder}", str(tmp_path)).replace(
        "# without this it forgets\n[program.mail]\n",
        dedent("""\
            [program.mail]
            # without this it forgets
            command = \"\"\"

            /srv/mail
            --keep\"\"\"  # all
            stop_signal = "INT"
            group = "shop"

            [group.shop]
            priority = 5  # first

            # the end
            """),
    )
    assert done.text == expected


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("command = a 'b c'", "command = \"a 'b c'\""),
        ('command = a "b c"', "command = 'a \"b c\"'"),
        ("command = a \\\\ b", "command = 'a \\\\ b'"),
        ('command = a "it\'s"', 'command = "a \\"it\'s\\""'),
        ("command = a\t{b}", 'command = "a\\t{{b}}"'),
    ],
)
def test_quotes(tmp_path: Path, line: str, written: str) -> None:
    """Those that need no escapes, where there are such."""
    assert program(migrated(tmp_path, f"[program:a]\n{line}\n"))[0] == written


@pytest.mark.parametrize("text", ['a\n"""', 'a\n"', "a\n\\", "\n\n", "a\n\tb", "a\r\n", '"""'])
def test_several_lines(text: str) -> None:
    """Whatever quotes they end with."""
    assert tomli.loads(f"x = {toml_text.string(text)}") == {"x": text}


def test_many_variables_have_a_line_each(tmp_path: Path) -> None:
    """As soon as they are too long for one."""
    values = ",".join(f'NAME_{n}="{"x" * 20}"' for n in range(5))
    lines = program(migrated(tmp_path, f"[program:a]\ncommand = a\nenvironment = {values}\n"))
    assert f'environment.NAME_4 = "{"x" * 20}"' in lines


def test_streams_with_options_of_their_own(tmp_path: Path) -> None:
    """A table, in the place of a path."""
    text = (
        "[program:a]\ncommand = a\nstdout_logfile = /o.log\nstderr_logfile = /e.log\n"
        "stderr_logfile_maxbytes = 1MB\nstdout_events_enabled = true\n"
    )
    lines = program(assert_same(tmp_path, text))
    assert 'log.stdout = { path = "/o.log", events = true }' in lines
    assert 'log.stderr = { path = "/e.log", rotate_size = "1M" }' in lines


def test_comments_of_all_sorts(tmp_path: Path) -> None:
    """Above, beside, between the lines of a value, at the end; and what only looks like one."""
    path = write(
        tmp_path,
        "# top\n\n;; more\n[a] ; beside a\nk = v;w#x ; beside k\n ; inside\n  more # too\n"
        "; above l\n\n; and further up\n\n\nl: 1\n[b]\nK2 = 1\n\n;last\n",
    )
    comments = collect(read_alone(path))
    a, k, ell = comments.of_section("a"), comments.of_key("a", "k"), comments.of_key("a", "l")
    assert (a.above, a.beside) == (["top", "", "more"], ["beside a"])
    assert (k.above, k.beside) == (["inside"], ["beside k", "too"])
    assert (ell.above, ell.beside) == (["above l", "", "and further up"], [])
    assert comments.of_section("b").above == []
    assert comments.ends[str(path)] == ["last"]


def test_a_comment_can_hold_anything(tmp_path: Path) -> None:
    """But for what TOML allows in no comment."""
    done = assert_same(tmp_path, "[program:a]\ncommand = a ; \x07 bell\x7f \t é\n")
    assert 'command = "a"  # \ufffd bell\ufffd \t é' in program(done)


@given(st.text())
def test_any_text_is_a_string(text: str) -> None:
    """TOML reads what was meant, unless half of a surrogate pair was."""
    meant = text.encode("utf-8", "replace").decode()
    assert tomli.loads(f"x = {toml_text.string(text)}") == {"x": meant}
    if text.isprintable():
        assert tomli.loads(f"{toml_text.key('a', text)} = 1") == {"a": {text: 1}}
    assert tomli.loads(f"x = 1 {toml_text.comment(text)}") == {"x": 1}


@given(st.text() | st.lists(st.sampled_from(["$", "{", "}", "X", "{X}"])).map("".join))
def test_any_text_means_itself(text: str) -> None:
    """As a value of a process and as one of the daemon, where braces mean something and don't."""
    assert fill(escape_process(text), {"X": "no"}, {"X": "no"}) == text
    assert fill_variables(escape_variables(text), {"X": "no"}) == text


def test_the_head_is_migrated_without_a_loss(tmp_path: Path) -> None:
    """What the other tests begin with is no difference of its own."""
    assert assert_same(tmp_path, "", head=HEAD).differences == ()


def test_comments_in_the_encoding_of_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that Supervisor reads by it is read so once more for what people wrote there."""
    monkeypatch.setattr("locale.getpreferredencoding", lambda do_setlocale: "iso-8859-1")  # noqa: ARG005 - as called
    path = tmp_path / "supervisord.conf"
    path.write_bytes(f"{HEAD}; gr\u00fcn\r\n[program:a]\ncommand = x\n".encode("iso-8859-1"))
    done = migrate(path, {}, start=tmp_path, target=tmp_path / "opsvisor.toml")
    assert "# gr\u00fcn\n[program.a]\n" in done.text
