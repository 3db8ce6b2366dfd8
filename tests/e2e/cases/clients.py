"""Real client libraries through the proxy, behind a relay that cuts their connections: every event once, in order."""

import asyncio

from support import feed as numbered
from support.feed import Seen
from support.relay import random_cuts
from support.runner import case, check, check_equal
from support.setup import ROUTES, start_client, start_proxy, start_relay, start_upstream
from support.upstreams import Feed, Style
from support.wire import Subscription

# How often each is cut: what reconnects no sooner than after a second is cut less often.
LIBRARIES = {"chromium": 10, "eventsource": 10, "undici": 10, "polyfill": 3, "fetch-event-source": 10, "curl": 10,
             "python": 10}
# What of each answer the relay lets pass before it may cut. On a session route a client must have been given an id before
# it can resume: Chromium (and undici) take one from a block without data, the others only with an event. These two besides
# give up for ever when a connection ends inside an answer's head, with or without a proxy: Chromium takes the half it has
# for all there is, and undici 6.29.1 never asks again.
SPARE = {
    "shared": {"chromium": "head", "undici": "head"},
    "session": {"chromium": "head", "undici": "head", "eventsource": "event", "polyfill": "event", "curl": "event",
                "fetch-event-source": "event", "python": "event"},
}
EVENTS = 300

# @microsoft/fetch-event-source takes an id at its line. With the id line last, what remains is the single byte between
# it and the empty line; the relay does not cut there, and everywhere else.
ID_LAST = """  ids: {start: 1, place: last}
  our_end: cut
"""


def cutting(t, library, mode, count):
    return {
        "cuts": random_cuts(t.random, smallest=1, largest=5000, count=count),
        "spare": SPARE[mode].get(library),
        "line_ends": library != "fetch-event-source",
        "reset_share": 0.0 if library == "fetch-event-source" else 0.5,
    }


def has_last_event_id(head):
    """In the field, or as event-source-polyfill has it, in the query."""
    return b"\r\nlast-event-id:" in head.lower() or b"lasteventid=" in head.lower()


def survives(library, mode, cuts):
    @case(f"{library} has every event once on a {mode} route although it is cut {cuts} times", timeout=90)
    async def run(t):
        # The browser's page is of another origin (the proxy's port, not the relay's), so that CORS is part of this.
        style = Style(fields=(("Access-Control-Allow-Origin", "*"),))
        events = Feed(style, own_counter=True, total=EVENTS, pace=0.002, ends=False)
        upstream = await start_upstream(t, {"/events": events})
        route = ROUTES[mode]
        if library == "fetch-event-source":
            route = (route.replace("  ids: {start: 1}\n", ID_LAST) if mode == "shared"
                     else route + "  ids: {place: last}\n")
        proxy = await start_proxy(t, upstream, routes=route)
        relay = await start_relay(t, proxy.port, **cutting(t, library, mode, cuts))
        t.on_failure(lambda: f"relay: {relay.accepted} connections, cut at {relay.positions}")
        client = await start_client(t, library, relay.port, page_port=proxy.port)
        await client.until_seq(EVENTS, timeout=75)
        client.seen.require_exactly(1, EVENTS)
        check(relay.cut >= min(cuts, 3), f"the relay cut only {relay.cut} times")
        streams = [request for request in upstream.requests if request.path == "/events"]
        # A browser that was cut before it had an id asks anew, and a session begins anew with it.
        new = 1 if mode == "shared" else len([r for r in relay.requests if not has_last_event_id(bytes(r))])
        check_equal(len(streams), new, "requests for the stream that reached the upstream")
        check_equal({stream.get("Last-Event-ID") for stream in streams}, {None}, "Last-Event-ID at the upstream")

    return run


for _library, _cuts in LIBRARIES.items():
    for _mode in ("shared", "session"):
        survives(_library, _mode, _cuts)


@case("fetch-event-source reads a POST's answer to its end over cuts with one upstream request", timeout=60)
async def post_stream(t):
    answer = Feed(own_counter=True, total=200, pace=0.002, ends=True)
    upstream = await start_upstream(t, {"/chat": answer})
    proxy = await start_proxy(t, upstream, routes="""
        - name: chat
          match: {path: /chat, methods: [POST]}
          mode: session
          ids: {place: last}
          retry: 30ms
    """)
    relay = await start_relay(t, proxy.port, cuts=random_cuts(t.random, smallest=1, largest=4000, count=6),
                              spare="event", line_ends=False, reset_share=0.0)
    client = await start_client(t, "fetch-event-source", relay.port, "/chat", method="POST", content='{"ask":"why"}',
                                headers={"Content-Type": "application/json"})
    await client.until(lambda c: any(r["kind"] == "closed" for r in c.reports), "the answer's clean end", 45)
    client.seen.require_exactly(1, 200)
    check(relay.cut >= 3, f"the relay cut only {relay.cut} times")
    posts = [request for request in upstream.requests if request.path == "/chat"]
    check_equal(len(posts), 1, "POST requests that reached the upstream")
    check_equal(posts[0].content, b'{"ask":"why"}', "content of the POST")


async def raw_client(t, port, total, cuts, path="/events", fields=()):
    """Reads up to `total` events over several connections, each left after a random number of them."""
    seen, last_event_id = Seen(), None
    while not seen.events or seen.seqs[-1] < total:
        quota = t.random.randint(1, 60) if cuts > 0 else total
        cuts -= 1
        async with Subscription(port, path, last_event_id=last_event_id, fields=fields) as subscription:
            check_equal((await subscription.open()).status, 200, "status")
            for _ in range(quota):
                event = await subscription.event()
                if event is None:
                    break
                seen.add(event)
                last_event_id = event["id"]
                if numbered.data(total) == event["data"]:
                    break
    return seen


@case("forty clients that leave and come back read one channel over one upstream connection", timeout=60)
async def forty_clients(t):
    events = Feed(own_counter=True, total=400, pace=0.001, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=ROUTES["shared"])
    everyone = await asyncio.gather(*(raw_client(t, proxy.port, 400, 5) for _ in range(40)))
    for seen in everyone:
        seen.require_exactly(1, 400)
        check_equal(seen.ids, everyone[0].ids, "ids of two clients of one channel")
    check_equal(upstream.connections, 1, "connections that the upstream accepted")


@case("session clients have a tag and an upstream request each and cannot read each other's", timeout=30)
async def sessions_apart(t):
    events = Feed(own_counter=True, total=50, pace=0.001, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=ROUTES["session"])
    alice = ("Cookie", "user=alice")
    bob = ("Cookie", "user=bob")
    first = await raw_client(t, proxy.port, 50, 3, fields=[alice])
    second = await raw_client(t, proxy.port, 50, 3, fields=[bob])
    for seen in (first, second):
        seen.require_exactly(1, 50)
    tags = {numbered.split_id(seen.ids[0])[0] for seen in (first, second)}
    check_equal(len(tags), 2, "tags of two sessions")
    check_equal(len(upstream.streams("/events")), 2, "requests for the stream that reached the upstream")
    async with Subscription(proxy.port, last_event_id=first.ids[10], fields=[bob]) as thief:
        event = await thief.event()
        check_equal(event["type"], "sync-required", "the answer to another's id")
        check_equal((await thief.open()).get("Ssequel-Resume"), "sync-required; reason=unknown", "Ssequel-Resume")
    await asyncio.sleep(0)
    mismatch = await proxy.metric("last_event_id_mismatch_total", reason="identity")
    check_equal(mismatch, 1, 'last_event_id_mismatch_total{reason="identity"}')


@case("a session's answer that broke off breaks off for the client too, and in its replay", timeout=30)
async def broken_stays_broken(t):
    async def breaks(exchange):
        fields = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
        await exchange.head(200, fields)
        for seq in range(1, 6):
            await exchange.chunk(numbered.frame(seq))
        exchange.reset()

    upstream = await start_upstream(t, {"/chat": breaks})
    proxy = await start_proxy(t, upstream, routes="""
        - name: chat
          match: {path: /chat, methods: [POST]}
          mode: session
    """)
    async with Subscription(proxy.port, "/chat", method="POST", content=b"?") as subscription:
        events = await subscription.to_end()
        check_equal(subscription.ended, "broken", "the end of the first answer")
    seen = Seen()
    for event in events:
        seen.add(event)
    seen.require_exactly(1, 5)
    async with Subscription(proxy.port, "/chat", method="POST", content=b"?", last_event_id=events[1]["id"]) as again:
        replay = await again.to_end()
        check_equal(again.ended, "broken", "the end of the replay")
    check_equal([e["id"] for e in replay[:3]], [e["id"] for e in events[2:]], "ids of the replay")
    check_equal(len([r for r in upstream.requests if r.path == "/chat"]), 1, "POST requests at the upstream")
