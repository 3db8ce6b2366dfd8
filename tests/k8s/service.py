"""A legacy service: events without ids, some each second, for whoever asks. Runs in the test's own process."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):  # pylint: disable=invalid-name
        stream = self.path.startswith("/events")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if stream else "text/plain")
        self.end_headers()
        try:
            if not stream:
                self.wfile.write(b"as it is\n")
            for number in range(10**9 if stream else 0):
                self.wfile.write(b"data: %d\n\n" % number)
                self.wfile.flush()
                time.sleep(0.02)
        except OSError:
            pass  # The reader has gone.

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class Service:
    """Use as a context: `with Service() as service: service.port`."""

    def __init__(self, port=0):
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)

    def __enter__(self):
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
