"""Query strings: what is declared is what works, and nothing is ignored in silence."""

import pytest
from multidict import MultiDict
from served import Served

from opsvisor.api.errors import ApiError
from opsvisor.api.queries import LogQuery, NoQuery, ProcessesQuery, parse_query


def parsed(kind: type, *given: tuple[str, str]) -> object:
    """What these parameters say."""
    return parse_query(MultiDict(given), kind, strict=True)


def test_what_is_given_is_read_by_its_type() -> None:
    """A number is a number, a list takes all there are, and the rest has its default."""
    assert parsed(LogQuery, ("lines", "+3"), ("offset", "-12")) == LogQuery(lines=3, offset=-12)
    assert parsed(ProcessesQuery, ("name", "a"), ("name", "b")) == ProcessesQuery(name=["a", "b"])
    assert parsed(NoQuery) == NoQuery()


def test_a_number_too_large_for_any_file_is_taken_for_the_largest() -> None:
    """Nobody is told that there is less than they asked for."""
    assert parsed(LogQuery, ("bytes", "9" * 100)) == LogQuery(bytes=2**62)


@pytest.mark.parametrize(
    ("kind", "name", "value", "why"),
    [
        (LogQuery, "lines", "1_000", "lines='1_000' is not a whole number"),
        (LogQuery, "lines", "", "lines='' is not a whole number"),
        (LogQuery, "lines", "٣", "lines='٣' is not a whole number"),
        (LogQuery, "length", "-1", "in the query string: Expected `int` >= 0 - at `$.length`"),
        (LogQuery, "line", "1", "no such parameter: 'line'"),
        (NoQuery, "x", "1", "no such parameter: 'x'"),
        (ProcessesQuery, "resources", "no", "in the query string: Invalid enum value 'no'"),
    ],
)
def test_what_cannot_be_used_is_refused(kind: type, name: str, value: str, why: str) -> None:
    """With the name of the parameter, and what it was."""
    with pytest.raises(ApiError) as raised:
        parsed(kind, (name, value))
    assert raised.value.code == "bad_request"
    assert str(raised.value).startswith(why)


def test_one_value_is_one() -> None:
    """Of two there is no telling which was meant."""
    with pytest.raises(ApiError, match="lines is given 2 times"):
        parsed(LogQuery, ("lines", "1"), ("lines", "2"))


@pytest.mark.parametrize("path", ["/api/v1/daemon", "/api/v1/groups", "/api/v1/events"])
async def test_a_route_refuses_what_it_does_not_declare(api: Served, path: str) -> None:
    """A misspelt wish would else be granted as if there had been none."""
    async with api.session.get(f"{path}?rpelay=5") as response:
        problem = await response.json()
    assert (response.status, problem["code"]) == (400, "bad_request")
    assert problem["detail"] == "no such parameter: 'rpelay'"


async def test_a_probe_may_say_what_it_likes(api: Served) -> None:
    """What many programs ask for is no place to be strict: some add what keeps caches out."""
    async with api.session.get("/healthz?t=123") as response:
        assert response.status == 200
