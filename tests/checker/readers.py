"""The clients of a recorded run: raw HTTP/1.1 subscribers that write down each block they were given.

A Reader is one logical client: attempt() is one request of it. It counts a block once its empty line is there, as the
standard says, and remembers the last id, which an honest client sends when it comes back.
"""

import asyncio
import json
import re
import socket
import time

from history import digest
from sources import payload_digest

_NONCE = re.compile(r'"nonce":"([^"]*)"')


class _Response(asyncio.Protocol):
    """Takes the framing off, cuts the content into blocks, hands rows to the reader."""

    def __init__(self, reader, number, request):
        self.reader = reader
        self.number = number
        self.request = request
        self.buffer = bytearray()
        self.content = bytearray()
        self.is_chunked = None  # None: the head is not there yet.
        self.status = None
        self.how = None
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data):
        self.buffer += data
        if self.is_chunked is None and not self._head():
            return
        if self.is_chunked:
            self._dechunk()
        else:
            self.content += self.buffer
            self.buffer.clear()
        self._blocks()
        if self.how is not None:
            self.transport.abort()

    def connection_lost(self, error):
        if self.how is None:
            self.how = "broken" if self.is_chunked or self.is_chunked is None or error else "clean"
        if not self.over.done():
            self.over.set_result(self.how)

    def _head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        del self.buffer[:end + 4]
        self.status = int(lines[0].split(" ", 2)[1])
        fields = [[name, value.strip()] for name, _, value in (line.partition(":") for line in lines[1:])]
        self.is_chunked = any(name.lower() == "transfer-encoding" for name, _ in fields)
        if self.status == 204:
            self.how = "clean"
        self.reader.is_live = self.status == 200
        self.reader.status, self.reader.head_fields = self.status, fields
        self.reader.history.record("head", attempt=self.number, status=self.status, fields=fields)
        return True

    def _dechunk(self):
        at, buffer = 0, self.buffer
        while True:
            line = buffer.find(b"\r\n", at)
            if line < 0:
                break
            size = int(buffer[at:line], 16)
            if len(buffer) < line + 4 + size:
                break
            self.content += buffer[line + 2:line + 2 + size]
            at = line + 4 + size
            if size == 0:
                self.how = "clean"
                break
        del buffer[:at]

    def _blocks(self):
        rows, at, content = [], 0, self.content
        # A line of its own, of no event: it counts as soon as it is whole.
        retry = content.rfind(b"retry: ")
        if retry == 0 or content[retry - 1:retry] == b"\n":
            line, found, _ = bytes(content[retry + 7:]).partition(b"\n")
            if retry >= 0 and found and line.isdigit():
                self.reader.retry_ms = int(line)
        while (end := content.find(b"\n\n", at)) >= 0:
            row = _row(bytes(content[at:end + 2]))
            if row is not None:
                rows.append(row)
            at = end + 2
        if at:
            del content[:at]
        if rows:
            self.reader.history.record("blocks", attempt=self.number, rows=rows)
            self.reader.took(rows)


def _row(block):
    """[id, event or None, digest of the frame, digest of the payload, nonce, reason], or None: nothing of an event."""
    start = block.find(b"id:")
    if start > 0 and block[start - 1:start] != b"\n":
        start = block.find(b"\nid:") + 1
    name, lines, event = None, [], "message"
    for line in block.decode("utf-8", "replace").split("\n"):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            name = value
        elif field == "data":
            lines.append(value)
        elif field == "event":
            event = value
    if not lines:
        return None if name is None else [name, None, "", "", None, None]
    data = "\n".join(lines)
    reason = nonce = None
    if event == "sync-required":
        reason = json.loads(data)["reason"]
    elif found := _NONCE.search(data):
        nonce = found[1]
    return [name, event, digest(block[max(start, 0):]), payload_digest(event, data), nonce, reason]


class Reader:
    """`last_id` is what an honest client would send; `ids` and `nonces` keep what it was given, the latest last."""

    def __init__(self, history, port, client, channel, target, *, method="GET", fields=(), content=None, keep=400):
        self.history = history
        self.port = port
        self.node = None  # The name of the node at that port, where there are several.
        self.client = client
        self.channel = channel
        self.target = target
        self.method = method
        self.fields = list(fields)
        self.content = content
        self.last_id = None
        self.first_id = None
        self.first_at = None
        self.rows = []
        self.keep = keep
        self.goal = None
        self.reached = asyncio.Event()
        self.asks = 0
        self.is_live = False  # The latest attempt has its head.
        self.status = None  # Of the latest head, whichever attempt's it is.
        self.head_fields = []
        self.retry_ms = None  # The reconnection time, as last told.

    def took(self, rows):
        for row in rows:
            if row[0]:
                self.last_id = row[0]
                if self.first_id is None:
                    self.first_id, self.first_at = row[0], time.monotonic()
            if row[4] is not None and row[4] == self.goal:
                self.reached.set()
        self.rows += rows
        if len(self.rows) > 2 * self.keep:
            del self.rows[:-self.keep]

    def aim(self, nonce):
        """`reached` will be set once this nonce was given, perhaps it has been."""
        self.goal = nonce
        self.reached.clear()
        if any(row[4] == nonce for row in self.rows):
            self.reached.set()

    def _request(self, last_event_id, ask):
        fields = [("Host", "test.local"), ("User-Agent", self.client), ("X-Ask", ask), *self.fields]
        names = {name.lower() for name, _ in fields}
        if "accept" not in names:
            fields.append(("Accept", "text/event-stream"))
        if last_event_id is not None:
            fields.append(("Last-Event-ID", last_event_id))
        if self.content is not None:
            fields.append(("Content-Length", str(len(self.content))))
        head = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + (self.content or b"")

    async def attempt(self, last_event_id=None, *, seconds=None, until=None, stalled=None):
        """One request; cut after `seconds`, or once `until` is set. stalled: (after, for) seconds in which it reads
        nothing, with a small receive buffer. Gives (how it ended, status)."""
        self.asks += 1
        ask = f"{self.client}.{self.asks}"
        number = self.history.attempt_number()
        where = {"node": self.node} if self.node else {}
        self.history.record("attempt", attempt=number, client=self.client, channel=self.channel, ask=ask,
                            method=self.method, last_event_id=last_event_id, **where)
        loop = asyncio.get_running_loop()
        raw = socket.socket()
        raw.setblocking(False)
        try:
            if stalled:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            await asyncio.wait_for(loop.sock_connect(raw, ("127.0.0.1", self.port)), 5)
            transport, response = await loop.create_connection(
                lambda: _Response(self, number, self._request(last_event_id, ask)), sock=raw)
        except (OSError, asyncio.TimeoutError):
            raw.close()
            self.history.record("ended", attempt=number, how="refused")
            return "refused", None
        waits = [response.over]
        if until is not None:
            waits.append(asyncio.ensure_future(until.wait()))
        try:
            if stalled:
                await asyncio.wait(waits, timeout=stalled[0], return_when=asyncio.FIRST_COMPLETED)
                transport.pause_reading()
                await asyncio.sleep(stalled[1])
                if not transport.is_closing():
                    transport.resume_reading()
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not response.over.done():
                response.how = response.how or "cut"
                transport.abort()
            for wait in waits[1:]:
                wait.cancel()
        await response.over
        self.history.record("ended", attempt=number, how=response.how)
        return response.how, response.status

    async def follow(self, random, stop, *, cut=(0.1, 0.8), rest=(0.0, 0.08)):
        """An honest client on a bad line, until `stop` is set: cut at random, back with its last id."""
        while not stop.is_set():
            how, _ = await self.attempt(self.last_id, seconds=random.uniform(*cut), until=stop)
            if how != "cut":
                await asyncio.sleep(0.05)
            await asyncio.sleep(random.uniform(*rest))

    async def exchange(self, random, *, attempts=12, cut=(0.05, 0.4)):
        """A finite answer, followed over cuts to its end, or to where its upstream is told to be lost. How it ended."""
        for _ in range(attempts):
            how, status = await self.attempt(self.last_id, seconds=random.uniform(*cut))
            lost = bool(self.rows) and self.rows[-1][5] is not None
            if how == "clean" or lost or status not in (200, None):
                return how
            if self.last_id is None and how != "refused":
                return how  # Nobody would send it again by himself.
            await asyncio.sleep(0.02)
        return how

    async def look_back(self, random, client):
        """Another look at what this one was given: from one of its ids on."""
        other = Reader(self.history, self.port, client, self.channel, self.target, method=self.method,
                       fields=self.fields, content=self.content)
        ids = [row[0] for row in self.rows if row[0]]
        await other.attempt(random.choice(ids), seconds=0.4)

    async def stay(self):
        """An honest client on a good line, until `reached` is set."""
        self.is_live = False
        self.reached.clear()
        while not self.reached.is_set():
            await self.attempt(self.last_id, until=self.reached)
            await asyncio.sleep(0.03)


async def come_to_the_end(history, readers, source, within=4.0):
    """All is well again: the source sends a mark, and each of the readers, its own channel's, must come to it. Records
    the goals; how well they were reached is the checker's to say."""
    now = asyncio.get_running_loop().time
    staying = [asyncio.create_task(reader.stay()) for reader in readers]
    await asyncio.sleep(0)
    deadline = now() + within
    nonce = None
    while now() < deadline and nonce is None:
        await asyncio.sleep(0.02)
        if all(reader.is_live for reader in readers):
            nonce = source.mark()
    for reader in readers:
        history.record("goal", channel=reader.channel, client=reader.client, nonce=nonce or "none was sent",
                       within=within if nonce else 0)
        reader.aim(nonce)
    deadline = now() + within
    while nonce and now() < deadline and not all(reader.reached.is_set() for reader in readers):
        await asyncio.sleep(0.02)
    for reader in readers:
        reader.reached.set()
    await asyncio.gather(*staying)
