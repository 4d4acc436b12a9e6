"""Names that nobody has: what people are told that they may have meant."""

import msgspec
import pytest
from recorded_daemon import running

from opsvisor.ctl.meant import hint_at, likely
from opsvisor.ctl.output import Format, Output
from opsvisor.wire import ProcessStatus


def _named(name: str) -> ProcessStatus:
    group, _, process = name.partition(":")
    return msgspec.structs.replace(running(name), name=name, group=group, process=process or group)


_ALL = [_named(name) for name in ("web:0", "web:1", "jobs:migrate", "flaky", "db main")]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("web", ["web:*"]),
        ("migrate", ["jobs:migrate"]),
        ("falky", ["flaky"]),
        ("wbe:0", ["web:0"]),
        ("job:*", ["jobs:*"]),
        ("nothing", []),
        ("", []),
    ],
)
def test_what_may_have_been_meant(typed: str, meant: list[str]) -> None:
    """The group, the process in a group, or what looks like it."""
    assert likely(typed, _ALL)[:1] == meant


def test_it_is_said_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    """As it is typed into a shell, on standard error; scripts get nothing beside their text."""
    hint_at(Output(Format.PLAIN), ["web"], _ALL)
    hint_at(Output(Format.TERMINAL), ["nothing"], _ALL)
    assert capsys.readouterr() == ("", "")
    hint_at(Output(Format.TERMINAL), ["web", "db mian"], _ALL)
    assert capsys.readouterr() == ("", "hint: did you mean 'web:*' or 'db main'?\n")
