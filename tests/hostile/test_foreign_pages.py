"""Pages of others, open in the browser of somebody who may do everything here."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from daemon import Daemon, StartDaemon
from http_requests import Answer, free_port, request
from playwright.sync_api import Page, sync_playwright

from opsvisor.api.routes import ROUTES

PROGRAM = "[program.web]\ncommand = '$VICTIM'\n"
# What a browser says of itself where a page of another origin asks: of another machine, of another
# port of this one, and of a frame.
ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Site": "cross-site"},
]
# All that a page can try without being asked for leave first, against a daemon that asks nobody.
ATTACKS = """async (base) => {
  const stop = '{"action": "stop", "names": ["all"]}';
  const rpc = "<methodCall><methodName>supervisor.shutdown</methodName></methodCall>";
  const json = "application/json";
  const tries = [
    ["api/v1/actions", {method: "POST", mode: "no-cors", body: stop}],
    ["api/v1/actions", {method: "POST", mode: "no-cors", body: new Blob([stop], {type: json})}],
    ["api/v1/actions", {method: "POST", headers: {"Content-Type": json}, body: stop}],
    ["api/v1/session", {method: "DELETE"}],
    ["RPC2", {method: "POST", mode: "no-cors", body: rpc}],
    ["api/v1/processes", {}],
  ];
  const read = [];
  for (const [path, how] of tries) {
    try {
      const answer = await fetch(base + path, how);
      read.push(answer.type === "opaque" ? "" : await answer.text());
    } catch {
      read.push("");
    }
  }
  navigator.sendBeacon(base + "api/v1/actions", new Blob([stop], {type: json}));
  const form = document.createElement("form");
  Object.assign(form, {method: "post", enctype: "text/plain", target: "frame"});
  form.action = base + "api/v1/daemon/shutdown";
  const frame = document.createElement("iframe");
  frame.name = "frame";
  document.body.append(frame, form);
  const isIn = new Promise((loaded) => { frame.onload = loaded; });
  form.submit();
  await isIn;
  const streams = [1, 2, 3].map(() => fetch(base + "api/v1/events?replay=9", {mode: "no-cors"}));
  await Promise.allSettled(streams);
  return read;
}"""


class _Evil(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>win</title><link rel=icon href='data:,'>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # its end waits for them: a browser may have connected in advance


@contextmanager
def site_of_somebody() -> Iterator[int]:
    """The port of a web site that is not ours."""
    with _Server(("127.0.0.1", 0), _Evil) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def browser_at(url: str) -> Iterator[Page]:
    """A browser that has opened this, and for which evil.example is on this machine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--host-resolver-rules=MAP *.example 127.0.0.1"],
        )
        try:
            page = browser.new_page()
            page.goto(url)
            yield page
        finally:
            browser.close()


def ask(port: int, method: str, path: str, headers: dict[str, str]) -> Answer:
    """A request over TCP, with a body that says it is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = "" if method == "GET" else "{}"
    told = {"Content-Type": "application/json", **headers}
    return request(connection, path, method=method, headers=told, body=body)


def opened(start_daemon: StartDaemon) -> tuple[Daemon, int]:
    """A daemon that lets anybody on this machine do everything, and its port."""
    port = free_port()
    return start_daemon(PROGRAM, main=f'http.listen = "127.0.0.1:{port}"'), port


@pytest.mark.parametrize("place", ["evil.example", "127.0.0.1"])
def test_a_page_of_somebody_else(start_daemon: StartDaemon, place: str) -> None:
    """It reads nothing, changes nothing and keeps nothing open, be it a mere port away."""
    daemon, port = opened(start_daemon)
    with site_of_somebody() as evil, browser_at(f"http://{place}:{evil}/") as page:
        assert page.evaluate(ATTACKS, f"http://127.0.0.1:{port}/") == [""] * 6
        assert 'stream="events"' not in daemon.http("/metrics").text  # there never was one
    assert daemon.client.daemon().state == "running"
    status = daemon.status("web")
    assert (status.state, status.starts) == ("RUNNING", 1)


def test_a_name_that_comes_to_lead_here(start_daemon: StartDaemon) -> None:
    """DNS rebinding: the browser takes it for one origin, and we don't answer to its name."""
    daemon, port = opened(start_daemon)
    with browser_at(f"http://evil.example:{port}/") as page:
        body = """() => fetch("/api/v1/actions", {method: "POST", body: "{}",
          headers: {"Content-Type": "application/json"}}).then((answer) => answer.status)"""
        assert page.evaluate(body) == 421
        assert page.evaluate("() => fetch('/metrics').then((answer) => answer.status)") == 421
    assert daemon.status("web").state == "RUNNING"


def test_no_route_is_for_foreign_pages(start_daemon: StartDaemon) -> None:
    """Whether something is there, and how long it takes to tell, is an answer too."""
    _, port = opened(start_daemon)
    routes = [(one.method, one.path) for one in ROUTES if one.access is not None]
    routes += [("GET", "/logtail/web"), ("POST", "/RPC2"), ("GET", "/no/such/path")]
    assert len(routes) > 30
    for method, template in routes:
        for name in ("web", "nobody"):
            path = template.format(name=name, stream="stdout", asset="main.js")
            for headers in ELSEWHERE:
                answer = ask(port, method, path, headers)
                assert answer.status == 403, (method, path, headers)
                assert json.loads(answer.text)["code"] == "foreign_origin"


def test_who_comes_by_a_link_or_by_itself_is_answered(start_daemon: StartDaemon) -> None:
    """From a wiki to what it links to; from an address bar; from our own page; from curl."""
    _, port = opened(start_daemon)
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    link["Sec-Fetch-Dest"] = "document"
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    for headers in (link, own, {"Sec-Fetch-Site": "none"}, {}):
        assert ask(port, "GET", "/api/v1/processes/web", headers).status == 200
    assert ask(port, "POST", "/api/v1/actions", link).status == 403


def test_no_answer_is_a_page_or_part_of_one(start_daemon: StartDaemon) -> None:
    """Whatever it holds: nothing guesses what it is, keeps it, or has it in a frame."""
    _, port = opened(start_daemon)
    for path in ("/", "/metrics", "/readyz", "/openapi.json", "/api/v1/processes", "/nowhere"):
        headers = ask(port, "GET", path, {}).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] in ("no-store", "no-cache")
