"""Passwords and tokens that are tried, one after the other: few of them are looked at."""

import base64
import socket
from collections.abc import Iterator

import pytest
from daemon import Daemon, StartDaemon
from home import Home, Programs
from hypothesis import given
from hypothesis import strategies as st
from siege import LIMITS, PROGRAMS, Besieged, Way, besieged, read_answer

from opsvisor.api.attempts import SOURCES_MAX, TOTAL_FACTOR, Attempts
from opsvisor.api.crowd import Cut
from opsvisor.config.settings import LogLevel
from opsvisor.daemon.door import Door
from opsvisor.telemetry.instruments import Instruments
from opsvisor.telemetry.listeners import ListenerCounts

LOGIN = ', username = "ops", password = "s3cret-Passw0rd"'
TOKEN = "t0ken-that-nobody-knows-0123456789"
IDENTITY = f'[identity.scraper]\naccess = "metrics"\ntoken = "{TOKEN}"\n'


def basic(password: str, name: str = "ops") -> str:
    """The header of these credentials."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def ask_from(one: Besieged, address: str, header: str, path: str = "/api/v1/daemon") -> int:
    """The status of a request from this address of our own, 127.x being all of them."""
    with socket.socket() as client:
        client.settimeout(20)
        client.bind((address, 0))
        client.connect(("127.0.0.1", one.port))
        text = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {header}\r\n\r\n"
        client.sendall(text.encode())
        answer = read_answer(client)
    assert answer is not None
    if answer.status == 429:
        assert answer.code == "too_many_attempts"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["connection"] == "close"
    if answer.status == 401:
        assert answer.code == "unauthorized"
    return answer.status


@pytest.fixture
def guarded(start_daemon: StartDaemon) -> Iterator[Besieged]:
    """A daemon whose port asks for a password or a token, and whose socket lets us in."""
    limits = LIMITS + "failed_logins = 5\n" + IDENTITY
    with besieged(start_daemon, http=LOGIN, limits=limits, open_port=False) as one:
        yield one


def test_guesses_are_few(guarded: Besieged) -> None:
    """After some wrong ones nothing of that address is looked at; others come in as ever."""
    right = basic("s3cret-Passw0rd")
    statuses = [ask_from(guarded, "127.0.0.2", basic(f"guess{n}")) for n in range(200)]
    assert statuses[:5] == [401] * 5
    assert statuses.count(401) <= 8  # some time has passed
    assert set(statuses) == {401, 429}
    assert ask_from(guarded, "127.0.0.2", right) == 429, "a guess that is right tells nothing"
    assert ask_from(guarded, "127.0.0.2", f"Bearer {TOKEN}", "/metrics") == 429
    assert ask_from(guarded, "127.0.0.3", right) == 200
    assert ask_from(guarded, "127.0.0.1", f"Bearer {TOKEN}", "/metrics") == 200
    guarded.check()
    assert guarded.metric("opsvisor_http_auth_failures_total", "http") == 202
    assert guarded.metric("opsvisor_http_auth_limited_total", "http") >= 194
    assert guarded.metric("opsvisor_http_auth_failures_total", "unix") == 0


def test_who_does_not_show_anything_is_asked_for_it(guarded: Besieged) -> None:
    """Browsers begin so: it is no attempt. Nor do the probes ask anybody who they are."""
    for _ in range(30):
        answer = guarded.ask(Way.TCP, "/metrics")
        assert answer.status == 401
        assert "www-authenticate" in answer.headers
    for n in range(10):
        ask_from(guarded, "127.0.0.1", basic(f"guess{n}"))
    assert ask_from(guarded, "127.0.0.1", basic("one more")) == 429
    assert ask_from(guarded, "127.0.0.1", basic("one more"), "/healthz") == 200
    assert guarded.ask(Way.TCP, "/metrics").status == 401


def test_a_stale_scraper_shuts_nobody_out(guarded: Besieged) -> None:
    """The same wrong token again and again is one attempt: it finds nothing out."""
    for _ in range(50):
        assert ask_from(guarded, "127.0.0.1", "Bearer stale", "/metrics") == 401
    assert ask_from(guarded, "127.0.0.1", basic("s3cret-Passw0rd")) == 200


def test_the_log_tells_of_it_and_not_what_was_tried(guarded: Besieged) -> None:
    """A line for the first wrong one and one for the first that was not looked at."""
    for n in range(100):
        ask_from(guarded, "127.0.0.2", basic(f"hunter{n}", name="s3cret-Passw0rd"))
    log = guarded.daemon.log
    assert log.count("wrong password or token from 127.0.0.2") == 1
    assert log.count("127.0.0.2") == 2
    for secret in ("hunter", "s3cret", TOKEN, base64.b64encode(b"s3cret").decode()[:6]):
        assert secret not in log
        assert secret not in guarded.daemon.http("/metrics").text


def test_guesses_at_a_unix_socket_are_those_of_a_user(home: Home) -> None:
    """There everybody comes from the same place, and the kernel says who it is."""
    home.write(Programs(PROGRAMS))
    login = 'unix = { path = "s", username = "ops", password = "s3cret" }'
    written = home.config.read_text().replace('unix = "s"', login)
    home.config.write_text(f"{written}\nlimits.failed_logins = 5\n")
    daemon = Daemon(home)
    try:
        found = [
            daemon.http("/metrics", headers={"Authorization": basic(f"guess{n}")}).status
            for n in range(20)
        ]
        assert found[:5] == [401] * 5
        assert found[-1] == 429
        assert "from uid " in daemon.log
    finally:
        daemon.end()


# -- the book-keeping -------------------------------------------------------------------------


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time it is."""
        return self.now


def use_up(attempts: Attempts, source: str) -> int:
    """Try until nothing is looked at any more; how often something was."""
    for number in range(1000):
        shown = f"{attempts._now()} {number}"
        if attempts.wait(source, shown):
            return number
        attempts.failed(source, shown)
    raise AssertionError("there is no end to it")


def test_attempts_come_back_with_time() -> None:
    """So many at once, then one after each part of a minute."""
    clock = Clock()
    attempts = Attempts(10, clock)
    assert use_up(attempts, "a") == 10
    assert attempts.wait("a", "x") == 6
    clock.now += 5.9
    assert attempts.wait("a", "x") == 1
    clock.now += 0.2
    assert attempts.wait("a", "x") == 0
    attempts.failed("a", "x")
    assert attempts.wait("a", "y") > 0
    clock.now += 3600
    assert use_up(attempts, "a") == 10


def test_all_together_shut_out_nobody_who_was_never_wrong() -> None:
    """When the many have used up what all may have, each has one attempt left."""
    clock = Clock()
    attempts = Attempts(10, clock)
    for number in range(TOTAL_FACTOR):
        assert use_up(attempts, f"bot {number}") == 10
    for number in range(50):
        assert use_up(attempts, f"late bot {number}") == 1
        assert attempts.wait(f"operator {number}", "right") == 0
    clock.now += 60
    assert use_up(attempts, "late bot 0") == 10


def test_no_limit_is_no_limit() -> None:
    """With 0 everything is looked at, and nothing is remembered."""
    attempts = Attempts(0, Clock())
    for number in range(1000):
        assert attempts.wait("a", str(number)) == 0
        attempts.failed("a", str(number))
    assert len(attempts) == 0


def test_few_sources_are_remembered() -> None:
    """However many there are: whoever was heard of longest ago is forgotten."""
    attempts = Attempts(1, Clock())
    for number in range(2 * SOURCES_MAX):
        attempts.failed(f"{number}", "wrong")
    assert len(attempts) == SOURCES_MAX
    assert attempts.wait("0", "other") == 0
    assert attempts.wait(f"{2 * SOURCES_MAX - 1}", "other") > 0


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.floats(0, 20, allow_nan=False)),
        max_size=200,
    )
)
def test_no_source_is_looked_at_more_often_than_it_may(
    steps: list[tuple[str, int, float]],
) -> None:
    """Of any sequence: at most its bucket, and what came into it meanwhile; and all together."""
    clock = Clock()
    attempts = Attempts(5, clock)
    began, looked = clock.now, {source: set[int]() for source in "abc"}
    counted = dict.fromkeys("abc", 0)
    for source, shown, pause in steps:
        clock.now += pause
        if not attempts.wait(source, str(shown)):
            attempts.failed(source, str(shown))
            counted[source] += shown not in looked[source]
            looked[source].add(shown)
        allowed = 5 + (clock.now - began) * 5 / 60
        assert counted[source] <= allowed + 1e-6


def test_a_line_a_minute() -> None:
    """Each kind has its own; the next one says how many there were that were not told."""
    clock, lines = Clock(), list[str]()
    instruments = Instruments(version="1", revision="", started_at=0.0)
    counts = ListenerCounts(instruments, "http", [cut.value for cut in Cut])
    door = Door("http", counts, lambda level, text: lines.append(f"{level.value} {text}"), clock)
    for _ in range(1000):
        door.refused()
        door.cut(Cut.MADE_ROOM)
        door.login_failed("127.0.0.9", False)
    assert len(lines) == 3
    clock.now += 61
    door.refused()
    assert lines[3].endswith("(503), and 999 times more before")
    assert lines[3].startswith(LogLevel.WARN.value)
