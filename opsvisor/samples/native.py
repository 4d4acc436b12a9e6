"""The sample of opsvisor.toml, made from the options that opsvisord knows."""

import textwrap
from collections.abc import Iterator

from opsvisor.config.kind import Kind
from opsvisor.config.option import Option, Section, options_of
from opsvisor.config.schema import NAMED, TABLES, FileOptions
from opsvisor.core.spec import ExitSet

_WIDTH = 79
_NO_DEFAULT: tuple[object, ...] = (None, "", (), {}, frozenset(), ExitSet())
_HEAD = """\
# Sample configuration of opsvisord, with every option that it knows.
#
# What begins with # and no blank can be switched on. It shows the value that counts without it, or
# an example where there is none. As it is, this file runs nothing.
# `opsvisord --check FILE` tells what is wrong with a file, without starting anything.
#
# Durations have units ("500ms", "1h30m"), and so have sizes ("64K", "1G"). Relative paths begin at
# the folder of this file.

"""
# For options without a default, by their whole name in the table, or else by its last part.
_EXAMPLES = {
    "audit_log": '"/var/log/opsvisor/audit.log"',
    "backlog": "128",
    "compat": '["node_supervisord"]',
    "certificate.common_name": '"prometheus"',
    "certificate.dns_name": '"prometheus.example.org"',
    "certificate.fingerprint": f'"sha256:{"0" * 64}"',
    "certificate.uri": '"spiffe://example.org/prometheus"',
    "child_log_dir": '"/var/log/opsvisor"',
    "client_ca": '"clients.pem"',
    "description": '"Answers on port 8000"',
    "env_file": '["web.env"]',
    "cpu_max": '"150%"',
    "environment": '{ LANG = "C.UTF-8" }',
    "events": "true",
    "essential_exit_code": "3",
    "exec": '["/usr/local/bin/check-web"]',
    "group": '"shop"',
    "groups": '["shop"]',
    "headers": '{ Host = "shop.example" }',
    "hosts": '["ops.example.org"]',
    "include": '["conf.d/*.toml"]',
    "labels": '{ team = "shop" }',
    "local.user": '"daemon"',
    "local.group": '"daemon"',
    "listen": '"127.0.0.1:9002"',
    "log": '"opsvisord.log"',
    "log.stderr.path": '"merge"',
    "log.stdout.path": '"web.log"',
    "memory_high": '"448M"',
    "memory_max": '"512M"',
    "message_limit": '"64K"',
    "nice": "5",
    "oom_score_adj": "500",
    "owner": '"nobody"',
    "oom_group": "true",
    "password": '"secret"',
    "pid_file": '"opsvisord.pid"',
    "priority": "10",
    "pids_max": "256",
    "process_labels": '["team"]',
    "process_name": '"{program}-{replica}"',
    "program.events": '["PROCESS_STATE", "TICK_60"]',
    "restart_prevent_exit_codes": "[78]",
    "rlimits": "{ nofile = 65536 }",
    "rotate_keep": "3",
    "rotate_size": '"10M"',
    "start_backoff_step": '"1s"',
    "start_retries": "3",
    "state_dir": '"/var/lib/opsvisor"',
    "status": "[200, 204]",
    "syslog": "true",
    "tcp": "8000",
    "tls_cert": '"server.pem"',
    "tls_key": '"server.key"',
    "token": '"secret"',
    "token_file": '"prometheus.token"',
    "token_hash": f'"sha256:{"0" * 64}"',
    "umask": '"022"',
    "user": '"nobody"',
    "username": '"ops"',
    "working_dir": '"/"',
}


def render_sample() -> str:
    """The whole file."""
    parts = [_HEAD, *_options(FileOptions, "", "")]
    for name, table in TABLES.items():
        if name == "defaults":
            parts += ["# For all programs: what isn't about one alone.\n", "#[defaults]\n\n"]
            continue
        _, _, about = (table.__doc__ or "").partition(": ")
        title = f"#[{name}.example]" if name in NAMED else f"#[{name}]"
        parts += [_prose(f"{about[:1].upper()}{about[1:]}"), f"{title}\n\n"]
        parts += _options(table, name, "")
    return "".join(parts).rstrip() + "\n"


def _options(table: type, table_name: str, prefix: str) -> Iterator[str]:
    for option in options_of(table).values():
        name = f"{prefix}{option.name}"
        if isinstance(option.kind, Section):
            yield from _options(option.kind.options, table_name, f"{name}.")
        else:
            value = _value(option, option.kind, (f"{table_name}.{name}", name, option.name))
            yield f"{_prose(option.doc.text)}#{name} = {value}\n\n"


def _value(option: Option, kind: Kind, names: tuple[str, ...]) -> str:
    """The default as TOML has it, or an example by the first of these names that has one."""
    if option.required:
        return option.required.example.partition(" = ")[2]
    for name in names:
        if name in _EXAMPLES and option.default in _NO_DEFAULT:
            return _EXAMPLES[name]
    assert option.default is not None, f"_EXAMPLES lacks a line for {names[0]}"
    return kind.show(option.default)


def _prose(text: str) -> str:
    wrapped = textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    return "\n".join(wrapped) + "\n"
