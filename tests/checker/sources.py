"""The upstream of a recorded run: legacy event streams over real HTTP that write down what they send, on which connection.

A Source serves one channel. Its events carry a nonce that is used once in a whole run, so that every delivered event can be
traced to the write it came from. What makes parsers, logs and clients stumble is made on purpose and at random: all three
line ends, writes split anywhere (between CR and LF above all), events on several lines, events too large, connections that
end cleanly, by a reset, or inside an event.
"""

import asyncio
import json

from history import digest


def payload_digest(event, data):
    return digest(f"{event}\0{data}".encode())


class Source:
    """`origin`: a function of the sequence number that gives the event's own id. `journal`: it keeps what it sent and goes
    on behind the Last-Event-ID it is asked for. `total`: so many events on each connection, then the end `ending` says."""

    def __init__(self, history, random, channel, *, pace=0.02, burst=1, pad=(0, 200), origin=None, journal=False,
                 total=None, ending="clean", lives=None, oversized=0, event_bytes=1 << 20, tidy=False, fields=(), node=None):
        self.history = history
        self.random = random
        self.channel = channel
        self.pace = pace
        self.burst = burst
        self.pad = pad
        self.origin = origin
        self.journal = [] if journal else None
        self.total = total
        self.ending = ending
        self.lives = lives  # (least, most) events of a connection before it breaks; None: it stands.
        self.oversized = oversized  # Share of events larger than event_bytes.
        self.event_bytes = event_bytes
        self.tidy = tidy  # LF and whole writes only: for speed.
        self.fields = fields
        self.node = node  # Whose upstream it is, where each node has its own.
        self.seq = 0
        self.open = {}  # Connection number: its _Stream.
        self.origins = {}  # Nonce: its origin id.
        self.finished = {}  # Ask: the last nonce of a stream that came to its end, cleanly.

    def calm(self):
        """From now on connections stand, no event is too large, and none comes so fast that a mark leaves the window."""
        self.burst = 1
        self.pace = max(self.pace, 0.05)
        self.lives = None
        self.oversized = 0
        for stream in self.open.values():
            stream.left = None

    def newest(self):
        """The number of the connection opened last, of those that stand; None if none does."""
        return max((stream.number for stream in self.open.values() if stream.is_well), default=None)

    def mark(self):
        """Sends one more event on the connection that stands; its nonce, or None if there is none."""
        for stream in reversed(self.open.values()):
            if stream.is_well:
                stream.marks.append(f"{stream.number}.m{len(stream.marks) + stream.marked}")
                return stream.marks[-1]
        return None

    async def serve(self, exchange):
        stream = _Stream(self, exchange)
        await stream.run()


class _Stream:
    def __init__(self, source, exchange):
        self.source = source
        self.exchange = exchange
        self.random = source.random
        self.number = source.history.connection_number()
        self.ask = exchange.request.get("X-Ask")
        self.count = 0
        self.marks = []  # Nonces still to be sent.
        self.marked = 0
        self.is_well = True
        self.left = self.random.randint(*source.lives) if source.lives else None
        self.eol = "\n" if source.tidy else self.random.choice(["\n", "\r\n", "\r\n", "\r"])
        self.at = 0

    async def run(self):
        source, request = self.source, self.exchange.request
        asked = request.get("Last-Event-ID")
        where = {"node": source.node} if source.node else {}
        source.history.record("connect", connection=self.number, channel=source.channel, ask=self.ask,
                              method=request.method, last_event_id=asked, **where)
        if source.journal is not None:
            if source.journal:  # What happened while nobody was connected.
                for _ in range(self.random.randint(1, 5)):
                    source.seq += 1
                    source.journal.append(source.seq)
            self.at = int(asked.rpartition("-")[2]) if asked and asked.startswith("e-") else len(source.journal)
        source.open[self.number] = self
        how = "peer"
        gone = asyncio.create_task(_until_gone(self.exchange.reader))
        try:
            await self.exchange.head(200, [
                ("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"),
                ("Set-Cookie", f"login=canary-{self.ask}-{self.number}"), ("Connection", "X-Hop"),
                ("X-Hop", f"canary-hop-{self.number}"), ("X-Service", "legacy"), *source.fields])
            how = await self._events(gone)
            if how == "clean":
                await self.exchange.last_chunk()
            elif how == "broken":
                self.exchange.reset()
        except (ConnectionError, OSError):
            how = "peer"
        finally:
            gone.cancel()
            self.is_well = False
            self.exchange.keep_alive = False
            source.open.pop(self.number, None)
            source.history.record("disconnect", connection=self.number, how=how)

    async def _events(self, gone):
        source = self.source
        while not gone.done():
            for _ in range(source.burst):
                if source.total is not None and self.count == source.total:
                    return self._end()
                if self.left is not None:
                    self.left -= 1
                    if self.left <= 0:
                        return await self._break()
                seq, is_new = self._next()
                nonce = f"{self.number}.{self.count}"
                if is_new and self.marks:
                    nonce = self.marks.pop(0)
                    self.marked += 1
                await self._send(nonce, seq)
            if source.pace < 0.1:
                await asyncio.sleep(source.pace)
            else:  # Its end is told when it comes.
                await asyncio.wait([gone], timeout=source.pace)
        return "peer"

    def _next(self):
        """The number of the event to send; from the journal what this connection has not been sent yet. Is it new?"""
        source = self.source
        if source.journal is not None and self.at < len(source.journal):
            self.at += 1
            return source.journal[self.at - 1], False
        source.seq += 1
        if source.journal is not None:
            source.journal.append(source.seq)
            self.at += 1
        return source.seq, True

    def _end(self):
        if self.source.ending == "clean":
            self.source.finished[self.ask] = f"{self.number}.{self.count - 1}"
        return self.source.ending

    async def _break(self):
        """Ends the connection: cleanly or not, and half of the times inside an event."""
        how = self.random.choice(["clean", "broken"])
        if self.random.random() < 0.5 and self.source.journal is None:
            nonce = f"{self.number}.{self.count}"
            whole, payload, origin = self._event(nonce, self.source.seq, False)
            self._record(nonce, self.source.seq, payload, origin, whole=False)
            # All of its lines, but not the empty one that would dispatch it; or less.
            cut = len(whole) - len(self.eol) if self.random.random() < 0.7 else self.random.randrange(len(whole) // 2)
            await self.exchange.chunk(whole[:cut])
            await asyncio.sleep(0.01)  # A reset would take it along.
        return how

    def _event(self, nonce, seq, oversized):
        random, source = self.random, self.source
        size = source.event_bytes + 10 if oversized else random.randint(*source.pad)
        head = json.dumps({"nonce": nonce, "seq": seq, "channel": source.channel}, separators=(",", ":"))[:-1]
        lines = [f'{head},', f'"pad":"{"é" * (size // 2)}"' + "}"]
        if source.tidy or random.random() < 0.5:
            lines = ["".join(lines)]
        event = "tick" if random.random() < 0.4 else "message"
        origin = source.origin(seq) if source.origin else None
        text = []
        if event != "message":
            text.append(f"event: {event}")
        if origin is not None:
            text.append(f"id: {origin}")
        text += [f"data: {line}" for line in lines]
        whole = (self.eol.join(text) + self.eol + self.eol).encode()
        return whole, payload_digest(event, "\n".join(lines)), origin

    def _record(self, nonce, seq, payload, origin, **more):
        self.count += 1
        if origin is not None:
            self.source.origins[nonce] = origin
        self.source.history.record("sent", connection=self.number, nonce=nonce, seq=seq, payload=payload, origin=origin,
                                   **more)

    async def _send(self, nonce, seq):
        source, random = self.source, self.random
        oversized = source.oversized > 0 and random.random() < source.oversized
        whole, payload, origin = self._event(nonce, seq, oversized)
        self._record(nonce, seq, payload, origin, **({"oversized": True} if oversized else {}))
        if source.tidy or random.random() < 0.5:
            await self.exchange.chunk(whole)
            return
        # In two reads, split anywhere; with CRLF mostly between the two.
        cut = random.randrange(1, len(whole))
        if self.eol == "\r\n":
            first = whole.find(b"\r\n")
            cut = first + 1 if random.random() < 0.7 else whole.find(b"\r\n", first + 2) + 1
        await self.exchange.chunk(whole[:cut])
        await asyncio.sleep(0.002)
        await self.exchange.chunk(whole[cut:])


async def _until_gone(reader):
    try:
        while await reader.read(1 << 12):
            pass
    except (ConnectionError, OSError):
        pass
