"""What the system allows the daemon, and what it says where it doesn't."""

import os
import resource
from pathlib import Path

import pytest

from opsvisor.config.settings import DaemonSettings, Dialect
from opsvisor.core.plan import Group, Plan
from opsvisor.core.probes import ProbeSpec, TcpProbe
from opsvisor.core.spec import ProcessId, ProcessSpec, UserSpec
from opsvisor.core.struct import replace
from opsvisor.daemon.host import (
    HostError,
    pid_file,
    raise_descriptors,
    raise_limits,
    too_few_descriptors,
    why_not,
)

_ASKED = ProbeSpec(handler=TcpProbe(host="127.0.0.1", port=1))


def test_what_is_no_pid_file_is_left_as_it_is(tmp_path: Path) -> None:
    """A slip in a path would cost the file; and pids of before are none to spare."""
    here = tmp_path / "x.pid"
    for before in ("", "123\n", f"{2**40}", "\0" * 5):
        here.write_text(before)
        with pid_file(str(here)) as problem:
            assert not problem
            assert here.read_text() == f"{os.getpid()}\n"
        assert not here.exists()
    for before in ("[program.web]\n", "123 456", "1" * 99):
        here.write_text(before)
        with pid_file(str(here)) as problem:
            assert problem == (
                f"could not write pidfile {here}: it holds something else, and is left as it is"
            )
        assert here.read_text() == before


def _plan_of(processes: int, *, probe: ProbeSpec | None = None) -> Plan:
    """So many processes, all of which have this readiness probe."""
    specs = [
        ProcessSpec(
            id=ProcessId("web", f"web_{number}"),
            program="web",
            command="sleep 1",
            argv=("sleep", "1"),
            readiness_probe=probe,
        )
        for number in range(processes)
    ]
    return Plan.of([Group(name="web", processes=tuple(specs))])


@pytest.fixture
def _somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user with limits that end at 5000."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1024, 5000))


@pytest.mark.usefixtures("_somebody")
@pytest.mark.parametrize(
    ("dialect", "names"),
    [(Dialect.SUPERVISOR, ("minfds", "minprocs")), (Dialect.NATIVE, ("min_fds", "min_procs"))],
)
def test_limits_out_of_reach_are_named_as_in_the_file(
    dialect: Dialect, names: tuple[str, str]
) -> None:
    """With the figure of the system, and what to do. 5000 is still possible."""
    possible = DaemonSettings(dialect=dialect, min_fds=5000, min_procs=5000)
    assert why_not(possible) == ""
    for settings, name in zip(
        (replace(possible, min_fds=5001), replace(possible, min_procs=5001)), names, strict=True
    ):
        problem = why_not(settings)
        assert problem.startswith(f"{name} = 5001, but the limit of this user is 5000\n")
        assert problem.endswith(f", or lower {name}")
        with pytest.raises(HostError):
            raise_limits(settings, Plan())


@pytest.mark.parametrize(
    ("limits", "processes", "probe", "new"),
    [
        ((1024, 4096), 149, None, None),
        ((1024, 4096), 150, None, 2048),
        ((1024, 4096), 92, _ASKED, None),
        ((1024, 4096), 93, _ASKED, 2048),
        ((1024, 4096), 1000, None, 4096),
        ((1024, 1024), 1000, None, None),
        ((1024, resource.RLIM_INFINITY), 1000, None, 6144),
    ],
)
def test_descriptors_for_every_process(
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[int, int],
    processes: int,
    probe: ProbeSpec | None,
    new: int | None,
) -> None:
    """In large steps, as far as the hard limit, which is left as it is."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, wanted: told.append(wanted))
    line = raise_descriptors(_plan_of(processes, probe=probe))
    assert told == ([(new, limits[1])] if new else [])
    assert line == (f"Increased RLIMIT_NOFILE limit to {new}" if new else "")


@pytest.mark.parametrize(
    ("soft", "processes", "is_warned_of"),
    [(1024, 149, False), (1024, 150, True), (resource.RLIM_INFINITY, 100_000, False)],
)
def test_too_few_descriptors(
    monkeypatch: pytest.MonkeyPatch, soft: int, processes: int, *, is_warned_of: bool
) -> None:
    """A process needs one more than with supervisord: who is near the limit should know."""
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (soft, soft))
    warning = too_few_descriptors(_plan_of(processes))
    assert bool(warning) == is_warned_of
    assert not is_warned_of or "need 1028 file descriptors, but the system allows 1024" in warning


@pytest.mark.usefixtures("_somebody")
def test_only_root_becomes_somebody_else() -> None:
    """In Supervisor's words."""
    other = UserSpec(name="other", uid=2000, gid=2000, groups=())
    assert why_not(DaemonSettings(user=other)) == "Can't drop privilege as nonroot user"
    assert why_not(DaemonSettings(user=replace(other, uid=1000))) == ""
