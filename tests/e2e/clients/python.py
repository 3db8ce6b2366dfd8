"""An event stream client on Python's http.client, as a program without a library would write it."""

import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from support.wire import EventStreamParser  # noqa: E402  The path above makes it importable.


def report(kind, **more):
    print(json.dumps({"kind": kind, **more}), flush=True)


def main():
    url = urlsplit(sys.argv[1])
    options = json.loads(sys.argv[2])
    last_event_id, retry = None, 1.0
    while True:
        parser = EventStreamParser()
        try:
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
            fields = {"Accept": "text/event-stream", **options.get("headers", {})}
            if last_event_id:
                fields["Last-Event-ID"] = last_event_id
            connection.request("GET", url.path + ("?" + url.query if url.query else ""), headers=fields)
            response = connection.getresponse()
            report("open", status=response.status)
            while part := response.read1(4096):
                for event in parser.feed(part):
                    report("event", **event)
                last_event_id = parser.last_event_id or last_event_id
            report("closed")
        except (OSError, http.client.HTTPException) as error:
            report("error", message=repr(error))
        last_event_id = parser.last_event_id or last_event_id
        retry = parser.retry / 1000 if parser.retry is not None else retry
        time.sleep(retry)


if __name__ == "__main__":
    main()
