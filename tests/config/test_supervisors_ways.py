"""What Supervisor can say can be said here too: in words that make sense without it."""

import tempfile
from pathlib import Path

import pytest
from config_files import Complaints, Load

from opsvisor.config.auto_log import auto_path
from opsvisor.config.load import Additions, native
from opsvisor.config.problems import ConfigError
from opsvisor.core.plan import EventFeed
from opsvisor.core.spec import (
    ExponentialBackoff,
    KillMode,
    LinearBackoff,
    ProcessId,
    ProcessSpec,
)


def only(load: Load, program: str) -> ProcessSpec:
    """The one process of a [program.web] with these lines."""
    (spec,) = load(f"[program.web]\ncommand = 'x'\n{program}").plan.specs().values()
    return spec


def test_failed_starts_may_wait_longer_step_by_step(load: Load) -> None:
    """The delays after a run keep the options of their own."""
    policy = only(load, "start_backoff_step = '2s'\nbackoff_delay = '100ms'").restart
    assert policy.start_backoff == LinearBackoff(step=2.0)
    assert policy.run_backoff == ExponentialBackoff(delay=0.1)


@pytest.mark.parametrize(("word", "fails"), [("failure", True), ("by-code", False)])
def test_an_early_exit(word: str, load: Load, *, fails: bool) -> None:
    """It may be a failed start whatever its code."""
    assert only(load, f"early_exit = '{word}'").restart.early_exit_fails is fails


@pytest.mark.parametrize(
    ("mode", "stop", "kill"),
    [
        ("process", KillMode.PROCESS, KillMode.PROCESS),
        ("mixed", KillMode.PROCESS, KillMode.GROUP),
        ("group", KillMode.GROUP, KillMode.GROUP),
    ],
)
def test_who_is_told_to_stop_and_who_is_killed(
    mode: str, stop: KillMode, kill: KillMode, load: Load
) -> None:
    """`mixed` asks the process, and ends the group."""
    policy = only(load, f"kill_mode = '{mode}'").stop
    assert (policy.signal_mode, policy.kill_mode) == (stop, kill)


def test_no_stop_signal_at_all(load: Load) -> None:
    """0 is kill(2)'s word for no signal."""
    assert only(load, "stop_signal = 0").stop.signal == 0


def test_each_stream_has_its_own_rotation(load: Load, tmp_path: Path) -> None:
    """What a stream doesn't say is taken from `log`, and that from [defaults]."""
    spec = only(
        load,
        """
        [program.web.log]
        stdout = { path = "out.log", rotate_size = "1M" }
        stderr = "err.log"
        rotate_keep = 3
        [defaults.log]
        stderr = { private = true }
        rotate_size = "5M"
        """,
    )
    assert spec.stdout.path == str(tmp_path / "out.log")
    assert (spec.stdout.rotate_size, spec.stdout.rotate_keep) == (1024**2, 3)
    assert spec.stderr is not None
    assert (spec.stderr.path, spec.stderr.private) == (str(tmp_path / "err.log"), True)
    assert (spec.stderr.rotate_size, spec.stderr.rotate_keep) == (5 * 1024**2, 3)


def test_a_log_no_matter_where(load: Load, tmp_path: Path) -> None:
    """`auto` is a private file, named after the process, and the same whenever it is read."""
    spec = only(load, "log.stdout = 'auto'\n[daemon]\nidentifier = 'me'\nchild_log_dir = 'logs'")
    assert spec.stdout.path == auto_path(
        ProcessId("web", "web"),
        "stdout",
        folder=str(tmp_path / "logs"),
        identifier="me",
        config_path=str(tmp_path / "opsvisor.toml"),
    )
    assert spec.stdout.private


def test_a_log_no_matter_where_is_a_temporary_file(load: Load) -> None:
    """Without a directory of its own."""
    path = only(load, "log.stdout = 'auto'").stdout.path
    assert path is not None
    assert path.startswith(f"{tempfile.gettempdir()}/web-stdout---opsvisor-")


def test_a_program_of_several_groups(load: Load) -> None:
    """It runs in each of them, and can say in which."""
    plan = load("""
        [program.web]
        command = "x"
        group = ["a", "b"]
        environment = { WHERE = "{group}:{process} of {program}" }
        [group.a]
        priority = 5
    """).plan
    assert [(group.name, group.priority) for group in plan.groups] == [("a", 5), ("b", 999)]
    assert {str(i): s.environment for i, s in plan.specs().items()} == {
        "a:web": (("WHERE", "a:web of web"),),
        "b:web": (("WHERE", "b:web of web"),),
    }


def test_processes_may_have_names_of_their_own(load: Load) -> None:
    """And numbers that begin elsewhere."""
    plan = load("""
        [program.web]
        command = "x {replica}"
        replicas = 2
        first_replica = 9
        process_name = "{program}-{replica:03}"
    """).plan
    assert {str(i): s.argv for i, s in plan.specs().items()} == {
        "web:web-009": ("x", "9"),
        "web:web-010": ("x", "10"),
    }


def test_a_group_may_be_empty(load: Load) -> None:
    """Nothing runs, and the group can be scaled up later."""
    (group,) = load("[program.web]\ncommand = 'x'\nreplicas = 0").plan.groups
    assert (group.name, group.processes) == ("web", ())


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("process_name = 'x'\nreplicas = 2", "calls several replicas the same"),
        ("process_name = 'a b'", "process_name = 'a b' is not a usable name"),
        ("group = ['a', 'b c']", "group[1] = 'b c' is not a usable name"),
        ("events = ['tick']", "events[0] = 'tick' is not a kind of event"),
        ("events = ['TICK_5']", "needs Supervisor's protocol"),
        ("start_backoff_step = '0s'", "start_backoff_step = '0s' is too short"),
    ],
)
def test_what_cant_be(program: str, says: str, complaints: Complaints) -> None:
    """Each with a problem of its own."""
    assert says in complaints(f"[program.web]\ncommand = 'x'\n{program}")


def test_event_listeners(load: Load) -> None:
    """The program's group is the pool."""
    loaded = load("""
        [program.ears]
        command = "x"
        replicas = 2
        stdin = "pipe"
        events = ["TICK_60", "PROCESS_STATE", "TICK_60"]
        events_buffer = 50
        [server]
        supervisor_interfaces = true
    """)
    (group,) = loaded.plan.groups
    assert group.feed == EventFeed(kinds=("PROCESS_STATE", "TICK_60"), buffer_size=50)
    assert {(spec.stdout.told, spec.stderr and spec.stderr.told) for spec in group.processes} == {
        (True, False)
    }
    assert loaded.settings.supervisor_interfaces


def test_kinds_of_events(tmp_path: Path) -> None:
    """Whoever knows them all says which there aren't."""
    path = tmp_path / "opsvisor.toml"
    text = "server.supervisor_interfaces = true\nprogram.x = {{ command = 'x', events = ['{}'] }}"
    path.write_text(text.format("TICK_5"))
    assert native(path, {}, Additions(event_kinds=lambda: {"TICK_5"})).plan.groups[0].feed
    path.write_text(text.format("TICK_6"))
    with pytest.raises(ConfigError) as caught:
        native(path, {}, Additions(event_kinds=lambda: {"TICK_5"}))
    (problem,) = caught.value.problems
    assert problem.what == "program 'x': events holds 'TICK_6', and there are no such events"
    assert problem.hint == "did you mean 'TICK_5'?"


def test_old_logs_may_be_removed(load: Load, tmp_path: Path) -> None:
    """Those in the directory of its own, or else the temporary ones."""
    own = load("daemon = { child_log_dir = 'x', remove_auto_logs = true }").settings.auto_log_dir
    assert own == str(tmp_path / "x")
    assert load("daemon.remove_auto_logs = true").settings.auto_log_dir == tempfile.gettempdir()
    assert load("daemon.child_log_dir = 'x'").settings.auto_log_dir is None


def test_a_pool_is_alone_in_its_group(complaints: Complaints) -> None:
    """Events go to whoever is ready, and the others aren't listeners."""
    assert "can't share the group 'g'" in complaints("""
        server.supervisor_interfaces = true
        program.a = { command = "x", group = "g", events = ["TICK_5"] }
        program.b = { command = "x", group = "g" }
    """)


def test_variables_of_the_environment(tmp_path: Path) -> None:
    """In whatever may be a secret, or different on each machine."""
    path = tmp_path / "opsvisor.toml"
    path.write_text("""
        [daemon]
        identifier = "on ${HOST}"
        log = "${LOGS}/daemon.log"
        [server.http]
        listen = "127.0.0.1:0"
        username = "${USER}"
        password = "${SECRET}"
        [program.web]
        command = "x --at ${HOST}"
        working_dir = "${LOGS}"
        environment = { TOKEN = "${SECRET}" }
    """)
    environ = {"HOST": "here", "LOGS": "/logs", "USER": "me", "SECRET": "{x}"}
    loaded = native(path, environ)
    (spec,) = loaded.plan.specs().values()
    assert spec.argv == ("x", "--at", "here")
    assert (spec.working_dir, spec.environment) == ("/logs", (("TOKEN", "{x}"),))
    assert (loaded.settings.identifier, loaded.settings.log.path) == (
        "on here",
        "/logs/daemon.log",
    )
    (server,) = loaded.settings.servers
    assert server.credentials is not None
    assert (server.credentials.username, server.credentials.password) == ("me", "{x}")


def test_a_variable_that_isnt_set(complaints: Complaints) -> None:
    """Each value that names it is a problem, and an empty password opens no door."""
    assert complaints("""
        [server.http]
        listen = "127.0.0.1:0"
        username = "me"
        password = "${SECRET}"
    """).startswith("opsvisor.toml:5: server: http.password holds '${SECRET}', a variable that")
