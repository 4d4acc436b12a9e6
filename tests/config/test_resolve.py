import sys
from pathlib import Path
from types import FrameType

import pytest
from config_files import Complaints, Load

from opsvisor.config.settings import Loaded
from opsvisor.core.spec import ProcessId


def warnings(loaded: Loaded, directory: Path) -> str:
    """All warnings as users see them, without the directory."""
    return "\n".join(str(warning) for warning in loaded.warnings).replace(f"{directory}/", "")


def test_replicas_are_numbered(load: Load, tmp_path: Path) -> None:
    """Each has its number in its name and wherever the program asks for it."""
    (tmp_path / "app-1.env").write_text("WHO=second\n")
    (tmp_path / "app-0.env").write_text("WHO=first\n")
    plan = load("""
        [program.api]
        command = ["api", "--port", "80{replica:02}", "{{}}"]
        replicas = 2
        working_dir = "work/{replica}"
        env_file = "app-{replica}.env"
        environment = { PORT = "80{replica:02}" }
        log = { stdout = "api-{replica}.out", stderr = "api-{replica}.err" }
    """).plan
    (group,) = plan.groups
    assert [str(spec.id) for spec in group.processes] == ["api:api_0", "api:api_1"]
    second = group.processes[1]
    assert (second.program, second.replica) == ("api", 1)
    assert second.argv == ("api", "--port", "8001", "{}")
    assert second.command == "api --port 8001 '{}'"
    assert second.working_dir == str(tmp_path / "work/1")
    assert second.environment == (("PORT", "8001"), ("WHO", "second"))
    assert second.stdout.path == str(tmp_path / "api-1.out")
    assert second.stderr is not None
    assert second.stderr.path == str(tmp_path / "api-1.err")


def test_a_single_process_is_called_like_its_program(load: Load) -> None:
    """One replica needs no number; its group has the same name."""
    plan = load("[program.web]\ncommand = 'x {replica}'").plan
    assert list(plan.specs()) == [ProcessId("web", "web")]
    assert plan.specs()[ProcessId("web", "web")].argv == ("x", "0")


def test_programs_inherit_from_defaults(load: Load) -> None:
    """Tables are merged key by key; everything else is replaced."""
    plan = load("""
        [defaults]
        nice = 1
        umask = "077"
        environment = { A = "default", B = "default" }
        rlimits = { core = 0, nofile = 100 }
        log = { rotate_size = "1M", rotate_keep = 3 }
        success_exit_codes = [0, 1]
        [program.web]
        command = "x"
        nice = 2
        environment = { B = "own", C = "own" }
        rlimits = { nofile = 200 }
        log = { rotate_keep = 5 }
        success_exit_codes = [0, 2]
    """).plan
    (spec,) = plan.specs().values()
    assert (spec.nice, spec.umask) == (2, 0o77)
    assert spec.environment == (("A", "default"), ("B", "own"), ("C", "own"))
    assert [(limit.name, limit.soft) for limit in spec.rlimits] == [("core", 0), ("nofile", 200)]
    assert (spec.stdout.rotate_size, spec.stdout.rotate_keep) == (1024**2, 5)
    assert spec.restart.success.codes == {0, 2}


def test_the_environment_wins_over_its_files(load: Load, tmp_path: Path) -> None:
    """Later files win over earlier ones, and what is written in the program over both."""
    (tmp_path / "a.env").write_text("A=a\nB=a\nC=a\n")
    (tmp_path / "b.env").write_text("B=b\nC=b\n")
    plan = load("""
        [program.web]
        command = "x"
        env_file = ["a.env", "b.env"]
        environment = { C = "own" }
    """).plan
    (spec,) = plan.specs().values()
    assert spec.environment == (("A", "a"), ("B", "b"), ("C", "own"))


def test_problems_of_env_files_have_their_own_place(
    complaints: Complaints, tmp_path: Path
) -> None:
    """A wrong line is reported once, though two programs read the file."""
    (tmp_path / "a.env").write_text("A=a\nnonsense\n")
    assert (
        complaints(
            "[program.a]\ncommand = 'x'\nenv_file = 'a.env'\n"
            "[program.b]\ncommand = 'x'\nenv_file = 'a.env'\n"
        )
        == "a.env:2: not an environment variable\n    hint: write NAME=value"
    )


@pytest.mark.parametrize(
    ("text", "priorities"),
    [
        ("program.a = { command = 'x', priority = 5 }", {"a": 5}),
        ("program.a = { command = 'x', priority = 5, group = 'g' }", {"g": 5}),
        ("program.a = { command = 'x', priority = 5 }\ngroup.a.priority = 7", {"a": 7}),
        (
            (
                "program.a = { command = 'x', priority = 5, group = 'g' }\n"
                "program.b = { command = 'x', priority = 6, group = 'g' }"
            ),
            {"g": 999},
        ),
        (
            (
                "program.a = { command = 'x', priority = 5, group = 'g' }\n"
                "program.b = { command = 'x', priority = 6, group = 'g' }\ngroup.g.priority = 8"
            ),
            {"g": 8},
        ),
    ],
)
def test_priorities_of_groups(text: str, priorities: dict[str, int], load: Load) -> None:
    """Its own if it has one, that of its only program, or else Supervisor's 999."""
    assert {group.name: group.priority for group in load(text).plan.groups} == priorities


def test_two_processes_of_one_name(complaints: Complaints) -> None:
    """A program can't be called like a replica of another one in the same group."""
    assert complaints(
        "[program.a]\ncommand = 'x'\nreplicas = 2\ngroup = 'g'\n"
        "[program.a_1]\ncommand = 'x'\ngroup = 'g'\n"
    ) == (
        "opsvisor.toml:5: program 'a_1' would have a process 'g:a_1', as program 'a' has\n"
        "    hint: rename one of the two programs"
    )


def test_a_program_called_as_all_of_them_is_odd(load: Load, tmp_path: Path) -> None:
    """`stop all` is not about it, or not about it alone."""
    loaded = load("[program.all]\ncommand = 'x'")
    assert warnings(loaded, tmp_path) == (
        "opsvisor.toml:1: program 'all' is called as commands call all processes together\n"
        "    hint: rename it: `opsvisorctl stop all` stops everything"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[program.a]\ncommand = 'x'\ngroup = 'all'", "3: program 'a': group = 'all'"),
        (
            "[program.a]\ncommand = 'x'\ngroup = 'all'\n[group.all]\npriority = 1",
            "4: group 'all'",
        ),
    ],
)
def test_a_group_called_like_all_of_them_is_odd(
    load: Load, tmp_path: Path, text: str, told: str
) -> None:
    """Told once, where the name was given."""
    assert warnings(load(text), tmp_path) == (
        f"opsvisor.toml:{told} is called as commands call all processes together\n"
        "    hint: rename it: `opsvisorctl stop all` stops everything"
    )


def test_a_group_without_programs_is_odd(load: Load, tmp_path: Path) -> None:
    """Most likely a slip of the keyboard."""
    loaded = load("[program.a]\ncommand = 'x'\ngroup = 'backend'\n[group.bakend]\npriority = 1")
    assert warnings(loaded, tmp_path) == (
        "opsvisor.toml:4: group 'bakend' has no programs\n    hint: did you mean 'backend'?"
    )


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("backoff_delay = '1m'", "backoff_delay = '1m' is longer than backoff_limit = '30s'"),
        (
            "backoff_delay = '1m'\nbackoff_limit = '59s'",
            "backoff_limit = '59s' is shorter than backoff_delay = '1m'",
        ),
    ],
)
def test_the_first_delay_fits_under_the_limit(
    options: str, what: str, complaints: Complaints
) -> None:
    """The option that was written is blamed, not a default."""
    assert what in complaints(f"[program.a]\ncommand = 'x'\n{options}")


@pytest.mark.parametrize(
    ("options", "is_reachable"),
    [
        # 0.5 + 1 + 2 + 4 = 7.5 seconds of delays before the fourth restart
        ("restart_limit_count = 3\nrestart_limit_interval = '7501ms'", True),
        ("restart_limit_count = 3\nrestart_limit_interval = '7500ms'", False),
        ("restart_limit_count = 0\nrestart_limit_interval = '1s'", True),
        ("restart = 'no'\nrestart_limit_interval = '1s'", True),
        ("backoff_delay = '0s'\nbackoff_limit = '0s'\nrestart_limit_interval = '1ms'", True),
        ("backoff_factor = 1e300\nbackoff_limit = '1d'", False),
        ("restart_limit_count = 1000\nbackoff_limit = '500ms'", True),
        ("restart_limit_count = 1000\nbackoff_limit = '1s'", False),
    ],
)
def test_whether_the_restart_limit_can_strike(
    options: str, *, is_reachable: bool, load: Load
) -> None:
    """Delays that leave the interval before the count is reached deserve a warning."""
    loaded = load(f"[program.a]\ncommand = 'x'\n{options}")
    assert bool(loaded.warnings) is not is_reachable


def test_the_warning_says_what_to_change(load: Load, tmp_path: Path) -> None:
    """It points at the program's own option, though the defaults play a part."""
    loaded = load(
        "[defaults]\nrestart_limit_interval = '1m'\nrestart_limit_count = 3\n"
        "[program.a]\ncommand = 'x'\nbackoff_delay = '20s'\n[program.b]\ncommand = 'x'\n"
    )
    assert warnings(loaded, tmp_path) == (
        "opsvisor.toml:6: program 'a': backoff_delay: the restart limit can't be reached, since "
        "4 delays take 1m50s and restart_limit_interval is 1m\n"
        "    hint: lengthen restart_limit_interval, or lower restart_limit_count or the delays"
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "[program.a]\ncommand = 'x'\nreplicas = 2\nlog = { stdout = 'x.log' }",
            (
                "opsvisor.toml:4: program 'a': log.stdout = 'x.log' is one file for several "
                "replicas\n"
                "    hint: put {replica} into the path"
            ),
        ),
        (
            "[program.a]\ncommand = 'x'\nlog = { stdout = 'x.log', stderr = './x.log' }",
            (
                "opsvisor.toml:3: program 'a': log.stderr = 'x.log' is the file of stdout too\n"
                '    hint: write stderr = "merge"'
            ),
        ),
        (
            (
                "[program.a]\ncommand = 'x'\nlog = { stdout = 'x.log' }\n"
                "[program.b]\ncommand = 'x'\nlog = { stderr = 'x.log' }"
            ),
            (
                "opsvisor.toml:6: program 'b': log.stderr = 'x.log' is a file of program 'a' too\n"
                "    hint: give each its own file"
            ),
        ),
        (
            "[program.a]\ncommand = 'x'\nlog = { stdout = '/dev/null', stderr = '/dev/null' }",
            "",
        ),
    ],
)
def test_two_writers_of_one_file(text: str, what: str, load: Load, tmp_path: Path) -> None:
    """They would rotate it away under each other; devices don't mind."""
    assert warnings(load(text), tmp_path) == what


def test_merged_output_has_no_log_of_its_own(load: Load) -> None:
    """`merge` is a word, not a file."""
    plan = load("[program.a]\ncommand = 'x'\nlog = { stderr = 'merge' }").plan
    (spec,) = plan.specs().values()
    assert spec.stderr is None
    assert spec.stdout.path is None


def test_a_thousand_programs_load_in_no_time(load: Load) -> None:
    """Ten times the work takes about ten times as long: nothing is quadratic."""

    def cost(count: int) -> int:
        """Calls of functions: they are the same each time, whatever else the machine does."""
        text = "".join(
            f"[program.p{n}]\ncommand = ['x', 'y']\nlog = {{ stdout = '{n}.log' }}\n"
            for n in range(count)
        )
        calls = 0

        def note(_frame: FrameType, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event.endswith("call")

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            loaded = load(text)
        finally:
            sys.setprofile(before)
        assert len(loaded.plan.groups) == count
        return calls

    cost(100)
    assert cost(1000) < 12 * cost(100)
