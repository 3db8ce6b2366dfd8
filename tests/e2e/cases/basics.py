"""What everything else rests on: ids rise by one, a reconnect goes on behind the last id, and any client may name it."""

import asyncio
import json
import time

from support import feed as numbered
from support.feed import Seen
from support.processes import Process
from support.runner import case, check, check_equal, eventually
from support.setup import SESSION, SHARED, start_client, start_proxy, start_relay, start_upstream
from support.upstreams import Feed
from support.wire import Connection, Subscription, fetch


@case("raw events get ids that rise by exactly one, before their own lines")
async def rise_by_one(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=500, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as subscription:
        head = await subscription.open()
        events = await subscription.take(500)
    check_equal([event["id"] for event in events], [str(n) for n in range(1, 501)], "ids")
    check_equal(head.get("Content-Type").partition(";")[0], "text/event-stream", "Content-Type")
    check_equal(head.get("X-Accel-Buffering"), "no", "X-Accel-Buffering")
    check_equal(head.get("Ssequel-Resume"), "live", "Ssequel-Resume")
    expected = b"".join(b"id: %d\n%s" % (seq, numbered.frame(seq)) for seq in range(1, 501))
    raw = subscription.parser.raw
    check(expected in raw, f"frames are not `id: N`, the event's own lines, an empty line: {raw[:300]!r}")
    check_equal(bytes(raw[: -len(expected)]), b"retry: 30\n", "what stands in front of the first frame")


@case("without start, ids begin at the time in microseconds and rise by one")
async def start_auto(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=20, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SHARED.replace("  ids: {start: 1}\n", ""))
    before = time.time_ns() // 1000
    async with Subscription(proxy.port) as subscription:
        ids = [int(event["id"]) for event in await subscription.take(20)]
    check(before - 5_000_000 <= ids[0] <= time.time_ns() // 1000 + 5_000_000, f"the first id is not the time: {ids[0]}")
    check_equal(ids, list(range(ids[0], ids[0] + 20)), "ids")


@case("a browser offline for three seconds asks with its last id and is given the next one first", timeout=60)
async def offline(t):
    events = Feed()
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    relay = await start_relay(t, proxy.port)
    browser = await start_client(t, "chromium", relay.port, page_port=relay.port)
    await browser.until(lambda c: c.opened == 1, "the browser subscribed")
    await eventually(lambda: events.alive == 1, "the upstream stream is open")
    events.publish(10)
    await browser.until_seq(10)
    asked = len(relay.requests)
    relay.go_offline()
    for _ in range(30):  # Three seconds of events that nobody at the browser can see.
        events.publish(1)
        await asyncio.sleep(0.1)
    relay.go_online()
    await browser.until_seq(40)
    events.publish(5)
    await browser.until_seq(45)
    browser.seen.require_exactly(1, 45)
    check_equal(browser.seen.ids, [str(n) for n in range(1, 46)], "ids that the browser was given")
    back = [bytes(first) for first in relay.requests[asked:] if b"GET /events" in first]
    check(back and b"\r\nlast-event-id: 10\r\n" in back[0].lower(), f"the browser asked {back[:1]!r}")
    check_equal(len([r for r in upstream.requests if r.path == "/events"]), 1, "upstream requests")


@case("Last-Event-ID: 42 without an Accept is answered from id 43 on, to fifty clients at once")
async def forty_two(t):
    events = Feed(own_counter=True, total=100, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as first:
        await first.take(100)

        async def one():
            async with Subscription(proxy.port, last_event_id="42", accept=None) as client:
                head = await client.open()
                check_equal(head.status, 200, "status")
                check_equal(head.get("Ssequel-Resume"), "suffix", "Ssequel-Resume")
                seen = Seen()
                for event in await client.take(58):
                    seen.add(event)
                seen.require_exactly(43, 100)
                check_equal(seen.ids[0], "43", "first id")
                check(b"id: 42\n" not in client.parser.raw, "id 42 was sent again")

        await asyncio.gather(*(one() for _ in range(50)))
    check_equal(upstream.connections, 1, "upstream connections")


@case("curl's own -H 'Last-Event-ID: 42' shows id: 43 first")
async def curl_forty_two(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=60, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as first:
        await first.take(60)
        curl = await t.enter(
            Process("curl", "-sN", "-H", "Last-Event-ID: 42", f"http://127.0.0.1:{proxy.port}/events"))
        lines = [await curl.line() for _ in range(4)]
        ids = [line for line in lines if line.startswith("id:")]
        check_equal(ids[0], "id: 43", "first id line")


@case("every answer to a Last-Event-ID is 200, and every gap is told")
async def total_function(t):
    events = Feed(own_counter=True, total=50, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED.replace("  linger", "  window: {events: 10}\n  linger"))
    async with Subscription(proxy.port) as live:
        await live.take(50)
        table = [
            ("50", None),
            ("45", None),
            ("3", "window"),
            ("51", "ahead"),
            ("999999999999", "ahead"),
            ("007", "unknown"),
            ("-1", "unknown"),
            ("4 5", "unknown"),
            ("käse", "unknown"),
            ("x" * 2000, "unknown"),
            ("550e8400-e29b-41d4-a716-446655440000", "unknown"),
            ("99999999999999999999999999", "unknown"),
        ]
        for asked, reason in table:
            async with Subscription(proxy.port, last_event_id=asked) as client:
                head = await client.open()
                check_equal(head.status, 200, f"status for {asked[:40]!r}")
                if reason is None:
                    verdict = "live" if asked == "50" else "suffix"
                    check_equal(head.get("Ssequel-Resume"), verdict, f"Ssequel-Resume for {asked!r}")
                    if asked != "50":
                        check_equal((await client.event())["id"], str(int(asked) + 1), f"first id after {asked}")
                    continue
                verdict = head.get("Ssequel-Resume")
                event = await client.event()
                check_equal(event["type"], "sync-required", f"answer to {asked[:40]!r}")
                content = json.loads(event["data"])
                told = content["reason"]
                if asked == "99999999999999999999999999":
                    check(told in ("ahead", "unknown"), f"reason for a number past 2^64: {told}")
                else:
                    check_equal(told, reason, f"reason for {asked[:40]!r}")
                check_equal(verdict, f"sync-required; reason={told}", "Ssequel-Resume")
                check(set(content) >= {"reason", "requested", "oldest", "newest"}, f"content of the event: {content}")
                check_equal(content["newest"], "50", "newest")
                check(len(content["requested"].encode()) <= 128, "requested is longer than 128 bytes")
    check_equal(upstream.connections, 1, "upstream connections")


@case("an empty Last-Event-ID counts as none")
async def empty_id(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=5, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port, last_event_id="") as client:
        events = await client.take(5)
    check_equal([e["id"] for e in events], ["1", "2", "3", "4", "5"], "ids")


@case("the query parameter lastEventId resumes where the field is missing, and is no part of the key")
async def query_parameter(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=30, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SHARED.replace("[path]", "[path, query]"))
    async with Subscription(proxy.port, "/events?room=1") as first:
        await first.take(30)
        for query in ("room=1&lastEventId=20", "last_event_id=20&room=1", "room=1&last-event-id=2%30"):
            async with Subscription(proxy.port, f"/events?{query}") as client:
                check_equal((await client.event())["id"], "21", f"first id for ?{query}")
        async with Subscription(proxy.port, "/events?room=1&lastEventId=7", last_event_id="25") as client:
            check_equal((await client.event())["id"], "26", "first id where the field and the parameter differ")
    check_equal(upstream.connections, 1, "upstream connections")


@case("a foreign Last-Event-ID reaches the upstream byte for byte on proxied and on session requests")
async def id_passes(t):
    events = Feed(own_counter=True, total=3, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SESSION)
    odd = 'weird/"id" %20;é\tx=1'
    for target in ("/hello", "/events"):
        async with Connection(proxy.port) as connection:
            await connection.request("GET", target, [("Accept", "text/event-stream" if target == "/events" else "*/*"),
                                                     ("Last-Event-ID", odd), ("Connection", "last-event-id")])
            await connection.head()
        request = await eventually(lambda: next((r for r in upstream.requests if r.path == target), None), "a request")
        check_equal(request.all("Last-Event-ID"), [odd], f"Last-Event-ID at the upstream's {target}")


@case("a session's own id resumes without a second upstream request, whatever its Accept")
async def session_resume(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=40, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SESSION)
    async with Subscription(proxy.port) as first:
        events = await first.take(20)
    for accept in ("text/event-stream", None, "*/*"):
        async with Subscription(proxy.port, last_event_id=events[19]["id"], accept=accept) as again:
            seen = Seen()
            for event in await again.take(20):
                seen.add(event)
            seen.require_exactly(21, 40)
    check_equal(len([r for r in upstream.requests if r.path == "/events"]), 1, "upstream requests")


@case("two shared subscribers see the same bytes, and a HEAD or POST on the path is proxied")
async def same_bytes(t):
    async def post(exchange):
        if exchange.request.method == "GET":
            await events.serve(exchange)
        else:
            await exchange.respond(200, b"posted", [("Content-Type", "text/plain")])

    events = Feed(own_counter=True, total=50, ends=False)
    upstream = await start_upstream(t, {"/events": post})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as one, Subscription(proxy.port) as two:
        await asyncio.gather(one.take(50), two.take(50))
        check_equal(one.parser.raw, two.parser.raw, "bytes of two subscribers")
    answer = await fetch(proxy.port, "POST", "/events", content=b"x")
    check_equal((answer.status, answer.content), (200, b"posted"), "answer to a POST on the shared path")
