"""The configurations in examples/prometheus: right in themselves, and tried on the real thing."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from daemon import Daemon, StartDaemon, eventually
from home import Home
from http_requests import free_port

from opsvisor.config.load import native
from tools.stack import Prometheus
from tools.stack.program import Installed

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "prometheus"
CONFIGS = sorted(path.name for path in EXAMPLES.glob("*.yml"))
PROMTOOL = Installed(name="promtool", package="prometheus")
SECRETS = {"opsvisor.token": "scrape-me\n", "scraper.password": "s3cret"}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The examples with their secrets, which are in no repository."""
    folder = tmp_path / "prometheus"
    shutil.copytree(EXAMPLES, folder)
    for name, secret in SECRETS.items():
        (folder / name).write_text(secret)
    return folder


@pytest.mark.parametrize("name", CONFIGS)
def test_promtool_finds_nothing_wrong(name: str, copied: Path) -> None:
    """Secrets and files of targets included: it looks for them too."""
    done = subprocess.run(
        [PROMTOOL.path(), "check", "config", str(copied / name)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
    assert "WARNING" not in done.stdout + done.stderr


def test_they_are_alike() -> None:
    """The job's name is what alerts and dashboards look for; the readme names every file."""
    readme = (EXAMPLES / "README.md").read_text()
    for name in CONFIGS:
        document = yaml.safe_load((EXAMPLES / name).read_text())
        assert [job["job_name"] for job in document["scrape_configs"]] == ["opsvisor"]
        assert document["global"] == {"scrape_interval": "15s"}
        assert f"]({name})" in readme


def test_the_daemons_side_is_right_too(copied: Path) -> None:
    """Without a warning, since people copy it."""
    assert native(copied / "opsvisor.toml", {"SCRAPER_PASSWORD": "x"}).warnings == ()


@pytest.fixture
def daemon(start_daemon: StartDaemon, home: Home, copied: Path) -> tuple[Daemon, int, int]:
    """A daemon with the example's configuration, and its ports: of the API, and of the metrics."""
    api, metrics = free_port(), free_port()
    text = (copied / "opsvisor.toml").read_text()
    _, _, ours = text.partition('http = ":9001"\n')
    ours, _, _ = ours.partition("[program.web]")
    ours = ours.replace('":9002"', f'"127.0.0.1:{metrics}"')
    ours = ours.replace("${SCRAPER_PASSWORD}", SECRETS["scraper.password"])
    shutil.copy(copied / "opsvisor.token", home.directory)
    return (
        start_daemon(
            "[program.web]\ncommand = '$VICTIM'\n",
            main=f'http = "127.0.0.1:{api}"\n{ours}',
            daemon='identifier = "web-1"',
        ),
        api,
        metrics,
    )


def jobs_of(folder: Path, name: str, api: int, metrics: int) -> list[dict[str, Any]]:
    """The jobs of an example, called as its file, for a daemon at these ports."""
    text = (folder / name).read_text()
    for host in ("web-1", "web-2", "staging-1"):
        text = text.replace(f"{host}.example.com:9001", f"127.0.0.1:{api}")
        text = text.replace(f"{host}.example.com:9002", f"127.0.0.1:{metrics}")
    jobs: list[dict[str, Any]] = yaml.safe_load(text)["scrape_configs"]
    return [{**job, "job_name": name} for job in jobs]


def test_a_real_prometheus_finds_and_scrapes_a_real_daemon(
    daemon: tuple[Daemon, int, int], copied: Path
) -> None:
    """In each of these ways; without credentials, or with wrong ones, it gets nothing."""
    running, api, metrics = daemon
    running.until("web", "RUNNING")
    for path in (copied / "targets").iterdir():
        text = path.read_text()
        for host in ("web-1", "web-2", "db-1"):
            text = text.replace(f"{host}.example.com:9002", f"127.0.0.1:{metrics}")
        path.write_text(text)
    jobs = [job for name in CONFIGS for job in jobs_of(copied, name, api, metrics)]
    (copied / "wrong.token").write_text("wrong\n")
    wrong = jobs_of(copied, "bearer.yml", api, metrics)[0]
    jobs.append(
        {**wrong, "job_name": "wrong", "authorization": {"credentials_file": "wrong.token"}}
    )
    config = yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs})
    with Prometheus.start(copied, config) as prometheus:

        def seen() -> dict[str, str]:
            targets = prometheus.targets()
            health: dict[str, str] = {one.labels["job"]: one.health for one in targets}
            is_all = health.keys() == {*CONFIGS, "wrong"} and "unknown" not in health.values()
            return health if is_all else {}

        assert eventually(seen, patience=40) == {
            "basic-auth.yml": "up",
            "bearer.yml": "up",
            "file-sd.yml": "up",
            "http-sd.yml": "up",
            "static.yml": "down",
            "wrong": "down",
        }
        for target in prometheus.targets():
            assert target.scrape_url == f"http://127.0.0.1:{metrics}/metrics"
            if target.health == "down":
                assert "401" in target.last_error
        (web,) = prometheus.query('opsvisor_process_up{job="http-sd.yml"}')
        assert web.metric["identifier"] == "web-1"
        assert web.number == 1

        def roles() -> set[str]:
            return {one.metric["role"] for one in prometheus.query('up{job="file-sd.yml"}')}

        eventually(lambda: roles() == {"web", "db"})  # two targets, not scraped at one moment
