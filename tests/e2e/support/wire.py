"""HTTP/1.1 by hand: a connection that sends any bytes and reads answers, and a WHATWG event stream parser.

Not a client anybody should copy: it exists to send what no client library would, and to see every byte of the answer.
"""

import asyncio
import json
import socket

from .runner import Failure


class Answer:
    def __init__(self, version, status, reason, fields):
        self.version = version
        self.status = status
        self.reason = reason
        self.fields = fields  # [(name, value)] as received
        self.content = b""

    def get(self, name, default=None):
        for field, value in self.fields:
            if field.lower() == name.lower():
                return value
        return default

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def json(self):
        return json.loads(self.content)

    @property
    def text(self):
        return self.content.decode("utf-8", "replace")

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.content[:200]!r}>"


class Truncated(Failure):
    """The content ended before its framing said so: the connection was broken off."""


def request_bytes(method, target, fields=(), content=None, host="test.local", version="HTTP/1.1"):
    lines = [f"{method} {target} {version}"]
    names = {name.lower() for name, _ in fields}
    if host is not None and "host" not in names:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in fields]
    if content is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + (content or b"")


class Connection:
    """One TCP (or, with a path, Unix) connection. Every read is bounded by `timeout` seconds."""

    def __init__(self, port=None, host="127.0.0.1", path=None, timeout=10.0, receive_buffer=None):
        self.address = (host, port, path)
        self.receive_buffer = receive_buffer  # SO_RCVBUF in bytes, for a client that shall fill up early.
        self.timeout = timeout
        self.reader = None
        self.writer = None
        self.rest = None  # What is left of the content being read: see chunks().

    async def __aenter__(self):
        host, port, path = self.address
        if path:
            opening = asyncio.open_unix_connection(path, limit=1 << 22)
        elif self.receive_buffer:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
            raw.connect((host, port))
            opening = asyncio.open_connection(sock=raw, limit=1 << 22)
        else:
            opening = asyncio.open_connection(host, port, limit=1 << 22)
        self.reader, self.writer = await asyncio.wait_for(opening, self.timeout)
        return self

    async def __aexit__(self, *_):
        self.abort()

    def stop_reading(self):
        """From here on the kernel's receive buffer fills, and then the sender's."""
        self.writer.transport.pause_reading()

    def go_on_reading(self):
        self.writer.transport.resume_reading()

    def abort(self):
        if self.writer is not None:
            self.writer.transport.abort()

    async def send(self, data):
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), self.timeout)

    async def request(self, method, target, fields=(), content=None, **more):
        await self.send(request_bytes(method, target, fields, content, **more))

    async def _bounded(self, reading, what):
        try:
            return await asyncio.wait_for(reading, self.timeout)
        except asyncio.TimeoutError:
            raise Failure(f"nothing within {self.timeout:g} s while reading {what}") from None
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise Truncated(f"connection lost while reading {what}: {error!r}") from None

    async def head(self):
        """The next response head. 1xx heads are answers of their own."""
        raw = await self._bounded(self.reader.readuntil(b"\r\n\r\n"), "a response head")
        lines = raw[:-4].decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        status, _, reason = rest.partition(" ")
        fields = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
        return Answer(version, int(status), reason, fields)

    async def chunks(self, answer, method="GET"):
        """The content as it comes, framing taken off. Raises Truncated if it breaks off."""
        status = answer.status
        if method == "HEAD" or status in (204, 304) or 100 <= status < 200:
            return
        coding = (answer.get("Transfer-Encoding") or "").lower()
        length = answer.get("Content-Length")
        if coding.endswith("chunked"):
            while True:
                line = await self._bounded(self.reader.readuntil(b"\r\n"), "a chunk size")
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    answer.trailers = []
                    while (line := await self._bounded(self.reader.readuntil(b"\r\n"), "trailers")) != b"\r\n":
                        name, _, value = line[:-2].decode("latin-1").partition(":")
                        answer.trailers.append((name, value.strip()))
                    return
                while size:
                    part = await self._bounded(self.reader.read(min(size, 1 << 16)), "a chunk")
                    if not part:
                        raise Truncated("connection ended inside a chunk")
                    size -= len(part)
                    yield part
                await self._bounded(self.reader.readexactly(2), "a chunk's end")
        elif length is not None:
            left = int(length)
            while left:
                part = await self._bounded(self.reader.read(min(left, 1 << 16)), "content")
                if not part:
                    raise Truncated(f"connection ended {left} bytes before the content's end")
                left -= len(part)
                yield part
        else:
            while part := await self._bounded(self.reader.read(1 << 16), "content up to the connection's end"):
                yield part

    async def answer(self, method="GET"):
        """The next final answer with its whole content."""
        answer = await self.head()
        while 100 <= answer.status < 200 and answer.status != 101:
            answer = await self.head()
        async for part in self.chunks(answer, method):
            answer.content += part
        return answer

    async def is_closed(self):
        """Waits for the peer's end of the connection; whatever still comes is thrown away."""
        while True:
            try:
                if not await asyncio.wait_for(self.reader.read(1 << 16), self.timeout):
                    return True
            except ConnectionError:
                return True
            except asyncio.TimeoutError:
                return False


async def fetch(port, method="GET", target="/", fields=(), content=None, timeout=10.0, **more):
    """One request on a connection of its own; the whole answer."""
    async with Connection(port, timeout=timeout) as connection:
        await connection.request(method, target, [*fields, ("Connection", "close")], content, **more)
        return await connection.answer(method)


class EventStreamParser:
    """WHATWG HTML 9.2.6. feed() gives the dispatched events; blocks() besides keeps what each block looked like."""

    def __init__(self):
        self.rest = b""
        self.first = True
        self.type = ""
        self.lines = []
        self.last_event_id = ""
        self.id_buffer = ""
        self.retry = None
        self.retries = []
        self.comments = 0
        self.raw = bytearray()  # All that was fed.

    def feed(self, data):
        self.raw += data
        self.rest += data
        events = []
        while True:
            end = self.rest.find(b"\n")
            lone = self.rest.find(b"\r")
            if end < 0 and lone < 0:
                return events
            if lone >= 0 and (end < 0 or lone < end):
                if lone + 1 == len(self.rest):
                    return events  # The LF of a CRLF may still come.
                line, skip = self.rest[:lone], 2 if self.rest[lone + 1 : lone + 2] == b"\n" else 1
                self.rest = self.rest[lone + skip :]
            else:
                line, self.rest = self.rest[:end], self.rest[end + 1 :]
            if self.first:
                self.first = False
                line = line.removeprefix(b"\xef\xbb\xbf")
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None:
                events.append(event)

    def _line(self, line):
        if line == "":
            self.last_event_id = self.id_buffer
            lines, kind = self.lines, self.type
            self.lines, self.type = [], ""
            if not lines:
                return None
            return {"type": kind or "message", "data": "\n".join(lines), "id": self.last_event_id}
        if line.startswith(":"):
            self.comments += 1
            return None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self.lines.append(value)
        elif name == "event":
            self.type = value
        elif name == "id" and "\0" not in value:
            self.id_buffer = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)
            self.retries.append(self.retry)
        return None


class Subscription(Connection):
    """A raw event stream client: opens one request, reads its events one at a time."""

    def __init__(self, port, target="/events", *, last_event_id=None, fields=(), accept="text/event-stream",
                 method="GET", content=None, version="HTTP/1.1", **more):
        super().__init__(port, **more)
        self.wanted = (method, target, list(fields), accept, last_event_id, content, version)
        self.parser = EventStreamParser()
        self.pending = []
        self.response = None
        self.parts = None
        self.ended = None  # "clean" or "broken" once the response is over.

    async def __aenter__(self):
        await super().__aenter__()
        method, target, fields, accept, last_event_id, content, version = self.wanted
        if accept is not None:
            fields.append(("Accept", accept))
        if last_event_id is not None:
            fields.append(("Last-Event-ID", last_event_id))
        await self.request(method, target, fields, content, version=version)
        return self

    async def open(self):
        if self.response is None:
            self.response = await self.head()
            self.parts = self.chunks(self.response)
        return self.response

    async def event(self):
        """The next event, or None where the response ends (see `ended`)."""
        await self.open()
        while not self.pending:
            try:
                part = await self.parts.__anext__()
            except StopAsyncIteration:
                self.ended = "clean"
                return None
            except Truncated:
                self.ended = "broken"
                return None
            self.pending += self.parser.feed(part)
        return self.pending.pop(0)

    async def take(self, count):
        events = []
        while len(events) < count:
            event = await self.event()
            if event is None:
                raise Failure(f"the response ended ({self.ended}) after {len(events)} of {count} events: {events[-3:]}")
            events.append(event)
        return events

    async def to_end(self):
        events = []
        while (event := await self.event()) is not None:
            events.append(event)
        return events
