"""What our format can't say is told, and what a migration decided is told as well."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from migrations import HEAD, differences, migrated, notes, program
from supervisor_files import write

from opsvisor.compat.supervisor.migrate.migration import migrate
from opsvisor.config.problems import ConfigError

A = "[program:a]\ncommand = /bin/cat\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            f"{A}priority = %(ENV_N)s\n",
            (
                "supervisord.conf:9: priority: %(ENV_N)s is written as the value it has today"
                " (only texts may name variables, as ${NAME})"
            ),
        ),
        (
            f"{A}environment = A=%(host_node_name)s\n",
            (
                "supervisord.conf:9: environment: %(host_node_name)s is written as the name of"
                " this machine"
            ),
        ),
        (
            f"environment = A=%(host_node_name)s\n{A}",
            (
                "supervisord.conf:7: environment: %(host_node_name)s is written as the name of"
                " this machine"
            ),
        ),
        (
            f'{A}environment = A="\\\\d"\n',
            (
                "supervisord.conf:9: environment of [program:a]: Supervisor up to 4.3 reads"
                " another value of A: check backslashes, inner quotes and unquoted letters beyond"
                " ASCII"
            ),
        ),
        (
            f"[ctlplugin:x]\nsupervisor.ctl_factory = a:b\n{A}",
            (
                "supervisord.conf:7: [ctlplugin:x] has no effect: opsvisorctl loads no plugins (it"
                " takes patterns (web*), starts and stops programs side by side, and has why and"
                " events: see opsvisorctl help)"
            ),
        ),
        (
            "[program:a]\ncommand = x\nnumprocs = 0\nnice = 5\ndirectory = /\n",
            (
                "supervisord.conf:7: [program:a] has no processes, and no use for directory: left"
                " out"
            ),
        ),
        (
            "[program:a]\ncommand = x 'y\n",
            (
                "supervisord.conf:7: a can never start, can't parse command \"x 'y\": No closing"
                " quotation: it is left out"
            ),
        ),
        (
            "[group:g]\nprograms =\n",
            "supervisord.conf:7: group g has no program that could run: left out",
        ),
        (
            "[unix_http_server:two]\nfile = /x\n",
            (
                "supervisord.conf:7: [unix_http_server:two] is a second server: left out (there is"
                " one socket and one port at most)"
            ),
        ),
        (
            f"{A}directory = /a/../b\n",
            "supervisord.conf: a: working_dir is '/b', was '/a/../b'",
        ),
        (
            "[program:a,b]\ncommand = /bin/cat\n",
            "supervisord.conf: a,b is called a_b: a character can't be in a name",
        ),
        (
            "[supervisorctl]\nserverurl = http://elsewhere:1\n",
            (
                "supervisord.conf:8: serverurl: opsvisorctl asks this daemon; say -s http://elsewhere:1"
                " if not that"
            ),
        ),
        (
            "[supervisorctl]\nserverurl = unix://%(here)s/s\nprompt = mine\n",
            "supervisord.conf:9: prompt: opsvisorctl has its own",
        ),
        (
            "[supervisorctl]\nserverurl = unix://%(here)s/s\nusername = u\npassword = p\n",
            (
                "supervisord.conf:10: password: opsvisorctl takes that of the server, which isn't"
                " it; say -u and -p"
            ),
        ),
        (
            "[supervisorctl]\nserverurl = http://localhost:x\nhistory_file = /h\n",
            "supervisord.conf:9: history_file: say opsvisorctl -r FILE",
        ),
        (
            "[inet_http_server]\nport = 9001\n[supervisorctl]\nserverurl = http://localhost:x\n",
            (
                "supervisord.conf:10: serverurl: opsvisorctl asks this daemon; say -s http://localhost:x"
                " if not that"
            ),
        ),
        (
            "identifier = a\0b\n",
            (
                "supervisord.conf: opsvisord refuses what was written: daemon: identifier ="
                " 'a\\x00b' holds a NUL character, which ends every string in the kernel's eyes"
            ),
        ),
        ("identifier =\n", "supervisord.conf: opsvisord: identifier is 'opsvisor', was ''"),
    ],
)
def test_what_cant_be_said(tmp_path: Path, text: str, told: str) -> None:
    """Each with its place, or for the whole file."""
    assert told in differences(tmp_path, text, {"N": "5"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            (
                "[program:a]\ncommand = x\nnumprocs = 3\nprocess_name = p%(process_num)d\n"
                "[program:b]\ncommand = y\nprocess_name = p1\n[group:g]\nprograms = a,b\n"
            ),
            "[program:a] is written as 2 programs, as numprocs differs",
        ),
        (
            (
                "[program:a]\ncommand = x %(process_num)+d\nnumprocs = 2\nprocess_name ="
                " p%(process_num)d\n[group:g]\nprograms = a\n[group:h]\nprograms = a\n"
            ),
            "[program:a] is written as 4 programs, as command differs",
        ),
        (
            "[program:a]\ncommand = x\nnumprocs = 2\nprocess_name = p,%(process_num)d\n",
            "[program:a] is written as 2 programs, as process_name differs",
        ),
        (
            (
                "[eventlistener:a]\ncommand = x %(process_num)+d\nnumprocs = 2\nevents = EVENT\n"
                "process_name = %(process_num)d\n"
            ),
            "the processes of [eventlistener:a] are left out: they share an input, and command",
        ),
        ("[program:a]\ncommand = x \0\n", "a can never start, a NUL character ends every string"),
        ("[program:a]\ncommand = '' x\n", "a can never start, its command begins with an empty"),
        ("[program:a]\ncommand =\nnumprocs = 0\n", "group a has no program that could run"),
    ],
)
def test_processes_that_are_no_replicas(tmp_path: Path, text: str, told: str) -> None:
    """They become programs of their own where that is possible."""
    done = migrated(tmp_path, text)
    assert any(one.what.startswith(told) for one in done.differences)


def test_two_programs_at_one_socket(tmp_path: Path) -> None:
    """The second would only fail to start, or take what is meant for the first."""
    text = "".join(
        f"[fcgi-program:{name}]\ncommand = a\nsocket = tcp://localhost:9001\n" for name in "ab"
    )
    assert differences(tmp_path, text) == [
        (
            "supervisord.conf:10: the processes of [fcgi-program:b] are left out: [fcgi-program:a]"
            " listens at its socket"
        ),
        "supervisord.conf:10: group b has no program that could run: left out",
    ]


def test_the_password_that_opsvisorctl_knows(tmp_path: Path) -> None:
    """It is that of the server, and a hash is of no use to it."""
    server = "[inet_http_server]\nport = 9001\nusername = u\npassword = {}\n"
    client = "[supervisorctl]\nserverurl = http://localhost:9001\nusername = u\npassword = p\n"
    assert differences(tmp_path, server.format("p") + client) == []
    (told,) = differences(tmp_path, server.format("{SHA}5162f88e6b9e") + client)
    assert "opsvisorctl takes that of the server" in told


def test_a_client_in_a_file_of_its_own(tmp_path: Path) -> None:
    """Where Supervisor's own client doesn't find it either."""
    write(tmp_path, "[supervisorctl]\nprompt = x\n", "conf.d/ctl.conf")
    assert differences(tmp_path, "[include]\nfiles = conf.d/*\n") == []


def test_no_server(tmp_path: Path) -> None:
    """The only setting that has no opposite."""
    path = write(tmp_path, "[supervisord]\n")
    done = migrate(path, {}, start=tmp_path, target=tmp_path / "o.toml")
    assert [one.what for one in done.differences] == [
        "no server is configured, but an opsvisord always has a socket for its user"
    ]


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    """Neither daemon can listen there."""
    path = write(tmp_path, f"[supervisord]\n[unix_http_server]\nfile = /{'x' * 200}\n")
    done = migrate(path, {}, start=tmp_path, target=tmp_path / "o.toml")
    assert (
        done.differences[0].what
        == "[unix_http_server] has too long a path: no daemon can listen, left out"
    )


def test_an_empty_password_opens_no_door(tmp_path: Path) -> None:
    """The server is left out rather than opened."""
    text = "[inet_http_server]\nport = *:9001\nusername = u\npassword =\n"
    done = migrated(tmp_path, text)
    assert "[inet_http_server] has an empty password, which is none here: left out" in [
        one.what for one in done.differences
    ]
    assert "9001" not in done.text.partition("[defaults]")[0].replace(str(tmp_path), "")


def test_a_file_that_was_left_out(tmp_path: Path) -> None:
    """What nobody has read may be lost."""
    os.mkfifo(tmp_path / "b.conf")
    (told,) = differences(tmp_path, f"{A}[include]\nfiles = *.d b.conf\n")
    assert told == "supervisord.conf:10: could not read b.conf: it is a pipe, it is left out"


@pytest.fixture
def somebody() -> Iterator[Path]:
    """A folder where a test may become somebody who can't read everything."""
    with TemporaryDirectory() as folder:  # where another user may go, unlike `tmp_path`
        Path(folder).chmod(0o777)
        yield Path(folder)
        if os.getuid() == 0:
            os.seteuid(0)


def test_a_file_that_supervisord_may_read(somebody: Path) -> None:
    """It may be root, and whoever migrates is not."""
    (somebody / "b.conf").write_text(A)
    (somebody / "b.conf").chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    (told,) = differences(somebody, "[include]\nfiles = b.conf\n")
    assert told == "supervisord.conf:8: could not read b.conf: Permission denied, it is left out"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            f"{A}environment = U=http://h/?q=1\n",
            "supervisord.conf:9: environment of [program:a]: U ends early, quote its value if it",
        ),
        (
            "[program:a]\ncommand = x %(here)s\n",
            "supervisord.conf:2: %(here)s is written as ",
        ),
        (
            "[program:a]\ncommand = x --y=%(ENV_X)s\n",
            "supervisord.conf:8: command: a variable is one word now, whatever blanks are in it",
        ),
        (
            A,
            "supervisord.conf: logs called AUTO begin anew: the letters in their names are others",
        ),
        (
            f"{A}comand = y\n",
            (
                "supervisord.conf:9: [program:a] says comand, which means nothing to Supervisor:"
                " left out"
            ),
        ),
    ],
)
def test_what_is_good_to_know(tmp_path: Path, text: str, told: str) -> None:
    """These lose nothing."""
    assert any(one.startswith(told) for one in notes(tmp_path, text, {"X": "y"}))
    assert differences(tmp_path, text, {"X": "y"}) == []


def test_differences_stand_in_the_file_as_well(tmp_path: Path) -> None:
    """Above what they are about."""
    done = migrated(tmp_path, f"{A}priority = %(ENV_N)s\n", {"N": "5"})
    assert (
        "# NOTE: priority: %(ENV_N)s is written as the value it has today (only texts may name"
        " variables, as ${NAME})\n[program.a]\n" in done.text
    )


def test_secrets_of_the_environment_stay_there(tmp_path: Path) -> None:
    """Whatever names one: the file has the name, and the report no value."""
    text = (
        'environment = A="%(ENV_SECRET)s"\n'
        "[inet_http_server]\nport = 9001\nusername = me\npassword = %(ENV_SECRET)s\n"
        "[program:a]\ncommand = x --password %(ENV_SECRET)s\nenvironment = B='%(ENV_SECRET)s'\n"
        "directory = /%(ENV_SECRET)s\nprocess_name = %(ENV_A)s\n"
    )
    done = migrated(tmp_path, text, {"SECRET": "hunter2"})
    assert "hunter2" not in done.text
    assert done.text.count("${SECRET}") == 6
    assert "hunter2" not in str(done.differences) + str(done.notes)


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("user = %(ENV_ME)s", 'user = "${ME}"'),
        ("serverurl = http://%(ENV_HOST)s:1", 'SUPERVISOR_SERVER_URL = "http://${HOST}:1"'),
        ("directory = /%(ENV_HOST)s", 'working_dir = "/${HOST}"'),
        ("stderr_logfile = ~/%(ENV_HOST)s", 'log.stderr = "/root/${HOST}"'),
    ],
)
def test_variables_stay_variables(tmp_path: Path, line: str, written: str) -> None:
    """In whatever is a text in the end."""
    environ = {"ME": "root", "HOST": "here"}
    done = migrated(tmp_path, f"{A}{line}\n", environ)
    assert not done.differences
    assert written.replace("/root", str(Path("~").expanduser())) in done.text


@pytest.mark.parametrize(
    "line",
    [
        "command = x $%(ENV_WORD)s",  # `$${WORD}` would be taken as it is
        "command = x %(ENV_WORD)5s",
        "command = x %(ENV_BLANKS)s",  # two words there, one here
        'environment = A="x"%(ENV_COMMA)sB="y"',
        "serverurl = %(ENV_WORD)5s",
        "umask = %(ENV_NUMBER)s",
        "x = y\n[group:g]\nprograms = a\npriority = %(ENV_NUMBER)s",
    ],
)
def test_variables_that_had_to_be_written_out(tmp_path: Path, line: str) -> None:
    """Not without a word."""
    environ = {"WORD": "word", "BLANKS": "two words", "COMMA": ",", "NUMBER": "7"}
    command = "" if line.startswith("command") else "command = /bin/cat\n"
    key, name = (
        line.rpartition("\n")[2].partition(" =")[0],
        line.partition("ENV_")[2].partition(")")[0],
    )
    assert f"{key}: %(ENV_{name})s is written as the value it has today" in str(
        differences(tmp_path, f"[program:a]\n{command}{line}\n", environ)
    )


def test_variables_that_are_not_set_here(tmp_path: Path) -> None:
    """Whoever migrates need not know the daemon's secrets."""
    text = (
        'environment = A="%(ENV_SECRET)s"\n'
        "[program:a]\ncommand = x %(ENV_A)s %(ENV_OTHER)s\nautostart = true\n"
    )
    done = migrated(tmp_path, text.replace("x ", "x -a=").replace(" %(ENV_O", " -b=%(ENV_O"))
    assert 'command = "x -a=${SECRET} -b=${OTHER}"' in program(done)
    assert [one.what for one in done.notes if "isn't set here" in one.what] == [
        "OTHER isn't set here; ${OTHER} is written, and checked with a made-up value",
        "SECRET isn't set here; ${SECRET} is written, and checked with a made-up value",
    ]


def test_included_files_that_only_a_variable_finds(tmp_path: Path) -> None:
    """A made-up value would find none of them, and lose them all in silence."""
    write(tmp_path, A, "web/a.conf")
    text = "[include]\nfiles = %(ENV_ROLE)s/*.conf\n"
    with pytest.raises(ConfigError) as refused:
        migrated(tmp_path, text)
    (problem,) = refused.value.problems
    assert (problem.where.line, problem.what, problem.hint) == (
        8,
        "files: ROLE isn't set here, so nobody can tell what [include] finds",
        "set ROLE while you migrate, to what opsvisord will find it set to",
    )
    done = migrated(tmp_path, text, {"ROLE": "web"})
    assert program(done)
    assert [one.what for one in done.differences] == [
        "files: what %(ENV_ROLE)s finds today is written into this file, nothing else"
    ]


def test_included_files_of_the_folder(tmp_path: Path) -> None:
    """They are where the file is, whoever looks."""
    write(tmp_path, A, "web/a.conf")
    assert not differences(tmp_path, "[include]\nfiles = %(here)s/web/*.conf\n")


def test_a_pipe(tmp_path: Path) -> None:
    """It is read once, and looked at as often as a file."""
    reading, writing = os.pipe()
    os.write(writing, f"{HEAD}[supervisorctl]\nprompt = me\n{A}".encode())
    os.close(writing)
    try:
        done = migrate(Path(f"/dev/fd/{reading}"), {}, start=tmp_path, target=tmp_path / "x.toml")
    finally:
        os.close(reading)
    assert program(done)
    assert [one.what for one in done.differences] == ["prompt: opsvisorctl has its own"]
    with pytest.raises(ConfigError, match="could not find config file"):
        migrate(tmp_path / "nowhere", {}, start=tmp_path, target=tmp_path / "x.toml")


def test_a_file_that_nobody_could_use(tmp_path: Path) -> None:
    """The reader's own problems, and where a made-up value would not do, the first ones."""
    with pytest.raises(ConfigError, match="is not an existing directory"):
        migrated(tmp_path, "directory = /nowhere/at/all\n")
