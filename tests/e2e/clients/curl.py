"""curl as a shell script would use it: run it, and run it again with the last id when the connection breaks."""

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from support.wire import EventStreamParser  # noqa: E402  The path above makes it importable.


def report(kind, **more):
    print(json.dumps({"kind": kind, **more}), flush=True)


def main():
    url, last_event_id, retry = sys.argv[1], None, 0.2
    while True:
        command = ["curl", "-sS", "-N", "--http1.1", "-H", "Accept: text/event-stream", url]
        if last_event_id:
            command[1:1] = ["-H", f"Last-Event-ID: {last_event_id}"]
        parser = EventStreamParser()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as curl:
            report("open")
            while part := curl.stdout.read1(4096):
                for event in parser.feed(part):
                    report("event", **event)
            last_event_id = parser.last_event_id or last_event_id
            retry = parser.retry / 1000 if parser.retry is not None else retry
            report("closed", code=curl.wait(), message=curl.stderr.read().decode("utf-8", "replace"))
        time.sleep(retry)


if __name__ == "__main__":
    main()
