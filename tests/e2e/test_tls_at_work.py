"""TLS from end to end: a real daemon, and curl, openssl and opsvisorctl as its clients."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from authority import Authority, parts_of
from commands import BIN, Ran
from daemon import PATIENCE, Daemon, StartDaemon, eventually
from home import Dialect, Programs
from http_requests import free_port

from opsvisor.client import BadTls, Client, NoDaemon, Unauthorized, Unreached

SLEEPER = "[program.web]\ncommand = 'sleep 1000'\nmin_uptime = '0s'\n"


@dataclass(frozen=True)
class Site:
    """A daemon that speaks TLS, and whose certificates are about."""

    daemon: Daemon
    authority: Authority
    port: int
    metrics_port: int

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"https://localhost:{self.port}"

    def ctl(self, *words: str, environment: Mapping[str, str] | None = None) -> Ran:
        """Opsvisorctl that knows nothing but what it is told here."""
        done = subprocess.run(
            [BIN / "opsvisorctl", *words],
            cwd=self.authority.folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def curl(self, port: int, path: str, *options: str) -> str:
        """What curl writes, and its exit status behind that."""
        url = f"https://localhost:{port}{path}"
        done = subprocess.run(
            [
                "curl",
                "-sS",
                "-w",
                "%{http_code}",
                "--cacert",
                str(self.authority.file),
                *options,
                url,
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return f"{done.stdout} {done.returncode}"


@pytest.fixture
def site(start_daemon: StartDaemon, tmp_path: Path) -> Site:
    """An operator by token, one by certificate; whoever scrapes must show a certificate."""
    authority = Authority(tmp_path)
    key, chain = parts_of(authority.issue("server.pem"))
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "cert.pem").write_bytes(chain)
    port, metrics_port = free_port(), free_port()
    shown = f'tls_cert = "{tmp_path}/cert.pem"\ntls_key = "{tmp_path}/key.pem"\n'
    asked = f'client_ca = "{authority.file}"\n'
    daemon = start_daemon(
        SLEEPER,
        daemon='audit_log = "audit.log"',
        main=f"""
[server.http]
listen = "127.0.0.1:{port}"
{shown}{asked}client_cert = "optional"
[metrics]
listen = "127.0.0.1:{metrics_port}"
{shown}{asked}
[identity.ops]
access = "operate"
token = "sesame"
[identity.deploy]
access = "operate"
certificate = "deploy"
""",
    )
    return Site(daemon, authority, port, metrics_port)


def test_curl_and_openssl_and_prometheus(site: Site) -> None:
    """The usual clients are served, those without what is asked for aren't."""
    assert site.curl(site.port, "/readyz") == "ok\n200 0"
    assert site.curl(site.port, "/api/v1/daemon").endswith("401 0")
    assert site.curl(site.port, "/readyz", "--tls-max", "1.1").endswith("000 35")
    found = json.loads(
        site.curl(site.port, "/api/v1/sd", "-H", "Authorization: Bearer sesame")[:-5]
    )
    assert found[0]["labels"]["__scheme__"] == "https"
    assert found[0]["targets"] == [f"127.0.0.1:{site.metrics_port}"]
    assert site.curl(site.metrics_port, "/metrics").startswith("000 ")
    mine = str(site.authority.issue("deploy.pem", "x", common_name="deploy"))
    assert "opsvisor_process_up" in site.curl(site.metrics_port, "/metrics", "--cert", mine)
    asked = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{site.port}", "-brief"],
        input="",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Protocol version: TLSv1.3" in asked.stderr


def test_a_certificate_is_renewed_without_a_restart(site: Site) -> None:
    """As certbot does it: two files, one after the other, and nobody is told anything."""
    daemon, folder = site.daemon, site.authority.folder
    first = daemon.metric("opsvisor_tls_certificate_not_after_timestamp_seconds", listener="http")
    key, chain = parts_of(site.authority.issue("next.pem"))
    (folder / "cert.pem").write_bytes(chain)
    assert site.curl(site.port, "/readyz") == "ok\n200 0"  # with the old one
    ok = "opsvisor_tls_certificate_last_reload_successful"
    assert daemon.metric(ok, listener="http") == 0
    assert "keeps its certificate" in daemon.log
    assert "tls_key doesn't belong to the certificate" in daemon.log
    (folder / "key.pem").write_bytes(key)
    eventually(lambda: daemon.metric(ok, listener="http") == 1)
    assert "has another certificate, which is valid until" in daemon.log
    assert site.curl(site.port, "/readyz") == "ok\n200 0"
    assert daemon.metric(
        "opsvisor_tls_certificate_not_after_timestamp_seconds", listener="metrics"
    ) == pytest.approx(first)


def test_opsvisorctl_by_token_and_by_certificate(site: Site) -> None:
    """By flags and by the environment; the audit log has who it was, and why."""
    folder = site.authority.folder
    where = ("-s", site.url, "--ca-file", "ca.pem")
    (folder / "token").write_text("sesame\n")
    why = ("--reason", "the disk is full")
    assert site.ctl(*where, "--token", "sesame", *why, "stop", "web").out == "web: stopped\n"
    assert site.ctl(*where, "--token-file", "token", "start", "web").status == 0
    by_environment = {
        "OPSVISOR_URL": site.url,
        "OPSVISOR_CA_FILE": str(site.authority.file),
        "OPSVISOR_TOKEN": "sesame",
    }
    assert site.ctl("status", "web", environment=by_environment).status == 0
    site.authority.issue("deploy.pem", "x", common_name="deploy")
    assert site.ctl(*where, "--cert", "deploy.pem", "restart", "web").status == 0
    assert site.ctl(*where, "--token", "wrong", "stop", "web").status != 0
    lines = (site.daemon.home.directory / "audit.log").read_text().splitlines()
    told = [json.loads(line) for line in lines][1:]
    assert [(one["action"], one["identity"], one["reason"], one["result"]) for one in told] == [
        ("stop", "ops", "the disk is full", "ok"),
        ("start", "ops", "", "ok"),
        ("restart", "deploy", "", "ok"),
        ("actions", "", "", "refused"),  # which one stands in its body, which nobody has read
    ]
    assert {one["source"] for one in told} == {"127.0.0.1"}


def test_what_does_not_fit_is_explained(site: Site) -> None:
    """Who is not trusted by whom, and what to do about it."""
    done = site.ctl("-s", site.url, "status")
    assert done.out.startswith(f"error: {site.url} is not trusted: ")
    assert "hint: --ca-file FILE" in done.err
    plain = site.ctl("-s", f"http://localhost:{site.port}", "status")
    assert "if it speaks TLS there, say https://" in plain.err
    mine = ("-s", f"https://localhost:{site.metrics_port}", "--ca-file", "ca.pem")
    none = site.ctl(*mine, "metrics")
    # asyncio hangs up without the alert that TLS has for it; the daemon's log says which it was.
    assert "if it asks for a certificate there, show one: --cert FILE" in none.err
    site.daemon.until_logged("it showed no certificate")
    for words, complaint in (
        (("--ca-file", "none.pem"), "can't read the certificates of 'none.pem': No such file"),
        (("--ca-file", "key.pem"), "there is no certificate (PEM) in 'key.pem'"),
        (("--cert", "cert.pem"), "certificate and key of 'cert.pem' can't be used"),
        (("--token", "a b"), "--token can't be sent as a token"),
        (("--token-file", "none"), "the file of a token can't be read: 'none'"),
        (("--token", "x", "-u", "me"), "three ways to say who you are"),
    ):
        refused = site.ctl("-s", site.url, *words, "status")
        assert (refused.status, complaint in refused.err) == (2, True), refused


def test_the_client_for_programs(site: Site) -> None:
    """Streams as well, and errors that say which side does not trust which."""
    ca_file = str(site.authority.file)
    with Client(site.url, token="sesame", ca_file=ca_file, timeout=PATIENCE) as client:
        assert client.process("web").status.name == "web"
        with client.events(replay=1) as stream:
            assert next(iter(stream)) is not None
        assert stream._line.sock.fileno() == -1  # given back, though we still have the stream
        other = client.elsewhere(site.url)
        with pytest.raises(Unauthorized):  # nobody else is told our token
            other.daemon()
        other.close()
    with Client(site.url, timeout=PATIENCE) as client, pytest.raises(NoDaemon) as met:
        client.daemon()
    assert met.value.reason is Unreached.UNTRUSTED
    with Client(f"https://127.0.0.2:{site.port}", ca_file=ca_file) as client:
        with pytest.raises(NoDaemon) as met:
            client.daemon()
        assert met.value.reason is Unreached.REFUSED
    with pytest.raises(BadTls):
        Client(site.url, ca_file="/none")


def test_in_a_file_of_supervisors(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """XML-RPC goes by TLS too, and opsvisorctl finds it by the file alone."""
    authority = Authority(tmp_path)
    both, port = authority.issue("both.pem"), free_port()
    daemon = start_daemon(
        Programs("[program:web]\ncommand = sleep 1000\n", Dialect.INI),
        main=f"""\
[inet_http_server]
port = 127.0.0.1:{port}
[opsvisor]
tls_cert = {both}
""",
    )
    call = "<methodCall><methodName>supervisor.getState</methodName></methodCall>"
    done = subprocess.run(
        [
            *("curl", "-sS", "--cacert", str(authority.file), "--data", call),
            f"https://localhost:{port}/RPC2",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert "RUNNING" in done.stdout
    assert f"API at https://127.0.0.1:{port}" in daemon.log


def test_a_certificate_that_cannot_be_used_keeps_a_daemon_from_beginning(tmp_path: Path) -> None:
    """And a check of the file says so before."""
    config = tmp_path / "o.toml"
    config.write_text('[server.http]\nlisten = "127.0.0.1:1"\ntls_cert = "none.pem"\n')
    done = subprocess.run(
        [BIN / "opsvisord", "--check", "-c", config],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert f"http.tls_cert can't be read: '{tmp_path}/none.pem': no such file" in done.stderr
