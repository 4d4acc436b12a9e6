"""Nothing that a client relies on is taken back: the contract of the last release still holds.

`released.json` is the contract as the last release had it; before the first one, that of the
operations that were there when it was first written down. A release puts its own in that place:

    cp docs/reference/openapi.json tests/contract/released.json
"""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from changes import breaking_changes

from opsvisor.api.openapi import contract

Json = dict[str, Any]
Change = Callable[[Json], object]

RELEASED = Path(__file__).with_name("released.json")


def test_clients_of_the_last_release_can_go_on() -> None:
    """If this fails, what is named here has to come back, beside what was meant to replace it."""
    assert breaking_changes(json.loads(RELEASED.read_text()), contract()) == []


def operation(one: Json, path: str, method: str = "get") -> Json:
    """An operation of a contract."""
    found = one["paths"][path][method]
    assert isinstance(found, dict)
    return found


def fields(one: Json, name: str) -> Json:
    """The fields of a type."""
    found = one["components"]["schemas"][name]["properties"]
    assert isinstance(found, dict)
    return found


def parameter(one: Json, path: str, name: str) -> Json:
    """A parameter of a query string."""
    (found,) = (p for p in operation(one, path)["parameters"] if p["name"] == name)
    assert isinstance(found, dict)
    return found


PROCESSES, ACTIONS, EVENTS = "/api/v1/processes", "/api/v1/actions", "/api/v1/events"
NEW_PARAMETER = {"name": "more", "in": "query", "required": False, "schema": {"type": "string"}}
NEW_EVENT = {
    "properties": {"event": {"const": "new"}, "data": {"contentSchema": {"type": "string"}}}
}

BREAKING: dict[str, tuple[Change, str]] = {
    "an operation goes": (lambda c: c["paths"].pop(EVENTS), "it is gone"),
    "a method goes": (lambda c: c["paths"][ACTIONS].pop("post"), "it is gone"),
    "an operation is renamed": (
        lambda c: operation(c, EVENTS).update(operationId="x"),
        "its operationId was follow_events",
    ),
    "more access is needed": (
        lambda c: operation(c, EVENTS).update({"x-access": "operate"}),
        "it needs more access than read",
    ),
    "a way to come in goes": (
        lambda c: operation(c, EVENTS)["security"].pop(0),
        "nobody can come in by basic",
    ),
    "a parameter goes": (
        lambda c: operation(c, EVENTS)["parameters"].pop(0),
        "parameter replay is gone",
    ),
    "a parameter is required": (
        lambda c: operation(c, EVENTS)["parameters"].append(NEW_PARAMETER | {"required": True}),
        "parameter more is required",
    ),
    "a parameter is bounded": (
        lambda c: parameter(c, EVENTS, "replay")["schema"].update(maximum=10),
        "parameter replay: maximum is 10",
    ),
    "a parameter has another default": (
        lambda c: parameter(c, EVENTS, "replay")["schema"].update(default=5),
        "parameter replay: its default was 0",
    ),
    "a parameter loses a value": (
        lambda c: parameter(c, PROCESSES, "resources")["schema"]["enum"].remove("0"),
        "parameter resources: it can't be '0'",
    ),
    "a body has another required field": (
        lambda c: c["components"]["schemas"]["ActionRequest"]["required"].append("wait"),
        "field wait is required",
    ),
    "a body loses a field": (
        lambda c: fields(c, "ActionRequest").pop("wait"),
        "field wait is gone",
    ),
    "a body takes fewer values": (
        lambda c: fields(c, "ActionRequest")["action"]["enum"].remove("stop"),
        "it can't be 'stop'",
    ),
    "a body takes fewer types": (
        lambda c: fields(c, "ActionRequest")["timeout"]["anyOf"].pop(),
        "it can't be null",
    ),
    "an answer loses a field": (
        lambda c: fields(c, "ProcessStatus").pop("state"),
        "field state is gone",
    ),
    "an answer may lack a field": (
        lambda c: c["components"]["schemas"]["ProcessStatus"]["required"].remove("state"),
        "field state may be missing",
    ),
    "a field has another type": (
        lambda c: fields(c, "ProcessStatus")["pid"].update(type="string"),
        "its type was integer",
    ),
    "a field may be null": (
        lambda c: fields(c, "ProcessStatus").update(
            pid={"anyOf": [{"type": "integer"}, {"type": "null"}]}
        ),
        "it can be null",
    ),
    "a closed list opens": (
        lambda c: fields(c, "ProcessStatus")["state"]["enum"].append("LOST"),
        "it can be 'LOST'",
    ),
    "an answer has another status": (
        lambda c: operation(c, PROCESSES)["responses"].update(
            {"206": operation(c, PROCESSES)["responses"].pop("200")}
        ),
        "it does not answer 200",
    ),
    "an answer has another media type": (
        lambda c: operation(c, "/healthz")["responses"]["200"]["content"].pop("text/plain"),
        "it does not answer text/plain",
    ),
    "a stream loses an event": (
        lambda c: operation(c, EVENTS)["responses"]["200"]["content"]["text/event-stream"][
            "schema"
        ]["oneOf"].pop(1),
        "event gap is gone",
    ),
    "an event loses a field": (lambda c: fields(c, "Event").pop("kind"), "field kind is gone"),
}
ADDITIONS: dict[str, Change] = {
    "an operation": lambda c: c["paths"].update({"/new": deepcopy(c["paths"][EVENTS])}),
    "a parameter": lambda c: operation(c, EVENTS)["parameters"].append(NEW_PARAMETER),
    "a value of a parameter": lambda c: parameter(c, PROCESSES, "resources")["schema"][
        "enum"
    ].append("2"),
    "a field of an answer": lambda c: fields(c, "ProcessStatus").update(more={"type": "string"}),
    "a field of a body": lambda c: fields(c, "ActionRequest").update(more={"type": "string"}),
    "a value of an open list": lambda c: fields(c, "ActionResult")["result"][
        "x-extensible-enum"
    ].append("asleep"),
    "less access": lambda c: operation(c, EVENTS).update({"x-access": "metrics"}),
    "a way to come in": lambda c: operation(c, EVENTS)["security"].append({"more": []}),
    "an event": lambda c: operation(c, EVENTS)["responses"]["200"]["content"]["text/event-stream"][
        "schema"
    ]["oneOf"].append(NEW_EVENT),
    "another refusal": lambda c: operation(c, EVENTS)["responses"].update({"451": {}}),
    "other words": lambda c: operation(c, EVENTS).update(summary="Something else"),
}


@pytest.mark.parametrize("name", BREAKING)
def test_a_breaking_change_is_found(name: str) -> None:
    """Once, and where it is."""
    change, told = BREAKING[name]
    changed = deepcopy(contract())
    change(changed)
    found = breaking_changes(contract(), changed)
    assert found
    assert all(one.endswith(told) for one in found), found


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_is_none(name: str) -> None:
    """Clients of the older contract don't notice, or bear it as the contract says they must."""
    changed = deepcopy(contract())
    ADDITIONS[name](changed)
    assert breaking_changes(contract(), changed) == []
