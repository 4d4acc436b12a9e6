import textwrap
from pathlib import Path

import pytest
from config_files import Complaints, Load

from opsvisor.config.load import native
from opsvisor.config.problems import ConfigError
from opsvisor.core.spec import Resources

EVERYTHING_WRONG = """\
restart = "always"
include = 3
[defaults]
replicas = 2
backoff_limit = "1ms"
[programs.x]
[program."a b"]
command = "x 'y"
[program.web]
comand = "x"
autostart = true
stop_signal = "TERMM"
kill_delay = 10
priority = "high"
nice = 20
backoff_factor = 0.5
log = { stdout = 3, stdot = "x" }
environment = { A = [1], "B=" = 1, C = "{x}" }
success_exit_codes = [0,
  "SIGTERMX", 300]
rlimits = { nofil = 3, core = "x", cpu = [2, 1] }
stdout_logfile = "x"
description = "a\\u0000b"
[program.ok]
command = "x {replica:02} {port}"
restart = "sometimes"
umask = 27
user = "nobody:zz"
env_file = ["none.env"]
[group]
x = 1
[server]
http = { listen = "0.0.0.0:9001" }
unix = { username = "me", password = 5 }
[daemon]
loglevel = "x"
ring_size = "2M"
"""

ALL_OF_IT = """\
opsvisor.toml:1: unknown option 'restart'
    hint: it belongs into [defaults] or [program.…]
opsvisor.toml:2: include = 3: expected a string or an array of strings, got an integer
opsvisor.toml:4: defaults: replicas can't be shared by all programs
    hint: set it in each [program.…]
opsvisor.toml:5: defaults: backoff_limit = '1ms' is shorter than backoff_delay = '500ms'
    hint: the limit bounds every delay, so the first delay has to fit under it
opsvisor.toml:6: unknown table 'programs'
    hint: did you mean 'program'?
opsvisor.toml:7: program 'a b' is not a usable name
    hint: names consist of letters, digits, '_', '.', '-', '+' and '@'
opsvisor.toml:8: program 'a b': command = "x 'y" can't be split into words: no closing quotation
    hint: no shell reads it; an array is taken as it is: ["/bin/echo", "it's"]
opsvisor.toml:9: program 'web': command is missing
    hint: for example command = "/usr/bin/python3 -u web.py"
opsvisor.toml:10: program 'web': unknown option 'comand'
    hint: did you mean 'command'?
opsvisor.toml:11: program 'web': unknown option 'autostart'
    hint: Supervisor's autostart is called startup here
opsvisor.toml:12: program 'web': stop_signal = 'TERMM' is not a signal
    hint: did you mean 'TERM'? The name goes with or without SIG
opsvisor.toml:13: program 'web': kill_delay = 10 is not a duration
    hint: a duration needs a unit: "10s" for seconds, "10ms" for milliseconds
opsvisor.toml:14: program 'web': priority = 'high': expected an integer, got a string
opsvisor.toml:15: program 'web': nice = 20 is out of range
    hint: it goes from -20 to 19
opsvisor.toml:16: program 'web': backoff_factor = 0.5 is out of range
    hint: it is 1 or more
opsvisor.toml:17: program 'web': log.stdout: expected a string or a table, got an integer
opsvisor.toml:17: program 'web': unknown option 'log.stdot'
    hint: did you mean 'stdout'?
opsvisor.toml:18: program 'web': environment.A: expected a string, got an array
opsvisor.toml:18: program 'web': environment.B=: 'B=' can't be the name of a variable
opsvisor.toml:20: program 'web': success_exit_codes[1] = 'SIGTERMX' is not a signal
    hint: did you mean 'TERM'? The name goes with or without SIG
opsvisor.toml:20: program 'web': success_exit_codes[2] = 300 is not an exit code
    hint: exit codes go from 0 to 255
opsvisor.toml:21: program 'web': rlimits.nofil = 3: there is no limit called 'nofil'
    hint: did you mean 'nofile'? There are as, core, cpu, data, fsize, memlock, msgqueue, nice, \
nofile, nproc, ofile, rss, rtprio, rttime, sigpending, stack
opsvisor.toml:21: program 'web': rlimits.core = 'x' is not a resource limit
    hint: limits look like 65536, "unlimited" or [1024, 65536]
opsvisor.toml:21: program 'web': rlimits.cpu = [2, 1] has a soft limit above the hard one
    hint: write [soft, hard]
opsvisor.toml:22: program 'web': unknown option 'stdout_logfile'
    hint: Supervisor's stdout_logfile is called log.stdout here
opsvisor.toml:23: program 'web': description = 'a\\x00b' holds a NUL character, which ends every \
string in the kernel's eyes
opsvisor.toml:25: program 'ok': command holds '{port}', which means nothing here
    hint: known: {replica}, {program}, {group}, {process}; for a brace write {{ or }}
opsvisor.toml:26: program 'ok': restart = 'sometimes' is not one of always, on-failure, no
opsvisor.toml:27: program 'ok': umask = 27 is not an octal mode
    hint: write the octal digits in quotes, such as "027"
opsvisor.toml:28: program 'ok': user names a group that doesn't exist: 'zz'
opsvisor.toml:29: program 'ok': env_file names a file that can't be read: 'none.env': no such \
file or directory
opsvisor.toml:31: group 'x': expected a table, got an integer
    hint: each group has a name: [group.web]
opsvisor.toml:33: server: http.listen = '0.0.0.0:9001' would let anybody on the network control \
the programs
    hint: set username and password, or add an [identity.NAME], or listen on \
127.0.0.1, or say allow_anonymous = true
opsvisor.toml:34: server: unix.password: expected a string, got an integer
opsvisor.toml:34: server: unix.path is missing
    hint: for example path = "/run/opsvisor/opsvisor.sock"
opsvisor.toml:36: daemon: unknown option 'loglevel'
    hint: Supervisor's loglevel is called log_level here
opsvisor.toml:37: daemon: ring_size = '2M' is out of range
    hint: it goes from 1K to 1M"""


def test_all_problems_at_once(complaints: Complaints) -> None:
    """Every problem of a file in one go, each with line and reason; none follows from another."""
    assert complaints(EVERYTHING_WRONG) == ALL_OF_IT


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("command = []", "command = [] is empty"),
        ("command = ''", "command = '' is empty"),
        ("command = ['', 'x']", "command = ['', 'x'] is empty"),
        ("command = ['x', 1]", "command[1] = 1: expected a string, got an integer"),
        ("command = 1.5", "command = 1.5: expected a string or an array of strings, got a float"),
        ("new_session = 1", "new_session = 1: expected true or false, got an integer"),
        ("priority = true", "priority = true: expected an integer, got a boolean"),
        ("priority = 1.0", "priority = 1.0: expected an integer, got a float"),
        ("replicas = -1", "replicas = -1 is out of range"),
        ("replicas = 10001", "replicas = 10001 is out of range"),
        ("backoff_factor = nan", "backoff_factor = nan is out of range"),
        ("backoff_factor = inf", "backoff_factor = inf is out of range"),
        ("backoff_factor = '2'", "backoff_factor = '2': expected a number, got a string"),
        ("backoff_jitter = 1.01", "backoff_jitter = 1.01 is out of range"),
        ("min_uptime = 1979-05-27", "min_uptime = 1979-05-27: expected a string, got a date"),
        ("min_uptime = 07:32:00", "min_uptime = 07:32:00: expected a string, got a time"),
        ("min_uptime = 'never'", "min_uptime = 'never' is not a duration"),
        ("flapping_interval = '0s'", "flapping_interval = '0s' is too short"),
        ("stop_signal = 65", "stop_signal = 65 is not a signal"),
        ("stop_signal = '" + "9" * 5000 + "'", f"stop_signal = '{'9' * 56}... is not a signal"),
        ("kill_delay = '" + "9" * 5000 + "s'", f"kill_delay = '{'9' * 56}... is not a duration"),
        ("priority = 0x" + "f" * 5000, f"priority = 0x{'f' * 55}... is out of range"),
        ("environment = { A = 0x" + "f" * 5000 + " }",
         "environment.A: the number is out of range"),
        ("log = { rotate_size = '" + "9" * 5000 + "' }",
         f"log.rotate_size = '{'9' * 56}... is not a size"),
        ("labels = 0", "labels = 0: expected a table of strings, got an integer"),
        ("success_exit_codes = {}",
         "success_exit_codes = {}: expected an array of exit codes and signal names, got a table"),
        ("rlimits = { core = -1 }", "rlimits.core = -1 is not a resource limit"),
        ("rlimits = { core = [1, 2, 3] }", "rlimits.core = [1, 2, 3] is not a resource limit"),
        ("rlimits = { core = ['unlimited', 1] }",
         "rlimits.core = ['unlimited', 1] has a soft limit above the hard one"),
        ("resources = { cpu_max = 1.5 }",
         "resources.cpu_max = 1.5: expected a string, got a float"),
        ("resources = { cpu_max = '1.5' }", "resources.cpu_max = '1.5' is not a share of a CPU"),
        ("resources = { cpu_max = '0.5%' }", "resources.cpu_max = '0.5%' is out of range"),
        ("resources = { cpu_max = '900000%' }", "resources.cpu_max = '900000%' is out of range"),
        ("resources = { memory_max = '1K' }", "resources.memory_max = '1K' is out of range"),
        ("resources = { pids_max = 0 }", "resources.pids_max = 0 is out of range"),
        ("rlimits = 1", "rlimits = 1: expected a table of names and limits, got an integer"),
        ("labels = { a = 1 }", "labels.a = 1: expected a string, got an integer"),
        ("labels = ['a']", "labels = ['a']: expected a table of strings, got an array"),
        ("environment = 'A=1'",
         "environment: expected a table of names and values, got a string"),
        ("env_file = {}", "env_file = {}: expected a string or an array of strings, got a table"),
        ("env_file = ['']", "env_file[0] = '' is empty"),
        ("group = 'a:b'", "group = 'a:b' is not a usable name"),
        ("working_dir = ''", "working_dir = '' is empty"),
        ("log = 'web.log'", "log: expected a table, got a string"),
        ("log = { rotate_size = -1 }", "log.rotate_size = -1 is out of range"),
        ("log = { rotate_size = true }",
         'log.rotate_size = true: expected a size such as "50M", got a boolean'),
        (f"umask = '{'7' * 99}'", f"umask = '{'7' * 56}... is not an octal mode"),
        ("umask = { a = true }", "umask = {a = true}: expected a string, got a table"),
    ],
)  # fmt: skip
def test_bad_values(option: str, what: str, complaints: Complaints) -> None:
    """What each kind of value refuses, and in which words."""
    command = "" if option.startswith("command") else "\ncommand = 'x'"
    text = complaints(f"[program.web]\n{option}{command}")
    assert text.splitlines()[0] == f"opsvisor.toml:2: program 'web': {what}"


@pytest.mark.parametrize(
    "listen",
    [
        "9001",
        "127.0.0.1",
        "127.0.0.1:",
        "::1:9001",
        "[::1]",
        "h:65536",
        "h:x",
        "h:²",
        "h:" + "9" * 5000,
    ],
)
def test_what_is_no_address(listen: str, complaints: Complaints) -> None:
    """An address needs a port that exists, and IPv6 its brackets."""
    assert "is not an address" in complaints(f"[server]\nhttp = {{ listen = '{listen}' }}")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("program = 1", "program: expected a table, got an integer"),
        ("defaults = []", "defaults: expected a table, got an array"),
        ("[[program]]\n", "program: expected a table, got an array"),
        ("[program]\ncommand = 'x'", "program 'command': expected a table, got a string"),
        ("schema = 2", "schema = 2 is out of range"),
        ("[server]\nunix = 3", "server: unix: expected a string or a table, got an integer"),
    ],
)
def test_tables_are_tables(text: str, what: str, complaints: Complaints) -> None:
    """Whatever stands in the place of a table is named."""
    assert what in complaints(text).splitlines()[0]


def test_secrets_are_not_repeated(complaints: Complaints) -> None:
    """Neither passwords nor variables get into a message, whatever is wrong with them."""
    text = complaints(
        "[server]\nunix = { path = 'x', username = 'u', password = ['hunter2'] }\n"
        "[program.web]\ncommand = 'x'\nenvironment = { A = 'hunter2 {', B = ['hunter2'] }"
    )
    assert "unix.password: expected a string, got an array" in text
    assert "environment.B: expected a string, got an array" in text
    assert "hunter2" not in text


def test_a_problem_in_defaults_is_told_once(complaints: Complaints) -> None:
    """Not once more for each program that inherits it."""
    programs = "".join(f"[program.p{n}]\ncommand = 'x'\n" for n in range(3))
    text = complaints(
        f"[defaults]\nuser = 'no-such-user'\nlog = {{ stdout = '{{x}}' }}\n{programs}"
    )
    assert text == textwrap.dedent("""\
        opsvisor.toml:2: defaults: user names a user that doesn't exist: 'no-such-user'
        opsvisor.toml:3: defaults: log.stdout holds '{x}', which means nothing here
            hint: known: {replica}, {program}, {group}, {process}; for a brace write {{ or }}""")


def test_a_refused_option_draws_no_further_problems(complaints: Complaints) -> None:
    """The order of the delays isn't judged by a default that nobody wrote."""
    text = complaints(
        "[defaults]\nbackoff_limit = 30\n[program.web]\ncommand = 'x'\nbackoff_delay = '1m'"
    )
    assert text.count("opsvisor.toml:") == 1


def test_a_program_may_repair_a_default(complaints: Complaints) -> None:
    """What the program says itself is judged, though the default was refused."""
    text = complaints(
        "[defaults]\nbackoff_limit = 30\n"
        "[program.web]\ncommand = 'x'\nbackoff_delay = '1m'\nbackoff_limit = '30s'"
    )
    assert "opsvisor.toml:6: program 'web': backoff_limit = '30s' is shorter than" in text


def test_good_values_of_many_spellings(load: Load) -> None:
    """Options that may be written in more than one way."""
    plan = load(
        "[program.a]\ncommand = '/bin/echo \"two words\"'\nstop_signal = 9\n"
        "rlimits = { core = 'unlimited', nofile = [1, 2], cpu = 3 }\n"
        "resources = { memory_max = '512M', memory_high = 4096, cpu_max = '12.5%', pids_max = 9,"
        " oom_group = true }\n"
        "environment = { A = 1, B = 1.5, C = true, D = 'x' }\nlog = { rotate_size = 512 }\n"
    ).plan
    (spec,) = plan.specs().values()
    assert spec.argv == ("/bin/echo", "two words")
    assert spec.command == '/bin/echo "two words"'
    assert spec.stop.signal == 9
    assert spec.resources == Resources(
        memory_max=512 << 20, memory_high=4096, cpu_max=0.125, pids_max=9, oom_group=True
    )
    assert [(r.name, r.soft, r.hard) for r in spec.rlimits] == [
        ("core", None, None),
        ("cpu", 3, 3),
        ("nofile", 1, 2),
    ]
    assert spec.environment == (("A", "1"), ("B", "1.5"), ("C", "true"), ("D", "x"))
    assert spec.stdout.rotate_size == 512


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            'liveness_probe = { command = "x" }',
            (
                "there are exec, http, tcp, initial_delay, period, timeout, success_threshold,"
                " failure_threshold"
            ),
        ),
        ('liveness_probe = { exec = "x", periode = "1s" }', "did you mean 'period'?"),
        ("limits = { nofile = 5 }", "it belongs into [server]; or did you mean 'rlimits'?"),
        ("ring_size = 1", "it belongs into [daemon]"),
        ("kill_delay = 5", 'a duration needs a unit: "5s" for seconds, "5ms" for milliseconds'),
        ("kill_delay = -5", 'durations look like "500ms", "30s", "10m", "1h30m" or "1d"'),
        ("kill_delay = inf", 'durations look like "500ms", "30s", "10m", "1h30m" or "1d"'),
    ],
)
def test_hints_help(tmp_path: Path, line: str, hint: str) -> None:
    """They name what can be written there, and nothing that would be refused as well."""
    path = tmp_path / "opsvisor.toml"
    path.write_text(f'schema = 1\n[program.web]\ncommand = "x"\n{line}\n')
    with pytest.raises(ConfigError) as refused:
        native(path, {})
    assert hint in [problem.hint for problem in refused.value.problems]


def test_what_is_typed_commands_no_terminal(tmp_path: Path) -> None:
    """Names may be anything, and are shown with what is wrong with them."""
    path = tmp_path / "opsvisor.toml"
    path.write_text('schema = 1\n[program."a\\u001b[31m\\u202eb"]\n"\\u001bc" = 1\n')
    with pytest.raises(ConfigError) as refused:
        native(path, {})
    assert "\\x1b[31m" in str(refused.value)
    assert not {"\x1b", "\u202e"} & set(str(refused.value))
