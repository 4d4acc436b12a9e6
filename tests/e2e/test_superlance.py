"""superlance's listeners, as they come from PyPI, at work under the real daemon."""

import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from daemon import Daemon, StartDaemon, eventually
from home import Dialect, Home, Programs

BIN = Path(sys.executable).parent


def listener(tool: str, arguments: str, events: str) -> str:
    """A section for one of the tools, by the name it is installed under."""
    return (
        f"[eventlistener:{tool}]\ncommand = {BIN / tool} {arguments}\n"
        f"events = {events}\nstartsecs = 0\n"
    )


def program(name: str, command: str, *options: str) -> str:
    """A section for a program that counts as up the moment it is spawned."""
    return "\n".join([f"[program:{name}]", f"command = {command}", "startsecs = 0", *options, ""])


def start(start_daemon: StartDaemon, *sections: str) -> Daemon:
    """A daemon with these sections."""
    programs = Programs("\n".join(sections), Dialect.INI)
    return start_daemon(programs, daemon="loglevel = debug")


def never_unknown(daemon: Daemon) -> None:
    """Every listener kept to the protocol in the daemon's eyes."""
    assert "UNKNOWN" not in daemon.log
    assert "event was rejected" not in daemon.log


# -- mail ----------------------------------------------------------------------------------------


class Letters:
    """What was mailed, by a program in the place of sendmail."""

    def __init__(self, directory: Path) -> None:
        self._box = directory / "mail"
        self.sendmail = directory / "sendmail"
        self.sendmail.write_text(f'#!/bin/sh\ncat >>"{self._box}"; echo >>"{self._box}"\n')
        self.sendmail.chmod(0o755)

    def until(self, text: str) -> str:
        """All mail so far, as soon as this is in it."""

        def look() -> str:
            mail = self._box.read_text() if self._box.exists() else ""
            return mail if text in mail else ""

        return eventually(look)


@pytest.fixture
def letters(home: Home) -> Letters:
    """The sendmail of this test."""
    return Letters(home.directory)


class _Conversation(socketserver.StreamRequestHandler):
    """As much of SMTP as smtplib needs to get rid of a mail."""

    server: "_PostOffice"

    def handle(self) -> None:
        self._say("220 hello")
        while line := self.rfile.readline():
            match line.strip().upper():
                case b"DATA":
                    self._say("354 go on")
                    mail = []
                    while (part := self.rfile.readline()) not in (b".\r\n", b""):
                        mail.append(part.decode().rstrip("\r\n"))
                    self.server.mails.append("\n".join(mail))
                    self._say("250 thanks")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 fine")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class _PostOffice(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.mails: list[str] = []
        self.address = f"127.0.0.1:{self.server_address[1]}"


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def post_office() -> Iterator[_PostOffice]:
    """A mail server for those who don't use sendmail."""
    server = _PostOffice()
    with _serving(server):
        yield server


# -- the tools -----------------------------------------------------------------------------------


def test_crashmail(start_daemon: StartDaemon, letters: Letters) -> None:
    """Mails of exits that were not expected, and of no others."""
    daemon = start(
        start_daemon,
        listener(
            "crashmail", f"-a -m ops@example.com -s {letters.sendmail}", "PROCESS_STATE_EXITED"
        ),
        program("good", "true", "autorestart = false"),
        program("bad", "sh -c 'exit 3'", "autorestart = false"),
    )
    mail = letters.until("bad")
    assert "To: ops@example.com\nSubject:  bad crashed at " in mail
    assert "Process bad in group bad exited unexpectedly (pid " in mail
    eventually(lambda: daemon.log.count("crashmail: event was processed") == 2)
    assert "good" not in mail
    never_unknown(daemon)


def _batch(post_office: _PostOffice) -> str:
    """A batch monitor that mails at every fifth second, if there is anything."""
    return (
        f"--toEmail=ops@example.com --fromEmail=me@example.com --smtpHost={post_office.address}"
        " --tickEvent=TICK_5 --interval=0.05"
    )


def test_crashmailbatch(start_daemon: StartDaemon, post_office: _PostOffice) -> None:
    """All unexpected exits between two ticks in one mail."""
    daemon = start(
        start_daemon,
        listener("crashmailbatch", _batch(post_office), "PROCESS_STATE,TICK_5"),
        program("good", "true", "autorestart = false"),
        program("bad", "sh -c 'exit 3'", "autorestart = false"),
    )
    (mail, *_) = eventually(lambda: post_office.mails)
    assert "Subject: Crash alert from supervisord" in mail
    assert "Process bad:bad (pid " in mail
    assert "died unexpectedly" in mail
    assert "good" not in mail
    never_unknown(daemon)


def test_fatalmailbatch(start_daemon: StartDaemon, post_office: _PostOffice) -> None:
    """Mails of what was given up."""
    daemon = start(
        start_daemon,
        listener("fatalmailbatch", _batch(post_office), "PROCESS_STATE,TICK_5"),
        "[program:bad]\ncommand = /nowhere/program\nstartretries = 0\n",
    )
    (mail, *_) = eventually(lambda: post_office.mails)
    assert "Subject: Fatal start alert from supervisord" in mail
    assert "Process bad:bad failed to start too many times" in mail
    never_unknown(daemon)


def test_memmon(start_daemon: StartDaemon, letters: Letters) -> None:
    """Restarts by XML-RPC what takes too much memory, and mails about it."""
    eat = f"""{sys.executable} -I -S -c 'x = b"x" * 60000000; input()'"""
    daemon = start(
        start_daemon,
        listener("memmon", f"-p fat=40MB -m ops@example.com -s {letters.sendmail}", "TICK_5"),
        program("fat", eat),
        program("slim", "sleep 1000"),
    )
    fat, slim = daemon.until("fat", "RUNNING").pid, daemon.until("slim", "RUNNING").pid
    mail = letters.until("memmon.py restarted the process named fat:fat at ")
    assert "Subject: memmon [fat]: process fat:fat restarted" in mail
    assert daemon.until("fat", "RUNNING").pid != fat
    assert daemon.status("slim").pid == slim
    never_unknown(daemon)


class _Broken(BaseHTTPRequestHandler):
    """A web server that has a bad day."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing; standard error belongs to pytest."""


def test_httpok(start_daemon: StartDaemon, letters: Letters) -> None:
    """Restarts by XML-RPC what answers with an error, and mails about it."""
    server = HTTPServer(("127.0.0.1", 0), _Broken)
    url = f"http://127.0.0.1:{server.server_port}/health"
    with _serving(server):
        daemon = start(
            start_daemon,
            listener("httpok", f"-p web -m ops@example.com -s {letters.sendmail} {url}", "TICK_5"),
            program("web", "sleep 1000"),
            program("other", "sleep 1000"),
        )
        web, other = daemon.until("web", "RUNNING").pid, daemon.until("other", "RUNNING").pid
        mail = letters.until("httpok")
        assert f"Subject: httpok: {url}: bad status returned" in mail
        assert f"status contacting {url}: 500 Internal Server Error" in mail
        assert "Restarting selected processes" in mail
        assert daemon.until("web", "RUNNING").pid != web
        assert daemon.status("other").pid == other
        never_unknown(daemon)
