"""A service on Python's own http.server: sixty events on each connection, with the line ends and version named.

    http_server.py CRLF|CR|LF HTTP/1.1|HTTP/1.0
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from support.feed import frame  # noqa: E402  The path above makes it importable.

EOL = {"CRLF": "\r\n", "CR": "\r", "LF": "\n"}[sys.argv[1]]
VERSION = sys.argv[2]


class Handler(BaseHTTPRequestHandler):
    protocol_version = VERSION

    def do_GET(self):  # noqa: N802  The name that http.server asks for.
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        chunked = VERSION == "HTTP/1.1"
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        try:
            for seq in range(1, 61):
                data = frame(seq, eol=EOL)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
                self.wfile.flush()
                time.sleep(0.002)
            while True:  # Stays open, silent, until the reader leaves.
                time.sleep(0.2)
                comment = (":" + EOL).encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(comment), comment) if chunked else comment)
                self.wfile.flush()
        except OSError:
            pass

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print("listening on", server.server_address[1], flush=True)
server.serve_forever()
