"""A subscriber that comes back as a browser's EventSource does (WHATWG HTML §9.2): after the reconnection time it was last
told, with the last id it was given; and that gives up for ever on any answer but a 200 with an event stream."""

import asyncio

from readers import Reader


class EventSource(Reader):
    """`churn`: (least, most) seconds after which it leaves by itself, and is back soon, as a reader who turns pages.
    `late`: a port that the first attempt goes to, from where the news of an endpoint's end has not come yet.
    `choose`: a function that gives (name, port) of the node for each attempt; without it all go to one port."""

    def __init__(self, history, port, client, channel, target, *, random, churn=None, late=None, choose=None):
        super().__init__(history, port, client, channel, target, fields=[("Cache-Control", "no-cache")], keep=50)
        self.random = random
        self.churn = churn
        self.late = late
        self.choose = choose
        self.will_leave = False  # True exactly while an attempt runs that it will leave.
        self.is_closed = False
        self.returns = 0  # Attempts after the first.

    async def live(self, stop):
        # Not all in one moment: nobody opens a thousand pages at once.
        await asyncio.sleep(self.random.uniform(0, 1.0))
        while not stop.is_set():
            seconds = self.random.uniform(*self.churn) if self.churn else None
            self.will_leave = seconds is not None
            self.is_live, self.status, self.head_fields = False, None, []
            if self.choose:
                self.node, self.port = self.choose()
            if self.late:
                usual, self.port, self.late = self.port, self.late, None
                how, status = await self.attempt(self.last_id, until=stop)
                self.port = usual
            else:
                how, status = await self.attempt(self.last_id, seconds=seconds, until=stop)
            self.is_live = False
            if stop.is_set():
                return
            self.returns += 1
            if how == "cut":
                await asyncio.sleep(self.random.uniform(0, 0.3))
                continue
            if status is not None and not self.is_stream:
                self.is_closed = True
                self.history.record("report", text=f"{self.client} ended CLOSED: {status}, {self.head_fields}")
                return
            # The browser's own delay where it was told none.
            delay = 3.0 if self.retry_ms is None else self.retry_ms / 1000
            try:
                await asyncio.wait_for(stop.wait(), delay)
            except asyncio.TimeoutError:
                pass

    @property
    def is_stream(self):
        """What the latest answer's head said: 200, with an event stream."""
        kind = self._field("content-type") or ""
        return self.status == 200 and kind.partition(";")[0].strip() == "text/event-stream"

    @property
    def is_reading(self):
        """It is given a log; not trouble without data."""
        return self.is_live and self._field("ssequel-resume") is not None

    @property
    def pod(self):
        return self._field("x-pod")

    def _field(self, name):
        return next((value for each, value in self.head_fields if each.lower() == name), None)
