"""The FastCGI program under test: accepts on its standard input, and says what it has there.

Every connection is answered with one line of JSON. One that then says `end` ends the process, and
`die` kills it. Started as `python -I -S acceptor.py`, it prints `accepting` when it is ready.
"""

import fcntl
import json
import os
import signal
import socket
import sys


def facts(listener: socket.socket) -> dict[str, object]:
    """What a program can find out about the socket it was given."""
    name = listener.getsockname()
    return {
        "pid": os.getpid(),
        "family": listener.family.name,
        "address": name if isinstance(name, str) else list(name),
        "listens": listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
        "reuse": listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR),
        "nonblocking": bool(fcntl.fcntl(0, fcntl.F_GETFL) & os.O_NONBLOCK),
        "closes on exec": bool(fcntl.fcntl(0, fcntl.F_GETFD) & fcntl.FD_CLOEXEC),
    }


def main() -> None:
    """Answer until told to end."""
    listener = socket.socket(fileno=0)
    os.write(1, b"accepting\n")
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                connection.sendall(json.dumps(facts(listener)).encode() + b"\n")
                word = connection.recv(10)
            except OSError:  # somebody who only wanted to know whether anybody is here
                continue
        if word == b"end":
            sys.exit(0)
        if word == b"die":
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
