"""Who one is on a real daemon: by the user at the unix socket, and by a session in a browser."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from daemon import Daemon, StartDaemon
from home import Dialect, Home, Programs
from http_requests import Answer, free_port, request

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")

# Nobody on this machine is called so; the kernel doesn't mind.
DEPLOY, OPERATOR, STRANGER = 61_001, 61_002, 61_003
OPERATORS = 61_100

# Goes where the socket is and becomes that user, as which it could not even get there.
ASK = """
import json, os, socket, sys
directory, uid, groups, method, path, body = sys.argv[1:]
os.chdir(directory)
os.setgroups([int(group) for group in groups.split(",") if group])
os.setgid(int(uid))
os.setuid(int(uid))
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(20)
sock.connect("s")
head = [f"{method} {path} HTTP/1.0", "Content-Type: application/json"]
head += [f"Content-Length: {len(body)}"]
sock.sendall("\\r\\n".join((*head, "", body)).encode())
answer = b""
while piece := sock.recv(65536):
    answer += piece
head, _, text = answer.partition(b"\\r\\n\\r\\n")
print(json.dumps([int(head.split()[1]), json.loads(text)]))
"""

IN_TOML = """
[program.web]
command = '$VICTIM'
[program.db]
command = '$VICTIM'
"""
TOML_MAIN = f"""
[identity.deploy]
access = "operate"
groups = ["web"]
local = "{DEPLOY}"
[identity.operators]
access = "read"
local.group = "{OPERATORS}"
"""
IN_INI = """
[program:web]
command = $VICTIM
[program:db]
command = $VICTIM
"""
INI_MAIN = f"""
[opsvisor:identity:deploy]
access = operate
groups = web
local.user = {DEPLOY}
[opsvisor:identity:operators]
access = read
local.group = {OPERATORS}
"""


class Told(NamedTuple):
    """How a user was answered."""

    status: int
    body: dict[str, Any]


def ask_as(
    home: Home,
    uid: int,
    method: str,
    path: str,
    body: object = None,
    *,
    groups: Sequence[int] = (),
) -> Told:
    """What this user is answered at the unix socket."""
    words = [str(uid), ",".join(map(str, groups)), method, path, json.dumps(body) if body else ""]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ASK, home.directory, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Told(*json.loads(done.stdout))


@pytest.fixture
def open_directory(home: Home) -> Home:
    """A home whose socket others can get at, once they are there."""
    home.directory.chmod(0o711)
    return home


def started(start_daemon: StartDaemon, home: Home) -> Daemon:
    """A daemon whose socket is for everybody, and that knows some of them."""
    daemon = start_daemon(IN_TOML, main=TOML_MAIN)
    daemon.until("web", "RUNNING")
    daemon.until("db", "RUNNING")
    home.socket.chmod(0o666)
    return daemon


@needs_root
def test_the_kernel_says_who_is_at_the_socket(
    start_daemon: StartDaemon, open_directory: Home
) -> None:
    """One user has some groups, a group of users looks on, and all others are told to go."""
    home = open_directory
    daemon = started(start_daemon, home)
    told = ask_as(home, DEPLOY, "GET", "/api/v1/me")
    assert (told.status, told.body["name"], told.body["groups"]) == (200, "deploy", ["web"])
    listed = ask_as(home, DEPLOY, "GET", "/api/v1/processes?resources=0").body["processes"]
    assert [one["name"] for one in listed] == ["web"]
    restarted = ask_as(
        home, DEPLOY, "POST", "/api/v1/actions", {"action": "restart", "names": ["all"]}
    )
    assert [(one["name"], one["result"]) for one in restarted.body["results"]] == [("web", "ok")]
    assert daemon.status("db").starts == 1
    assert ask_as(home, DEPLOY, "GET", "/api/v1/processes/db").status == 404
    assert ask_as(home, DEPLOY, "GET", "/api/v1/daemon/log").status == 403

    stop = {"action": "stop", "names": ["web"]}
    for groups in ((OPERATORS,), (5, OPERATORS, 7)):
        told = ask_as(home, OPERATOR, "GET", "/api/v1/me", groups=groups)
        assert (told.status, told.body["name"], told.body["groups"]) == (200, "operators", None)
        assert ask_as(home, OPERATOR, "POST", "/api/v1/actions", stop, groups=groups).status == 403

    told = ask_as(home, STRANGER, "GET", "/api/v1/processes", groups=(5,))
    assert (told.status, told.body["code"]) == (401, "unauthorized")
    # Root, which could do all of it anyway, is who it always was.
    me = daemon.client.me()
    assert (me.name, me.access, me.groups) == ("", "admin", None)
    assert daemon.ctl("status").status == 0


@needs_root
def test_a_file_of_supervisors_knows_users_too(
    start_daemon: StartDaemon, open_directory: Home
) -> None:
    """By the same words, with a dot."""
    home = open_directory
    programs = Programs(IN_INI, Dialect.INI)
    daemon = start_daemon(programs, main=INI_MAIN)
    daemon.until("web", "RUNNING")
    home.socket.chmod(0o666)
    assert ask_as(home, DEPLOY, "GET", "/api/v1/me").body["name"] == "deploy"
    assert ask_as(home, STRANGER, "GET", "/api/v1/me").status == 401
    assert daemon.client.me().access == "admin"


# -- sessions -------------------------------------------------------------------------------------

PROGRAM = "[program.web]\ncommand = '$VICTIM'\n"


class Browser:
    """What a browser does for our page."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie = ""

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """A request of the page's."""
        headers = {
            "Content-Type": "application/json",
            "Origin": f"http://127.0.0.1:{self.port}",
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "cors",
        }
        if self.cookie:
            headers["Cookie"] = self.cookie
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        text = "" if body is None else json.dumps(body)
        answer = request(connection, path, method=method, headers=headers, body=text)
        if set_cookie := answer.headers.get("Set-Cookie"):
            self.cookie = set_cookie.partition(";")[0]
        return answer


def test_a_session_outlives_an_upgrade_and_no_change_of_its_password(
    start_daemon: StartDaemon, home: Home
) -> None:
    """Nobody has to log in again for a new version; everybody has for another configuration."""
    port = free_port()
    main = (
        f'http.listen = "127.0.0.1:{port}"\n'
        '[identity.duty]\naccess = "operate"\npassword = "long enough"\n'
    )
    daemon = start_daemon(PROGRAM, main=main)
    browser = Browser(port)
    assert browser.ask("GET", "/api/v1/me").status == 401
    login = {"username": "duty", "password": "long enough"}
    assert browser.ask("POST", "/api/v1/session", login).status == 200
    assert browser.ask("GET", "/api/v1/me").status == 200
    began = time.time()
    daemon.client.upgrade()
    daemon.until_logged("upgraded from")
    answer = browser.ask("GET", "/api/v1/me")
    assert (answer.status, json.loads(answer.text)["name"]) == (200, "duty")
    act = {"action": "restart", "names": ["web"]}
    assert browser.ask("POST", "/api/v1/actions", act).status == 200

    home.write(Programs(PROGRAM), main=main.replace("long enough", "another one"))
    daemon.client.reload()
    daemon.until_begun_anew(after=began)
    assert browser.ask("GET", "/api/v1/me").status == 401
    assert browser.ask("POST", "/api/v1/session", login).status == 401
    login["password"] = "another one"
    assert browser.ask("POST", "/api/v1/session", login).status == 200
    assert browser.ask("DELETE", "/api/v1/session", {}).status == 200
    assert browser.ask("GET", "/api/v1/me").status == 401


def test_a_made_token_opens_by_its_hash(start_daemon: StartDaemon, home: Home) -> None:
    """As `hash-token` prints it; the token itself is in no file, and in no log."""
    port = free_port()
    started = start_daemon(PROGRAM)
    token, line = started.run("opsvisorctl", "hash-token").out.splitlines()
    started.end()
    main = f'http.listen = "127.0.0.1:{port}"\n[identity.ci]\naccess = "read"\n{line}\n'
    daemon = start_daemon(PROGRAM, main=main)
    browser = Browser(port)
    answer = browser.ask("POST", "/api/v1/session", {"token": token})
    assert answer.status == 200
    assert '"access":"read"' in answer.text
    assert Browser(port).ask("POST", "/api/v1/session", {"token": line}).status == 401
    assert token not in daemon.log
    assert token not in home.config.read_text()
