"""Every limit of `limits:`, reached from outside; behind each, healthy clients are served as if nothing had happened."""

import asyncio
import json
import socket

from support.runner import case, check, check_equal, eventually
from support.setup import SESSION, SHARED, start_proxy, start_upstream
from support.upstreams import Feed
from support.wire import Connection, Subscription, fetch


async def healthy(proxy):
    async def served():
        answer = await fetch(proxy.port, target="/hello")
        return (answer.status, answer.content) == (200, b"hello\n")

    await eventually(served, "a healthy request is served")


async def unwatched(proxy):
    return await proxy.metric("ssequel_subscribers") == 0


@case("connections: the one too many is answered 503 with Retry-After, and room made is room given")
async def connections(t):
    upstream = await start_upstream(t, {"/events": Feed()})
    proxy = await start_proxy(t, upstream, routes=SHARED, limits="{connections: 5}")
    held = []
    for _ in range(5):
        subscription = Subscription(proxy.port)
        held.append(subscription)
        await subscription.__aenter__()
        await subscription.open()
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/hello")
        answer = await connection.answer()
        check_equal(answer.status, 503, "status of the sixth connection")
        check(answer.get("Retry-After") is not None, "no Retry-After")
    async with Subscription(proxy.port) as newcomer:
        head = await newcomer.open()
        check_equal(head.status, 200, "status towards an event stream's client")
        check_equal(await newcomer.to_end(), [], "events towards it")
        check(newcomer.parser.retry is not None, "no retry towards it")
    for subscription in held:
        subscription.abort()
    await healthy(proxy)


@case("connections: an idle keep-alive connection makes room for a newcomer or the newcomer is told 503")
async def connections_idle(t):
    upstream = await start_upstream(t)
    proxy = await start_proxy(t, upstream, routes="", limits="{connections: 2}")
    async with Connection(proxy.port) as one, Connection(proxy.port) as two:
        for connection in (one, two):
            await connection.request("GET", "/hello")
            check_equal((await connection.answer()).status, 200, "status")
        async with Connection(proxy.port) as third:
            await third.request("GET", "/hello")
            answer = await third.answer()
        check(answer.status in (200, 503), f"status of the third: {answer.status}")
    await healthy(proxy)


@case("upstream_connections: what is over it is 503, and it is served when one is free again")
async def upstream_connections(t):
    release = asyncio.Event()

    async def slow(exchange):
        await release.wait()
        await exchange.respond(200, b"slow\n")

    upstream = await start_upstream(t, {"/slow": slow})
    proxy = await start_proxy(t, upstream, routes="", limits="{upstream_connections: 3}")
    waiting = [asyncio.create_task(fetch(proxy.port, target="/slow")) for _ in range(3)]
    await eventually(lambda: len([r for r in upstream.requests if r.path == "/slow"]) == 3, "three requests upstream")
    answer = await fetch(proxy.port, target="/hello")
    check_equal(answer.status, 503, "status of the fourth")
    check(answer.get("Retry-After") is not None, "no Retry-After")
    release.set()
    check_equal([(await task).status for task in waiting], [200, 200, 200], "the three")
    await healthy(proxy)


@case("channels: the unwatched one that was watched least recently makes room; with all watched a newcomer waits")
async def channels(t):
    events = Feed(own_counter=True, total=3, ends=False)
    upstream = await start_upstream(t, {f"/events/{n}": events for n in range(5)})
    routes = SHARED.replace("path: /events,", 'path: "/events/*",')
    proxy = await start_proxy(t, upstream, routes=routes, limits="{channels: 3}")
    for n in range(3):
        async with Subscription(proxy.port, f"/events/{n}") as client:
            await client.take(3)
        await eventually(lambda: unwatched(proxy), "nobody is subscribed")
    async with Subscription(proxy.port, "/events/3") as client:
        await client.take(3)
        # /events/0 had to go; 1 and 2 still hold their logs.
        for n, kept in ((1, True), (2, True)):
            async with Subscription(proxy.port, f"/events/{n}", last_event_id="1") as again:
                check_equal((await again.event())["id"] == "2", kept, f"/events/{n} kept its log")
    watched = []
    for n in (1, 2, 3):
        subscription = await Subscription(proxy.port, f"/events/{n}").__aenter__()
        await subscription.take(3)
        watched.append(subscription)
    async with Subscription(proxy.port, "/events/4") as newcomer:
        head = await newcomer.open()
        check_equal(head.status, 200, "status of the newcomer")
        check_equal(await newcomer.to_end(), [], "events to the newcomer")
        check(newcomer.parser.retry is not None, "no retry to the newcomer")
    for subscription in watched:
        subscription.abort()

    async def room():
        async with Subscription(proxy.port, "/events/4") as client:
            return await client.event() is not None

    await eventually(room, "the newcomer is served once a channel is unwatched")
    await healthy(proxy)


@case("header_bytes: just under is served, just over is 431 or 414")
async def header_bytes(t):
    upstream = await start_upstream(t)
    proxy = await start_proxy(t, upstream, routes=SESSION, limits="{header_bytes: 4KiB}")
    check_equal((await fetch(proxy.port, target="/hello", fields=[("X", "x" * 3000)])).status, 200, "under")
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/hello", [("X", "x" * 4200)])
        check_equal((await connection.answer()).status, 431, "over, by a field")
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/" + "x" * 5000)
        check_equal((await connection.answer()).status, 414, "over, by the target")
    await healthy(proxy)


@case("connect_timeout: an upstream that never accepts is 502 or 504 in that time")
async def connect_timeout(t):
    # A listening socket with a full backlog: further connects get no answer.
    full = socket.socket()
    t.stack.callback(full.close)
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fillers = []
    for _ in range(8):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
        fillers.append(filler)
        t.stack.callback(filler.close)
    await asyncio.sleep(0.1)
    proxy = await start_proxy(t, f"http://127.0.0.1:{full.getsockname()[1]}", routes="",
                              limits="{connect_timeout: 300ms, head_timeout: 1s}")
    started = asyncio.get_running_loop().time()
    answer = await fetch(proxy.port, target="/hello")
    check(answer.status in (502, 504), f"status {answer.status}")
    check(asyncio.get_running_loop().time() - started < 4, "took longer than four seconds")


@case("send_timeout: a subscriber that takes nothing is cut; the others do not notice", timeout=60)
async def send_timeout(t):
    events = Feed(own_counter=True, total=30_000, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED, limits="{send_timeout: 2s}")
    async with Subscription(proxy.port, receive_buffer=8192) as stuck, Subscription(proxy.port) as reader:
        stuck.stop_reading()  # It sent its request and reads nothing at all.
        reading = asyncio.create_task(reader.take(30_000))
        got = await asyncio.wait_for(reading, 40)
        ids = [int(e["id"]) for e in got if e["type"] != "sync-required"]
        check_equal(len(ids), len(set(ids)), "ids are given once")

        seen = []

        async def cut():
            seen.append(await proxy.metric("ssequel_subscribers"))
            return seen[-1] == 1

        t.on_failure(lambda: f"ssequel_subscribers was {seen[-1:]}")
        await eventually(cut, "the stuck subscriber was cut", 15)
    await healthy(proxy)


@case("store_bytes: many channels stay within it, and what was evicted is told", timeout=60)
async def store_bytes(t):
    async def heavy(exchange):
        await exchange.head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
        for seq in range(40):
            await exchange.chunk(b"data: %d %s\n\n" % (seq, b"x" * 10_000))
        await exchange.reader.read(1)

    upstream = await start_upstream(t, {f"/events/{n}": heavy for n in range(10)})
    routes = SHARED.replace("path: /events,", 'path: "/events/*",')
    limits = "{store_bytes: 1MiB, event_bytes: 64KiB}"
    proxy = await start_proxy(t, upstream, routes=routes, limits=limits)
    for n in range(10):
        async with Subscription(proxy.port, f"/events/{n}") as client:
            await client.take(40)
        # With several loops a leaving takes a moment: until then its channel is a watched one.
        await eventually(lambda: unwatched(proxy), "nobody is subscribed")

    async def within():
        held = await proxy.metric("ssequel_window_bytes")
        return held is not None and held <= 1.25 * (1 << 20)

    await eventually(within, "all windows together stay within store_bytes")
    async with Subscription(proxy.port, "/events/0", last_event_id="1") as client:
        event = await client.event()
        check_equal(event["type"], "sync-required", "the answer behind an evicted place")
        check_equal(json.loads(event["data"])["reason"], "window", "reason")
    await healthy(proxy)


@case("max_age ends a shared response at an event's end, and the client goes on behind it")
async def max_age(t):
    events = Feed(own_counter=True, total=400, pace=0.005, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED + "  max_age: 500ms\n")
    ids, responses = [], 0
    while not ids or ids[-1] < 400:
        async with Subscription(proxy.port, last_event_id=str(ids[-1]) if ids else None) as client:
            while not ids or ids[-1] < 400:
                event = await client.event()
                if event is None:
                    responses += 1
                    check_equal(client.ended, "clean", "our own end on a shared route")
                    check(client.parser.rest == b"" and client.parser.lines == [], "ended inside an event")
                    break
                ids.append(int(event["id"]))
    check(responses >= 2, f"only {responses} responses were ended")
    check_equal(ids, list(range(1, len(ids) + 1)), "ids over several responses")


@case("heartbeats come while nothing else does, and are comments without an empty line")
async def heartbeat(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=2, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SHARED + "  heartbeat: 100ms\n")
    async with Subscription(proxy.port) as client:
        await client.take(2)
        before = len(client.parser.raw)
        while client.parser.comments < 3:
            client.parser.feed(await client.parts.__anext__())
        check_equal(set(bytes(client.parser.raw[before:]).split(b"\n")), {b":", b""}, "lines while nothing happens")
        check(b"\n\n" not in client.parser.raw[before:], "an empty line, which some libraries take for an event")


@case("a subscriber that fell out of the window is told it lagged and goes on", timeout=60)
async def lagged(t):
    events = Feed(own_counter=True, total=40_000, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED + "  window: {events: 200}\n")
    async with Subscription(proxy.port) as fast, Subscription(proxy.port, receive_buffer=8192) as slow:
        await slow.open()
        slow.stop_reading()
        await read_to(t, fast, 40_000)
        slow.go_on_reading()
        last, told = 0, 0
        while last < 40_000:
            event = await slow.event()
            check(event is not None, f"the slow subscriber's response ended ({slow.ended}) behind {last}")
            if event["type"] == "sync-required":
                check_equal(json.loads(event["data"])["reason"], "lagged", "reason")
                told += 1
                last = int(event["id"])  # That of the place from which it goes on.
                continue
            # With several loops it may join behind the first events.
            check(last == 0 or int(event["id"]) == last + 1, f"{event['id']} behind {last}")
            last = int(event["id"])
        check(told >= 1, "it never fell out of the window: the case proves nothing")


@case("a subscriber that was foremost and then stops reading holds nobody else back", timeout=60)
async def stuck_foremost(t):
    events = Feed(own_counter=True, total=40_000, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED + "  window: {events: 200}\n")
    async with Subscription(proxy.port, receive_buffer=8192) as stuck:
        await stuck.open()
        stuck.stop_reading()
        emitted = []

        async def held_back():
            emitted.append(await proxy.metric("sse_events_emitted_total") or 0)
            return len(emitted) > 10 and len(set(emitted[-10:])) == 1 and emitted[-1] > 0

        await eventually(held_back, "the upstream is held back by its only subscriber", 20)
        check(emitted[-1] < 40_000, "the stuck subscriber was never held back: the case proves nothing")
        async with Subscription(proxy.port) as newcomer:
            await read_to(t, newcomer, 40_000)


async def read_to(t, subscription, last):
    read = 0
    t.on_failure(lambda: f"it had read {read} of {last}")
    while read < last:
        event = await subscription.event()
        check(event is not None, f"the response ended ({subscription.ended}) behind {read}")
        read = int(event["id"])
