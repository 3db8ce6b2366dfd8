"""A streamed chat completion as Python programs read it: http.client below, above it a decoder that takes every empty line
for an event once it has seen an id (as those of openai-python and httpx-sse do), and reads each event's data as JSON.

A stray empty line anywhere outside a frame is an event without data to it, which is no JSON, and it fails.
"""

import http.client
import json
import sys
import time
from urllib.parse import urlsplit


def report(kind, **more):
    print(json.dumps({"kind": kind, **more}), flush=True)


class EagerDecoder:
    """feed(line) gives (event, data, id) at an empty line, if anything at all was said since, or an id ever was."""

    def __init__(self):
        self.event, self.data, self.retry, self.last_event_id = None, [], None, None

    def feed(self, line):
        if line == "":
            if not self.event and not self.data and not self.last_event_id and self.retry is None:
                return None
            event = (self.event, "\n".join(self.data), self.last_event_id)
            self.event, self.data, self.retry = None, [], None
            return event
        if not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self.event = value
            elif name == "data":
                self.data.append(value)
            elif name == "id" and "\0" not in value:
                self.last_event_id = value
            elif name == "retry" and value.isdigit():
                self.retry = int(value)
        return None


def events_of(response, decoder):
    """Line by line, so that what came before a cut is known."""
    while line := response.readline():
        if not line.endswith(b"\n"):
            return  # An unfinished line.
        event = decoder.feed(line.decode("utf-8").rstrip("\r\n"))
        if event is not None:
            yield event
    if not response.isclosed() and response.chunked:
        raise http.client.IncompleteRead(b"")


def ask(url, body, options, last_event_id):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    fields = {"Content-Type": "application/json", "Accept": "application/json", "Authorization": "Bearer sk-test"}
    fields.update(options.get("headers", {}))
    if last_event_id is not None:
        fields["Last-Event-ID"] = last_event_id
    connection.request("POST", url.path + "/chat/completions", body=body, headers=fields)
    return connection.getresponse()


def main():
    url = urlsplit(sys.argv[1])
    options = json.loads(sys.argv[2])
    body = json.dumps({"model": "m", "stream": True, "stream_options": {"include_usage": True},
                       "messages": [{"role": "user", "content": options["ask"]}]})
    text, finish, tokens, last_event_id = "", None, None, None
    while True:
        decoder = EagerDecoder()  # What was begun is void after a cut; the id is not.
        try:
            response = ask(url, body, options, last_event_id)
            report("open", status=response.status, after=last_event_id, resume=response.getheader("Ssequel-Resume"))
            for event, data, last_event_id in events_of(response, decoder):
                if event == "sync-required":
                    raise ValueError(f"lost: {data}")
                if data.startswith("[DONE]"):
                    report("done", text=text, finish=finish, tokens=tokens)
                    return
                chunk = json.loads(data)
                report("chunk")
                for choice in chunk["choices"]:
                    text += choice["delta"].get("content") or ""
                    finish = choice["finish_reason"] or finish
                if chunk["usage"] is not None:
                    tokens = chunk["usage"]["completion_tokens"]
            raise EOFError("a clean end without [DONE]")
        except (OSError, http.client.HTTPException) as error:
            report("cut", message=repr(error))
            if last_event_id is None:
                raise
            time.sleep(0.05)


try:
    main()
except Exception as failure:  # The case judges it.
    report("failed", message=repr(failure))
