"""[program:x] as specs: what Supervisor's words become under our names."""

import os
import tempfile
from pathlib import Path

import pytest
import real_supervisor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from supervisor_files import brief, load_text, only_spec, problems, specs, write

from opsvisor.compat.supervisor.config.load import load
from opsvisor.core.plan import diff
from opsvisor.core.spec import (
    ExitSet,
    ExponentialBackoff,
    KillMode,
    LinearBackoff,
    ProcessId,
    RestartMode,
    RestartPolicy,
    Startup,
    StdinMode,
    StopPolicy,
)

HEAD = "[supervisord]\n"


def test_defaults(tmp_path: Path) -> None:
    """A program with nothing but a command lives by Supervisor's defaults."""
    spec = only_spec(tmp_path, "")
    assert spec.id == ProcessId("a", "a")
    assert (spec.program, spec.replica, spec.priority) == ("a", 0, 999)
    assert (spec.command, spec.argv, spec.command_problem) == ("/bin/cat", ("/bin/cat",), "")
    assert (spec.startup, spec.min_uptime, spec.stdin) == (Startup.ENABLED, 1.0, StdinMode.PIPE)
    assert (spec.user, spec.umask, spec.working_dir) == (None, None, None)
    assert spec.restart == RestartPolicy(
        mode=RestartMode.ON_FAILURE,
        success=ExitSet(codes=frozenset({0})),
        early_exit_fails=True,
        failed_starts_max=3,
        start_backoff=LinearBackoff(step=1.0),
        run_backoff=ExponentialBackoff(delay=0.1, factor=2.0, limit=5.0, jitter=0.0),
        backoff_reset=1.0,
        limit=None,
        fatal_retry_delay=None,
    )
    assert spec.stop == StopPolicy(
        signal=15, kill_delay=10.0, signal_mode=KillMode.PROCESS, kill_mode=KillMode.PROCESS
    )


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("autorestart=true", RestartMode.ALWAYS),
        ("autorestart=unexpected", RestartMode.ON_FAILURE),
        ("autorestart=false", RestartMode.NO),
    ],
)
def test_autorestart_is_the_restart_mode(tmp_path: Path, line: str, mode: RestartMode) -> None:
    """Three answers, three modes."""
    assert only_spec(tmp_path, line).restart.mode is mode


def test_startsecs_is_also_what_forgets_failures(tmp_path: Path) -> None:
    """A run that counts as a start forgets the failures before it, but not below a second."""
    assert only_spec(tmp_path, "startsecs=7").restart.backoff_reset == 7.0
    assert only_spec(tmp_path, "startsecs=0").restart.backoff_reset == 1.0


def test_negative_numbers_count_as_none(tmp_path: Path) -> None:
    """Supervisor accepts them and behaves as with 0."""
    lines = "startsecs=-1\nstartretries=-1\nstopwaitsecs=-1\nstdout_logfile_maxbytes=-1\n"
    spec = only_spec(tmp_path, lines + "stdout_logfile_backups=-1\nstdout_logfile=x")
    assert (spec.min_uptime, spec.restart.failed_starts_max, spec.stop.kill_delay) == (0, 0, 0)
    assert (spec.stdout.rotate_size, spec.stdout.rotate_keep) == (0, 0)


def test_autostart_false_still_starts_with_its_group(tmp_path: Path) -> None:
    """DISABLED, not MANUAL: `start all` includes it."""
    assert only_spec(tmp_path, "autostart=false").startup is Startup.DISABLED


def test_stopasgroup_implies_killasgroup(tmp_path: Path) -> None:
    """Whoever asks the group also kills the group; the other way round is a choice."""
    both = only_spec(tmp_path, "stopasgroup=true").stop
    assert (both.signal_mode, both.kill_mode) == (KillMode.GROUP, KillMode.GROUP)
    kill = only_spec(tmp_path, "killasgroup=true").stop
    assert (kill.signal_mode, kill.kill_mode) == (KillMode.PROCESS, KillMode.GROUP)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("sh -c 'x", "can't parse command \"sh -c 'x\": No closing quotation"),
        ('a "b', "can't parse command 'a \"b': No closing quotation"),
        ("", "command is empty"),
    ],
)
def test_bad_command_fails_at_start(tmp_path: Path, command: str, problem: str) -> None:
    """It is no configuration error: the other programs of the file must start."""
    (spec,) = specs(load_text(tmp_path, f"{HEAD}[program:a]\ncommand={command}\n")).values()
    assert (spec.argv, spec.command, spec.command_problem) == ((), command, problem)


def test_environment_in_supervisors_order(tmp_path: Path) -> None:
    """SUPERVISOR_* first, then [supervisord]'s variables, then the program's; later wins."""
    text = (
        "[supervisord]\nenvironment=A=1,B=2,SUPERVISOR_ENABLED=0\n"
        "[inet_http_server]\nport=9001\n[program:a]\ncommand=x\nenvironment=B=3\n"
    )
    (spec,) = specs(load_text(tmp_path, text)).values()
    assert spec.environment == (
        ("SUPERVISOR_ENABLED", "0"),
        ("SUPERVISOR_PROCESS_NAME", "a"),
        ("SUPERVISOR_GROUP_NAME", "a"),
        ("SUPERVISOR_SERVER_URL", "http://localhost:9001"),
        ("A", "1"),
        ("B", "3"),
    )


@pytest.mark.parametrize(
    ("line", "url"),
    [("", None), ("serverurl=", None), ("serverurl=AUTO", None), ("serverurl=x://y", "x://y")],
)
def test_no_server_no_url(tmp_path: Path, line: str, url: str | None) -> None:
    """Without a server only an explicit URL is handed down."""
    assert dict(only_spec(tmp_path, line).environment).get("SUPERVISOR_SERVER_URL") == url


def test_own_variables_are_for_own_options(tmp_path: Path) -> None:
    """A program's environment may be used in its command, after names in it were expanded."""
    spec = only_spec(
        tmp_path,
        'environment=NAME="%(program_name)s-%(process_num)d"\ncommand=run %(ENV_NAME)s\n'
        "directory=/srv/%(ENV_NAME)s\nprocess_name=%(ENV_NAME)s",
    )
    assert spec.argv == ("run", "a-0")
    assert (spec.working_dir, spec.id.name) == ("/srv/a-0", "a-0")


def test_auto_logs_have_supervisors_shape_and_are_private(tmp_path: Path) -> None:
    """`<process>-<stream>---<identifier>-<8 characters>.log` in childlogdir, mode 0600."""
    text = f"[supervisord]\nchildlogdir={tmp_path}\nidentifier=one\nstrip_ansi=true\n"
    (spec,) = specs(load_text(tmp_path, f"{text}[program:a]\ncommand=x\n")).values()
    assert spec.stderr is not None
    for log, stream in ((spec.stdout, "stdout"), (spec.stderr, "stderr")):
        assert log.path is not None
        head, tail = log.path[: -len("12345678.log")], log.path[-len("12345678.log") :]
        assert head == f"{tmp_path}/a-{stream}---one-"
        assert tail.endswith(".log")
        assert log.private
        assert log.strip_ansi
        assert (log.rotate_size, log.rotate_keep) == (50 * 1024 * 1024, 10)


def test_auto_logs_are_in_the_temporary_folder_by_default(tmp_path: Path) -> None:
    """As Supervisor's, where childlogdir says nothing."""
    path = only_spec(tmp_path, "").stdout.path
    assert path is not None
    assert path.startswith(f"{tempfile.gettempdir()}/a-stdout---supervisor-")


def test_reading_again_changes_nothing(tmp_path: Path) -> None:
    """AUTO log names are stable, so the same file is no change, and each process has its own."""
    text = f"{HEAD}[program:a]\ncommand=x\nnumprocs=2\nprocess_name=a%(process_num)d\n"
    first, second = load_text(tmp_path, text), load_text(tmp_path, text)
    assert diff(first.plan, second.plan).is_empty()
    paths = {log.path for s in specs(first).values() for log in (s.stdout, s.stderr) if log}
    assert len(paths) == 4


def test_two_configurations_have_different_auto_logs(tmp_path: Path) -> None:
    """Two daemons with the same identifier must not share files."""
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(only_spec(tmp_path / name, "").stdout.path)
    assert paths[0] != paths[1]


@pytest.mark.parametrize(
    ("line", "path"),
    [("stdout_logfile=NONE", None), ("stdout_logfile=", None), ("stdout_logfile=x.log", "x.log")],
)
def test_log_files(tmp_path: Path, line: str, path: str | None) -> None:
    """NONE and nothing keep output off the disk; files that were named aren't private."""
    log = only_spec(tmp_path, line).stdout
    assert (log.path, log.private) == (path, False)


def test_stderr_into_stdout(tmp_path: Path) -> None:
    """redirect_stderr leaves no second log."""
    assert only_spec(tmp_path, "redirect_stderr=true").stderr is None


def test_replicas_are_numbered_from_numprocs_start(tmp_path: Path) -> None:
    """The number in the name is the number of the replica."""
    text = f"{HEAD}[program:a]\ncommand=x\nnumprocs=2\nnumprocs_start=8\nprocess_name="
    loaded = load_text(tmp_path, f"{text}%(program_name)s_%(process_num)02d\n")
    assert {n: s.replica for n, s in specs(loaded).items()} == {"a:a_08": 8, "a:a_09": 9}


def test_a_mistake_in_many_replicas_is_one_problem(tmp_path: Path) -> None:
    """A hundred processes with the same bad path say so once."""
    found = problems(
        tmp_path,
        f"{HEAD}[program:a]\ncommand=x\nnumprocs=100\nprocess_name=a%(process_num)d\n"
        "stdout_logfile=/nodir/%(process_num)d.log\n",
    )
    assert len(found) == 1
    assert found[0].where.line == 6


def test_name_with_an_unknown_expansion(tmp_path: Path) -> None:
    """The process name is expanded like the rest, and refused like the rest."""
    found = problems(tmp_path, f"{HEAD}[program:a]\ncommand=x\nprocess_name=%(b)s\n")
    assert found[0].what.startswith("Format string '%(b)s' for 'program:a.process_name' contains")


def test_everything_wrong_is_reported_at_once(tmp_path: Path) -> None:
    """One reading finds all mistakes of all sections, in the order of the lines."""
    found = problems(
        tmp_path,
        "[supervisord]\nloglevel=loud\n[program:a]\nautostart=T\nstopsignal=TERMM\n"
        "[program:b]\ncommand=x\nnumprocs=2\n[unix_http_server]\nchmod=9\n[group:g]\n"
        "programs=zzz,yyy\npriority=p\n",
    )
    end = " in section 'program:a' (file: 'supervisord.conf')"
    assert brief(found, tmp_path) == [
        "2: bad logging level name 'loud'",
        f"3: program section program:a does not specify a command{end}",
        f"4: not a valid boolean value: 'T'{end}",
        f"5: value 'TERMM' is not a valid signal name{end}",
        "8: %(process_num) must be present within process_name when numprocs > 1"
        + end.replace("program:a", "program:b"),
        "9: section [unix_http_server] has no file value",
        "10: Invalid chmod value 9",
        "12: [group:g] names unknown program or fcgi-program zzz",
        "12: [group:g] names unknown program or fcgi-program yyy",
        "13: invalid literal for int() with base 10: 'p'",
    ]
    assert [p.hint for p in found if p.where.line in (2, 4, 5)] == [
        "loglevel takes critical, error, warn, info, debug, trace or blather",
        "autostart takes yes, true, on, 1 or no, false, off, 0",
        "did you mean 'TERM'?",
    ]


def test_three_hundred_programs_are_not_quadratic(tmp_path: Path) -> None:
    """Work grows with the number of programs: counted in calls, so no clock is involved."""
    counts = {n: _calls_to_load(tmp_path, n) for n in (30, 300)}
    assert counts[300] < 12 * counts[30]


def _calls_to_load(folder: Path, count: int) -> int:
    """How many functions are called to read this many programs in groups of ten."""
    import cProfile  # noqa: PLC0415 - only this test counts
    import pstats  # noqa: PLC0415 - only this test counts

    programs = "".join(
        f"[program:p{n}]\ncommand=run %(program_name)s %(ENV_X)s\nautostart=true\n"
        for n in range(count)
    )
    groups = "".join(
        f"[group:g{n}]\nprograms={','.join(f'p{m}' for m in range(n, n + 10))}\n"
        for n in range(0, count, 10)
    )
    path = folder / "supervisord.conf"
    path.write_text(f"{HEAD}environment=X=1\n{programs}{groups}")
    profile = cProfile.Profile()
    loaded = profile.runcall(load, path, {})
    assert len(loaded.plan.specs()) == count
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]  # missing in the stubs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text("ABC", min_size=1, max_size=3),
        st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\%;#')),
    )
)
def test_environment_arrives_whole(tmp_path: Path, variables: dict[str, str]) -> None:
    """Through grammar, expansion and pairs: what is quoted in the file is what the child gets."""
    line = "environment=" + ",".join(f'{key}="{value}"' for key, value in variables.items())
    found = dict(only_spec(tmp_path, line, dict(os.environ)).environment)
    assert {key: found[key] for key in variables} == variables


def test_output_is_told_and_messages_are_looked_for_where_asked(tmp_path: Path) -> None:
    """*_events_enabled and *_capture_maxbytes, each stream for itself."""
    lines = "stdout_events_enabled=true\nstderr_capture_maxbytes=1KB\nstdout_capture_maxbytes=-1\n"
    spec = only_spec(tmp_path, lines)
    assert (spec.stdout.told, spec.stdout.message_limit) == (True, 0)
    assert spec.stderr is not None
    assert (spec.stderr.told, spec.stderr.message_limit) == (False, 1024)


def test_lines_may_go_to_syslog_beside_a_file(tmp_path: Path) -> None:
    """Each stream for itself."""
    spec = only_spec(tmp_path, "stdout_syslog=true\nstdout_logfile=x.log\n")
    assert (spec.stdout.path, spec.stdout.syslog) == ("x.log", True)
    assert spec.stderr is not None
    assert spec.stderr.syslog is False


def test_syslog_in_the_place_of_a_file(tmp_path: Path) -> None:
    """It does what it did, and the warning is Supervisor's to the letter."""
    text = f"{HEAD}[program:a]\ncommand=x\nstderr_logfile=Syslog\nstderr_logfile_maxbytes=0\n"
    loaded = load_text(tmp_path, text)
    stderr = specs(loaded)["a:a"].stderr
    assert stderr is not None
    assert (stderr.path, stderr.syslog) == (None, True)
    theirs = real_supervisor.read(write(tmp_path, text)).parse_warnings
    assert [w.what for w in loaded.warnings] == theirs
    (warning,) = theirs
    assert "stderr_logfile=syslog but this is deprecated" in warning


@pytest.mark.parametrize(
    ("path", "says", "hint"),
    [
        ("%(here)s/supervisord.conf", "is a file of this configuration", "give it a file of its "),
        ("%(here)s/d.pid", "is the daemon's pid file", "give it a file of its own"),
        ("%(here)s/d.sock", "is a socket of the daemon", "give it a file of its own"),
        ("%(here)s/state/lock", "is a file of the daemon's state directory", "give it a file of"),
        ("%(here)s/./d.log", "is the daemon's own log", "give each its own file"),
    ],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_in_a_file_of_the_daemon(
    tmp_path: Path, stream: str, path: str, says: str, hint: str
) -> None:
    """Supervisor takes it, and so do we, but not in silence."""
    (tmp_path / "state").mkdir()
    text = (
        f"[program:a]\ncommand = x\nnumprocs = 2\nprocess_name = a%(process_num)d\n"
        f"{stream}_logfile = {path}\n"
        "[unix_http_server]\nfile = %(here)s/d.sock\n[opsvisor]\nstate_dir = %(here)s/state\n"
        "[supervisord]\nlogfile = %(here)s/d.log\npidfile = %(here)s/d.pid\n"
    )
    (warning,) = load_text(tmp_path, text).warnings
    assert (warning.where.line, warning.what) == (5, f"{stream}_logfile of [program:a] {says}")
    assert warning.hint.startswith(hint)


@pytest.mark.parametrize(
    ("nodaemon", "path"), [("true", "./d.log"), ("false", "../d.log"), ("false", "%(here)s/d.log")]
)
def test_where_the_path_of_a_log_begins(tmp_path: Path, nodaemon: str, path: str) -> None:
    """Where supervisord was started, unless it goes elsewhere on its way to the background."""
    (tmp_path / "there").mkdir()
    file = write(
        tmp_path,
        f"[supervisord]\nlogfile = d.log\nnodaemon = {nodaemon}\ndirectory = %(here)s/there\n"
        f"[program:a]\ncommand = x\nstdout_logfile = {path}\n",
    )
    (warning,) = load(file, {}, start_directory=tmp_path).warnings
    assert warning.what == "stdout_logfile of [program:a] is the daemon's own log"
