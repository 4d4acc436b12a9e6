"""Names that want to be something else: a path, a command to a terminal, another name."""

from unicodedata import category
from urllib.parse import quote

import pytest
from daemon import StartDaemon
from home import Dialect, Programs
from siege import Besieged, Way, besieged

from opsvisor.api.routes import ROUTES

TEXT = (
    "../../etc/passwd",
    "..\\..\\etc\\passwd",
    "/etc/passwd",
    "....//....//etc/passwd",
    "web/../../daemon",
    "web\0.txt",
    "web\r\nX-Injected: yes",
    "web\n2026-01-01 00:00:00,000 CRIT forged line",
    "\x1b]0;owned\x07\x1b[31mweb\x1b[2J",
    "\x9b31mweb",  # CSI of C1
    "web\N{RIGHT-TO-LEFT OVERRIDE}bew",
    "we\N{ZERO WIDTH SPACE}b",
    "\N{ZERO WIDTH NO-BREAK SPACE}web",
    "w\N{COMBINING ACUTE ACCENT}eb",
    "cafe\N{COMBINING ACUTE ACCENT}",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
    "w\N{CYRILLIC SMALL LETTER IE}b",
    "\N{FULLWIDTH LATIN SMALL LETTER W}eb",
    "WEB",
    "web ",
    " web",
    "web\N{NO-BREAK SPACE}",
    "\N{TAG LATIN SMALL LETTER W}eb",
    "\U0010ffff",
    "\N{LINE SEPARATOR}web",
    "",
    ".",
    "..",
    "*",
    "web:*",
    "w?b",
    "[w]eb",
    "all",
    "%s%n%x",
    "{name}",
    "${jndi:ldap://x}",
    "'; drop table processes; --",
    "<script>alert(1)</script>",
    "x" * 4000,
)
# As they are on the wire, where a text has no way to say it.
RAW = (
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%252e%252e%252fetc%252fpasswd",
    "%c0%ae%c0%ae%c0%afetc%c0%afpasswd",  # overlong
    "%e0%80%af",
    "%ed%a0%80",  # a surrogate
    "%ff%fe",
    "%00",
    "web%00",
    "%",
    "%zz",
    "web%2fhistory",
    "web;x=y",
    "%u0077eb",
)
PATTERNS = {"*", "web:*", "w?b", "[w]eb", "all"}  # which may well mean web
PATHS = sorted({route.path for route in ROUTES if "{" in route.path})
STREAMING = ("follow", "events")


@pytest.mark.parametrize("path", [p for p in PATHS if not p.endswith(STREAMING)])
def test_names_in_paths(start_daemon: StartDaemon, path: str) -> None:
    """What is not the name of a process is no process, and is never looked for as a file."""
    method = next(route.method for route in ROUTES if route.path == path)
    with besieged(start_daemon, main="supervisor_interfaces = true") as one:
        for name in (*(quote(text, safe="") for text in TEXT if text not in PATTERNS), *RAW):
            for way in Way:
                asked = path.replace("{name}", name).replace("{asset}", name)
                asked = asked.replace("{stream}", "stdout")
                answer = one.ask(way, asked, method=method, body=b'{"text": "x"}')
                assert answer.status in (400, 404, 405), (name, answer)
                check_harmless(answer.headers, answer.body)
                assert answer.code
        one.check()


@pytest.mark.parametrize("text", ["logs/../../x", "..%2fstdout", "stdout%00", "stdin", "%1b[31m"])
def test_streams_in_paths(start_daemon: StartDaemon, text: str) -> None:
    """There are two streams, and no other."""
    with besieged(start_daemon) as one:
        for ending in ("", "/follow"):
            answer = one.ask(Way.TCP, f"/api/v1/processes/web/logs/{text}{ending}")
            assert (answer.status, answer.code) == (404, "not_found")


def test_names_in_bodies_and_queries(start_daemon: StartDaemon) -> None:
    """The same where names are asked for as JSON or as parameters; patterns may mean web."""
    with besieged(start_daemon) as one:
        for text in TEXT:
            if text in PATTERNS:
                continue
            asked = one.ask(Way.TCP, f"/api/v1/processes?name={quote(text, safe='')}")
            assert asked.status == 404, text
            check_harmless(asked.headers, asked.body)
            results = one.daemon.client.act("stop", [text]).results
            assert [one.result for one in results] == ["no_such_process"], text
        assert one.daemon.status("web").state == "RUNNING"
        one.check()


def test_names_on_terminals(start_daemon: StartDaemon) -> None:
    """Neither opsvisorctl nor the log of the daemon hands on what a terminal would obey."""
    with besieged(start_daemon, main="supervisor_interfaces = true") as one:
        for number, text in enumerate(TEXT):
            _ask_by_xmlrpc(one, text)
            if "\0" in text or not text.strip():
                continue
            commands = (("status", text), ("stop", text), ("tail", text), ("why", text))
            for words in (
                commands[number % len(commands)],
                commands[(number + 1) % len(commands)],
            ):
                ran = one.daemon.ctl(*words)
                assert ran.status != 0 or text in PATTERNS or text.strip() != text, words
                check_text(ran.out + ran.err)
        one.daemon.client.act("start", ["web"])
        one.check()


def _ask_by_xmlrpc(one: Besieged, text: str) -> None:
    document = (
        "<?xml version='1.0'?><methodCall><methodName>supervisor.getProcessInfo</methodName>"
        f"<params><param><value><string>{quote(text)}</string></value></param></params>"
        "</methodCall>"
    )
    for body in (document.encode(), f"{text}{document}".encode("utf-8", "surrogatepass")):
        answer = one.ask(Way.UNIX, "/RPC2", method="POST", body=body, content_type="text/xml")
        assert answer.status in (200, 400)


def test_names_of_a_configuration(start_daemon: StartDaemon) -> None:
    """Supervisor lets sections be called almost anything. What is told of them has no commands."""
    names = (
        "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
        "cafe\N{COMBINING ACUTE ACCENT}",
        "w\N{CYRILLIC SMALL LETTER IE}b",
        "red\x1b[31m",
        "back\N{RIGHT-TO-LEFT OVERRIDE}kcab",
        "thin\N{ZERO WIDTH SPACE}",
    )
    sections = "".join(f"[program:{name}]\ncommand = $VICTIM\nstartsecs = 0\n\n" for name in names)
    daemon = start_daemon(Programs(sections, Dialect.INI))
    found = set(daemon.statuses())
    assert len(found) == len(names), "two that look alike are two all the same"
    for words in (("status",), ("why", "*"), ("restart", "all"), ("status", "web")):
        ran = daemon.ctl(*words)
        check_text(ran.out + ran.err)
    check_text(daemon.log + daemon.home.output.read_text())


def check_harmless(headers: dict[str, str], body: bytes) -> None:
    """Nothing of a name has become a header, a control character or a file."""
    assert "x-injected" not in headers
    assert b"root:" not in body
    assert b"Traceback" not in body
    assert not any(code < 0x20 and code != 0x0A for code in body)


def check_text(text: str) -> None:
    """Every character can be shown, and moves nothing."""
    commanding = ("Cc", "Cf", "Zl", "Zp")
    odd = {char for char in text if category(char) in commanding and char not in "\n\t"}
    assert odd == set(), f"{odd} in {text!r}"
