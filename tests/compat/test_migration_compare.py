"""The comparison that every migration ends with sees each difference, and only what matters."""

from collections.abc import Callable
from pathlib import Path

import pytest
from migrations import HEAD
from supervisor_files import load_text

from opsvisor.compat.supervisor.migrate.compare import compare
from opsvisor.config.settings import Credentials, Loaded, TcpServer
from opsvisor.core.plan import Group, Plan
from opsvisor.core.spec import ProcessId, ProcessSpec
from opsvisor.core.struct import replace

TEXT = (
    f"{HEAD}[inet_http_server]\nport = 127.0.0.1:1\nusername = u\npassword = secret\n"
    "[program:a]\ncommand = /bin/cat\nenvironment = TOKEN=secret,B=1\n"
)


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """A configuration of one program and two servers."""
    return load_text(tmp_path, TEXT)


def seen(before: Loaded, after: Loaded, folder: Path, renamed: str = "a") -> list[str]:
    """What the comparison says, without the folder."""
    ids, groups = {ProcessId("a", "a"): ProcessId(renamed, "a")}, {"a": renamed}
    found = compare(before, after, start=folder, base=folder, ids=ids, groups=groups)
    return [str(one).replace(f"{folder}/", "") for one in found]


def with_spec(loaded: Loaded, change: Callable[[ProcessSpec], ProcessSpec]) -> Loaded:
    """The same with another process."""
    (group,) = loaded.plan.groups
    (spec,) = group.processes
    return replace(loaded, plan=Plan(groups=(replace(group, processes=(change(spec),)),)))


def with_log(spec: ProcessSpec, path: str) -> ProcessSpec:
    """The same with another file for its output."""
    return replace(spec, stdout=replace(spec.stdout, path=path))


def test_what_is_the_same(loaded: Loaded, tmp_path: Path) -> None:
    """And what is, in spite of other words."""
    assert seen(loaded, loaded, tmp_path) == []
    unsorted = with_spec(loaded, lambda s: replace(s, environment=s.environment[::-1]))
    assert seen(loaded, unsorted, tmp_path) == []
    path = loaded.plan.groups[0].processes[0].stdout.path or ""
    letters = with_spec(loaded, lambda s: with_log(s, f"{path[:-12]}01234567.log"))
    assert seen(loaded, letters, tmp_path) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: replace(s, priority=5), "a: priority is 5, was 999"),
        (lambda s: replace(s, command="x"), "a: command is 'x', was '/bin/cat'"),
        (lambda s: replace(s, stderr=None), "a: stderr is None, was LogSpec(path="),
        (lambda s: replace(s, stop=replace(s.stop, signal=9)), "a: stop.signal is 9, was "),
        (lambda s: replace(s, environment=()), "a: environment differs"),
        (lambda s: replace(s, working_dir="/a/../b"), "a: working_dir is '/a/../b', was None"),
        (lambda s: with_log(s, "/x.log"), "a: stdout.path is '/x.log', was '/tmp/a-stdout---"),
    ],
)
def test_processes(
    loaded: Loaded, tmp_path: Path, change: Callable[[ProcessSpec], ProcessSpec], says: str
) -> None:
    """The field, what it was and what it is; of secrets only the field."""
    (told,) = seen(loaded, with_spec(loaded, change), tmp_path)
    assert told.startswith(says)
    assert "secret" not in told


def test_what_is_missing_and_what_is_too_much(loaded: Loaded, tmp_path: Path) -> None:
    """Groups and their processes."""
    nothing = replace(loaded, plan=Plan())
    assert seen(loaded, nothing, tmp_path) == [
        "group a: it is missing, was there",
        "a: it is missing, was there",
    ]
    (spec,) = loaded.plan.specs().values()
    other = replace(spec, id=ProcessId("b", "b"))
    more = Plan(groups=(*loaded.plan.groups, Group(name="b", processes=(other,))))
    assert seen(loaded, replace(loaded, plan=more), tmp_path) == [
        "group b: it is there, was missing",
        "b: it is there, was missing",
    ]


def test_what_is_called_otherwise(loaded: Loaded, tmp_path: Path) -> None:
    """Known by another name, it is the same."""
    (group,) = loaded.plan.groups
    spec = replace(group.processes[0], id=ProcessId("x", "a"))
    renamed = Plan(groups=(replace(group, name="x", processes=(spec,)),))
    assert seen(loaded, replace(loaded, plan=renamed), tmp_path, "x") == []


def test_the_daemon(loaded: Loaded, tmp_path: Path) -> None:
    """Its settings, without the passwords in them."""
    unix, http = loaded.settings.servers
    assert isinstance(http, TcpServer)
    stranger = replace(http, credentials=Credentials(username="u", password="other secret"))
    for servers in ((unix, stranger), (unix,)):
        changed = replace(loaded, settings=replace(loaded.settings, servers=servers))
        assert seen(loaded, changed, tmp_path) == ["opsvisord: servers differs"]
    changed = replace(loaded, settings=replace(loaded.settings, umask=0o22))
    assert seen(loaded, changed, tmp_path) == ["opsvisord: umask is 18, was None"]


def test_an_open_door(loaded: Loaded, tmp_path: Path) -> None:
    """Whether anybody is let in matters where anybody could come."""
    open_server = TcpServer(name="x", host="", port=1, allow_anonymous=True)
    before = replace(loaded, settings=replace(loaded.settings, servers=(open_server,)))
    closed = replace(open_server, allow_anonymous=False)
    after = replace(loaded, settings=replace(loaded.settings, servers=(closed,)))
    assert seen(before, after, tmp_path) == ["opsvisord: servers differs"]
