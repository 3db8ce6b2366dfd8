"""A resumable event stream done right (and, on request, wrong): what the harness itself is tested against."""

import asyncio

from . import feed as numbered


class Reference:
    """Events 1..last with id N; a Last-Event-ID of N goes on with N+1. `fault` spoils resumed answers only."""

    def __init__(self, last, *, fault=None, retry_ms=20, pace=0.001):
        self.last = last
        self.fault = fault
        self.retry_ms = retry_ms
        self.pace = pace
        self.spoiled = False

    async def __call__(self, exchange):
        raw = exchange.request.get("Last-Event-ID")
        if raw is None and "lastEventId=" in exchange.request.target:  # event-source-polyfill
            raw = exchange.request.target.rpartition("lastEventId=")[2]
        start = int(raw or 0) + 1
        seqs = list(range(start, self.last + 1))
        if raw and self.fault and len(seqs) > 2 and not self.spoiled:
            self.spoiled = True
            if self.fault == "loses":
                seqs = seqs[1:]
            elif self.fault == "doubles":
                seqs = [start - 1, *seqs]
            elif self.fault == "reorders":
                seqs[0], seqs[1] = seqs[1], seqs[0]
        fields = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
        await exchange.head(200, [*fields, ("Access-Control-Allow-Origin", "*")])
        await exchange.chunk(f"retry: {self.retry_ms}\nid: {start - 1}\n\n".encode())
        for seq in seqs:
            data = numbered.frame(seq)
            if self.fault == "changes" and seq == self.last // 2:
                data = data.replace(b"pad", b"Pad")
            await exchange.chunk(data[:-1] + b"id: %d\n\n" % seq)
            await asyncio.sleep(self.pace)
        while await exchange.reader.read(4096):  # Stays open, as a live feed does.
            pass
        exchange.keep_alive = False
