"""The contract as a document: it is valid, complete, and leads nowhere that isn't there."""

import json
from collections import Counter
from typing import Any, get_args

import pytest
from openapi_spec_validator import validate

from opsvisor import wire
from opsvisor.api.errors import MEANINGS, STATUS_OF_CODE
from opsvisor.api.openapi import contract, names_in, problem_codes, render
from opsvisor.api.routes import PATH_PARAMETERS, ROUTES, Route
from opsvisor.control.actions import Action, Result
from opsvisor.core.events import SupervisorState
from opsvisor.core.state import PublicState
from opsvisor.runtime.logs.stream import Stream

CONTRACT = contract()
SCHEMAS = CONTRACT["components"]["schemas"]
in_contract = pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.in_contract],
    ids=lambda route: f"{route.method} {route.path}",
)
# Of paths and methods that no operation has.
NOWHERE = {"not_found", "method_not_allowed"}


def texts(schema: dict[str, Any], field: str) -> set[str]:
    """What a text field may be."""
    one = schema["properties"][field]
    return set(one.get("enum") or one["x-extensible-enum"])


def test_it_is_openapi() -> None:
    """By the specification's own schema, references and all; and what is served is that."""
    validate(CONTRACT)
    assert json.loads(render()) == CONTRACT


@in_contract
def test_a_route_is_described(route: Route) -> None:
    """Each says what it is for, what its path's parts are, and what it answers with."""
    assert route.handler.__doc__
    assert set(names_in(route.path)) <= set(PATH_PARAMETERS)
    assert route.media_types, "gives, events or content"
    assert (route.takes is None) == (route.method == "GET"), "who changes something takes JSON"
    for code in problem_codes(route):
        assert code in STATUS_OF_CODE


def test_operations_have_names_of_their_own() -> None:
    """A generated client has one method for each."""
    counted = Counter(route.operation_id for route in ROUTES if route.in_contract)
    assert {name for name, times in counted.items() if times > 1} == set()


@in_contract
def test_links_lead_somewhere(route: Route) -> None:
    """To an operation that there is, by parameters and a body that it has."""
    by_id = {one.operation_id: one for one in ROUTES if one.in_contract}
    for link in route.links:
        target = by_id[link.operation_id]
        of_query = {one["name"] for one in _operation(target).get("parameters", ())}
        assert set(link.parameters) <= {*names_in(target.path), *of_query}
        assert set(names_in(target.path)) <= set(link.parameters)
        if link.body is not None:
            assert target.takes is not None
            assert set(link.body) <= set(target.takes.__struct_fields__)


def test_every_code_has_a_meaning_and_a_place() -> None:
    """The table of codes and the contract name the same ones."""
    told = {code for route in ROUTES if route.in_contract for code in problem_codes(route)}
    assert told | NOWHERE == set(STATUS_OF_CODE) == set(MEANINGS)


def test_what_texts_may_be_is_what_they_are() -> None:
    """The lists in the wire types are written out: they must not lag behind."""
    assert texts(SCHEMAS["ProcessStatus"], "state") == {state.name for state in PublicState}
    assert texts(SCHEMAS["ActionRequest"], "action") == {action.value for action in Action}
    assert texts(SCHEMAS["ActionResult"], "result") == {result.value for result in Result}
    assert texts(SCHEMAS["DaemonInfo"], "state") == {state.value for state in SupervisorState}
    assert set(get_args(wire.StreamName)) == {stream.value for stream in Stream}


def _operation(route: Route) -> dict[str, Any]:
    found = CONTRACT["paths"][route.path][route.method.lower()]
    assert isinstance(found, dict)
    return found
