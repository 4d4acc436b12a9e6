import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli
from authority import Authority
from config_files import Load

from opsvisor.config.kind import Kind
from opsvisor.config.option import Option, Section, options_of
from opsvisor.config.schema import NAMED, TABLES, ProgramOptions
from opsvisor.config.settings import DaemonSettings, Loaded
from opsvisor.core.probes import ProbeKind
from opsvisor.core.spec import LogSpec, ProcessSpec, RestartPolicy, StopPolicy


def leaves(table: type, prefix: str = "") -> Iterator[tuple[str, Option, Kind]]:
    """All options of a table by their dotted names, those of inner tables included."""
    for option in options_of(table).values():
        if isinstance(option.kind, Section):
            yield from leaves(option.kind.options, f"{prefix}{option.name}.")
        else:
            yield f"{prefix}{option.name}", option, option.kind


OPTIONS = {
    f"{table}.{name}": (option, kind)
    for table, options in TABLES.items()
    if table != "defaults"
    for name, option, kind in leaves(options)
}

_PROBE_TIMES = ("initial_delay", "period", "timeout", "success_threshold", "failure_threshold")

# For each option a value that isn't its default, in TOML; {env} is a file that exists.
OTHER_VALUES = {
    "program.command": '"other"',
    "program.description": '"x"',
    "program.startup": '"manual"',
    "program.group": '"x"',
    "program.labels": '{ a = "1" }',
    "program.replicas": "2",
    "program.first_replica": "1",
    "program.process_name": '"x"',
    "program.priority": "1",
    "program.user": f'"{pwd.getpwuid(os.geteuid()).pw_name}"',
    "program.working_dir": '"/"',
    "program.umask": '"027"',
    "program.env_file": '"app.env"',
    "program.environment": '{ A = "1" }',
    "program.nice": "5",
    "program.oom_score_adj": "100",
    "program.resources.cpu_max": "'150%'",
    "program.resources.memory_high": "'448M'",
    "program.resources.memory_max": "'512M'",
    "program.resources.oom_group": "true",
    "program.resources.pids_max": "256",
    "program.rlimits": "{ core = 0 }",
    "program.new_session": "true",
    "program.stdin": '"pipe"',
    "program.socket.listen": '"tcp://[::1]:9000"',
    "program.socket.mode": '"0777"',
    "program.socket.owner": '"0:0"',
    "program.socket.backlog": "5",
    "program.restart": '"always"',
    "program.success_exit_codes": "[0, 2]",
    "program.restart_prevent_exit_codes": '["SEGV"]',
    "program.min_uptime": '"2s"',
    "program.early_exit": '"failure"',
    "program.backoff_delay": '"1s"',
    "program.backoff_factor": "3",
    "program.backoff_limit": '"20s"',
    "program.backoff_jitter": "0",
    "program.backoff_reset": '"2m"',
    "program.start_backoff_step": '"1s"',
    "program.restart_limit_count": "0",
    "program.restart_limit_interval": '"20m"',
    "program.fatal_retry_delay": '"never"',
    "program.flapping_count": "4",
    "program.flapping_interval": '"20m"',
    "program.start_retries": "3",
    "program.stop_signal": '"INT"',
    "program.kill_delay": '"1s"',
    "program.kill_mode": '"process"',
    **{
        f"program.{kind.value}_probe.{name}": value
        for kind in ProbeKind
        for name, value in {
            "exec": '["true"]',
            "http.url": '"http://127.0.0.1/"',
            "http.status": "204",
            "http.headers": '{ A = "1" }',
            "tcp": "80",
            "initial_delay": '"1s"',
            "period": '"1s"',
            "timeout": '"2s"',
            "success_threshold": "2",
            "failure_threshold": "2",
        }.items()
    },
    "program.events": '["TICK_60"]',
    "program.events_buffer": "20",
    "program.log.stdout.path": '"out.log"',
    "program.log.stdout.rotate_size": '"1M"',
    "program.log.stdout.rotate_keep": "2",
    "program.log.stdout.private": "true",
    "program.log.stdout.syslog": "true",
    "program.log.stdout.events": "true",
    "program.log.stdout.message_limit": "100",
    "program.log.stderr.path": '"merge"',
    "program.log.stderr.rotate_size": '"1M"',
    "program.log.stderr.rotate_keep": "2",
    "program.log.stderr.private": "true",
    "program.log.stderr.syslog": "true",
    "program.log.stderr.events": "true",
    "program.log.stderr.message_limit": "100",
    "program.log.rotate_size": '"1M"',
    "program.log.rotate_keep": "2",
    "program.log.strip_ansi": "true",
    "program.log.syslog": "true",
    "program.log.events": "true",
    "program.log.message_limit": "100",
    "group.priority": "5",
    "server.unix.path": '"other.sock"',
    "server.unix.mode": '"0660"',
    "server.unix.owner": '"0:0"',
    "server.unix.username": '"other"',
    "server.unix.password": '"other"',
    "server.limits.connections": "99",
    "server.limits.request_timeout": '"3s"',
    "server.limits.idle_timeout": '"3s"',
    "server.limits.answer_timeout": '"3s"',
    "server.limits.failed_logins": "0",
    "server.limits.session_idle_timeout": '"5m"',
    "server.limits.session_lifetime": '"8h"',
    "server.http.listen": '"[::1]:9002"',
    "server.http.hosts": '["ops.example.org"]',
    "server.http.username": '"other"',
    "server.http.password": '"other"',
    "server.http.allow_anonymous": "true",
    **{
        f"{table}.{name}": value
        for table in ("server.http", "metrics")
        for name, value in (
            ("tls_cert", '"both.pem"'),
            ("tls_key", '"same.pem"'),
            ("client_ca", '"ca.pem"'),
            ("client_cert", '"optional"'),
        )
    },
    "server.supervisor_interfaces": "true",
    "daemon.identifier": '"x"',
    "daemon.log": '"x.log"',
    "daemon.log_level": '"debug"',
    "daemon.log_syslog": "true",
    "daemon.log_rotate_size": '"1M"',
    "daemon.log_rotate_keep": "2",
    "daemon.audit_log": '"audit.log"',
    "daemon.audit_rotate_size": '"1M"',
    "daemon.audit_rotate_keep": "2",
    "daemon.pid_file": '"x.pid"',
    "daemon.history_size": "20",
    "daemon.ring_size": '"64K"',
    "daemon.min_fds": "64",
    "daemon.min_procs": "64",
    "daemon.cgroup": '"off"',
    "daemon.state_dir": '"state"',
    "daemon.on_crash": '"kill"',
    "daemon.essential_exit_code": "3",
    "program.on_fatal": '"shutdown"',
    "program.on_exit": '"shutdown"',
    "daemon.forward_signals": '["WINCH", "SIGUSR2"]',
    "daemon.user": '"root"',
    "daemon.daemonize": "true",
    "daemon.working_dir": '"/"',
    "daemon.umask": '"027"',
    "daemon.echo_log": "false",
    "daemon.child_log_dir": '"logs"',
    "daemon.remove_auto_logs": "true",
    "metrics.listen": '"[::1]:9003"',
    "metrics.allow_anonymous": "true",
    "metrics.collectors": '["state"]',
    "metrics.process_labels": '["team"]',
    "metrics.compat": '["node_supervisord"]',
    "metrics.proportional_memory_interval": '"10m"',
    "identity.access": '"operate"',
    "identity.password": '"other"',
    "identity.token": '"other"',
    "identity.token_file": '"other.token"',
    "identity.token_hash": f'"sha256:{"b" * 64}"',
    "identity.groups": '["web", "api"]',
    "identity.local.user": '"root"',
    "identity.local.group": '"0"',
    "identity.certificate.common_name": '"other"',
    "identity.certificate.dns_name": '"other"',
    "identity.certificate.uri": '"spiffe://other"',
    "identity.certificate.fingerprint": f'"{"b" * 64}"',
}

# What else must be said for an option to mean anything.
NEEDS: dict[str, dict[str, str]] = {
    "program.events": {"server.supervisor_interfaces": "true"},
    "program.events_buffer": {
        "server.supervisor_interfaces": "true",
        "program.events": '["EVENT"]',
    },
    **{
        f"program.log.{name}": {"server.supervisor_interfaces": "true"}
        for stream in ("", "stdout.", "stderr.")
        for name in (f"{stream}events", f"{stream}message_limit")
    },
    **{
        f"program.socket.{name}": {"program.socket.listen": '"unix:///x.sock"'}
        for name in ("mode", "owner", "backlog")
    },
    **{
        f"program.{kind.value}_probe.{name}": {f"program.{kind.value}_probe.tcp": "81"}
        for kind in ProbeKind
        for name in _PROBE_TIMES
    },
    **{
        f"program.{kind.value}_probe.http.{name}": {
            f"program.{kind.value}_probe.http.url": '"http://localhost/"'
        }
        for kind in ProbeKind
        for name in ("status", "headers")
    },
    "daemon.child_log_dir": {"program.log.stdout": '"auto"'},
    "metrics.allow_anonymous": {"metrics.listen": '"127.0.0.1:9002"'},
    **{
        f"{table}.{name}": {
            "metrics.listen": '"127.0.0.1:9002"',
            **({} if name == "tls_cert" else {f"{table}.tls_cert": '"both.pem"'}),
            **({f"{table}.client_ca": '"ca.pem"'} if name == "client_cert" else {}),
        }
        for table in ("server.http", "metrics")
        for name in ("tls_cert", "tls_key", "client_ca", "client_cert")
    },
    "identity.access": {"identity.access": '"read"', "identity.token": '"x"'},
    **{
        f"identity.{proof}": {"identity.access": '"read"', f"identity.{proof}": '"first"'}
        for proof in ("password", "token", "token_file")
    },
    "identity.token_hash": {
        "identity.access": '"read"',
        "identity.token_hash": f'"sha256:{"a" * 64}"',
    },
    "identity.groups": {"identity.access": '"read"', "identity.token": '"x"'},
    **{
        f"identity.certificate.{name}": {
            "identity.access": '"read"',
            "identity.certificate.common_name": '"first"',
        }
        for name in ("common_name", "dns_name", "uri", "fingerprint")
    },
    "identity.local.user": {"identity.access": '"read"', "identity.local.group": '"1"'},
    "identity.local.group": {"identity.access": '"read"', "identity.local.user": '"1"'},
}

BASE: dict[str, str] = {
    "program.command": '"x"',
    "server.unix.path": '"x.sock"',
    "server.unix.username": '"me"',
    "server.unix.password": '"secret"',
    "server.http.listen": '"127.0.0.1:9001"',
    "server.http.username": '"me"',
    "server.http.password": '"secret"',
}


def written(options: dict[str, str]) -> str:
    """A file that sets these options, of a program and a group called web."""
    lines = []
    for path, value in options.items():
        table, _, name = path.partition(".")
        lines.append(f"{table}.web.{name} = {value}" if table in NAMED else f"{path} = {value}")
    return "\n".join(lines)


def outcome(loaded: Loaded) -> tuple[Any, Any]:
    """Everything that a configuration can change."""
    return loaded.plan, loaded.settings


@pytest.mark.parametrize("path", OPTIONS)
def test_every_option_changes_something(path: str, load: Load, tmp_path: Path) -> None:
    """No option is accepted and then ignored."""
    (tmp_path / "app.env").write_text("B=1\n")
    for name in ("first", "other.token"):
        (tmp_path / name).write_text(f"{name}\n")
    if path.rpartition(".")[2] in ("tls_cert", "tls_key", "client_ca", "client_cert"):
        both = Authority(tmp_path).issue("both.pem")
        (tmp_path / "same.pem").write_bytes(both.read_bytes())
    base = {**BASE, **NEEDS.get(path, {})}
    assert outcome(load(written(base))) != outcome(
        load(written({**base, path: OTHER_VALUES[path]}))
    )


def test_defaults_reach_the_program(load: Load) -> None:
    """Every option that [defaults] takes has the same effect as in the program itself."""
    for name, option, _ in leaves(ProgramOptions):
        value = OTHER_VALUES[f"program.{name}"]
        if option.per_program or name == "env_file":
            continue
        base = "server.supervisor_interfaces = true\nprogram.web.command = 'x'\n"
        shared = load(f"{base}defaults.{name} = {value}")
        own = load(f"{base}program.web.{name} = {value}")
        assert outcome(shared) == outcome(own), name


@pytest.mark.parametrize("path", OPTIONS)
def test_defaults_can_be_written_out(path: str) -> None:
    """The reference shows a default as text that means this default."""
    option, kind = OPTIONS[path]
    if option.required or option.default in (None, ""):
        return
    shown = tomli.loads(f"x = {kind.show(option.default)}")["x"]
    assert kind.read(shown) == option.default


def test_what_isnt_said_is_the_cores_default(load: Load) -> None:
    """The schema's defaults and those of the core's types are one and the same."""
    loaded = load("[program.web]\ncommand = 'x'")
    (spec,) = loaded.plan.specs().values()
    assert spec == ProcessSpec(id=spec.id, program="web", command="x", argv=("x",))
    assert spec.restart == RestartPolicy()
    assert spec.stop == StopPolicy()
    assert spec.stdout == spec.stderr == LogSpec()
    assert loaded.settings == DaemonSettings(servers=loaded.settings.servers)


def test_every_option_is_explained() -> None:
    """A sentence each; the reference is made of them."""
    assert [
        path for path, (option, _) in OPTIONS.items() if not option.doc.text.endswith(".")
    ] == []
