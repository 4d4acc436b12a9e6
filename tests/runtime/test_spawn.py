"""What a program finds when it begins, and what is said when it can't."""

import gc
import os
import pwd
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from engine_room import Options, program
from forks import fork_server, spawn

from opsvisor.core.outcome import SpawnFaultKind
from opsvisor.core.spec import Pid, ProcessSpec, ResourceLimit, UserSpec
from opsvisor.runtime.spawn import ChildFiles, SpawnError, find_executable

ENVIRONMENT = {"PATH": os.environ["PATH"], "BASE": "base"}
NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = UserSpec(
    name="nobody", uid=NOBODY.pw_uid, gid=NOBODY.pw_gid, groups=(NOBODY.pw_gid, 12345)
)
AS_DAEMON = UserSpec(name="daemon", uid=1, gid=1, groups=(1,))
NOFILE = ResourceLimit(name="nofile", soft=100, hard=200)
# Each takes another of the ways to make a process, and changes nothing that the tests look at.
PATHS = pytest.mark.parametrize(
    "options", [{}, {"umask": 0o022}, {"nice": 0}], ids=["posix_spawn", "popen", "fork"]
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture(autouse=True, params=["alone", "fork_server"])
def forks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All that is said here is true without a fork server, and with one."""
    if request.param == "alone":
        yield
        return
    with fork_server() as server:
        monkeypatch.setattr(sys.modules[__name__], "spawn", partial(spawn, forks=server))
        yield
        assert server.is_ready


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that everybody may look into, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


class Ran(NamedTuple):
    """What a process that was spawned and waited for left behind."""

    pid: Pid
    code: int
    out: str
    err: str


def _files(descriptors: Sequence[int]) -> ChildFiles:
    stdin, stdout, stderr = descriptors
    return ChildFiles(stdin, stdout, stderr)


def run(spec: ProcessSpec, environment: Mapping[str, str] = ENVIRONMENT, stdin: str = "") -> Ran:
    """Spawn it with files as its standard streams, and wait for its end."""
    descriptors = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    try:
        os.pwrite(descriptors[0], stdin.encode(), 0)
        pid = spawn(spec, _files(descriptors), environment)
        _, status = os.waitpid(pid, 0)
        out, err = (os.pread(fd, 1 << 20, 0).decode() for fd in descriptors[1:])
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return Ran(pid, os.waitstatus_to_exitcode(status), out, err)


def failure(spec: ProcessSpec, environment: Mapping[str, str] = ENVIRONMENT) -> SpawnError:
    """The error of a spawn that must fail."""
    with pytest.raises(SpawnError) as caught:
        run(spec, environment)
    return caught.value


def _is_inherited(descriptor: int) -> bool:
    """Whether whoever started the tests left this open for every child to come."""
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # it was the directory being listed
        return False


def script(path: Path, text: str = "#!/bin/sh\necho ran\n", mode: int = 0o755) -> Path:
    """An executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@PATHS
def test_arguments_arrive_as_they_are(options: Options) -> None:
    """No shell splits, globs or expands anything, and the command's own name is argv[0]."""
    spec = program("web", "sh", "-c", 'printf "%s|" "$0" "$@"', "*", "a b", "", "ü$", **options)
    ran = run(spec)
    assert (ran.code, ran.out, ran.err) == (0, "*|a b||ü$|", "")
    # /proc has argv[0] as it was given, not as it was found.
    argv = run(program("web", "cat", "/proc/self/cmdline", **options)).out
    assert argv == "cat\0/proc/self/cmdline\0"


@PATHS
def test_own_variables_are_laid_over_the_inherited_ones(options: Options) -> None:
    """The environment is the base, overlaid, and nothing else: not even this process's own."""
    spec = program("web", "env", environment=(("OWN", "1 = 1"), ("BASE", "mine")), **options)
    found = dict(line.split("=", 1) for line in run(spec).out.splitlines())
    assert found == {"PATH": ENVIRONMENT["PATH"], "BASE": "mine", "OWN": "1 = 1"}


@PATHS
@pytest.mark.parametrize("locale", [(), (("LC_CTYPE", "C"),)], ids=["unset", "C"])
def test_its_locale_is_what_it_was_given(
    options: Options, locale: tuple[tuple[str, str], ...]
) -> None:
    """Python changes LC_CTYPE for itself where it is C or unset; that must not be handed on."""
    spec = program("web", "sh", "-c", 'echo "${LC_CTYPE-unset}"', environment=locale, **options)
    assert run(spec).out == ("C\n" if locale else "unset\n")


@PATHS
def test_it_begins_in_its_working_directory_with_its_umask(
    options: Options, tmp_path: Path
) -> None:
    """Both are the process's own; the daemon's stay as they were."""
    before = Path.cwd()
    both = {**options, "working_dir": str(tmp_path), "umask": 0o027}
    spec = program("web", "sh", "-c", "pwd; umask", **both)
    assert run(spec).out == f"{tmp_path}\n0027\n"
    assert Path.cwd() == before


@PATHS
@pytest.mark.parametrize("new_session", [False, True])
def test_it_leads_a_process_group_of_its_own(options: Options, *, new_session: bool) -> None:
    """So that a signal to the group reaches its descendants; a session only where asked for."""
    ran = run(program("web", "cat", "/proc/self/stat", new_session=new_session, **options))
    group, session = map(int, ran.out.rpartition(")")[2].split()[2:4])
    assert group == ran.pid
    assert session == (ran.pid if new_session else os.getsid(0))


@needs_root
@PATHS
def test_it_runs_as_its_user(options: Options) -> None:
    """User, group and the supplementary groups are the account's; none of root's remain."""
    ran = run(program("web", "cat", "/proc/self/status", user=AS_NOBODY, **options))
    status = dict(line.split(":", 1) for line in ran.out.splitlines())
    assert set(status["Uid"].split()) == {str(AS_NOBODY.uid)}
    assert set(status["Gid"].split()) == {str(AS_NOBODY.gid)}
    assert set(status["Groups"].split()) == {str(AS_NOBODY.gid), "12345"}
    assert int(status["CapEff"], 16) == 0


@PATHS
def test_signals_are_as_the_kernel_gives_them(options: Options) -> None:
    """Python ignores SIGPIPE and SIGXFSZ: handed on, `yes | head` would never end in a program."""
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    ran = run(program("web", "cat", "/proc/self/status", **options))
    masks = dict(line.split(":", 1) for line in ran.out.splitlines() if line.startswith("Sig"))
    # 32 and 33 belong to the C library, and its posix_spawn (make, say) leaves 32 ignored.
    assert int(masks["SigIgn"], 16) & ~(0b11 << 31) == 0
    assert int(masks["SigBlk"], 16) == 0
    broken = run(program("web", "sh", "-c", "kill -PIPE $$; echo survived", **options))
    assert (broken.code, broken.out) == (-signal.SIGPIPE, "")


@PATHS
def test_no_descriptor_but_the_standard_ones_gets_in(options: Options) -> None:
    """Whatever the daemon has open (sockets, logs, pidfds) is none of a program's business."""
    everything = {int(fd.name) for fd in Path("/proc/self/fd").iterdir()}
    from_outside = {fd for fd in everything if _is_inherited(fd)}
    with Path("/dev/null").open() as one, Path("/proc/self/stat").open() as other:
        ran = run(program("web", "ls", "/proc/self/fd", **options))
        ours = {one.fileno(), other.fileno()}
    found = set(map(int, ran.out.split()))
    assert found >= {0, 1, 2}
    assert not found & (ours - {max(found)})
    assert len(found - from_outside - {0, 1, 2}) == 1  # the directory that ls reads


@PATHS
def test_standard_streams_are_the_given_files(options: Options) -> None:
    """0, 1 and 2, each where it belongs."""
    ran = run(program("web", "sh", "-c", "cat; echo oops >&2", **options), stdin="hello")
    assert (ran.out, ran.err) == ("hello", "oops\n")


@pytest.mark.parametrize("more", ["", ", nice=0"], ids=["popen", "fork"])
@pytest.mark.parametrize("numbers", [(1, 2, 0), (0, 0, 0), (2, 1, 9), (9, 0, 1)])
def test_streams_with_low_numbers_dont_take_each_others_place(
    numbers: tuple[int, int, int], more: str
) -> None:
    """A daemon that was started without standard streams has others under their numbers."""
    code = (
        "import os, sys\n"
        "from opsvisor.core.spec import ProcessId, ProcessSpec\n"
        "from opsvisor.runtime.spawn import Begun, ChildFiles, begin\n"
        "told = os.dup2(1, 50, inheritable=False)\n"
        "for number in (0, 1, 2, 9):\n"
        "    os.dup2(os.memfd_create(str(number)), number, inheritable=False)\n"
        "argv = ('readlink', *(f'/proc/self/fd/{number}' for number in range(3)))\n"
        f"spec = ProcessSpec(id=ProcessId('a', 'a'), program='a', command='a', argv=argv{more})\n"
        "numbers = [int(word) for word in sys.argv[1:]]\n"
        "begun = begin(spec, ChildFiles(*numbers), {})\n"
        "os.waitpid(begun.finish() if isinstance(begun, Begun) else begun, 0)\n"
        "os.write(told, os.pread(numbers[1], 999, 0))\n"
    )
    command = [sys.executable, "-c", code, *map(str, numbers)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [f"/memfd:{number} (deleted)" for number in numbers]


def test_limits_niceness_and_oom_score_hold_from_the_first_instruction() -> None:
    """They are set before the program is executed, not a moment later."""
    niceness = os.getpriority(os.PRIO_PROCESS, 0) + 3
    report = "ulimit -Sn; ulimit -Hn; cat /proc/$$/oom_score_adj; nice"
    spec = program("web", "sh", "-c", report, rlimits=(NOFILE,), nice=niceness, oom_score_adj=700)
    assert run(spec).out.split() == ["100", "200", "700", str(niceness)]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) != (100, 200)


def test_an_unlimited_limit_is_no_number() -> None:
    """None means unlimited, as `ulimit` has it."""
    core = ResourceLimit(name="core", soft=0, hard=None)
    assert run(program("web", "sh", "-c", "ulimit -Sc; ulimit -Hc", rlimits=(core,))).out == (
        "0\nunlimited\n"
    )


@needs_root
def test_what_only_root_may_set_is_set_before_root_is_given_up() -> None:
    """A user's program may be nicer treated than the user could ask for."""
    report = "id -u; nice; ulimit -Hn"
    spec = program("web", "sh", "-c", report, rlimits=(NOFILE,), user=AS_NOBODY, nice=-1)
    assert run(spec).out.split() == [str(AS_NOBODY.uid), "-1", "200"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"rlimits": (ResourceLimit(name="nofile", soft=20, hard=10),)},
            "cannot set rlimit nofile for 'web': current limit exceeds maximum limit",
        ),
        # Few descriptors are no problem for what is set besides.
        (
            {"rlimits": (ResourceLimit(name="nofile", soft=3, hard=3),), "oom_score_adj": 5000},
            "cannot set oom_score_adj for 'web': Invalid argument",
        ),
        ({"oom_score_adj": 5000}, "cannot set oom_score_adj for 'web': Invalid argument"),
    ],
    ids=["rlimit", "few_descriptors", "oom_score_adj"],
)
def test_what_cannot_be_set_before_the_exec_is_a_failed_start(
    options: Options, problem: str
) -> None:
    """The step and the reason, and the program never runs."""
    error = failure(program("web", "/bin/sh", "-c", "echo ran", **options))
    assert (error.reason, error.kind) == (problem, SpawnFaultKind.OTHER)


def test_a_cgroup_that_cannot_be_entered_is_a_failed_start(tmp_path: Path) -> None:
    """Limits that are set for it would not hold."""
    with Path("/dev/null").open("r+b", buffering=0) as null, pytest.raises(SpawnError) as caught:
        spawn(program("web", "true"), _files([null.fileno()] * 3), {}, cgroup=str(tmp_path))
    assert (
        caught.value.reason
        == f"cannot enter cgroup {tmp_path} for 'web': No such file or directory"
    )


# -- finding the command --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "options", "reason", "kind"),
    [
        ((), {}, "command is empty", SpawnFaultKind.NOT_EXECUTABLE),
        (
            ("sh",),
            {"command_problem": "can't parse command 'sh \"': No closing quotation"},
            "can't parse command 'sh \"': No closing quotation",
            SpawnFaultKind.NOT_EXECUTABLE,
        ),
        (("nothere",), {}, "can't find command 'nothere'", SpawnFaultKind.NO_FILE),
        (
            ("HERE/none/x",),
            {},
            "can't find command 'HERE/none/x'",
            SpawnFaultKind.NO_FILE,
        ),
        (
            ("HERE/folder",),
            {},
            "command at 'HERE/folder' is a directory",
            SpawnFaultKind.NOT_EXECUTABLE,
        ),
        (
            ("HERE/plain",),
            {},
            "command at 'HERE/plain' is not executable",
            SpawnFaultKind.NOT_EXECUTABLE,
        ),
        (
            ("plain",),
            {"environment": (("PATH", "HERE"),)},
            "command at 'HERE/plain' is not executable",
            SpawnFaultKind.NOT_EXECUTABLE,
        ),
        (("a\0b",), {}, "can't find command 'a\\x00b'", SpawnFaultKind.NO_FILE),
        (("sh",), {"environment": (("PATH", ""),)}, "can't find command 'sh'", None),
    ],
)
def test_a_command_that_cannot_be_executed_is_told_in_supervisors_words(
    argv: tuple[str, ...],
    options: Options,
    reason: str,
    kind: SpawnFaultKind | None,
    tmp_path: Path,
) -> None:
    """The texts are what people's tools look for; the kind decides which fault a client gets."""
    (tmp_path / "folder").mkdir()
    script(tmp_path / "plain", mode=0o644)
    here = str(tmp_path)
    argv = tuple(word.replace("HERE", here) for word in argv)
    if "environment" in options:
        options = {"environment": (("PATH", options["environment"][0][1].replace("HERE", here)),)}
    error = failure(program("web", *argv, **options))
    shown = error.reason.replace("\0", "\\x00")
    assert shown == reason.replace("HERE", here)
    assert error.kind is (kind or SpawnFaultKind.NO_FILE)


def test_path_is_the_programs_own_and_searched_in_order(tmp_path: Path) -> None:
    """What can't be executed is passed over; its own PATH counts, not the daemon's."""
    script(tmp_path / "first" / "tool", mode=0o644)
    wanted = script(tmp_path / "second" / "tool")
    script(tmp_path / "third" / "tool")
    path = ":".join(str(tmp_path / name) for name in ("none", "first", "second", "third"))
    spec = program("web", "tool", environment=(("PATH", path),))
    assert find_executable(spec, spec.environment_over({"PATH": "/bin"})) == str(wanted)
    with pytest.raises(SpawnError, match="can't find command 'tool'"):
        find_executable(program("web", "tool"), {"PATH": "/bin"})


def test_without_a_path_the_usual_places_are_searched() -> None:
    """Supervisor's fallback."""
    assert find_executable(program("web", "sh"), {}) == "/bin/sh"


@PATHS
def test_a_relative_command_is_relative_to_the_working_directory(
    options: Options, tmp_path: Path
) -> None:
    """As a shell would have it after `cd`, for names with a slash and for relative PATHs."""
    script(tmp_path / "bin" / "tool")
    here = {"working_dir": str(tmp_path), **options}
    assert run(program("web", "./bin/tool", **here)).out == "ran\n"
    assert run(program("web", "tool", environment=(("PATH", "bin:/bin"),), **here)).out == "ran\n"


@PATHS
def test_a_way_up_out_of_a_linked_directory_is_the_kernels(
    options: Options, tmp_path: Path
) -> None:
    """`current/../run` of a release layout is beside the release, not beside the link."""
    script(tmp_path / "releases" / "run")
    (tmp_path / "releases" / "7").mkdir()
    (tmp_path / "current").symlink_to("releases/7")
    spec = program("web", "../run", working_dir=str(tmp_path / "current"), **options)
    assert run(spec).out == "ran\n"


def test_a_link_keeps_the_name_it_was_called_by(tmp_path: Path) -> None:
    """Tools such as busybox look at their own name: links must not be resolved."""
    (tmp_path / "alias").symlink_to("/bin/sh")
    spec = program("web", str(tmp_path / "alias"))
    assert find_executable(spec, {}) == str(tmp_path / "alias")


# -- what exec refuses ----------------------------------------------------------------------------


@PATHS
def test_a_missing_working_directory_is_named(options: Options, tmp_path: Path) -> None:
    """Not to be taken for a missing command."""
    missing = tmp_path / "none"
    error = failure(program("web", "/bin/sh", working_dir=str(missing), **options))
    assert error.reason == f"couldn't chdir to {missing}: ENOENT"
    assert error.kind is SpawnFaultKind.OTHER


@PATHS
def test_a_file_without_a_first_line_is_explained(options: Options, tmp_path: Path) -> None:
    """ENOEXEC alone tells nobody that the #! line is missing."""
    path = script(tmp_path / "run", "echo no first line\n")
    error = failure(program("web", str(path), **options))
    assert error.reason == (
        f"couldn't exec {path}: ENOEXEC (no #! line, or another machine's format)"
    )
    assert error.kind is SpawnFaultKind.NOT_EXECUTABLE


@needs_root
def test_what_its_user_may_not_execute_is_not_executable(tmp_path: Path) -> None:
    """Root may look through every directory, the user may not: only exec knows."""
    path = script(tmp_path / "run")
    tmp_path.chmod(0o700)
    error = failure(program("web", str(path), user=AS_NOBODY))
    assert error.reason == f"couldn't exec {path}: EACCES"
    assert error.kind is SpawnFaultKind.NOT_EXECUTABLE


@needs_root
def test_a_daemon_that_is_not_root_says_what_it_may_not(open_place: Path) -> None:
    """Execute what others keep to themselves, or become somebody else; but be itself."""
    path = script(open_place / "run", mode=0o700)
    os.setresuid(65534, 65534, 0)
    try:
        closed = failure(program("web", str(path)))
        other = failure(program("web", "/bin/true", user=AS_DAEMON))
        same = run(program("web", "id", "-u", user=AS_NOBODY))
    finally:
        os.setresuid(0, 0, 0)
    assert closed.reason == f"no permission to run command '{path}'"
    assert closed.kind is SpawnFaultKind.NOT_EXECUTABLE
    assert other.reason == (
        f"couldn't setuid to {AS_DAEMON.uid}: Can't drop privilege as nonroot user"
    )
    assert same.out == "65534\n"


@needs_root
def test_root_that_may_not_become_another_says_so() -> None:
    """As in a container without the capability; the command is not to blame."""
    code = (
        "from opsvisor.core.spec import ProcessId, ProcessSpec, UserSpec\n"
        "from opsvisor.runtime.spawn import ChildFiles, SpawnError, begin\n"
        "spec = ProcessSpec(id=ProcessId('a', 'a'), program='a', command='true', argv=('true',),"
        " user=UserSpec(name='daemon', uid=1, gid=1))\n"
        "try:\n    begin(spec, ChildFiles(0, 1, 2), {}).finish()\n"
        "except SpawnError as error:\n    print(error.reason)\n"
    )
    without = ["setpriv", "--bounding-set=-setuid,-setgid"]
    command = [*without, sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (told.stdout, told.stderr) == ("couldn't setuid to 1: EPERM\n", "")


@PATHS
def test_an_impossible_environment_is_an_error_and_no_crash(options: Options) -> None:
    """Names with `=` can't be handed over; `subprocess` says so with a ValueError."""
    error = failure(program("web", "true", environment=(("A=B", "1"),), **options))
    assert error.reason == "cannot start 'web': illegal environment variable name"


def test_the_last_descriptors_are_not_for_programs() -> None:
    """A daemon that has none left could not tell anybody why nothing starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path("/dev/null").open("r+b", buffering=0) as null:
        files = ChildFiles(null.fileno(), null.fileno(), null.fileno())
        resource.setrlimit(resource.RLIMIT_NOFILE, (null.fileno() + 8, hard))
        try:
            with pytest.raises(SpawnError, match=r"^too many open files to spawn 'web'$"):
                spawn(program("web", "true"), files, ENVIRONMENT)
            resource.setrlimit(resource.RLIMIT_NOFILE, (null.fileno() + 9, hard))
            pid = spawn(program("web", "true"), files, ENVIRONMENT)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert os.waitpid(pid, 0) == (pid, 0)


# -- what stays behind ----------------------------------------------------------------------------


@PATHS
def test_the_status_is_left_to_the_reaper(options: Options) -> None:
    """No garbage collection waits for the child behind our back, or warns that it still runs."""
    with Path("/dev/null").open("r+b", buffering=0) as null:
        files = ChildFiles(null.fileno(), null.fileno(), null.fileno())
        gc.collect()
        pid = spawn(program("web", "sh", "-c", "exit 7", **options), files, ENVIRONMENT)
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        gc.collect()
        spawn_again = spawn(program("web", sys.executable, "-V"), files, ENVIRONMENT)
    # Making another one polls what `subprocess` still believes to be running.
    assert os.waitpid(pid, 0) == (pid, 7 << 8)
    assert os.waitpid(spawn_again, 0) == (spawn_again, 0)


def test_a_deleted_working_directory_of_the_daemon_stops_no_absolute_command(
    tmp_path: Path,
) -> None:
    """A release directory it was started in may go; what needs it says so."""
    gone = tmp_path / "release"
    gone.mkdir()
    here = Path.cwd()
    os.chdir(gone)
    gone.rmdir()
    try:
        assert run(program("web", "/bin/echo", "hello")).out == "hello\n"
        assert failure(program("web", "./run")).reason == "can't find command './run'"
    finally:
        os.chdir(here)
