"""Where values were written, and how they would be written again."""

import re
from pathlib import Path

import pytest
from config_files import Load

from opsvisor.config.origins import GroupOrigins
from opsvisor.config.settings import Loaded
from opsvisor.config.spelling import spell
from opsvisor.core.spec import ProcessId

# Every option that a spec keeps, none of them as it is by default.
EVERYTHING = r"""
[server]
supervisor_interfaces = true

[defaults]
kill_delay = "3s"
environment = { SHARED = "1", OWN = "no" }
log = { rotate_size = "1M", rotate_keep = 3, strip_ansi = true, syslog = true, events = true }

[program.all]
command = 'sh -c "echo \"x\"; sleep {replica}"'
description = "does \"it\" \\ all"
startup = "manual"
group = "herd"
labels = { team = "core" }
process_name = "{program}-{replica:02}"
replicas = 2
priority = 7
working_dir = "work"
umask = "027"
env_file = "all.env"
environment = { OWN = "{process}", QUOTED = 'a "b"' }
nice = 3
oom_score_adj = 5
rlimits = { nofile = [10, 20], core = "unlimited" }
new_session = true
stdin = "pipe"
restart = "always"
success_exit_codes = [0, 3, "TERM"]
restart_prevent_exit_codes = [9]
min_uptime = "2s"
early_exit = "failure"
backoff_delay = "1s"
backoff_factor = 3
backoff_limit = "9s"
backoff_jitter = 0.5
backoff_reset = "2m"
start_backoff_step = "4s"
restart_limit_count = 2
restart_limit_interval = "5s"
fatal_retry_delay = "never"
flapping_count = 4
flapping_interval = "7s"
start_retries = 6
on_fatal = "shutdown"
on_exit = "shutdown"
stop_signal = "USR1"
kill_mode = "mixed"

[program.all.resources]
memory_max = "1G"
memory_high = "512M"
cpu_max = "150%"
pids_max = 9
oom_group = true

[program.all.log.stdout]
path = "{process}.log"
private = true
message_limit = "2K"
rotate_keep = 4

[program.all.log.stderr]
path = "err.log"
events = false

[program.all.startup_probe]
exec = ["test", "-f", "{process} x"]
failure_threshold = 30

[program.all.readiness_probe]
http.url = "http://[::1]:80{replica:02}/"
http.status = [200, 204]
http.headers = { Authorization = "Bearer {process}" }
period = "1s"

[program.all.liveness_probe]
tcp = "127.0.0.1:80{replica:02}"
timeout = "500ms"
initial_delay = "1s"
success_threshold = 2

[program.door]
command = "cat"
log.stderr = "merge"
socket = { listen = "unix:///tmp/door", mode = "0770", backlog = 5 }
"""


def told(loaded: Loaded, process_id: ProcessId, tmp_path: Path) -> dict[str, str]:
    """Each option that somebody wrote: its value, where, and how it came from there."""
    spec = loaded.plan.specs()[process_id]
    written = loaded.origins.of_group(process_id.group).of(process_id, spec.program)
    found = {}
    for name, spelled in spell(spec).items():
        origin = next((written[home] for home in spelled.homes if home in written), None)
        if origin is not None:
            line = f"{spelled.value} @ {origin.place} {origin.how.value}".rstrip()
            found[name] = line.replace(f"{tmp_path}/", "")
    return found


@pytest.fixture
def everything(load: Load, tmp_path: Path) -> Loaded:
    """All of the above."""
    (tmp_path / "all.env").write_text("# secrets\nTOKEN=t\nOWN=never\n")
    return load(EVERYTHING)


def line_of(text: str) -> int:
    """Where this begins."""
    return next(n for n, line in enumerate(EVERYTHING.splitlines(), 1) if line.startswith(text))


def test_each_value_has_the_line_it_was_written_on(everything: Loaded, tmp_path: Path) -> None:
    """Of the program, of [defaults], of a file of variables, and with names filled in."""
    found = told(everything, ProcessId("herd", "all-01"), tmp_path)
    at = f"opsvisor.toml:{line_of('environment = { OWN')}"
    shared = f"opsvisor.toml:{line_of('environment = { SHARED')}"
    logs = f"opsvisor.toml:{line_of('log = {')}"
    assert found["priority"] == f"7 @ opsvisor.toml:{line_of('priority')}"
    assert found["kill_delay"] == f'"3s" @ opsvisor.toml:{line_of("kill_delay")} defaults'
    assert found["environment.SHARED"] == f'"1" @ {shared} defaults'
    assert found["environment.OWN"] == f'"all-01" @ {at} template'
    assert found["environment.QUOTED"] == rf'"a \"b\"" @ {at}'
    assert found["environment.TOKEN"] == '"t" @ all.env:2 env_file'
    assert found["process_name"] == (
        f'"all-01" @ opsvisor.toml:{line_of("process_name")} template'
    )
    assert found["log.stdout.rotate_size"] == f'"1M" @ {logs} defaults'
    assert found["log.stdout.rotate_keep"] == f"4 @ opsvisor.toml:{line_of('rotate_keep')}"
    assert found["log.stdout"] == f'"all-01.log" @ opsvisor.toml:{line_of("path")} template'
    assert found["readiness_probe.http.url"].endswith(" template")
    assert found["liveness_probe.tcp"] == (
        f'"127.0.0.1:8001" @ opsvisor.toml:{line_of("tcp")} template'
    )


def test_what_nobody_wrote_has_no_origin(load: Load, tmp_path: Path) -> None:
    """It is a default, whatever it is."""
    loaded = load('[program.web]\ncommand = "cat"\n')
    assert told(loaded, ProcessId("web", "web"), tmp_path) == {
        "command": '"cat" @ opsvisor.toml:2'
    }
    assert GroupOrigins().of(ProcessId("web", "web"), "web") == {}


def test_files_of_variables_of_each_process(load: Load, tmp_path: Path) -> None:
    """Each process is told of the file that is its own."""
    for number in (0, 1):
        (tmp_path / f"{number}.env").write_text("#\n" * number + f"N={number}\n")
    loaded = load('[program.web]\ncommand = "cat"\nreplicas = 2\nenv_file = "{replica}.env"\n')
    for number in (0, 1):
        found = told(loaded, ProcessId("web", f"web_{number}"), tmp_path)
        assert found["environment.N"] == f'"{number}" @ {number}.env:{number + 1} env_file'


def test_what_is_included_has_its_own_lines(load: Load, tmp_path: Path) -> None:
    """The file that it was written in, not the one that includes it."""
    (tmp_path / "more.toml").write_text('\n[program.more]\ncommand = "cat"\n')
    loaded = load('include = "more.toml"\n[defaults]\nnice = 1\n')
    found = told(loaded, ProcessId("more", "more"), tmp_path)
    assert found == {"command": '"cat" @ more.toml:3', "nice": "1 @ opsvisor.toml:3 defaults"}


def test_everything_has_an_origin(everything: Loaded, tmp_path: Path) -> None:
    """No option is spelled by a name that the origins don't know."""
    spec = everything.plan.specs()[ProcessId("herd", "all-00")]
    found = told(everything, spec.id, tmp_path)
    # Two probes have times that nobody wrote, and these are said of one stream only.
    assert {one for one in set(spell(spec)) - set(found) if "_probe." not in one} == {
        "log.stderr.private",
        "log.stderr.message_limit",
        "user",
    }


@pytest.mark.parametrize("name", ["herd:all-00", "herd:all-01", "door"])
def test_what_is_spelled_means_the_same(everything: Loaded, load: Load, name: str) -> None:
    """Written into a file, it gives the process it was spelled of."""
    spec = next(one for one in everything.plan.specs().values() if str(one.id) == name)
    lines = ["[server]", "supervisor_interfaces = true", f"[program.{spec.program}]"]
    for option, spelled in spell(spec).items():
        if spelled.value is not None:
            path = re.sub(r"^(log\.std...)$", r"\1.path", option)
            key = ".".join(
                part if part.isidentifier() else f'"{part}"' for part in path.split(".")
            )
            lines.append(f"{key} = {_escaped(spelled.value)}")
    lines.append(f"first_replica = {spec.replica}")
    (again,) = load("\n".join(lines)).plan.specs().values()
    assert again == spec


def _escaped(value: str) -> str:
    """Braces as they are: what is spelled has been filled in."""
    return value if value.startswith("{") else value.replace("{", "{{").replace("}", "}}")


def test_a_secret_is_known_as_one(everything: Loaded) -> None:
    """Variables and headers, whatever they are called."""
    spec = everything.plan.specs()[ProcessId("herd", "all-00")]
    secrets = {name for name, spelled in spell(spec).items() if spelled.secret}
    assert secrets == {
        *(f"environment.{name}" for name in ("OWN", "QUOTED", "SHARED", "TOKEN")),
        "readiness_probe.http.headers.Authorization",
    }
