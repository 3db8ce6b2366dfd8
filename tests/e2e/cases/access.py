"""Who may read what: channels of different credentials, revoked logins, other origins."""

import json

from support.clients import Client
from support.relay import Relay
from support.runner import case, check, check_equal, eventually
from support.setup import SESSION, SHARED, start_proxy, start_upstream
from support.upstreams import Feed
from support.wire import Connection, Subscription, fetch

# The default key: host, path, query and identity.
OWN = SHARED.replace("  key: [path]\n", "").replace("  ids: {start: 1}\n", "")
ALICE = ("Authorization", "Bearer alice")
BOB = ("Authorization", "Bearer bob")


class Guarded:
    """A service that lets in whose credentials it knows; each has a feed of its own."""

    def __init__(self, **feeds):
        self.feeds = feeds

    async def __call__(self, exchange):
        name = (exchange.request.get("Authorization") or "").rpartition(" ")[2]
        if name not in self.feeds:
            await exchange.respond(401, b"who are you\n", [("WWW-Authenticate", "Bearer")], reason="Unauthorized")
        else:
            await self.feeds[name].serve(exchange)


def feed(name):
    return Feed(name=name, own_counter=True, total=20, ends=False)


@case("with the default key each identity has a channel of its own, and another's id is unknown there")
async def own_channels(t):
    upstream = await start_upstream(t, {"/events": Guarded(alice=feed("alice"), bob=feed("bob"))})
    proxy = await start_proxy(t, upstream, routes=OWN)
    async with Subscription(proxy.port, fields=[ALICE]) as one, Subscription(proxy.port, fields=[ALICE]) as two:
        events = await one.take(20)
        check_equal(await two.take(20), events, "two subscribers of one identity")
        check_equal(len([r for r in upstream.requests if r.path == "/events"]), 1, "upstream requests for one identity")
        async with Subscription(proxy.port, fields=[BOB], last_event_id=events[4]["id"]) as bob:
            first = await bob.event()
            check_equal((first["type"], json.loads(first["data"])["reason"]), ("sync-required", "unknown"), "answer")
            async with Subscription(proxy.port, fields=[BOB]) as again:
                for event in await again.take(20):
                    feed_name = json.loads(event["data"]).get("feed", "bob")
                    check_equal(feed_name, "bob", "whose event bob was given")
    answer = await fetch(proxy.port, target="/events", fields=[("Accept", "text/event-stream")])
    check_equal(answer.status, 401, "answer to nobody")


@case("a login that was revoked is given no replay where the channel's upstream connection is gone")
async def revoked(t):
    service = Guarded(alice=feed("alice"))
    upstream = await start_upstream(t, {"/events": service})
    proxy = await start_proxy(t, upstream, routes=OWN.replace("linger: 60s", "linger: 0"))
    async with Subscription(proxy.port, fields=[ALICE]) as alice:
        events = await alice.take(20)
    await eventually(lambda: not upstream.open, "the upstream connection is let go")
    async with Subscription(proxy.port, fields=[ALICE], last_event_id=events[4]["id"]) as again:
        check_equal((await again.event())["id"], events[5]["id"], "the replay while the login is good")
    await eventually(lambda: not upstream.open, "the upstream connection is let go")
    service.feeds.clear()
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/events", [ALICE, ("Accept", "text/event-stream"),
                                                    ("Last-Event-ID", events[4]["id"])])
        answer = await connection.answer()
    check_equal((answer.status, answer.content), (401, b"who are you\n"), "answer to a revoked login")


@case("authorize: probe refuses a revoked login although the channel is public and alive")
async def probe(t):
    service = Guarded(alice=feed("alice"), bob=feed("bob"))
    upstream = await start_upstream(t, {"/events": service})
    proxy = await start_proxy(t, upstream, routes=SHARED + "  authorize: probe\n  authorize_cache: 0\n")
    async with Subscription(proxy.port, fields=[ALICE]) as alice:
        await alice.take(20)
        async with Subscription(proxy.port, fields=[BOB], last_event_id="15") as bob:
            check_equal((await bob.event())["id"], "16", "the replay to a login that is good")
        del service.feeds["bob"]
        answer = await fetch(proxy.port, target="/events",
                             fields=[BOB, ("Accept", "text/event-stream"), ("Last-Event-ID", "15")])
        check_equal(answer.status, 401, "answer to a revoked login")


@case("credentials of a public channel's subscribers do not go upstream, nor one's Set-Cookie to the others")
async def public(t):
    events = Feed(own_counter=True, total=5, ends=False)
    events.style.fields = (("Set-Cookie", "secret=1"), ("ETag", '"x"'))
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port, fields=[ALICE, ("Cookie", "login=alice"), ("X-Api-Key", "k")]) as client:
        head = await client.open()
        await client.take(5)
    check_equal((head.get("Set-Cookie"), head.get("ETag")), (None, None), "per-response fields of a shared stream")
    sent = upstream.streams("/events")[0]
    check_equal([sent.get(n) for n in ("Authorization", "Cookie", "X-Api-Key")], [None] * 3, "credentials upstream")


async def with_cors(exchange):
    """A service that lets one other page read it, and has never heard of Last-Event-ID."""
    origin = exchange.request.get("Origin")
    allowed = [("Access-Control-Allow-Origin", origin or ""), ("Access-Control-Allow-Credentials", "true"),
               ("Vary", "Origin")] if origin else []
    if exchange.request.method == "OPTIONS":
        asked = (exchange.request.get("Access-Control-Request-Headers") or "").lower()
        if "last-event-id" in asked:
            await exchange.respond(403, b"never heard of that\n", reason="Forbidden")
        else:
            await exchange.respond(204, b"", [*allowed, ("Access-Control-Allow-Methods", "GET"),
                                              ("Access-Control-Allow-Headers", "x-mine")])
        return
    stream = Feed(own_counter=True, total=20, pace=0.01, ends=False)
    stream.style.fields = tuple(allowed)
    await stream.serve(exchange)


@case("a preflight that asks for Last-Event-ID is allowed where the service allows the rest")
async def preflight(t):
    upstream = await start_upstream(t, {"/events": with_cors})
    proxy = await start_proxy(t, upstream, routes=SESSION)
    fields = [("Origin", "http://page.example"), ("Access-Control-Request-Method", "GET"),
              ("Access-Control-Request-Headers", "last-event-id,x-mine")]
    answer = await fetch(proxy.port, "OPTIONS", "/events", fields)
    check(answer.status in (200, 204), f"status {answer.status}")
    allowed = (answer.get("Access-Control-Allow-Headers") or "").lower().replace(" ", "").split(",")
    check({"last-event-id", "x-mine"} <= set(allowed), f"Access-Control-Allow-Headers: {allowed}")
    sent = next(r for r in upstream.requests if r.method == "OPTIONS")
    check("last-event-id" not in (sent.get("Access-Control-Request-Headers") or "").lower(), "it went upstream")


def other_origin(mode, routes):
    @case(f"Chromium on another origin's page resumes on a {mode} route", timeout=60)
    async def run(t):
        pages = await start_upstream(t)
        upstream = await start_upstream(t, {"/events": with_cors})
        proxy = await start_proxy(t, upstream, routes=routes)
        relay = await t.enter(Relay(proxy.port, cuts=iter([2500, 3500] + [None] * 50).__next__, spare="head"))
        page = f"http://127.0.0.1:{pages.port}/page"
        client = await t.enter(Client("chromium", f"http://127.0.0.1:{relay.port}/events", page=page))
        await client.until_seq(20)
        client.seen.require_exactly(1, 20)
        check(relay.cut >= 1, "the relay cut nothing")

    return run


other_origin("shared", SHARED)
other_origin("session", SESSION)
