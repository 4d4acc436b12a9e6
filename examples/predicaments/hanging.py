"""Answers HTTP on the port given, until it hangs: after half a minute it only says 503."""

import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

hangs_at = time.monotonic() + 30


class Answer(BaseHTTPRequestHandler):
    """Answers every GET, well or not."""

    def do_GET(self) -> None:
        """Say whether it hangs."""
        self.send_response(200 if time.monotonic() < hangs_at else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer)
print(f"listening on http://127.0.0.1:{server.server_port}")
server.serve_forever()
