"""Both control programs where there is no daemon, another one, or one that wants a password."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
from contestants import HEAD, Contestant, Kind, Repeated, undated

WORDS = [
    "status",
    "status a",
    "start a",
    "start all",
    "stop a",
    "restart a",
    "signal HUP a",
    "pid",
    "pid a",
    "tail a",
    "tail -f a",
    "maintail",
    "maintail -f",
    "clear a",
    "clear all",
    "fg a",
    "version",
    "reread",
    "avail",
    "update",
    "add a",
    "remove a",
    "reload",
    "shutdown",
    "help nosuch",
    "nosuch",
]
URLS = {
    "no socket": "unix://$HERE/nosuch",
    "no server": "http://127.0.0.1:1",
    "a password is asked for": "http://127.0.0.1:$PORT",
}
CTL = "[supervisord]\n[supervisorctl]\nserverurl = "
GUARDED = HEAD.replace(
    "port = 127.0.0.1:$PORT\n", "port = 127.0.0.1:$PORT\nusername = u\npassword = p\n"
)

Told = Mapping[tuple[str, str], list[str]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Told]:
    """What was printed for all words, in all circumstances, in all three ways."""
    parent = tmp_path_factory.mktemp("c")
    cast = {
        "supervisorctl": Contestant(Kind.THEIRS, parent),
        "supervisorctl, opsvisord": Contestant(Kind.OURS, parent, name="mixd"),
        "opsvisorctl": Contestant(Kind.OURS, parent),
    }
    with ExitStack() as ends, ThreadPoolExecutor(3) as stage:
        for one in cast.values():
            ends.callback(one.end)
        played = stage.map(lambda way: _play(cast[way], way.partition(",")[0]), cast)
        return dict(zip(cast, played, strict=True))


def _play(one: Contestant, program: str) -> Told:
    one.write(GUARDED)
    one.start_and_wait()
    found = {}
    with closing(Repeated(one, program)) as run:
        for case, url in URLS.items():
            config = one.write(f"{CTL}{url}\n", "ctl.conf")
            for words in WORDS:
                ran = run("-c", str(config), *words.split())
                found[case, words] = [
                    f"exit status {ran.status}",
                    *undated(ran.out).splitlines(),
                    *undated(ran.err).splitlines(),
                ]
    return found


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("case", URLS)
def test_supervisorctl_fails_alike(told: Mapping[str, Told], case: str, words: str) -> None:
    """The real program sees no difference."""
    assert told["supervisorctl, opsvisord"][case, words] == told["supervisorctl"][case, words]


# What opsvisorctl says where supervisorctl names a class of Python.
_PLAIN = (
    "unix://$HERE/nosuch no such file",
    "http://127.0.0.1:1 refused connection",
    "Server requires authentication",
)


@pytest.mark.differs("ctl-failures")
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("case", URLS)
def test_opsvisorctl_fails_alike(told: Mapping[str, Told], case: str, words: str) -> None:
    """The same exit status and line, but no classes of Python, and what was tried besides."""
    status, *theirs = told["supervisorctl"][case, words]
    our_status, *ours = told["opsvisorctl"][case, words]
    assert our_status == status
    readable = [line for line in theirs if not line.startswith("error: <class ")]
    if not theirs or readable:
        assert ours[: len(readable)] == readable
    else:
        assert ours[0] in _PLAIN
    assert not any("class" in line for line in ours)
    if case != "a password is asked for" and ours and ours[0] in _PLAIN:
        assert ours[1] == f"tried: {URLS[case]}, as $HERE/ctl.conf says"


# Typed into the shell, one line after another.
SHELL = """\
status
start off
status off
stop off
nosuch

help nosuch
pid
tail nosuch
shutdown
n
exit
status
"""


@pytest.mark.parametrize("way", ["supervisorctl, opsvisord", "opsvisorctl"])
def test_shell(shells: Mapping[str, list[str]], way: str) -> None:
    """The same prompts and answers, and status 0 whatever went wrong."""
    assert shells[way] == shells["supervisorctl"]


@pytest.fixture(scope="module")
def shells(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    """What the shell printed, in all three ways."""
    parent = tmp_path_factory.mktemp("s")
    cast = {
        "supervisorctl": Contestant(Kind.THEIRS, parent),
        "supervisorctl, opsvisord": Contestant(Kind.OURS, parent, name="mixd"),
        "opsvisorctl": Contestant(Kind.OURS, parent),
    }

    def play(way: str) -> list[str]:
        one = cast[way]
        one.write(
            f"{HEAD}[program:a]\ncommand=/bin/cat\nstartsecs=0\n"
            "[program:off]\ncommand=/bin/cat\nstartsecs=0\nstopwaitsecs=1\nautostart=false\n"
        )
        one.start_and_wait()
        one.until("a", "RUNNING")
        with closing(Repeated(one, way.partition(",")[0])) as run:
            ran = run("-c", str(one.config), stdin=SHELL)
        text = undated(ran.out).replace(str(one.pid), "N")
        return [f"exit status {ran.status}", *text.splitlines()]

    with ExitStack() as ends, ThreadPoolExecutor(3) as stage:
        for one in cast.values():
            ends.callback(one.end)
        return dict(zip(cast, stage.map(play, cast), strict=True))
