"""A process's spec in the words of opsvisor.toml: what its user would have to write for it.

The way back from resolve.py, option by option. What nobody can write (the number of a replica) is
not in it, nor what has left no trace in the spec (where a file of variables was).
"""

import json
from collections.abc import Iterator
from typing import Any, assert_never

from opsvisor.config.kind import Kind
from opsvisor.config.option import options_of
from opsvisor.config.schema import EarlyExit, KillTargets, ProgramOptions
from opsvisor.config.schema_probes import HttpOptions, ProbeOptions
from opsvisor.config.schema_resources import ResourceOptions
from opsvisor.config.schema_streams import LogOptions, SocketOptions, StreamOptions
from opsvisor.core.probes import ExecProbe, HttpProbe, ProbeKind, ProbeSpec, TcpProbe
from opsvisor.core.spec import (
    ExponentialBackoff,
    KillMode,
    LinearBackoff,
    LogSpec,
    ProcessSpec,
    ResourceLimit,
    RestartPolicy,
    StopPolicy,
    TcpSocketSpec,
    UnixSocketSpec,
)
from opsvisor.core.struct import Struct

_TARGETS = {  # of the stop signal, of SIGKILL
    (KillMode.GROUP, KillMode.CGROUP): KillTargets.CGROUP,
    (KillMode.PROCESS, KillMode.PROCESS): KillTargets.PROCESS,
    (KillMode.GROUP, KillMode.GROUP): KillTargets.GROUP,
    (KillMode.PROCESS, KillMode.GROUP): KillTargets.MIXED,
}


class Spelled(Struct, frozen=True):
    """One option: its value as it would be written, None where it would be left out.

    `homes` are the options that may have set it, the first of them that was written did.
    A `secret` may be shown to few.
    """

    value: str | None
    homes: tuple[str, ...]
    secret: bool = False


def spell(spec: ProcessSpec) -> dict[str, Spelled]:
    """Every option of a process by its dotted name, in the order of the reference."""
    return {one[0]: one[1] for one in _options(spec)}


_Named = tuple[str, Spelled]


def _options(spec: ProcessSpec) -> Iterator[_Named]:
    own_group = spec.id.group == spec.program
    yield _said("command", _text(spec.command))
    yield _said("description", _text(spec.description))
    yield _own("startup", spec.startup)
    yield _said("group", None if own_group else _text(spec.id.group))
    yield from (_said(f"labels.{name}", _text(value), "labels") for name, value in spec.labels)
    yield _said("process_name", _text(spec.id.name))
    yield _own("priority", spec.priority)
    yield _said("user", None if spec.user is None else _text(spec.user.name))
    yield _said("working_dir", None if spec.working_dir is None else _text(spec.working_dir))
    yield _own("umask", spec.umask)
    for variable, value in spec.environment:
        name = f"environment.{variable}"
        yield name, Spelled(_text(value), (name,), secret=True)
    yield _own("nice", spec.nice)
    yield _own("oom_score_adj", spec.oom_score_adj)
    for limit in spec.rlimits:
        yield _said(f"rlimits.{limit.name}", _limit(limit), "rlimits")
    for name in options_of(ResourceOptions):
        shown = _shown(ResourceOptions, name, getattr(spec.resources, name))
        yield _said(f"resources.{name}", shown)
    yield _own("new_session", spec.new_session)
    yield _own("stdin", spec.stdin)
    yield from _socket(spec)
    yield from _restart(spec.restart)
    yield _own("min_uptime", spec.min_uptime)
    yield _own("on_fatal", spec.on_fatal)
    yield _own("on_exit", spec.on_exit)
    yield from _stop(spec.stop)
    for kind in ProbeKind:
        probe = spec.probe(kind)
        if probe is not None:
            yield from _probe(f"{kind.value}_probe", probe)
    yield from _log("stdout", spec.stdout)
    if spec.stderr is None:
        yield "log.stderr", Spelled('"merge"', ("log.stderr.path", "log.stderr"))
    else:
        yield from _log("stderr", spec.stderr)
    yield _said("log.strip_ansi", _shown(LogOptions, "strip_ansi", spec.stdout.strip_ansi))


def _own(name: str, value: Any) -> _Named:
    """An option that is called so in [program.X], by its value."""
    return _said(name, _shown(ProgramOptions, name, value))


def _said(name: str, shown: str | None, *more_homes: str) -> _Named:
    """An option by what is written for it."""
    return name, Spelled(shown, (name, *more_homes))


def _shown(table: type, name: str, value: Any) -> str | None:
    """As the kind of this option writes it, None if there is nothing to write."""
    if value is None and name not in _NONE_IS_SAID:
        return None
    kind = options_of(table)[name].kind
    assert isinstance(kind, Kind)
    return kind.show(value)


# Where None is a value with a word of its own.
_NONE_IS_SAID = frozenset({"fatal_retry_delay"})


def _text(value: str) -> str:
    """A string as TOML has it: JSON's escapes are some of its."""
    return json.dumps(value, ensure_ascii=False)


def _limit(limit: ResourceLimit) -> str:
    soft, hard = ('"unlimited"' if one is None else str(one) for one in (limit.soft, limit.hard))
    return soft if soft == hard else f"[{soft}, {hard}]"


def _socket(spec: ProcessSpec) -> Iterator[_Named]:
    match spec.socket:
        case None:
            return
        case UnixSocketSpec() as where:
            owner = None if where.owner is None else _text(":".join(map(str, where.owner)))
            beside = {"mode": _shown(SocketOptions, "mode", where.mode), "owner": owner}
        case TcpSocketSpec() as where:
            beside = {}
        case never:
            assert_never(never)
    yield _said("socket.listen", _text(where.url), "socket")
    beside["backlog"] = _shown(SocketOptions, "backlog", where.backlog)
    for name, shown in beside.items():
        yield _said(f"socket.{name}", shown)


def _restart(policy: RestartPolicy) -> Iterator[_Named]:
    early = EarlyExit.FAILURE if policy.early_exit_fails else EarlyExit.BY_CODE
    backoff, step = policy.run_backoff, policy.start_backoff
    limit = policy.limit
    yield _own("restart", policy.mode)
    yield _own("success_exit_codes", policy.success)
    yield _own("restart_prevent_exit_codes", policy.prevent)
    yield _own("early_exit", early)
    if isinstance(backoff, ExponentialBackoff):
        yield _own("backoff_delay", backoff.delay)
        yield _own("backoff_factor", backoff.factor)
        yield _own("backoff_limit", backoff.limit)
        yield _own("backoff_jitter", backoff.jitter)
    yield _own("backoff_reset", policy.backoff_reset)
    yield _own("start_backoff_step", step.step if isinstance(step, LinearBackoff) else None)
    yield _own("restart_limit_count", 0 if limit is None else limit.count)
    yield _own("restart_limit_interval", None if limit is None else limit.interval)
    yield _own("fatal_retry_delay", policy.fatal_retry_delay)
    yield _own("flapping_count", policy.flapping.count)
    yield _own("flapping_interval", policy.flapping.interval)
    yield _own("start_retries", policy.failed_starts_max)


def _stop(policy: StopPolicy) -> Iterator[_Named]:
    yield _own("stop_signal", policy.signal)
    yield _own("kill_delay", policy.kill_delay)
    yield _own("kill_mode", _TARGETS[policy.signal_mode, policy.kill_mode])


def _probe(name: str, probe: ProbeSpec) -> Iterator[_Named]:
    match probe.handler:
        case ExecProbe(argv=argv):
            words = f"[{', '.join(map(_text, argv))}]"
            yield _said(f"{name}.exec", words)
        case TcpProbe(host=host, port=port):
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            yield _said(f"{name}.tcp", _text(address))
        case HttpProbe(url=url, statuses=statuses, headers=headers):
            yield _said(f"{name}.http.url", _text(url), f"{name}.http")
            told = _shown(HttpOptions, "status", statuses) if statuses else None
            yield _said(f"{name}.http.status", told)
            for header, value in headers:
                home = f"{name}.http.headers"
                path = f"{home}.{header}"
                yield path, Spelled(_text(value), (path, home), secret=True)
        case never:
            assert_never(never)
    for option in ("initial_delay", "period", "timeout", "success_threshold", "failure_threshold"):
        yield _said(f"{name}.{option}", _shown(ProbeOptions, option, getattr(probe, option)))


def _log(stream: str, log: LogSpec) -> Iterator[_Named]:
    path = None if log.path is None else _text(log.path)
    yield f"log.{stream}", Spelled(path, (f"log.{stream}.path", f"log.{stream}"))
    own = {
        "rotate_size": log.rotate_size,
        "rotate_keep": log.rotate_keep,
        "private": log.private,
        "syslog": log.syslog,
        "events": log.told,
        "message_limit": log.message_limit,
    }
    for option, value in own.items():
        name = f"log.{stream}.{option}"
        yield _said(name, _shown(StreamOptions, option, value), f"log.{option}")
