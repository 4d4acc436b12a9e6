"""A healthy program: answers HTTP on the port given, and says a word every ten seconds."""

import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    """Answers every GET with a greeting."""

    def do_GET(self) -> None:
        """Greet, whatever the path."""
        body = b"hello\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


done = threading.Event()
signal.signal(signal.SIGTERM, lambda _signum, _frame: done.set())
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hello)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"listening on http://127.0.0.1:{server.server_port}")
while not done.wait(10):
    print("all is well")
server.shutdown()
print("goodbye")
