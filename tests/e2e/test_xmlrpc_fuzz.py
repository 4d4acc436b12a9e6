"""Whatever is sent to /RPC2 gets an answer or a refusal; the daemon stays small and at work."""

import http.client
import os
import random
import re
import signal
import socket
import string
import xmlrpc.client
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from daemon import Daemon, StartDaemon, eventually
from home import Dialect, Home, Programs
from http_requests import UnixHttp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PROGRAMS = Programs(
    """
    [program:web]
    command = $VICTIM
    startsecs = 0
    autorestart = true
    [program:toy]
    command = $VICTIM 'say hello'
    startsecs = 0
    numprocs = 2
    process_name = toy%(process_num)d
    stopwaitsecs = 1
    [eventlistener:ears]
    command = cat
    events = REMOTE_COMMUNICATION,PROCESS_STATE
    autostart = false
    """,
    Dialect.INI,
)
REFUSALS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.LENGTH_REQUIRED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
FAULTS = {1, 2, 3, 4, 5, 6, 10, 11, 20, 21, 30, 40, 50, 60, 61, 70, 80, 90, 91, 92}
# They do what they say, which ends what is tested.
ENDING = {"supervisor.shutdown", "supervisor.restart"}
# They answer with the daemon's own log, which gets longer with each call: so does what they need.
LOG_READING = {"supervisor.readLog", "supervisor.readMainLog"}
EXAMPLES = settings(
    max_examples=3 * settings().max_examples,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Fuzzed:
    """A daemon that is sent anything, over one connection for as long as that is kept open."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.requests = 0
        self._connection = UnixHttp(daemon.home.socket)

    def post(self, document: bytes, **headers: str) -> tuple[int, bytes]:
        """Send a document, and see that the answer is one that a client may get."""
        self.requests += 1
        connection = self._connection
        try:
            connection.request("POST", "/RPC2", document, {"Content-Type": "text/xml", **headers})
            answer = connection.getresponse()
            body = answer.read()
        except (http.client.HTTPException, OSError):
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        self.check(answer.status, body)
        return answer.status, body

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def check(self, status: int, body: bytes) -> None:
        """No 500, no traceback; what is no refusal is a value or a fault that is known."""
        assert b"Traceback" not in body
        assert b'File "' not in body
        assert status == HTTPStatus.OK or status in REFUSALS, (status, body)
        if status == HTTPStatus.OK:
            with suppress(xmlrpc.client.Fault):
                xmlrpc.client.loads(body)
                return
            assert fault_of(body) in FAULTS, body

    def call(self, method: str, *arguments: Any) -> Any:
        """A plain call. xmlrpc.client.Fault if that is the answer."""
        _, body = self.post(xmlrpc.client.dumps(arguments, method).encode())
        (value,), _ = xmlrpc.client.loads(body)
        return value

    def kill(self, name: str) -> int:
        """End a process as accidents do. Gives the pid that it had."""
        pid = self.daemon.until(name, "RUNNING").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return pid

    def until_restarted(self, name: str, was: int) -> None:
        """Wait until it runs again."""
        eventually(
            lambda: (
                self.daemon.status(name).state == "RUNNING" and self.daemon.status(name).pid != was
            )
        )

    def resident(self) -> int:
        """The memory of the daemon in KiB."""
        text = Path(f"/proc/{self.daemon.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1])


def fault_of(body: bytes) -> int:
    """The code of the fault in an answer."""
    try:
        xmlrpc.client.loads(body)
    except xmlrpc.client.Fault as fault:
        return fault.faultCode
    raise AssertionError(body)


@pytest.fixture
def fuzzed(start_daemon: StartDaemon) -> Iterator[Fuzzed]:
    """A daemon with two programs and a listener."""
    daemon = start_daemon(PROGRAMS)
    daemon.until("web", "RUNNING")
    found = Fuzzed(daemon)
    yield found
    found.close()


# -- what is sent ----------------------------------------------------------------------------

TEXTS = st.sampled_from(
    ("web", "toy:toy0", "toy:*", "toy", "ears", "", ":", "*", "web:", ":web", "all", "TERM", "9")
) | st.text(max_size=20)
NUMBERS = st.integers(-(2**70), 2**70) | st.sampled_from((0, 1, -1, 2**31 - 1, -(2**31), 2**31))
SIMPLE = st.one_of(
    TEXTS,
    NUMBERS,
    st.booleans(),
    st.none(),
    st.floats(),
    st.binary(max_size=20),
    st.datetimes(),
)
VALUES = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "int": NUMBERS,
    "boolean": st.booleans(),
    "array": st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "methodName": st.sampled_from(
                    ("supervisor.getState", "system.multicall", "supervisor.shutdown ", "nope")
                )
                | TEXTS,
                "params": st.lists(VALUES, max_size=3) | VALUES,
            },
        )
        | VALUES,
        max_size=4,
    ),
}


def xml_of(value: object) -> str:
    """A value as XML-RPC, without a look at whether that allows it."""
    match value:
        case None:
            inner = "<nil/>"
        case bool():
            inner = f"<boolean>{value:d}</boolean>"
        case int():
            inner = f"<int>{value}</int>"
        case float():
            inner = f"<double>{value}</double>"
        case str():
            inner = f"<string>{escape(value)}</string>"
        case bytes():
            inner = xmlrpc.client.dumps((xmlrpc.client.Binary(value),)).split("value>")[1][:-2]
        case datetime():
            inner = f"<dateTime.iso8601>{value:%Y%m%dT%H:%M:%S}</dateTime.iso8601>"
        case list():
            inner = f"<array><data>{''.join(map(xml_of, value))}</data></array>"
        case dict():
            members = (
                f"<member><name>{escape(name)}</name>{xml_of(inner)}</member>"
                for name, inner in value.items()
            )
            inner = f"<struct>{''.join(members)}</struct>"
        case _:
            raise AssertionError(value)
    return f"<value>{inner}</value>"


def call_of(method: str, arguments: Sequence[object]) -> bytes:
    """The document of a call."""
    params = "".join(f"<param>{xml_of(one)}</param>" for one in arguments)
    text = (
        f"<?xml version='1.0'?><methodCall><methodName>{escape(method)}</methodName>"
        f"<params>{params}</params></methodCall>"
    )
    return text.encode("utf-8", "surrogatepass")


@st.composite
def calls(draw: st.DrawFn, signatures: dict[str, list[str]]) -> bytes:
    """A call of some method, with arguments that its signature asks for, or with others."""
    method = draw(st.sampled_from(sorted(signatures)))
    arguments = [draw(OF_TYPE[kind]) for kind in signatures[method][1:]]
    match draw(st.integers(0, 9)):
        case 0:
            arguments.append(draw(VALUES))
        case 1:
            arguments = arguments[:-1]
        case 2 | 3 if arguments:
            arguments[draw(st.integers(0, len(arguments) - 1))] = draw(VALUES)
        case 4:
            arguments = [draw(VALUES) for _ in arguments]
        case 5 if method not in ENDING:
            near = (method.title(), f"{method}.__class__", f".{method}", method.split(".")[1])
            method = draw(st.sampled_from(near) | st.text(max_size=30))
        case _:
            pass
    if method in ENDING:
        arguments.append(0)  # one too many
    return call_of(method, arguments)


SAMPLES = tuple(
    call_of(method, arguments)
    for method, arguments in (
        ("supervisor.getProcessInfo", ["web"]),
        ("supervisor.tailProcessStdoutLog", ["web", 0, 10]),
        ("system.multicall", [[{"methodName": "supervisor.getState", "params": []}]]),
        ("supervisor.sendRemoteCommEvent", ["kind", "täxt"]),
        ("supervisor.getAllProcessInfo", [1.5, None, datetime(2020, 1, 1, tzinfo=UTC), b"x"]),
    )
)
PIECES = (
    *(b"<", b">", b"&", b"&lt;", b"&#0;", b"&#x110000;", b"&e;", b"\0", b"\xff", b"\xed\xa0\x80"),
    *(b"<value>", b"</value>", b"<param>", b"<struct>", b"<member>", b"<name>", b"<array>"),
    *(b"<data>", b"<base64>!</base64>", b"<int>x</int>", b"<double>1e999</double>", b"<nil/>"),
    *(b"<!-- -->", b"<![CDATA[x]]>", b"<?p?>", b"<!DOCTYPE a>", b"<methodName>", b"</params>"),
    *(b"<dateTime.iso8601>0</dateTime.iso8601>", b"<i8>1</i8>", b"<boolean>2</boolean>"),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A call that was one, before pieces of it were lost, doubled, or put in."""
    document = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(document)))
        end = min(len(document), start + draw(st.integers(0, 30)))
        piece = document[start:end]
        change = draw(st.sampled_from((b"", piece * 2, *PIECES)))
        document = document[:start] + change + document[end:]
    return document


# -- what must hold --------------------------------------------------------------------------


def test_bytes_that_are_no_calls(fuzzed: Fuzzed) -> None:
    """Random ones, and calls with mistakes in them. A program killed meanwhile is restarted."""

    @EXAMPLES
    @given(st.binary(max_size=200) | mutated() | st.lists(st.sampled_from(PIECES)).map(b"".join))
    def look(document: bytes) -> None:
        # A mistake may leave a call that is one, but none of these ends anything.
        fuzzed.post(document)

    was = fuzzed.kill("web")
    look()
    fuzzed.until_restarted("web", was)
    assert fuzzed.call("supervisor.getState")["statename"] == "RUNNING"


def test_every_method_with_any_arguments(fuzzed: Fuzzed) -> None:
    """Faults that are known, whatever the types, values and number of the arguments."""
    names = fuzzed.call("system.listMethods")
    signatures = {name: fuzzed.call("system.methodSignature", name) for name in names}
    assert {kind for one in signatures.values() for kind in one[1:]} <= OF_TYPE.keys()
    assert signatures.keys() >= ENDING

    @EXAMPLES
    @given(calls(signatures))
    def look(document: bytes) -> None:
        fuzzed.post(document)

    look()
    # All has been stopped, removed, signalled and added by now. It can be put in order again.
    fuzzed.call("supervisor.reloadConfig")
    for group in ("web", "toy"):
        with suppress(xmlrpc.client.Fault):
            fuzzed.call("supervisor.addProcessGroup", group)
    fuzzed.call("supervisor.startAllProcesses")
    fuzzed.until_restarted("web", fuzzed.kill("web"))


def plain(kind: str) -> Any:
    """An argument of this type, that changes nothing."""
    return {"string": "web", "int": 0, "boolean": False, "array": []}[kind]


def test_memory_does_not_grow(fuzzed: Fuzzed) -> None:
    """Thousands of calls, good and bad, find and leave the daemon at the same size."""
    chance = random.Random(1)  # the same every time
    names = sorted(set(fuzzed.call("system.listMethods")) - ENDING - LOG_READING)
    letters = string.printable.encode()

    def bad() -> bytes:
        sample = bytearray(chance.choice(SAMPLES))
        for _ in range(3):
            sample[chance.randrange(len(sample))] = chance.choice(letters)
        return bytes(sample)

    makers: list[Callable[[], bytes]] = [
        bad,
        lambda: call_of(f"no.such.method{chance.random()}", []),
        lambda: call_of("supervisor.getProcessInfo", [f"nobody{chance.random()}"]),
        lambda: call_of("supervisor.sendRemoteCommEvent", [str(chance.random()), "x" * 1000]),
        lambda: call_of(chance.choice(names), [chance.random()] * chance.randrange(4)),
        lambda: call_of("supervisor.getAllProcessInfo", []),
        lambda: call_of("supervisor.getAllConfigInfo", []),
        lambda: call_of("system.multicall", [[{"methodName": chance.random()}] * 10]),
        lambda: b"<" * 5000,
    ]

    def send(count: int) -> int:
        for number in range(count):
            fuzzed.post(makers[number % len(makers)]())
        return fuzzed.resident()

    before = send(4000)  # by now what is bounded, logs and histories, is full
    after = send(4000)
    # If each request kept half a kilobyte, it would be seen.
    assert after - before < 2 * 1024, (before, after)


LAUGHS = "<!DOCTYPE lol [<!ENTITY a0 'lol'>{}]>".format(
    "".join(f"<!ENTITY a{n + 1} '{f'&a{n};' * 10}'>" for n in range(12))
)
ARRAY = "<value><array><data>"
ATTRIBUTES = "".join(f" a{n}='1'" for n in range(50_000))
HOSTILE = {
    "billion laughs": f"<?xml version='1.0'?>{LAUGHS}<methodCall><methodName>&a12;</methodName>"
    "</methodCall>",
    "one long entity, often": f"<!DOCTYPE a [<!ENTITY a '{'x' * 50_000}'>]><methodCall>"
    f"<methodName>{'&a;' * 50_000}</methodName></methodCall>",
    "external entity": "<!DOCTYPE a [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><methodCall>"
    "<methodName>system.methodHelp</methodName><params><param><value>&a;</value></param></params>"
    "</methodCall>",
    "external parameter entity": "<!DOCTYPE a [<!ENTITY % a SYSTEM 'http://127.0.0.1:1/x'>%a;]>"
    "<methodCall><methodName>a</methodName></methodCall>",
    "external document type": "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><methodCall/>",
    "deep nesting": "<methodCall><methodName>a</methodName><params><param>" + ARRAY * 20_000,
    "deep and closed": "<a>" * 50_000 + "</a>" * 50_000,
    "many elements": f"<methodCall><methodName>a</methodName><params>{'<param/>' * 110_000}"
    "</params></methodCall>",
    "a long number": "<methodCall><methodName>supervisor.readLog</methodName><params><param>"
    f"<value><int>{'9' * 900_000}</int></value></param></params></methodCall>",
    "many attributes": f"<methodCall{ATTRIBUTES}/>",
    "a long token": f"<{'a' * 900_000}",
    "a long comment": f"<!--{' ' * 900_000}",
    "UTF-16": "<?xml version='1.0' encoding='utf-16'?><methodCall/>",
    "UTF-7": "<?xml version='1.0' encoding='utf-7'?><methodCall>+ADw-</methodCall>",
    "half a document": "<methodCall><methodName>system.methodHelp</methodName><par",
}
# As large as they may be, and still calls.
LARGE = {
    "one long word": call_of("system.methodHelp", ["x" * 1_048_000]),
    "many values": b"<methodCall><methodName>system.methodHelp</methodName><params>"
    + b"<param><value/></param>" * 40_000
    + b"</params></methodCall>",
}


def test_hostile_documents(fuzzed: Fuzzed) -> None:
    """Are refused as any other bad request, with nothing of the machine in the answer.

    Again and again, among calls that are merely large; and no memory is left behind.
    """
    before = settled = fuzzed.resident()
    for turn in range(8):
        for name, document in HOSTILE.items():
            status, body = fuzzed.post(document.encode())
            assert status in REFUSALS, name
            assert b"root:" not in body, name
            assert b"lollol" not in body, name
            assert fuzzed.resident() - before < 60 * 1024, name
            assert fuzzed.call("supervisor.getState")["statename"] == "RUNNING", name
        for name, call in LARGE.items():
            assert fuzzed.post(call)[0] == HTTPStatus.OK, name
        if turn == 3:  # by now everything is loaded that ever is
            settled = fuzzed.resident()
    assert fuzzed.resident() - settled < 16 * 1024


def test_multicalls_in_multicalls(fuzzed: Fuzzed) -> None:
    """One may not hold another, so nothing multiplies. A thousand calls in one are answered."""
    state = {"methodName": "supervisor.getState", "params": []}
    inner = {"methodName": "system.multicall", "params": [[state]]}
    answers = fuzzed.call("system.multicall", [state] * 1000 + [inner])
    assert [answer.get("statename") for answer in answers] == ["RUNNING"] * 1000 + [None]
    assert answers[-1]["faultCode"] in FAULTS


@pytest.mark.parametrize("size", [10_000_000, 2_000_000])
def test_large_bodies(fuzzed: Fuzzed, home: Home, size: int) -> None:
    """Are refused before they are read; whoever goes on sending makes the daemon no larger."""
    before = fuzzed.resident()
    head = f"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n<methodCall>"
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(home.socket))
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")
        with suppress(OSError):  # it may hang up
            client.sendall(b" " * (size - len("<methodCall>")))
    assert fuzzed.resident() - before < 20 * 1024
    assert fuzzed.call("supervisor.getState")["statename"] == "RUNNING"


def test_slow_bodies(fuzzed: Fuzzed, home: Home) -> None:
    """Fifty clients that never finish their request keep nobody from being answered."""
    head = (
        b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 1000\r\n\r\n"
    )
    clients = [socket.socket(socket.AF_UNIX) for _ in range(50)]
    try:
        for client in clients:
            client.connect(str(home.socket))
            client.sendall(head + b"<methodCall>")
        assert fuzzed.call("supervisor.getState")["statename"] == "RUNNING"
        fuzzed.until_restarted("web", fuzzed.kill("web"))
        whole = b"<methodName>supervisor.getState</methodName></methodCall>"
        last = clients[-1]
        last.sendall(whole + b" " * (1000 - len(whole) - len(b"<methodCall>")))
        last.settimeout(20)
        assert last.recv(100).startswith(b"HTTP/1.1 200 OK")
    finally:
        for client in clients:
            client.close()


def test_bad_http(fuzzed: Fuzzed, home: Home) -> None:
    """Nor is there a 500 or a traceback for what isn't even HTTP."""
    chance = random.Random(2)  # the same every time
    line = b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n<methodCall>"
    for number in range(300):
        sent = bytearray(line)
        for _ in range(number % 6 + 1):
            sent[chance.randrange(len(sent))] = chance.randrange(256)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(home.socket))
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(20)
            said = client.recv(65536)
        assert b"Traceback" not in said
        assert not re.match(rb"HTTP/1.\d 5(?!01|05)", said), (bytes(sent), said)
    assert fuzzed.call("supervisor.getState")["statename"] == "RUNNING"


def test_paths_beside_the_calls(fuzzed: Fuzzed) -> None:
    """The logs' paths take anything too."""

    @EXAMPLES
    @given(
        st.sampled_from(("/logtail/", "/mainlogtail", "/RPC2", "/ok.html")),
        st.text(max_size=20) | st.text("/.%:*\0", max_size=8),
        st.sampled_from(("HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")),
    )
    def look(path: str, rest: str, method: str) -> None:
        connection = UnixHttp(fuzzed.daemon.home.socket)
        try:
            connection.request(method, path + quote(rest, safe="/.:*"))
            answer = connection.getresponse()
            assert answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
            assert b"Traceback" not in answer.read()
        finally:
            connection.close()

    look()
