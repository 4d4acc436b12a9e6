"""What deploy/ holds fits together, as far as that shows without docker.

The images are not pulled and no container is started here; what goes into them is.
"""

import importlib.metadata
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Ran
from daemon import eventually
from home import Home
from http_requests import free_port

from tools.stack.ask import ask
from tools.stack.config import inhibit_rules
from tools.stack.errors import StackError
from tools.stack.program import Program

_ROOT = Path(__file__).parents[2]
_DEPLOY = _ROOT / "deploy"
_COMPOSE = _DEPLOY / "compose.yaml"
_CONTAINERFILE = _DEPLOY / "Containerfile"
_PINNED = re.compile(r":v?\d+\.\d+\.\d+$")


def run(*command: str | Path, directory: Path = _ROOT) -> Ran:
    """Run a program to its end."""
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=120, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def services() -> dict[str, Any]:
    """The services of the compose file."""
    found: dict[str, Any] = yaml.safe_load(_COMPOSE.read_text())["services"]
    return found


def mounts(service: str) -> dict[str, Path]:
    """What is mounted from this repository, by its path in the container."""
    found = {}
    for volume in services()[service].get("volumes", []):
        source, target = volume.split(":")[:2]
        if source.startswith("."):
            found[target] = (_DEPLOY / source).resolve()
    return found


def as_mounted(text: str, service: str) -> str:
    """A configuration for the container, with the files where they are here."""
    for target, source in mounts(service).items():
        text = text.replace(target, str(source))
    return text


def check_compose(file: Path) -> Ran:
    """The compose specification's own schema, as check-jsonschema brings it."""
    command = [Path(sys.executable).with_name("check-jsonschema"), file]
    return run(command[0], "--builtin-schema", "vendor.compose-spec", command[1])


# -- the compose file ----------------------------------------------------------------------------


def test_the_compose_file_is_one(tmp_path: Path) -> None:
    """By the specification's schema, which takes no misspelt one."""
    assert check_compose(_COMPOSE).status == 0
    broken = tmp_path / "compose.yaml"
    broken.write_text(_COMPOSE.read_text().replace("read_only:", "readonly:"))
    assert check_compose(broken).status == 1


def test_everything_mounted_and_built_is_there() -> None:
    """A missing file would be mounted as an empty directory."""
    for name, service in services().items():
        assert all(source.exists() for source in mounts(name).values()), name
        if "build" in service:
            context = (_DEPLOY / service["build"]["context"]).resolve()
            assert context == _ROOT
            assert (context / service["build"]["dockerfile"]).is_file()
        else:
            assert _PINNED.search(service["image"]), "an image of no particular version"


def test_nothing_is_open_to_other_machines() -> None:
    """Ports go to loopback; the daemon has none at all."""
    ports = [port for one in services().values() for port in one.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in services()["opsvisor"]


# -- Prometheus, Alertmanager, Grafana -----------------------------------------------------------


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    """With the rules it is given, and it looks where the others are."""
    text = (_DEPLOY / "prometheus.yml").read_text()
    config = tmp_path / "prometheus.yml"
    config.write_text(as_mounted(text, "prometheus"))
    checked = run("promtool", "check", "config", config)
    assert checked.status == 0, checked.err + checked.out
    assert len(re.findall(r"SUCCESS: \d+ rules found", checked.out)) == 2

    parsed = yaml.safe_load(text)
    (job,) = parsed["scrape_configs"]
    assert job["job_name"] == "opsvisor"
    targets = [one for part in job["static_configs"] for one in part["targets"]]
    listens = re.search(
        r'^listen *= ":(\d+)"', (_DEPLOY / "opsvisor.toml").read_text(), re.MULTILINE
    )
    assert listens
    assert targets == [f"opsvisor:{listens[1]}"]
    (others,) = parsed["alerting"]["alertmanagers"]
    assert others["static_configs"][0]["targets"] == ["alertmanager:9093"]
    assert {"opsvisor", "alertmanager", "prometheus", "grafana"} == services().keys()


def test_alertmanager_takes_its_configuration() -> None:
    """It mutes what the example mutes, whatever becomes of that."""
    file = _DEPLOY / "alertmanager.yml"
    assert run("amtool", "check-config", file).status == 0
    example = (_ROOT / "alerts" / "alertmanager.example.yml").read_text()
    assert inhibit_rules(file.read_text()) == inhibit_rules(example)


def test_grafana_finds_its_dashboards_and_prometheus() -> None:
    """The provisioning files look where the compose file puts things."""
    grafana = services()["grafana"]
    provisioning = mounts("grafana")["/etc/grafana/provisioning"]
    dashboards = mounts("grafana")["/var/lib/grafana/dashboards/opsvisor"]
    (provider,) = [
        provider
        for file in (provisioning / "dashboards").glob("*.yml")
        for provider in yaml.safe_load(file.read_text())["providers"]
    ]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards/opsvisor"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (dashboards / Path(home).name).is_file()
    (source,) = [
        source
        for file in (provisioning / "datasources").glob("*.yml")
        for source in yaml.safe_load(file.read_text())["datasources"]
    ]
    assert source["url"] == "${PROMETHEUS_URL}"
    assert grafana["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"


# -- our own image -------------------------------------------------------------------------------


def instructions() -> Iterator[tuple[str, str]]:
    """The instructions of the Containerfile, each with its words."""
    text = re.sub(r"\\\n\s*", "", _CONTAINERFILE.read_text())
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, words = line.partition(" ")
            yield name, words


def is_sent(file: str) -> bool:
    """Whether .dockerignore lets it through: it names what is, after leaving everything out."""
    lines = (_ROOT / ".dockerignore").read_text().splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    return "*" in lines and file in kept


def test_the_image_is_built_from_what_is_sent(tmp_path: Path) -> None:
    """The commands of its first stage, run here: what comes out is opsvisord."""
    stage = list(instructions())
    stage = stage[: [name for name, _ in stage].index("FROM", 1)]
    source, target = tmp_path / "src", tmp_path / "opsvisor"
    source.mkdir()
    for name, words in stage:
        if name == "COPY":
            *files, to = words.split()
            for file in files:
                assert is_sent(file), f"{file} is not sent to the builder"
                place = source / to / Path(file).name if to == "./" else source / to
                copy(_ROOT / file, place)
        elif name == "RUN":
            command = shlex.split(words.replace("/opt/opsvisor", str(target)))
            done = run(sys.executable if command[0] == "python3" else command[0], *command[1:],
                       directory=source)  # fmt: skip
            assert done.status == 0, done.err
    version = run(target / "bin" / "opsvisord", "--version")
    assert version.out.strip().endswith(importlib.metadata.version("opsvisor"))


def copy(source: Path, target: Path) -> None:
    """A file, or a folder with what is in it, as COPY does it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_the_daemon_runs_as_the_image_runs_it(home: Home) -> None:
    """Not as root; its configuration is where it looks, and serves metrics and nothing else."""
    image = dict(instructions())  # of the last stage, which comes last
    entry: Sequence[str] = json.loads(image["ENTRYPOINT"])
    assert entry == ["opsvisord", "-c", "/etc/opsvisor/opsvisor.toml"]
    assert image["USER"] == "opsvisor"
    assert "--uid 10001" in _CONTAINERFILE.read_text()
    assert "/run/opsvisor:uid=10001,mode=0750" in services()["opsvisor"]["tmpfs"]

    port = free_port()
    text = as_mounted(mounts("opsvisor")[entry[-1]].read_text(), "opsvisor")
    text = text.replace("/run/opsvisor", str(home.directory)).replace(":9002", f"127.0.0.1:{port}")
    home.config.write_text(text.replace('"180{', '"0{'))  # any port for its programs
    command = [str(Path(sys.executable).with_name(entry[0])), "-c", str(home.config)]
    program = Program("opsvisord", command, log=home.directory / "out")
    try:
        program.until_ready("/readyz", address=f"127.0.0.1:{port}")
        eventually(lambda: b'process="web_1"' in ask(program.address, "/metrics"))
        with pytest.raises(StackError, match="404"):
            ask(program.address, "/api/v1/processes")
    finally:
        program.stop()
