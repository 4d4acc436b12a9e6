"""Asks circus, in circus' own environment: see remote.py. circus_asker.py ENDPOINT WATCHER."""

import json
import sys
import uuid

import zmq

_PATIENCE = 60_000  # ms
_QUESTIONS = 64  # of a client that never reads


def _connected(endpoint: str) -> "zmq.Socket[bytes]":
    client = zmq.Context.instance().socket(zmq.DEALER)
    client.setsockopt(zmq.IDENTITY, uuid.uuid4().hex.encode())
    client.setsockopt(zmq.LINGER, 0)
    client.setsockopt(zmq.RCVTIMEO, _PATIENCE)
    client.setsockopt(zmq.RCVHWM, 1)
    client.connect(endpoint)
    return client


def _question(**properties: str) -> bytes:
    text = {"id": uuid.uuid4().hex, "command": "status", "properties": properties}
    return json.dumps(text).encode()


def main() -> None:
    endpoint, watcher = sys.argv[1:]
    client = _connected(endpoint)
    stuck = []
    for line in sys.stdin:
        what, _, number = line.partition(" ")
        answer = 0
        if what.strip() == "all":
            client.send(_question())
            statuses = json.loads(client.recv())["statuses"]
            answer = sum(status == "active" for status in statuses.values())
        elif what == "one":
            for _ in range(int(number)):
                client.send(_question(name=watcher))
                client.recv()
        else:
            stuck = [_connected(endpoint) for _ in range(int(number))]
            for one in stuck:
                for _ in range(_QUESTIONS):
                    one.send(_question())
        print(answer, flush=True)


main()
