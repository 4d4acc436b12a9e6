"""What [metrics] says is what a scraper of the real daemon gets."""

from http import HTTPStatus

from daemon import Daemon, StartDaemon
from prometheus_client.parser import text_string_to_metric_families as parse

METRICS = """
    [metrics]
    collectors = ["state", "restarts", "engine"]
    process_labels = ["team", "cost-centre"]
    compat = ["node_supervisord"]
    """
WEB = """
    [program.web]
    command = "$VICTIM 'say listening'"
    stdin = "pipe"
    min_uptime = "100ms"
    labels = { team = "blue", cost-centre = "7", tier = "hidden" }
    """


def scrape(daemon: Daemon, query: str = "") -> dict[str, list[dict[str, str]]]:
    """The labels of all samples by the name of their family."""
    answer = daemon.http(f"/metrics{query}")
    assert answer.status == HTTPStatus.OK
    return {
        family.name: [sample.labels for sample in family.samples] for family in parse(answer.text)
    }


def test_a_scraper_gets_what_the_configuration_and_itself_ask_for(
    start_daemon: StartDaemon,
) -> None:
    """Collectors, labels and borrowed names, and a part of them on request."""
    daemon = start_daemon(WEB, main=METRICS)
    daemon.until("web", "RUNNING")
    families = scrape(daemon)
    assert {"opsvisor_process_state", "opsvisor_process_starts", "opsvisor_tasks"} <= set(families)
    assert not {"opsvisor_log_bytes", "opsvisor_process_open_fds", "opsvisor_events"} & set(
        families
    )
    of_web = {"group": "web", "process": "web"}
    assert families["opsvisor_process_labels"] == [
        {**of_web, "label_team": "blue", "label_cost_centre": "7"}
    ]
    assert families["node_supervisord_up"] == [{"group": "web", "name": "web"}]
    assert families["opsvisor_process_last_ready_duration_seconds"] == [of_web]
    told = {labels["collector"] for labels in families["opsvisor_collector_success"]}
    assert told == {"state", "restarts", "engine"}

    part = scrape(daemon, "?collect[]=restarts")
    assert "opsvisor_process_starts" in part
    assert "opsvisor_process_state" not in part
    answer = daemon.http("/metrics?collect[]=logs")
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert "switched off" in answer.text
