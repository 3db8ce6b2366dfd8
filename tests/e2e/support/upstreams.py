"""Upstreams inside the test's own event loop: legacy services of several kinds, all of them real HTTP over real sockets.

Each records every request it was sent. A service of events is described by a `Feed`; what it does to HTTP by a `Style`.
"""

import asyncio
import dataclasses
import json
import time
import zlib

from . import feed as numbered
from .relay import end_connection


@dataclasses.dataclass
class Request:
    method: str
    target: str
    version: str
    fields: list
    content: bytes
    at: float
    connection: int

    def get(self, name, default=None):
        for field, value in self.fields:
            if field.lower() == name.lower():
                return value
        return default

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    @property
    def path(self):
        return self.target.partition("?")[0]


class Exchange:
    """One request and the means to answer it byte by byte."""

    def __init__(self, request, reader, writer):
        self.request = request
        self.reader = reader
        self.writer = writer
        self.keep_alive = request.version == "HTTP/1.1" and (request.get("Connection") or "").lower() != "close"

    async def raw(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status=200, fields=(), reason="OK", version="HTTP/1.1"):
        lines = [f"{version} {status} {reason}"] + [f"{name}: {value}" for name, value in fields]
        await self.raw("\r\n".join(lines).encode("utf-8") + b"\r\n\r\n")

    async def chunk(self, data):
        if data:
            await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def last_chunk(self, trailers=()):
        await self.raw(b"0\r\n" + b"".join(f"{n}: {v}\r\n".encode() for n, v in trailers) + b"\r\n")

    async def respond(self, status=200, content=b"", fields=(), reason="OK"):
        await self.head(status, [*fields, ("Content-Length", len(content))], reason)
        if self.request.method != "HEAD":
            await self.raw(content)

    def reset(self):
        self.keep_alive = False
        end_connection(self.writer, reset=True)


class Upstream:
    """An HTTP/1.1 server whose handler is a coroutine function of an Exchange. Keeps its port over stop() and start()."""

    def __init__(self, handler, *, port=0, path=None):
        self.handler = handler
        self.port = port
        self.path = path
        self.requests = []
        self.open = set()  # Exchanges being answered.
        self.connections = 0
        self.tasks = set()
        self.server = None
        self.errors = []

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.stop()

    @property
    def url(self):
        return f"unix:{self.path}" if self.path else f"http://127.0.0.1:{self.port}"

    async def start(self):
        if self.path:
            self.server = await asyncio.start_unix_server(self._serve, self.path, limit=1 << 20)
        else:
            self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 20)
            self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self):
        """Refuses new connections and resets the open ones."""
        if self.server is None:
            return
        self.server.close()
        self.server = None
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def streams(self, path=None):
        """Requests recorded whose Accept names an event stream."""
        return [
            request
            for request in self.requests
            if "text/event-stream" in (request.get("Accept") or "") and (path is None or request.path == path)
        ]

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while True:
                request = await _read_request(reader, writer, number)
                if request is None:
                    break
                self.requests.append(request)
                exchange = Exchange(request, reader, writer)
                self.open.add(exchange)
                try:
                    await self.handler(exchange)
                finally:
                    self.open.discard(exchange)
                if not exchange.keep_alive:
                    break
        except asyncio.CancelledError:
            writer.transport.abort()  # stop() is what cancels; nobody waits for this task's verdict.
        except (ConnectionError, OSError, asyncio.IncompleteReadError):
            pass
        except Exception as error:  # Seen by the case through `errors`; a broken test server must not pass for a result.
            self.errors.append(repr(error))
        finally:
            self.tasks.discard(task)
            writer.close()


async def _read_request(reader, writer, number):
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = raw[:-4].decode("utf-8", "surrogateescape").split("\r\n")
    method, target, version = lines[0].split(" ")
    fields = []
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields.append((name, value.strip()))
    request = Request(method, target, version, fields, b"", time.monotonic(), number)
    if (request.get("Upgrade") or "").lower() == "raw-echo":
        return request
    if (request.get("Expect") or "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if (request.get("Transfer-Encoding") or "").lower() == "chunked":
        parts = []
        while (size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)) > 0:
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        request.content = b"".join(parts)
    elif length := int(request.get("Content-Length") or 0):
        request.content = await reader.readexactly(length)
    return request


@dataclasses.dataclass
class Style:
    """How a legacy service writes its event stream."""

    eol: str = "\n"
    bytewise: bool = False
    close_delimited: bool = False  # HTTP/1.0: the end of the connection ends the content.
    gzip: bool = False  # Compresses although the request asked it not to.
    deflate: bool = False
    bom: bool = False
    comments: bool = False
    content_type: str = "text/event-stream"
    fields: tuple = ()


class Feed:
    """Numbered events for everybody (one counter) or for each connection (a counter of its own, from 1).

    `publish(n)` makes n more events; a connection is sent those made while it was open, and with whole_state also all
    earlier ones, as a service does that sends its state on each connection.
    """

    def __init__(self, style=None, *, name="f", own_counter=False, whole_state=False, total=None, pace=0.0, ends=True,
                 origin_ids=None):
        self.style = style or Style()
        self.name = name
        self.own_counter = own_counter
        self.whole_state = whole_state
        self.total = total  # own_counter: so many events on each connection, then the end or silence (ends).
        self.pace = pace
        self.ends = ends
        self.origin_ids = origin_ids  # A function of seq, or None.
        self.last = 0
        self.wakers = set()
        self.alive = 0

    def publish(self, count=1):
        self.last += count
        for wake in self.wakers:
            wake.set()

    def _frame(self, seq):
        origin = self.origin_ids(seq) if self.origin_ids else None
        return numbered.frame(seq, self.name, self.style.eol, origin)

    async def serve(self, exchange):
        style = self.style
        fields = [("Content-Type", style.content_type), ("Cache-Control", "no-cache"), *style.fields]
        pack = None
        if style.gzip:
            fields.append(("Content-Encoding", "gzip"))
            pack = zlib.compressobj(wbits=31)
        elif style.deflate:
            fields.append(("Content-Encoding", "deflate"))
            pack = zlib.compressobj()
        if style.close_delimited:
            await exchange.head(200, fields, version="HTTP/1.0")
            exchange.keep_alive = False
        else:
            await exchange.head(200, [*fields, ("Transfer-Encoding", "chunked")])

        async def send(data):
            if pack is not None:
                data = pack.compress(data) + pack.flush(zlib.Z_SYNC_FLUSH)
            pieces = [data[i : i + 1] for i in range(len(data))] if style.bytewise else [data]
            for piece in pieces:
                if style.close_delimited:
                    await exchange.raw(piece)
                else:
                    await exchange.chunk(piece)

        self.alive += 1
        gone = asyncio.create_task(_wait_for_end(exchange.reader))
        try:
            if style.bom:
                await send(b"\xef\xbb\xbf")
            await (self._own(send, gone) if self.own_counter else self._common(send, gone))
            if pack is not None:
                await (exchange.raw if style.close_delimited else exchange.chunk)(pack.flush())
            if not style.close_delimited:
                await exchange.last_chunk()
        finally:
            self.alive -= 1
            gone.cancel()
            exchange.keep_alive = False

    async def _own(self, send, gone):
        for seq in range(1, self.total + 1):
            if self.style.comments:
                await send((": noise" + self.style.eol).encode())
            await send(self._frame(seq))
            if self.pace or seq % 50 == 0:  # drain() alone does not let others run.
                await asyncio.sleep(self.pace)
            if gone.done():
                raise ConnectionResetError
        if not self.ends:
            await gone
            raise ConnectionResetError

    async def _common(self, send, gone):
        sent = 0 if self.whole_state else self.last
        wake = asyncio.Event()
        gone.add_done_callback(lambda _: wake.set())
        self.wakers.add(wake)
        try:
            while not gone.done():
                wake.clear()
                while sent < self.last and not gone.done():
                    sent += 1
                    await send(self._frame(sent))
                    if self.pace:
                        await asyncio.sleep(self.pace)
                if sent == self.last:
                    await wake.wait()
        finally:
            self.wakers.discard(wake)
        raise ConnectionResetError


async def _wait_for_end(reader):
    try:
        while await reader.read(1 << 12):
            pass
    except (ConnectionError, OSError):
        pass


def routes(table, otherwise=None):
    """A handler that looks the path up in {path: Feed or handler}; else `otherwise`, else 404."""

    async def handler(exchange):
        service = table.get(exchange.request.path, otherwise)
        if service is None:
            await exchange.respond(404, b"nothing here\n", [("Content-Type", "text/plain")], reason="Not Found")
        elif isinstance(service, Feed):
            await service.serve(exchange)
        else:
            await service(exchange)

    return handler


async def echo_handler(exchange):
    """Answers with what arrived, as JSON; HEAD too."""
    request = exchange.request
    content = json.dumps(
        {
            "method": request.method,
            "target": request.target,
            "fields": request.fields,
            "content": request.content.decode("latin-1"),
        }
    ).encode("utf-8", "surrogateescape")
    await exchange.respond(200, content, [("Content-Type", "application/json")])

