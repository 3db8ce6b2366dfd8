"""`store: redis`, several nodes with one log for each channel: who reads the upstream, how that changes hands, what a client
sees that comes to another node each time. What becomes of the log when Redis fails is in nodes_redis.py."""

import asyncio
import signal
import time

from support.feed import Seen
from support.fleet import LATE, LEASE, PATIENCE, QUIET, frames, open_everywhere, reason, seen, start_feed, start_fleet, take
from support.runner import case, check, check_equal, eventually
from support.setup import start_upstream
from support.upstreams import Feed

# ------------------------------------------------------------------------------------------------ one log


@case("three nodes give one sequence of ids with the same bytes, and read the upstream once", timeout=LATE)
async def one_sequence(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(60)
    events = await take(clients, 60)
    seen(events).require_exactly(1, 60)
    for client in clients[1:]:
        check_equal(frames(client), frames(clients[0]), "bytes of another node")
    check_equal(len(upstream.streams()), 1, "requests to the upstream")
    check_equal(len(await fleet.leaders()), 1, "leaders")


@case("a client that comes to another node each time goes on there with its last id", timeout=LATE)
async def hops(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream)
    followed = Seen()
    for turn in range(15):
        last = followed.ids[-1] if followed.events else None
        async with fleet.subscribe(turn % 3, last_event_id=last) as client:
            resumed = (await client.open()).get("Ssequel-Resume")
            check(last is None or resumed in ("live", "suffix"), f"Ssequel-Resume at hop {turn}: {resumed}")
            await eventually(lambda: feed.alive, "the upstream stream is open", timeout=PATIENCE)
            feed.publish(4)
            for event in await client.take(4 + (turn > 0) * 2):
                followed.add(event)
        feed.publish(2)  # While it is on its way.
    followed.require_exactly(1, 60 + 2 * 14)
    check_equal(len(upstream.streams()), 1, "requests to the upstream")


@case("an id that a node gave a moment ago is known on every other node, at once", timeout=LATE)
async def hops_at_once(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream)
    clients = await open_everywhere(t, fleet, feed)
    leading = await fleet.leader()
    for turn in range(40):
        feed.publish(1)
        newest = (await clients[leading].take(1))[0]
        async with fleet.subscribe((leading + 1 + turn % 2) % 3, last_event_id=newest["id"]) as client:
            check_equal((await client.open()).get("Ssequel-Resume"), "live", f"the answer to the newest id, turn {turn}")


@case("a node that has just come, and has no memory of its own, serves what others read", timeout=LATE)
async def newcomer(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream)
    first = (await open_everywhere(t, fleet, feed, nodes=[0]))[0]
    feed.publish(30)
    events = await first.take(30)
    await fleet.end(2)
    await fleet.launch(2)
    for node, last in ((1, events[4]), (2, events[9])):
        async with fleet.subscribe(node, last_event_id=last["id"]) as client:
            check_equal((await client.open()).get("Ssequel-Resume"), "suffix", "Ssequel-Resume")
            check_equal(await client.take(29 - events.index(last)), events[events.index(last) + 1:], "the rest")


@case("all nodes killed at once: ids go on at exactly one more, and what was given is replayed by all", timeout=LATE)
async def all_killed(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream, routes=QUIET)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(30)
    before = await take(clients, 30)
    await asyncio.gather(*(fleet.end(node) for node in range(3)))
    await asyncio.gather(*(fleet.launch(node) for node in range(3)))
    await eventually(lambda: feed.alive == 0, "the upstream stream is closed", timeout=PATIENCE)
    clients = await open_everywhere(t, fleet, feed, last_event_id=before[9]["id"])
    feed.publish(10)
    seen(before[:10], await take(clients, 30)).require_exactly(1, 40)


# ------------------------------------------------------------------------------------------- changing hands


@case("a killed leader is replaced within the lease; the new one asks the upstream behind the last origin id", timeout=LATE)
async def killed_leader(t):
    feed, upstream = await start_feed(t, origin_ids=lambda seq: f"o-{seq}")
    fleet = await start_fleet(t, upstream)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(10)
    before = await take(clients, 10)
    leading = await fleet.leader()
    await fleet.end(leading)
    began = time.monotonic()
    await eventually(lambda: len(upstream.streams()) == 2 and feed.alive == 1, "another node reads", timeout=PATIENCE)
    took = time.monotonic() - began
    check(took < LEASE + 6, f"it took {took:.1f} s")
    check_equal(upstream.streams()[-1].get("Last-Event-ID"), "o-10", "what the new leader asks behind")
    feed.publish(10)
    others = [client for node, client in enumerate(clients) if node != leading]
    after = await take(others, 11)
    check_equal(reason(after[0]), "upstream-gap", "what tells that another connection was made")
    seen(before).require_exactly(1, 10)
    seen(after[1:]).require_exactly(11, 20)
    seen(before, after).require_rising_ids()
    # The client of the dead one comes to another, and sees the same.
    async with fleet.subscribe((leading + 1) % 3, last_event_id=before[-1]["id"]) as client:
        check_equal(await client.take(11), after, "what came since, on another node")


@case("a leader that was stopped for longer than its lease cannot append when it wakes", timeout=LATE)
async def stopped_leader(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream, routes=QUIET)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(10)
    before = await take(clients, 10)
    leading = await fleet.leader()
    fleet.send(leading, signal.SIGSTOP)
    try:
        await eventually(lambda: len(upstream.streams()) == 2 and feed.alive == 2, "another node reads", timeout=PATIENCE)
        feed.publish(10)  # Both connections carry them.
        others = [client for node, client in enumerate(clients) if node != leading]
        after = await take(others, 10)
    finally:
        fleet.send(leading, signal.SIGCONT)
    await eventually(lambda: feed.alive == 1, "the old leader lets go of the upstream", timeout=PATIENCE)
    check_equal(await clients[leading].take(10), after, "what its own subscriber is given")
    feed.publish(10)
    seen(before, after, await take(clients, 10)).require_exactly(1, 30)
    check((await fleet.leader()) != leading, "the old leader leads again")


@case("a leader cut off from Redis sends nothing new, is replaced, and follows when it is back", timeout=LATE)
async def cut_off_leader(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream, routes=QUIET, relayed=True)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(10)
    before = await take(clients, 10)
    leading = await fleet.leader()
    fleet.relays[leading].hold()
    await eventually(lambda: len(upstream.streams()) == 2, "another node reads", timeout=PATIENCE)
    await eventually(lambda: feed.alive == 1, "the old leader has let go of the upstream", timeout=PATIENCE)
    feed.publish(10)
    others = [client for node, client in enumerate(clients) if node != leading]
    after = await take(others, 10)
    late = asyncio.create_task(clients[leading].take(10))
    await asyncio.sleep(0.3)
    check(not late.done(), "a node that cannot reach Redis gave events")
    fleet.relays[leading].release()
    check_equal(await late, after, "what its subscriber is given, once it is back")
    seen(before, after).require_exactly(1, 20)


@case("a leader that drains is replaced at once, long before its lease ends", timeout=LATE)
async def draining_leader(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream, routes=QUIET, lease="40s")
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(10)
    before = await take(clients, 10)
    leading = await fleet.leader()
    await fleet.end(leading, signal.SIGTERM)
    await eventually(lambda: len(upstream.streams()) == 2 and feed.alive == 1, "another node reads", timeout=20)
    feed.publish(10)
    others = [client for node, client in enumerate(clients) if node != leading]
    seen(before, await take(others, 10)).require_exactly(1, 20)


@case("a leader whose upstream stays away gives the lease to a node whose upstream answers", timeout=LATE)
async def upstream_away(t):
    feed = Feed()
    upstreams = [await start_upstream(t, {"/events": feed}) for _ in range(3)]
    fleet = await start_fleet(t, upstreams, routes=QUIET.replace("max: 200ms", "max: 1s"), lease="40s")
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(10)
    before = await take(clients, 10)
    leading = await fleet.leader()
    await upstreams[leading].stop()
    await eventually(lambda: feed.alive == 1, "another node's upstream is read", timeout=PATIENCE)
    feed.publish(10)
    seen(before, await take(clients, 10)).require_exactly(1, 20)
    check((await fleet.leader()) != leading, "the node without an upstream leads still")


@case("a leader without subscribers hands over to a node that has some", timeout=LATE)
async def unwatched_leader(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream, routes=QUIET)
    clients = await open_everywhere(t, fleet, feed, nodes=[0, 1])
    feed.publish(10)
    await take(clients, 10)
    leading = await fleet.leader()
    clients[leading].abort()

    async def has_moved():
        return await fleet.leaders() == [1 - leading]

    await eventually(has_moved, "the node with a subscriber leads", timeout=PATIENCE)
    await eventually(lambda: len(upstream.streams()) == 2 and feed.alive == 1, "it reads the upstream", timeout=PATIENCE)
    feed.publish(5)
    seen(await clients[1 - leading].take(5)).require_exactly(11, 15)


@case("a final answer closes a channel only after the fields of each node's subscribers were tried", timeout=LATE)
async def final_answer(t):
    admitted = {"Bearer A", "Bearer B"}
    feed = Feed()
    breaking = asyncio.Event()

    async def serve(exchange):
        if exchange.request.get("Authorization") not in admitted:
            await exchange.respond(401, b"who are you?\n", [("Content-Type", "text/plain")], reason="Unauthorized")
            return
        serving = asyncio.create_task(feed.serve(exchange))
        await asyncio.wait([serving, asyncio.create_task(breaking.wait())], return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        exchange.reset()

    upstream = await start_upstream(t, {"/events": serve})
    fleet = await start_fleet(t, upstream, routes=QUIET + "  authorize: probe\n", nodes=2)

    async def break_off(without):
        admitted.discard(without)
        count = len(upstream.requests)
        breaking.set()
        await eventually(lambda: feed.alive == 0 or len(upstream.requests) > count, "the stream broke", timeout=PATIENCE)
        breaking.clear()

    clients = []
    for node, name in enumerate("AB"):
        clients += await open_everywhere(t, fleet, feed, nodes=[node], fields=[("Authorization", f"Bearer {name}")])
    feed.publish(5)
    await take(clients, 5)
    leading = await fleet.leader()
    await break_off(f"Bearer {'AB'[leading]}")
    await eventually(lambda: feed.alive == 1, "the other's fields open the upstream again", timeout=PATIENCE)
    feed.publish(5)
    check_equal(len(await clients[1 - leading].take(5)), 5, "events that the other is given")
    await break_off(f"Bearer {'AB'[1 - leading]}")
    check_equal(await clients[1 - leading].event(), None, "what comes once nobody is admitted")
    asked = len(upstream.requests)
    async with fleet.subscribe(1 - leading, fields=[("Authorization", "Bearer C")]) as client:
        check_equal((await client.open()).status, 401, "the upstream's own answer")
    check(len(upstream.requests) - asked <= 2, "the upstream is asked on and on")


@case("a final answer to every node ends the responses of all, and is asked for once by each", timeout=LATE)
async def ended_by_all(t):
    feed = Feed()
    breaking = asyncio.Event()

    async def serve(exchange):
        if breaking.is_set():
            await exchange.head(204, reason="No Content")
            return
        serving = asyncio.create_task(feed.serve(exchange))
        await asyncio.wait([serving, asyncio.create_task(breaking.wait())], return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        exchange.reset()

    upstream = await start_upstream(t, {"/events": serve})
    fleet = await start_fleet(t, upstream, routes=QUIET)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(5)
    await take(clients, 5)
    breaking.set()
    check_equal(await asyncio.gather(*(client.event() for client in clients)), [None] * 3, "what comes then")
    check_equal([client.ended for client in clients], ["clean"] * 3, "how the responses end")
    check(len(upstream.requests) <= 1 + 3, f"{len(upstream.requests)} requests to the upstream")


@case("a node that was cut off while the log changed hands behind a restart of Redis catches up with all of it",
      timeout=LATE)
async def behind_a_seam(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream, routes=QUIET, relayed=True, lease="2s")
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(5)
    before = await take(clients, 5)
    for turn in range(2):
        leading = await fleet.leader()
        behind, other = [node for node in range(3) if node != leading]
        fleet.relays[behind].go_offline()
        feed.publish(200)
        await clients[other].take(200)
        # As a restart of Redis looks that lost nothing, at the same time as the leader.
        meta, = await fleet.redis.call("KEYS", "*:feed:*:meta")
        await fleet.redis.call("HSET", meta, "run", "another")
        await fleet.end(leading)
        events = await clients[other].take(1)
        check_equal(reason(events[0]), "store-gap", "what the new leader tells")
        await eventually(lambda: feed.alive == 1, "another node reads", timeout=PATIENCE)
        feed.publish(5)
        events += await clients[other].take(5)
        fleet.relays[behind].go_online()
        late = await clients[behind].take(206)
        check_equal(late[200:], events, f"the events behind the seam, turn {turn}")
        await fleet.launch(leading)
        clients[leading] = await t.enter(fleet.subscribe(leading, last_event_id=events[-1]["id"]))
        await clients[leading].open()
