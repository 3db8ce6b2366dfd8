"""Upstreams that are away, restarting, overloaded or resetting: a browser must neither give up nor lose in silence."""

import asyncio

from support.feed import Seen
from support.runner import case, check, check_equal, eventually
from support.setup import ROUTES, SESSION, SHARED, start_client, start_proxy, start_upstream
from support.upstreams import Feed
from support.wire import Subscription, fetch

CLOSED = 2


def never_closed(browser):
    """An EventSource in the state CLOSED never comes back by itself."""
    for report in browser.reports:
        check(report.get("readyState") != CLOSED, f"the EventSource gave up: {report}")


def answers(status, fields=()):
    async def handler(exchange):
        await exchange.respond(status, b"trouble\n", [("Content-Type", "text/plain"), *fields], reason="Trouble")

    return handler


async def resets(exchange):
    exchange.reset()


async def half_a_head(exchange):
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev")
    exchange.reset()


async def garbage(exchange):
    await exchange.raw(b"\x00\x01SSH-2.0-nothing of HTTP\r\n\r\n")
    exchange.keep_alive = False


TROUBLES = {
    "500": answers(500),
    "502": answers(502),
    "503 with Retry-After": answers(503, [("Retry-After", "0")]),
    "429": answers(429),
    "408": answers(408),
    "resets": resets,
    "half a head": half_a_head,
    "garbage instead of HTTP": garbage,
}


class Switch:
    """A service that is healthy or troubled, as the case says."""

    def __init__(self, healthy):
        self.healthy = healthy
        self.trouble = None
        self.troubled = 0

    async def __call__(self, exchange):
        if self.trouble is not None:
            self.troubled += 1
            await self.trouble(exchange)
        else:
            await self.healthy.serve(exchange)


def while_subscribing(name, trouble, mode):
    @case(f"Chromium subscribes while the upstream answers {name} ({mode}) and is served once it is well", timeout=60)
    async def run(t):
        events = Feed()
        switch = Switch(events)
        switch.trouble = trouble
        upstream = await start_upstream(t, {"/events": switch})
        proxy = await start_proxy(t, upstream, routes=ROUTES[mode])
        browser = await start_client(t, "chromium", proxy.port)
        await eventually(lambda: switch.troubled >= 3, "the browser (or the proxy for it) asked three times", 40)
        switch.trouble = None
        await eventually(lambda: events.alive, "the stream is open", 40)
        events.publish(20)
        await browser.until_seq(20)
        never_closed(browser)
        browser.seen.require_told()
        check_equal(browser.seen.seqs, list(range(1, 21)), "events")

    return run


for _name, _trouble in TROUBLES.items():
    while_subscribing(_name, _trouble, "shared")
while_subscribing("503 with Retry-After", TROUBLES["503 with Retry-After"], "session")
while_subscribing("resets", resets, "session")


@case("Chromium stays subscribed through every kind of upstream trouble and is told of each gap", timeout=90)
async def while_subscribed(t):
    events = Feed()
    switch = Switch(events)
    upstream = await start_upstream(t, {"/events": switch})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    browser = await start_client(t, "chromium", proxy.port)
    await eventually(lambda: events.alive, "the stream is open", 30)
    events.publish(5)
    await browser.until_seq(5)
    for name, trouble in TROUBLES.items():
        switch.trouble, before = trouble, switch.troubled
        for exchange in list(upstream.open):
            exchange.reset()
        await eventually(lambda: switch.troubled >= before + 2, f"the proxy met the upstream's {name} twice", 20)
        events.publish(3)  # Made while nobody was connected: a gap that must be told.
        switch.trouble = None
        await eventually(lambda: events.alive, f"the stream is open again after {name}", 20)
        events.publish(4)
        await browser.until_seq(events.last)
    never_closed(browser)
    browser.seen.require_told()
    browser.seen.require_rising_ids()
    check_equal(len(browser.seen.syncs), len(TROUBLES), "sync-required events")
    check_equal(browser.opened, 1, "responses that the browser opened: it was to stay connected throughout")


@case("Chromium stays subscribed while the upstream process is stopped and started again", timeout=60)
async def restart(t):
    events = Feed()
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    browser = await start_client(t, "chromium", proxy.port)
    for _ in range(3):
        await eventually(lambda: events.alive, "the stream is open", 20)
        events.publish(10)
        await browser.until_seq(events.last)
        await upstream.stop()
        events.publish(2)
        await asyncio.sleep(0.3)  # Down for a while: connections are refused.
        await upstream.start()
    await eventually(lambda: events.alive, "the stream is open", 20)
    events.publish(10)
    await browser.until_seq(events.last)
    never_closed(browser)
    browser.seen.require_told()
    check_equal(len(browser.seen.syncs), 3, "sync-required events")


@case("Chromium subscribes on a session route while the upstream is down, and is served when it is up", timeout=60)
async def session_down(t):
    events = Feed(own_counter=True, total=30, pace=0.001, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SESSION)
    browser = await start_client(t, "chromium", proxy.port, path="/page?no-events")
    await browser.until(lambda c: any(r["kind"] == "loaded" for r in c.reports), "the page is loaded")
    await upstream.stop()
    browser.tell({"do": "evaluate", "name": "state", "code": """
        window.other = new EventSource('/events');
        for (const type of ['message', 'tick', 'sync-required']) other.addEventListener(type, (event) =>
          report('event', {type: event.type, data: event.data, id: event.lastEventId, readyState: other.readyState}));
        other.onerror = () => report('error', {readyState: other.readyState, mine: true});
        0"""})
    await browser.until(lambda c: sum(1 for r in c.reports if r.get("mine")) >= 3, "three failed attempts")
    await upstream.start()
    await browser.until_seq(30)
    mine = [report for report in browser.reports if report.get("mine")]
    check(all(report["readyState"] != CLOSED for report in mine), f"the EventSource gave up: {mine}")
    browser.seen.require_exactly(1, 30)


@case("a GET that names text/event-stream gets 200, a retry and the end instead of 502; others get the 502")
async def trouble_answers(t):
    upstream = await start_upstream(t)
    await upstream.stop()
    proxy = await start_proxy(t, upstream, routes=SESSION)
    async with Subscription(proxy.port) as client:
        head = await client.open()
        check_equal(head.status, 200, "status")
        check_equal(head.get("Content-Type").partition(";")[0], "text/event-stream", "Content-Type")
        check_equal(await client.to_end(), [], "events")
        check_equal(client.ended, "broken", "the end (on a session route a clean one would pass for a complete answer)")
        retry = client.parser.retry
        check(retry is not None and 30 <= retry <= 60, f"retry is not between one and two times the route's: {retry}")
    answer = await fetch(proxy.port, target="/hello")
    check_equal((answer.status, answer.get("Content-Type")), (502, "application/problem+json"), "answer to a plain GET")
    check_equal(answer.json().get("status"), 502, "status in the content")
    trouble = await proxy.metric("ssequel_trouble_answers_total")
    check_equal(trouble, 1, "ssequel_trouble_answers_total")


@case("trouble waits at least as long as Retry-After says")
async def retry_after(t):
    upstream = await start_upstream(t, {"/events": answers(503, [("Retry-After", "7")])})
    proxy = await start_proxy(t, upstream, routes=SESSION)
    async with Subscription(proxy.port) as client:
        check_equal((await client.open()).status, 200, "status")
        await client.to_end()
        check(client.parser.retry is not None and 7000 <= client.parser.retry <= 300_000, f"{client.parser.retry}")


def final(status):
    for mode in ("shared", "session"):

        @case(f"{status} is relayed as it is on a {mode} route")
        async def run(t, mode=mode):
            upstream = await start_upstream(t, {"/events": answers(status, [("X-Why", "because")])})
            proxy = await start_proxy(t, upstream, routes=ROUTES[mode])
            answer = await fetch(proxy.port, target="/events", fields=[("Accept", "text/event-stream")])
            check_equal((answer.status, answer.get("X-Why")), (status, "because"), "answer")
            if status != 204:
                check_equal(answer.content, b"trouble\n", "content")


for _status in (204, 401, 403, 404, 410):
    final(_status)


@case("a reconnect to a shared channel in trouble gets its replay at once and the rest when it is well")
async def replay_in_trouble(t):
    events = Feed()
    switch = Switch(events)
    upstream = await start_upstream(t, {"/events": switch})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as first:
        await eventually(lambda: events.alive, "the stream is open", 30)
        events.publish(10)
        await first.take(10)
    switch.trouble = answers(503)
    for exchange in list(upstream.open):
        exchange.reset()
    await eventually(lambda: switch.troubled, "the proxy met the trouble")
    async with Subscription(proxy.port, last_event_id="4") as again:
        seen = Seen()
        for event in await again.take(6):
            seen.add(event)
        seen.require_exactly(5, 10)
        switch.trouble = None
        await eventually(lambda: events.alive, "the stream is open again", 15)
        events.publish(2)
        rest = await again.take(3)
        check_equal([e["type"] for e in rest], ["sync-required", "message", "message"], "what follows")
