"""Numbers that nobody means are problems, before they become tracebacks or fill the memory."""

from pathlib import Path

import pytest
from supervisor_files import load_text, only_spec, problems

HEAD = "[supervisord]\n"
PROGRAM = f"{HEAD}[program:a]\ncommand=x\n"
TEN_YEARS = 315_360_000
LONG = "9" * 400


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("startsecs", LONG),
        ("startsecs", f"-{LONG}"),
        ("startsecs", str(TEN_YEARS + 1)),
        ("stopwaitsecs", LONG),
        ("stopwaitsecs", str(TEN_YEARS + 1)),
        ("numprocs", "10001"),
        ("numprocs", "1000000000"),
        ("numprocs_start", str(2**31)),
        ("umask", "77777777777777"),
        ("umask", "10000"),
        ("umask", "-1"),
        ("startretries", str(2**31)),
        ("priority", str(2**31)),
        ("priority", str(-(2**31) - 1)),
        ("stdout_logfile_backups", str(2**31)),
        ("stderr_logfile_backups", LONG),
        ("stdout_logfile_maxbytes", str(2**63)),
        ("stderr_logfile_maxbytes", "9999999999999GB"),
        ("stdout_capture_maxbytes", str(-(2**63))),
    ],
)
def test_programs(tmp_path: Path, key: str, value: str) -> None:
    """The line is named, the value quoted if it isn't too long, the hint says what goes."""
    name = "process_name=a%(process_num)d\n"
    (problem,) = problems(tmp_path, f"{PROGRAM}{name}{key}={value}\n")
    assert problem.where.line == 5
    assert problem.what.startswith(f"value out of range: '{value[:50]}")
    assert len(problem.what) < 150 + len(str(tmp_path))
    assert problem.hint.startswith(f"{key} takes a")


@pytest.mark.parametrize(
    "line",
    [
        "umask=77777777777777",
        f"logfile_backups={LONG}",
        f"logfile_maxbytes={2**63}",
        f"minfds={2**31}",
        f"minprocs={2**31}",
    ],
)
def test_daemon(tmp_path: Path, line: str) -> None:
    """[supervisord] has the same bounds."""
    (problem,) = problems(tmp_path, f"{HEAD}{line}\n")
    assert (problem.where.line, problem.what[:20]) == (2, "value out of range: ")


def test_socket_mode(tmp_path: Path) -> None:
    """In the words that Supervisor has for any other mode it can't use."""
    (problem,) = problems(tmp_path, f"{HEAD}[unix_http_server]\nfile=/s\nchmod=77777\n")
    assert problem.what == "Invalid chmod value 77777"


def test_group_priority(tmp_path: Path) -> None:
    """[group:x] has the same bounds."""
    (problem,) = problems(tmp_path, f"{HEAD}[group:g]\npriority={2**31}\n")
    assert problem.what == "value out of range: '2147483648'"


def test_the_bounds_themselves_are_accepted(tmp_path: Path) -> None:
    """Of seconds, retries, priorities, modes and sizes."""
    spec = only_spec(
        tmp_path,
        f"startsecs={TEN_YEARS}\nstopwaitsecs={TEN_YEARS}\nstartretries={2**31 - 1}\n"
        f"priority={-(2**31)}\numask=7777\nstdout_logfile_maxbytes={2**63 - 1}\n",
    )
    assert (spec.min_uptime, spec.stop.kill_delay) == (TEN_YEARS, TEN_YEARS)
    assert (spec.restart.failed_starts_max, spec.priority) == (2**31 - 1, -(2**31))
    assert (spec.umask, spec.stdout.rotate_size) == (0o7777, 2**63 - 1)


def test_no_process_and_ten_thousand(tmp_path: Path) -> None:
    """A negative number of processes is none, as with Supervisor."""
    text = f"{PROGRAM}process_name=a%(process_num)d\nstdout_logfile=NONE\nnumprocs="
    for count, processes in ((-5, 0), (10_000, 10_000)):
        assert len(load_text(tmp_path, f"{text}{count}\n").plan.specs()) == processes
