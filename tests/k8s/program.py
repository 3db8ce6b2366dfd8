"""The program, started by the test, and small HTTP requests to it."""

import http.client
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from report import Wrong, expect

PATIENCE = 60  # Seconds; a busy machine is slow, a wait ends as soon as what it waits for is there.


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, question):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(0.05)
    raise Wrong(f"waited {PATIENCE} s for {what}")


def get(port, path, method="GET"):
    """(status, text); (0, reason) where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def events(port, count, last=None, path="/events"):
    """The ids of the first events of a stream."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})})
        response = connection.getresponse()
        expect(response.status == 200, f"{path}: {response.status}")
        ids = []
        while len(ids) < count:
            line = response.readline()
            expect(line, f"{path}: ended after {len(ids)} events")
            if line.startswith(b"id: "):
                ids.append(line[4:].decode().strip())
        return ids
    finally:
        connection.close()


def stay(port, path="/events"):
    """A subscriber that reads as long as it may. Returns an event that is set when it was sent away."""
    gone = threading.Event()

    def read():
        try:
            events(port, 10**9, path=path)
        except (Wrong, OSError, http.client.HTTPException):
            gone.set()

    threading.Thread(target=read, daemon=True).start()
    return gone


class Program:
    """`ssequel --config` with a disk store, a shared route and a session route. Use as a context."""

    def __init__(self, binary, upstream):
        self.binary, self.upstream = binary, upstream

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ssequel-k8s-")
        home = Path(self.folder.name)
        self.port, self.admin = free_port(), free_port()
        (home / "ssequel.yaml").write_text(f"""listen: 127.0.0.1:{self.port}
admin: 127.0.0.1:{self.admin}
upstream: http://127.0.0.1:{self.upstream}
store: {{kind: disk, path: {home}/store}}
drain: {{delay: 0, timeout: 1s}}
routes:
  - {{name: feed, match: {{path: /events, accept: any}}, mode: shared, key: [path]}}
  - {{name: own, match: {{path: /events/own}}, mode: session}}
""")
        (home / "store").mkdir()
        self.log = (home / "log").open("wb")
        self.process = subprocess.Popen([self.binary, "--config", home / "ssequel.yaml"], stderr=self.log)
        wait_for("the program to be ready", lambda: get(self.admin, "/readyz")[0] == 200 or self.process.poll() is not None)
        expect(self.process.poll() is None, (home / "log").read_text())
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        self.log.close()
        self.folder.cleanup()
