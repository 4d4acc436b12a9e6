"""The client has a method for each operation of the contract, which asks for just that."""

import inspect
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO, NoReturn
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from opsvisor.api.openapi import names_in
from opsvisor.api.routes import ROUTES, Route
from opsvisor.client import Client

# One call of each method, with all that it can be given.
CALLS: Mapping[str, Callable[[Client], object]] = {
    "act": lambda c: c.act("signal", ["web"], signal="HUP", wait=False, timeout=1.0),
    "add_groups": lambda c: c.add_groups(["web"]),
    "apply": lambda c: c.apply(["web"], reread=False),
    "available": lambda c: c.available(),
    "clear_daemon_log": lambda c: c.clear_daemon_log(),
    "clear_logs": lambda c: c.clear_logs(["web"]),
    "config_diff": lambda c: c.config_diff(),
    "contract": lambda c: c.contract(),
    "daemon": lambda c: c.daemon(),
    "daemon_log": lambda c: c.daemon_log(
        last_bytes=1, last_lines=1, offset=1, length=1, since=1.0
    ),
    "download_log": lambda c: c.download_log("web", "stderr", into=io.BytesIO()),
    "events": lambda c: c.events(replay=1, last_event_id=1),
    "follow_daemon_log": lambda c: c.follow_daemon_log(last_bytes=1, since=1.0),
    "follow_log": lambda c: c.follow_log("web", "stderr", last_bytes=1, since=1.0),
    "groups": lambda c: c.groups(),
    "history": lambda c: c.history("web"),
    "is_alive": lambda c: c.is_alive(),
    "is_ready": lambda c: c.is_ready(),
    "log": lambda c: c.log("web", last_bytes=1, last_lines=1, offset=1, length=1, since=1.0),
    "logs": lambda c: c.logs(["web"], streams=["stderr"], last_lines=1, since=1.0, follow=True),
    "me": lambda c: c.me(),
    "metrics": lambda c: c.metrics(["state"]),
    "process": lambda c: c.process("web"),
    "process_config": lambda c: c.process_config("web"),
    "process_samples": lambda c: c.process_samples("web", since=1.0, points=2),
    "processes": lambda c: c.processes("web", resources=False),
    "programs": lambda c: c.programs(),
    "reload": lambda c: c.reload(),
    "remove_groups": lambda c: c.remove_groups(["web"]),
    "reread": lambda c: c.reread(),
    "samples": lambda c: c.samples(since=1.0, points=2),
    "shutdown": lambda c: c.shutdown(),
    "targets": lambda c: c.targets(),
    "upgrade": lambda c: c.upgrade(),
    "watch": lambda c: c.watch(interval=1.0),
    "write_stdin": lambda c: c.write_stdin("web", "hello"),
}
# What is no operation: it is about the client itself.
ITS_OWN = {"url", "login", "another", "elsewhere", "close", "on_silence"}
# A program shows what it has with each request; sessions are for browsers.
FOR_BROWSERS = {"log_in", "log_out"}
# Another spelling of `collect`, which the client has no need of.
SPELLINGS = {"collect[]"}


class SentError(Exception):
    """A request was about to be sent."""


class Recorder:
    """In the place of a client's transport: notes what would be sent, and sends nothing."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.sent: list[tuple[str, str, bytes | None]] = []

    def call(
        self, method: str, target: str, *, body: bytes | None, patience: float | None
    ) -> NoReturn:
        """A request."""
        del patience
        self.sent.append((method, target, body))
        raise SentError

    def stream(self, target: str, headers: Mapping[str, str]) -> NoReturn:
        """A request for a stream."""
        del headers
        self.sent.append(("GET", target, None))
        raise SentError

    def download(self, target: str, into: BinaryIO) -> NoReturn:
        """A request for a file."""
        del into
        self.sent.append(("GET", target, None))
        raise SentError


def asked(name: str) -> tuple[Route, set[str], bytes | None]:
    """What a method asks for: a route, parameters of its query string, and a body."""
    client, recorder = Client("unix:///nowhere"), Recorder()
    vars(client)["_transport"] = recorder
    with suppress(SentError):
        CALLS[name](client)
    ((method, target, body),) = recorder.sent
    url = urlsplit(target)
    (route,) = (
        route
        for route in ROUTES
        if route.method == method and re.fullmatch(pattern_of(route), url.path)
    )
    return route, set(parse_qs(url.query)), body


def pattern_of(route: Route) -> str:
    """What the paths of a route look like."""
    pattern = re.escape(route.path)
    for name in names_in(route.path):
        pattern = pattern.replace(re.escape(f"{{{name}}}"), "[^/]+")
    return pattern


def methods() -> Iterator[str]:
    """The public methods of a client."""
    for name, _ in inspect.getmembers(Client):
        if not name.startswith("_") and name not in ITS_OWN:
            yield name


def test_every_method_is_tried_here() -> None:
    """So that a new one shows what it asks for."""
    assert set(methods()) == set(CALLS)


def test_every_operation_has_a_method() -> None:
    """A new route without one would be out of reach for opsvisorctl, and for everybody's Python.

    `Client` in opsvisor/client/calls.py lacks a method, or CALLS above a line.
    """
    reached = {asked(name)[0].operation_id for name in CALLS}
    wanted = {route.operation_id for route in ROUTES if route.in_contract}
    assert reached == wanted - FOR_BROWSERS


@pytest.mark.parametrize("name", CALLS)
def test_a_method_can_say_all_there_is_to_say(name: str) -> None:
    """Each parameter of the query string can be given, and a body has the declared type."""
    route, parameters, body = asked(name)
    declared = {field.encode_name for field in msgspec.structs.fields(route.query)}
    assert parameters == declared - SPELLINGS
    if route.takes is not None:
        assert body is not None
        msgspec.json.decode(body, type=route.takes)


@pytest.mark.parametrize("name", CALLS)
def test_a_method_is_typed_and_told_of(name: str) -> None:
    """Its answer has a type that says something, and its docstring a sentence."""
    method = getattr(Client, name)
    assert inspect.getdoc(method)
    assert "return" in method.__annotations__
