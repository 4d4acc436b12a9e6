"""`make stack`: what a newcomer sees of it, and what is left when it ends."""

import re
import socket
import sys
import urllib.request
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from commands import Following, Ran, environment, marked
from msgspec import structs
from rich.console import Console

from tools.stack import Notice, free_port
from tools.stack.__main__ import alertmanager_yml, main, print_notice

_NAMES = ("opsvisor", "prometheus", "alertmanager", "receiver")


def arguments(directory: Path, ports: dict[str, int]) -> list[str]:
    """The words that put it there, on these ports."""
    chosen = [(f"--{name}-port", str(port)) for name, port in ports.items()]
    return ["--directory", str(directory), *(word for pair in chosen for word in pair)]


def get(url: str) -> int:
    """The status of an answer."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        status: int = answer.status
        return status


def test_it_says_where_everything_is_and_ends_cleanly(tmp_path: Path) -> None:
    """With one Ctrl-C, status 0, and nothing left of any of it."""
    ports = {name: free_port() for name in _NAMES}
    mark = f"stack-{ports['opsvisor']}"
    command = [sys.executable, "-m", "tools.stack", *arguments(tmp_path, ports)]
    root = Path(__file__).parents[2]
    with Following(command, root, environment(mark)) as stack:
        stack.until("Ctrl-C ends all")
        pages = re.findall(r"http://\S+/(?:metrics|alerts)\b", stack.text)
        assert [urlsplit(page).port for page in pages] == [ports["opsvisor"], ports["prometheus"]]
        assert f"--alertmanager.url=http://127.0.0.1:{ports['alertmanager']} " in stack.text
        for url in (*pages, f"http://127.0.0.1:{ports['alertmanager']}/api/v2/alerts"):
            assert get(url) == 200
    assert stack.status == 0, stack.text
    assert stack.text.endswith("ending …\n")
    assert marked(mark) == {}
    for port in ports.values():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_whoever_watches_need_not_wait_for_the_next_in_a_group() -> None:
    """The guide has them make an alert fire that fires for another process already."""
    example = Path(__file__).parents[2] / "alerts" / "alertmanager.example.yml"
    wanted = yaml.safe_load(alertmanager_yml(9195))
    given = yaml.safe_load(example.read_text())
    assert wanted["route"].pop("group_interval") == "10s"
    assert given["route"].pop("group_interval") == "5m"
    assert {r["webhook_configs"][0]["url"].split("/")[2] for r in wanted.pop("receivers")} == {
        "127.0.0.1:9195"
    }
    del given["receivers"]
    assert wanted == given


def test_what_people_are_told_is_a_line() -> None:
    """When, what and of whom; alerts about the daemon have no process."""
    printed = StringIO()
    about = {"alertname": "OpsvisorProcessFatal", "severity": "critical"}
    notice = Notice(
        status="firing",
        labels={**about, "group": "shop", "process": "web"},
        annotations={"summary": "It is FATAL."},
        starts_at="",
        ends_at="",
    )
    print_notice(Console(file=printed), notice)
    print_notice(Console(file=printed), structs.replace(notice, labels=about, status="resolved"))
    firing, resolved = (line.split(maxsplit=1)[1] for line in printed.getvalue().splitlines())
    assert firing == "firing    critical  OpsvisorProcessFatal  shop:web  It is FATAL."
    assert resolved == "resolved  critical  OpsvisorProcessFatal    It is FATAL."


def test_taken_ports_are_said_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All at once, by whom, and with a command that goes around them."""
    ports = {name: free_port() for name in _NAMES}
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", ports["prometheus"]))
        other.bind(("127.0.0.1", ports["receiver"]))
        for taken in (one, other):
            taken.listen()
        status = main(arguments(tmp_path, ports))
    said = Ran(status, *capsys.readouterr())
    assert said.status == 1
    assert said.out == ""
    assert f"port {ports['prometheus']} for Prometheus is taken by" in said.err
    assert f"port {ports['receiver']} for the receiver of notifications is taken" in said.err
    assert 'hint: end that, or: make stack ARGS="--prometheus-port ' in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_is_a_number_that_can_be_one(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is said to be none."""
    with pytest.raises(SystemExit) as ended:
        main(["--prometheus-port", port])
    assert ended.value.code == 2
    assert f"invalid port value: '{port}'" in capsys.readouterr().err
