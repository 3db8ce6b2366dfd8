"""`store: redis`: what becomes of a log when Redis is away, refuses, or loses something; what an operator sees of it."""

import asyncio
import uuid

from support.fleet import KEPT, LATE, PATIENCE, QUIET, open_everywhere, reason, seen, start_feed, start_fleet, take, take_until
from support.runner import case, check, check_equal, eventually
from support.servers import Redis
from support.wire import fetch


@case("an upstream's own UUIDs resume on every node, also on one that nobody asked before", timeout=LATE)
async def migration(t):
    def name(seq):
        return str(uuid.uuid5(uuid.NAMESPACE_URL, str(seq)))

    feed, upstream = await start_feed(t, origin_ids=name)
    fleet = await start_fleet(t, upstream)
    first = (await open_everywhere(t, fleet, feed, nodes=[0]))[0]
    feed.publish(30)
    events = await first.take(30)
    for node in range(3):
        async with fleet.subscribe(node, last_event_id=name(10)) as client:
            check_equal(await client.take(20), events[10:], f"what follows the UUID on node {node}")
        check_equal(await fleet.proxies[node].metric("ssequel_resumes_total", route="feed", by="origin"), 1.0,
                    f"resumes by origin on node {node}")
    async with fleet.subscribe(2, last_event_id=str(uuid.uuid4())) as client:
        check_equal(reason((await client.take(1))[0]), "unknown", "the answer to a foreign UUID")


@case("Redis away for four seconds: subscribers stay, nothing comes meanwhile, nothing is missing after", timeout=LATE)
async def redis_away(t):
    feed, upstream = await start_feed(t)
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstream, redis=redis)
    clients = await open_everywhere(t, fleet, feed, nodes=[0])
    clients += [await t.enter(fleet.subscribe(0))]
    feed.publish(10)
    before = await take(clients, 10)
    await redis.kill()
    feed.publish(10)
    waiting = asyncio.create_task(take(clients, 10))

    async def is_told():
        return (await fetch(fleet.proxies[0].admin, target="/readyz?store")).status == 503

    await eventually(is_told, "/readyz?store says that the store is away", timeout=PATIENCE)
    check_equal((await fetch(fleet.proxies[0].admin, target="/readyz")).status, 200, "/readyz meanwhile")
    await asyncio.sleep(4)
    check(not waiting.done(), "events were given that Redis does not hold")
    await redis.start()
    seen(before, await waiting).require_exactly(1, 20)
    feed.publish(10)
    seen(await take(clients, 10)).require_exactly(21, 30)
    check(await fleet.proxies[0].metric("ssequel_store_errors_total") >= 1, "ssequel_store_errors_total")


@case("Redis away at the start: who asks is told to come again, and served once it is there", timeout=LATE)
async def away_at_start(t):
    feed, upstream = await start_feed(t)
    redis = Redis(t, *KEPT)
    fleet = await start_fleet(t, upstream, redis=redis)
    ready = await fetch(fleet.proxies[1].admin, target="/readyz")
    check_equal(ready.status, 200, "/readyz")
    check("redis" in ready.text.lower(), f"/readyz says nothing of Redis: {ready.text}")
    async with fleet.subscribe(1) as client:
        check_equal((await client.open()).status, 200, "status while Redis is away")
        check_equal(await client.event(), None, "an event while Redis is away")
        check(client.parser.retry and client.parser.retry > 0, "no retry: while Redis is away")
    page = await fetch(fleet.proxies[1].port, target="/hello")
    check_equal((page.status, page.text), (200, "hello\n"), "what is no stream")
    await redis.start()

    async def is_served():
        async with fleet.subscribe(1) as client:
            await client.open()
            return client.response.get("Ssequel-Resume") is not None

    await eventually(is_served, "the stream is served once Redis is there", timeout=PATIENCE, interval=0.1)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(5)
    seen(await take(clients, 5)).require_exactly(1, 5)


@case("FLUSHALL is told by one store-gap, and ids go on above all that were sent", timeout=LATE)
async def flushed(t):
    feed, upstream = await start_feed(t)
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstream, redis=redis, routes=QUIET)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(20)
    before = await take(clients, 20)
    await redis.call("FLUSHALL")
    # A lease that is gone may be taken by another node: what is sent while nobody reads is not ours to keep.
    feed.publish(10)
    told = await take(clients, 1)
    check_equal(reason(told[0]), "store-gap", "what tells of the loss")
    highest = int(before[-1]["id"])
    check(int(told[0]["id"]) > highest + 1, f"{told[0]['id']} follows {highest}")

    async def gaps():
        return sum([await proxy.metric("ssequel_store_gaps_total") or 0 for proxy in fleet.proxies])

    await eventually(gaps, "ssequel_store_gaps_total", timeout=PATIENCE)
    await eventually(lambda: feed.alive == 1, "the upstream is read", timeout=PATIENCE)
    feed.publish(10)

    after = await take_until(clients, 40)
    check(all(reason(event) is None for event in after), "more than one sync-required")
    seen(told, after).require_rising_ids()
    for node, last in enumerate((before[-1], before[5], before[0])):
        async with fleet.subscribe(node, last_event_id=last["id"]) as client:
            first = await client.event()
            while reason(first) is None and int(first["id"]) <= highest:
                check_equal(first, before[int(first["id"]) - int(before[0]["id"])], "an event from before the loss")
                first = await client.event()
            check(reason(first) in ("store-gap", "unknown"), f"over the loss in silence: {first}")


@case("errors that pass: a full Redis, one that is a replica for a while, scripts that are gone", timeout=LATE)
async def passing_errors(t):
    feed, upstream = await start_feed(t)
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstream, redis=redis)
    clients = await open_everywhere(t, fleet, feed, nodes=[0])
    feed.publish(5)
    lists = [await take(clients, 5)]
    troubles = [("maxmemory", ("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
                ("READONLY", ("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"))]
    for word, begin, end in troubles:
        await redis.call(*begin)
        feed.publish(5)
        waiting = asyncio.create_task(take(clients, 5))

        async def is_told():
            ready = await fetch(fleet.proxies[0].admin, target="/readyz?store")
            return ready.status == 503 and word in ready.text

        await eventually(is_told, f"/readyz?store says {word}", timeout=PATIENCE)
        check(not waiting.done(), "events were given that Redis does not hold")
        await redis.call(*end)
        lists.append(await waiting)
    await redis.call("SCRIPT", "FLUSH")
    feed.publish(5)
    lists.append(await take(clients, 5))
    seen(*lists).require_exactly(1, 20)


def deleted(what, name, is_told):
    """One key of a log goes, as an eviction or an operator takes it."""

    @case(f"a log's {what} gone from Redis: nobody goes over a loss in silence", timeout=LATE)
    async def run(t):
        feed, upstream = await start_feed(t)
        redis = await Redis(t, *KEPT).start()
        fleet = await start_fleet(t, upstream, redis=redis, routes=QUIET)
        clients = await open_everywhere(t, fleet, feed)
        feed.publish(20)
        before = await take(clients, 20)
        keys = [key for key in await redis.call("KEYS", "ssequel:*") if key.endswith(name.encode())]
        check_equal(await redis.call("DEL", *keys), 1, f"keys that end in {name}")

        # Where the lease is gone with it, what is sent until another has it is read, or not.
        feed.publish(10)
        after = await take(clients, 1)
        await eventually(lambda: feed.alive == 1, "the upstream is read", timeout=PATIENCE)
        feed.publish(10)
        after += await take_until(clients, 40)
        reasons = [reason(event) for event in after if reason(event)]
        check_equal(reasons, ["store-gap"] if is_told else [], "what is told")
        check(int(after[0]["id"]) > int(before[-1]["id"]), "an id that was given before")
        seen(after).require_rising_ids()
        if not is_told:
            seen(after).require_exactly(21, 40)
        # One without a memory of its own: what follows, or a reason.
        await fleet.end(2)
        await fleet.launch(2)
        async with fleet.subscribe(2, last_event_id=before[9]["id"]) as client:
            first = await client.event()
            check(reason(first) is not None or first == before[10], f"over a loss in silence: {first}")
        async with fleet.subscribe(2, last_event_id=after[-6]["id"]) as client:
            check_equal(await client.take(5), after[-5:], "the rest")

    return run


deleted("metadata", ":meta", True)
deleted("stream", ":log", False)


@case("settings of Redis that lose data are warned of at the start", timeout=LATE)
async def warnings(t):
    feed, upstream = await start_feed(t)
    lossy = await Redis(t, "--appendonly", "no", "--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb").start()
    fleet = await start_fleet(t, upstream, redis=lossy, nodes=1)
    for word in ("appendonly", "allkeys-lru"):
        await eventually(lambda: any(word in line and "level=warn" in line for line in fleet.proxies[0].log.splitlines()),
                         f"a warning that says {word}", timeout=PATIENCE)
    fine = await start_fleet(t, upstream, redis=await Redis(t, *KEPT).start(), nodes=1)
    await open_everywhere(t, fine, feed)
    check("appendonly" not in fine.proxies[0].log, "a warning where Redis keeps what it has")


@case("XRANGE shows an operator the events as they are, and a stream holds little more than its window", timeout=LATE)
async def by_hand(t):
    feed, upstream = await start_feed(t)
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstream, redis=redis, routes=QUIET + "  window: {events: 100}\n")
    clients = await open_everywhere(t, fleet, feed)
    events = []
    for _ in range(20):
        feed.publish(50)
        events += await take(clients, 50)
    keys = [key for key in await redis.call("KEYS", "ssequel:*") if key.endswith(b":log")]
    check_equal(len(keys), 1, "streams in Redis")
    check(b":feed:" in keys[0] and b"{" in keys[0], f"the stream's name: {keys[0]}")
    entries = await redis.call("XRANGE", keys[0], "-", "+")
    check(100 <= len(entries) <= 320, f"the stream holds {len(entries)} entries")
    for (place, fields), event in zip(reversed(entries), reversed(events)):
        check(place.endswith(b"-0"), f"an entry's id: {place}")
        text = b"\n".join(fields)
        check(f"id: {event['id']}\n".encode() in text, f"event {event['id']} is not in {text[:300]}")
        for line in event["data"].split("\n"):
            check(line.encode() in text, f"{line} is not in {text[:300]}")
    places = [int(place.partition(b"-")[0]) for place, _ in entries]
    check_equal(places, list(range(places[0], places[0] + len(places))), "places")
    meta = await redis.call("HGETALL", keys[0].removesuffix(b"log") + b"meta")
    check({b"inc", b"fence", b"holder"} <= set(meta[::2]), f"the log's metadata: {meta}")
