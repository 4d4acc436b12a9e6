"""What a file of Supervisor's asks for is asked for by its opsvisor.toml, to the last field."""

import getpass
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from migrations import HEAD, assert_same, both, migrated, program
from supervisor_files import write

from opsvisor.core.spec import ProcessId

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize(
    "line",
    [
        "command = /bin/x 'two words' \"and\" {braces} \\\\ $HOME ${HOME} %%d é",
        'command = /bin/x "it\'s"',
        "command = /bin/x\n  one\n  two",
        "command = /bin/%(process_num)02d %(program_name)s/%(group_name)s %(process_num)s",
        "command = /bin/x $%(process_num)d$%(program_name)s",
        "process_name = %(program_name)s-%(process_num)03d",
        "process_name = b",
        "numprocs = 3\nprocess_name = p%(process_num)d",
        "numprocs = 2\nnumprocs_start = 9\nprocess_name = %(program_name)s_%(process_num)d",
        "numprocs = 2\nprocess_name = %(program_name)s_%(process_num)d",
        "priority = -5",
        "priority = -2147483648",
        "autostart = false",
        "autorestart = true",
        "autorestart = false",
        "startsecs = 0",
        "startsecs = 90",
        "startretries = 0",
        "startretries = 2147483647",
        "exitcodes = 0,2,255",
        "exitcodes =",
        "stopsignal = USR1",
        "stopsignal = 0",
        "stopsignal = 40",
        "stopwaitsecs = 3600",
        "stopasgroup = true",
        "killasgroup = true",
        f"user = {ME}",
        "redirect_stderr = true",
        "stdout_logfile = %(here)s/%(program_name)s-%(process_num)02d.log",
        "stdout_logfile = %(here)s/a%%%%b{c}.log",
        "stdout_logfile = NONE\nstderr_logfile = /dev/stderr",
        "stdout_logfile_maxbytes = 0\nstdout_logfile_backups = 0",
        "stdout_logfile_maxbytes = 1MB\nstderr_logfile_maxbytes = 2MB",
        "stdout_logfile_backups = 1\nstderr_logfile_backups = 2\nredirect_stderr = true",
        "stdout_events_enabled = true",
        "stderr_events_enabled = true\nstderr_logfile = NONE",
        "stdout_events_enabled = true\nstderr_events_enabled = true",
        "stdout_capture_maxbytes = 1KB\nstderr_capture_maxbytes = 2KB",
        "stdout_syslog = true",
        "stdout_logfile = syslog\nstderr_logfile = syslog",
        'environment = A="1",B="two, words",C="{x}",D="",E.F-G="50%%"',
        'environment = PORT="80%(process_num)02d",ME="%(program_name)s of %(group_name)s"',
        'environment = SUPERVISOR_PROCESS_NAME="mine",SUPERVISOR_SERVER_URL="other"',
        "environment = A=1\nstdout_logfile = %(here)s/%(ENV_A)s.log\ndirectory = /%(ENV_A)s",
        "directory = /srv/%(program_name)s/x",
        "umask = 027",
        "umask = 7777",
        "serverurl = http://elsewhere:1/%(program_name)s",
    ],
)
def test_every_option_of_a_program(tmp_path: Path, line: str) -> None:
    """Alone, and beside another program that says nothing of it, and in a group with it."""
    command = "" if line.startswith("command") else "command = /bin/cat\n"
    text = f"[program:a]\n{command}{line}\n"
    assert_same(tmp_path, text)
    other = "[program:other]\ncommand = /bin/other\n"
    assert_same(tmp_path, text + other)
    assert_same(tmp_path, f"{text}{other}[group:g]\nprograms = a, other\npriority = 7\n")
    assert_same(tmp_path, f"{text}[group:g]\nprograms = a\n[group:h]\nprograms = a,a\n")


@pytest.mark.parametrize(
    "line",
    [
        "loglevel = debug",
        "childlogdir = ~",
        "logfile = syslog",
        "logfile_maxbytes = 0",
        "logfile_backups = 3",
        "minfds = 64",
        "minprocs = 10",
        "nodaemon = false",
        "nodaemon = false\numask = 027\ndirectory = /",
        "silent = true",
        "nocleanup = true",
        "childlogdir = /",
        "childlogdir = %(here)s/.",
        f"user = {ME}",
        "strip_ansi = true",
        "identifier = it's ${HERE} {x}",
        'environment = A="{x}",B="two words"',
        'environment = A="1"\n[program:z]\ncommand = /bin/%(ENV_A)s\nenvironment = A="2"',
        'environment = A="1"\n[program:z]\ncommand = /bin/$%(ENV_A)s',
    ],
)
def test_every_option_of_the_daemon(tmp_path: Path, line: str) -> None:
    """With a program whose log is anywhere."""
    assert_same(tmp_path, f"{line}\n[program:a]\ncommand = /bin/cat\n")


@pytest.mark.parametrize(
    "servers",
    [
        "[unix_http_server]\nfile = {here}/s\n",
        "[unix_http_server]\nfile = {here}/s\nchmod = 0777\nchown = {me}\n",
        "[unix_http_server]\nfile = {here}/s\nchown = root:root\n",
        "[unix_http_server]\nfile = {here}/s\nchown = +0\n",
        "[unix_http_server]\nfile = {here}/s\nchown = +0:0\n",
        "[unix_http_server]\nfile = {here}/s\nusername = u ser\npassword = a{{b}}${{c}}\n",
        "[unix_http_server]\nfile = {here}/s\nusername = u\npassword = {{SHA}}82ab876d1387bfafe\n",
        "[inet_http_server]\nport = 127.0.0.1:9001\n",
        "[inet_http_server]\nport = *:9001\n",
        "[inet_http_server]\nport = Example.org:9001\nusername = u\npassword = p\n",
        "[inet_http_server]\nport = 9001\n[unix_http_server]\nfile = {here}/s\n",
    ],
)
def test_servers(tmp_path: Path, servers: str) -> None:
    """With who may connect, and with whatever is in a password."""
    head = servers.format(here=tmp_path, me=getpass.getuser())
    text = "[supervisord]\nnodaemon = true\n[program:a]\ncommand = /bin/cat\n"
    assert_same(tmp_path, text, head=head)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "priority = 5",
        "buffer_size = 99",
        "numprocs = 2\nprocess_name = %(process_num)d",
        "stderr_logfile = NONE",
        "stdout_events_enabled = true\nstdout_capture_maxbytes = 1KB",
        "stderr_events_enabled = true",
        "autorestart = true\nstopasgroup = true",
    ],
)
def test_event_listeners(tmp_path: Path, line: str) -> None:
    """Pools have a priority of their own, and their output is heard as answers."""
    assert_same(
        tmp_path,
        f"[eventlistener:l]\ncommand = /bin/l\nevents = TICK_60, process_state\n{line}\n"
        "[program:a]\ncommand = /bin/cat\n",
    )


@pytest.mark.parametrize(
    "lines",
    [
        "socket = tcp://localhost:9001",
        "socket = tcp://*:9001\nsocket_backlog = 5",
        "socket = unix://%(here)s/%(program_name)s.sock",
        "socket = unix:///x/y\nsocket_mode = 0777\nsocket_owner = root:root\nsocket_backlog = 9",
        "socket = unix:///x/y\nsocket_owner = root",
        f"socket = unix:///x/y\nuser = {ME}",
    ],
)
@pytest.mark.parametrize("is_member", [True, False])
def test_fastcgi(tmp_path: Path, lines: str, *, is_member: bool) -> None:
    """A socket shared by the processes, in a group of their own or with others."""
    group = "[group:g]\nprograms = a, f\n" if is_member else ""
    assert_same(
        tmp_path,
        f"[fcgi-program:f]\ncommand = /bin/f\nnumprocs = 2\nprocess_name = %(process_num)d\n"
        f"{lines}\n[program:a]\ncommand = /bin/cat\n{group}",
    )


@pytest.mark.parametrize(
    "line",
    [
        "startsecs = %(group_name)s",
        "autostart = %(group_name)s",
        "stopasgroup = %(group_name)s",
        "redirect_stderr = %(group_name)s",
        "exitcodes = %(group_name)s",
    ],
)
def test_what_only_the_group_decides(tmp_path: Path, line: str) -> None:
    """Options without templates may differ all the same, if groups are called like values."""
    groups = "[group:0]\nprograms = a\n[group:1]\nprograms = a\n"
    done = migrated(tmp_path, f"[program:a]\ncommand = /bin/cat\n{line}\n{groups}")
    (apart, renamed) = [one.what for one in done.differences]
    assert apart.startswith("[program:a] is written as 2 programs, as ")
    assert renamed == "1:a: program is 'a_2', was 'a'"


def test_logs_that_only_the_group_decides(tmp_path: Path) -> None:
    """One has a file somewhere and the other has none."""
    text = "[program:a]\ncommand = /bin/cat\nstdout_logfile = %(group_name)s\n"
    groups = "[group:auto]\nprograms = a\n[group:none]\nprograms = a\n"
    done = migrated(tmp_path, text + groups)
    _, after = both(tmp_path, done)
    logs = {i.group: spec.stdout for i, spec in after.plan.specs().items()}
    assert (logs["auto"].private, logs["none"].path) == (True, None)


def test_empty_programs(tmp_path: Path) -> None:
    """A group of no processes can be addressed as before."""
    done = assert_same(tmp_path, "[program:a]\ncommand = /bin/%(program_name)s\nnumprocs = 0\n")
    assert program(done) == ['command = "/bin/a"', "replicas = 0"]


def test_names_of_other_alphabets(tmp_path: Path) -> None:
    """Letters are letters."""
    done = assert_same(tmp_path, "[program:schlüssel_öäü]\ncommand = /bin/cat\n")
    assert '[program."schlüssel_öäü"]' in done.text


def test_what_differs_per_group_as_no_template_says(tmp_path: Path) -> None:
    """Two tables then, and the program's name in metrics is said to differ."""
    done = migrated(
        tmp_path,
        "[program:a]\ncommand = /bin/%(group_name)5s\n"
        "[group:g]\nprograms = a\n[group:hh]\nprograms = a\n",
    )
    told = [str(one.what) for one in done.differences]
    assert told[0].startswith("[program:a] is written as 2 programs, as command differs")
    assert told[1:] == ["hh:a: program is 'a_2', was 'a'"]
    _, after = both(tmp_path, done)
    commands = {str(i): s.command for i, s in after.plan.specs().items()}
    assert commands == {"g:a": "/bin/    g", "hh:a": "/bin/   hh"}


def test_what_differs_per_process_as_no_template_says(tmp_path: Path) -> None:
    """A table for each, in the group that they were in."""
    done = migrated(
        tmp_path,
        "[program:a]\ncommand = /bin/%(process_num)+d\n"
        "numprocs = 2\nprocess_name = p%(process_num)d\n",
    )
    _, after = both(tmp_path, done)
    specs = after.plan.specs()
    assert {i: s.command for i, s in specs.items()} == {
        ProcessId("a", "p0"): "/bin/+0",
        ProcessId("a", "p1"): "/bin/+1",
    }
    assert sorted(str(one.what) for one in done.differences)[:2] == [
        (
            "[program:a] is written as 2 programs, as command differs between its processes in a"
            " way that no template says"
        ),
        "a:p0: program is 'p0', was 'a'",
    ]


def test_files_that_are_included(tmp_path: Path) -> None:
    """All become one, and each says where it came from."""
    write(tmp_path, "[program:b]\ncommand = /bin/b %(here)s\n", "conf.d/b.conf")
    write(tmp_path, "[program:c]\ncommand = /bin/c\n", "conf.d/c.conf")
    done = assert_same(tmp_path, "[include]\nfiles = conf.d/*.conf\n[program:a]\ncommand = a\n")
    assert "\n# from conf.d/b.conf\n\n[program.b]\n" in done.text
    assert "\n# from conf.d/c.conf\n\n[program.c]\n" in done.text


def test_a_relative_path_begins_where_supervisord_was_started(tmp_path: Path) -> None:
    """That is a place which a file can name."""
    text = "[supervisord]\n[program:a]\ncommand = a\nstdout_logfile = a.log\ndirectory = x\n"
    done = migrated(tmp_path, text, head="")
    assert f'log.stdout = "{tmp_path}/a.log"' in program(done)
    assert f'working_dir = "{tmp_path}/x"' in program(done)
    assert f'pid_file = "{tmp_path}/supervisord.pid"' in done.text


def test_a_path_begins_where_the_daemon_has_gone(tmp_path: Path) -> None:
    """In the background it goes to its directory, and programs start after that."""
    text = "[program:a]\ncommand = a\nstdout_logfile = a.log\ndirectory = x\n"
    head = HEAD.replace("nodaemon = true", "directory = /")
    done = assert_same(tmp_path, text, head=head)
    assert {'log.stdout = "/a.log"', 'working_dir = "/x"'} < set(program(done))


def test_a_migration_loads_nothing_that_serves(tmp_path: Path) -> None:
    """Nor does a daemon without Supervisor's interfaces load what reads Supervisor's files."""
    path = write(tmp_path, HEAD)
    code = (
        "import sys; from pathlib import Path\n"
        "from opsvisor.compat.supervisor.migrate.migration import migrate\n"
        f"migrate(Path({str(path)!r}), {{}}, target=Path('x.toml'))\n"
        "print([m for m in ('aiohttp', 'asyncio', 'opsvisor.runtime') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert ran.stdout == "[]\n"
