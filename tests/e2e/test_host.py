"""What the system allows the daemon, and what it says where it doesn't."""

import resource
from dataclasses import replace

import pytest

from opsvisor.config.settings import DaemonSettings, Dialect
from opsvisor.core.spec import UserSpec
from opsvisor.daemon.host import (
    HostError,
    raise_descriptors,
    raise_limits,
    too_few_descriptors,
    why_not,
)


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
            raise_limits(settings, 0)


@pytest.mark.parametrize(
    ("limits", "processes", "new"),
    [
        ((1024, 4096), 149, None),
        ((1024, 4096), 150, 2048),
        ((1024, 4096), 1000, 4096),
        ((1024, 1024), 1000, None),
        ((1024, resource.RLIM_INFINITY), 1000, 6144),
    ],
)
def test_descriptors_for_every_process(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], processes: int, new: int | None
) -> None:
    """In large steps, as far as the hard limit, which is left as it is."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, wanted: told.append(wanted))
    line = raise_descriptors(processes)
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
    warning = too_few_descriptors(processes)
    assert bool(warning) == is_warned_of
    assert not is_warned_of or "need 1028 file descriptors, but the system allows 1024" in warning


@pytest.mark.usefixtures("_somebody")
def test_only_root_becomes_somebody_else() -> None:
    """In Supervisor's words."""
    other = UserSpec(name="other", uid=2000, gid=2000, groups=())
    assert why_not(DaemonSettings(user=other)) == "Can't drop privilege as nonroot user"
    assert why_not(DaemonSettings(user=replace(other, uid=1000))) == ""
