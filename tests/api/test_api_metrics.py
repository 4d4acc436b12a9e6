"""Which metrics a scrape asks for."""

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text
from served import Served

PLAIN = {"Accept-Encoding": "identity"}


async def names_of(api: Served, query: str) -> set[str]:
    """The metrics that this query gets."""
    async with api.session.get(f"/metrics{query}", headers=PLAIN) as response:
        assert response.status == 200
        return {family.name for family in parse_text(await response.text())}


@pytest.mark.parametrize(
    "query",
    [
        "?collect[]=state&collect[]=logs",
        "?collect%5B%5D=state&collect=logs",
        "?collect=state&collect=logs&collect=state",
    ],
)
async def test_a_scrape_asks_for_collectors_by_name(api: Served, query: str) -> None:
    """With and without brackets, as often as it likes."""
    names = await names_of(api, query)
    assert {"opsvisor_process_state", "opsvisor_log_bytes", "opsvisor_build_info"} <= names
    assert names.isdisjoint({"opsvisor_process_starts", "opsvisor_events", "python_info"})


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("?collect[]=state&collect[]=sate", "collect='sate' is not a collector"),
        ("?collect=", "collect='' is not a collector"),
        (
            "?collect=context-switches",
            "collect='context-switches' is switched off",
        ),
    ],
)
async def test_a_collector_that_is_not_there_is_told_with_those_that_are(
    api: Served, query: str, detail: str
) -> None:
    """A mistake in a scrape configuration must not look like a daemon without processes."""
    problem = await api.problem("GET", f"/metrics{query}")
    assert (problem.status, problem.code, problem.detail) == (400, "bad_request", detail)
    assert problem.hint == (
        "there are state, restarts, resources, cgroup, logs, health, events, http, engine"
    )
