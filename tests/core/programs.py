"""Programs and plans for the tests of the core, in one line each."""

from collections.abc import Mapping
from typing import Any

from opsvisor.core.plan import Group, Plan
from opsvisor.core.spec import (
    ExitSet,
    ExponentialBackoff,
    LinearBackoff,
    ProcessId,
    ProcessSpec,
    RestartMode,
    RestartPolicy,
    Startup,
    StopPolicy,
)
from opsvisor.core.struct import fields


def process_id(name: str) -> ProcessId:
    """`app:web` is process web of group app; `web` is alone in a group of its name."""
    group, _, process = name.rpartition(":")
    return ProcessId(group or process, process)


def program(name: str, **options: Any) -> ProcessSpec:
    """A native program that waits to be started, with options of any part of its spec."""
    own: dict[str, Any] = {"startup": Startup.DISABLED, "command": "run", "argv": ("run",)}
    for part, kind in (("restart", RestartPolicy), ("stop", StopPolicy)):
        names = {f.name for f in fields(kind)}
        own[part] = kind(**{key: options.pop(key) for key in names & options.keys()})
    identity = process_id(name)
    return ProcessSpec(id=identity, program=identity.name, **(own | options))


def supervisor_program(
    name: str,
    *,
    startsecs: float = 1.0,
    startretries: int = 3,
    autorestart: RestartMode = RestartMode.ON_FAILURE,
    exitcodes: frozenset[int] = frozenset({0}),
    **options: Any,
) -> ProcessSpec:
    """A program with the policy that a `[program:x]` section of an INI file gives it."""
    return program(
        name,
        **{
            "min_uptime": startsecs,
            "mode": autorestart,
            "success": ExitSet(codes=exitcodes),
            "early_exit_fails": True,
            "failed_starts_max": startretries,
            "start_backoff": LinearBackoff(step=1.0),
            "run_backoff": ExponentialBackoff(delay=0.1, factor=2.0, limit=5.0, jitter=0.0),
            "backoff_reset": max(startsecs, 1.0),
            "limit": None,
            "fatal_retry_delay": None,
        }
        | options,
    )


def plan_of(*programs: ProcessSpec, priorities: Mapping[str, int] | None = None) -> Plan:
    """A plan of these programs; groups have the priority given here or 999."""
    members: dict[str, list[ProcessSpec]] = {}
    for spec in programs:
        members.setdefault(spec.id.group, []).append(spec)
    given = priorities or {}
    return Plan.of(
        [
            Group(name=name, priority=given.get(name, 999), processes=tuple(specs))
            for name, specs in members.items()
        ]
    )
