"""Documents that are meant to harm whoever reads them, sent to a real daemon."""

import os
import xmlrpc.client
from pathlib import Path

import pytest
from daemon import Daemon, StartDaemon
from home import Dialect, Programs
from http_requests import UnixHttp, request

MEGABYTE = 1024 * 1024
HEADER = "<?xml version='1.0'?>"
CALL = "<methodCall><methodName>system.methodHelp</methodName><params>{}</params></methodCall>"
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "entities that grow": f'{HEADER}<!DOCTYPE m [<!ENTITY l0 "ha">{LAUGHS}]>'
    + CALL.format("<param><value>&l9;</value></param>"),
    "a file of ours": f'{HEADER}<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    + CALL.format("<param><value>&x;</value></param>"),
    "a parameter entity": f'{HEADER}<!DOCTYPE m [<!ENTITY % x SYSTEM "http://127.0.0.1/">%x;]>'
    + CALL.format(""),
    "depth": "<a>" * (MEGABYTE // 4),
    "many values": CALL.format("<param><value/></param>" * (MEGABYTE // 26)),
    "one long word": CALL.format(f"<param><value>{'x' * (MEGABYTE - 300)}</value></param>"),
    "many attributes": "<a " + " ".join(f"a{n}='1'" for n in range(MEGABYTE // 13)) + "/>",
    "a long number": CALL.format(f"<param><value><int>{'9' * 900_000}</int></value></param>"),
    "more than is read": CALL.format("x" * MEGABYTE),
    "half a document": CALL[:50],
}


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    """A daemon with nothing to do."""
    return start_daemon(Programs("[program:web]\ncommand = $VICTIM\n", Dialect.INI))


def post(daemon: Daemon, document: str) -> tuple[int, str]:
    """Status and text of the answer."""
    connection = UnixHttp(daemon.home.socket)
    answer = request(connection, "/RPC2", method="POST", body=document)
    return answer.status, answer.text


def memory(daemon: Daemon) -> int:
    """Bytes of memory that the daemon holds."""
    pages = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_nothing_harms(daemon: Daemon) -> None:
    """Each is answered with what is wrong, again and again, and leaves no memory behind."""
    before = 0
    for turn in range(8):
        answers = {name: post(daemon, document) for name, document in HOSTILE.items()}
        assert {name for name, (status, _) in answers.items() if status == 200} == {
            *("one long word", "many values")
        }
        assert {status for status, _ in answers.values()} == {200, 400, 413}
        assert not any("root:" in text or "haha" in text for _, text in answers.values())
        if turn == 3:  # by now everything is loaded that ever is
            before = memory(daemon)
    assert memory(daemon) < before + 16 * MEGABYTE
    version = xmlrpc.client.dumps((), "supervisor.getVersion")
    assert "<string>3.0</string>" in post(daemon, version)[1]
    assert daemon.status("web").state in ("STARTING", "RUNNING")
