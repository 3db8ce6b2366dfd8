"""`store: redis`: `producers: all`, and sessions that one node began."""

import asyncio
import json

from support.fleet import FEED, KEPT, LATE, PATIENCE, reason, seen, start_fleet, take
from support.runner import case, check, check_equal, eventually
from support.servers import Redis
from support.setup import start_upstream
from support.upstreams import Feed

# --------------------------------------------------------------------------------------------- producers: all

ALL = FEED + "  producers: all\n"


async def three_producers(t):
    feeds = [Feed(name=name) for name in "abc"]
    upstreams = [await start_upstream(t, {"/events": feed}) for feed in feeds]
    return feeds, await start_fleet(t, upstreams, routes=ALL)


def of_feed(events, name):
    return [json.loads(event["data"])["seq"] for event in events if event["type"] != "sync-required"
            and json.loads(event["data"])["feed"] == name]


@case("producers all: what each node's own upstream sends reaches the clients of all, also of a node that nobody asks",
      timeout=LATE)
async def all_produce(t):
    feeds, fleet = await three_producers(t)
    clients = [await t.enter(fleet.subscribe(node)) for node in (0, 1)]
    for client in clients:
        await client.open()
    await eventually(lambda: all(feed.alive == 1 for feed in feeds), "each node reads its upstream", timeout=PATIENCE)
    for _ in range(10):
        for feed in feeds:
            feed.publish(2)
    events = await take(clients, 60)
    check_equal([reason(event) for event in events if reason(event)], [], "gaps told")
    seen(events).require_rising_ids()
    for feed in feeds:
        check_equal(of_feed(events, feed.name), list(range(1, 21)), f"events of {feed.name}")
    async with fleet.subscribe(2, last_event_id=events[19]["id"]) as client:
        check_equal(await client.take(40), events[20:], "the rest, on the third node")
    check_equal([feed.alive for feed in feeds], [1, 1, 1], "connections to each upstream")


@case("producers all: what a node hands in first, when it has joined anew, is not taken for what it handed in before",
      timeout=LATE)
async def joined_anew(t):
    connections = []

    async def serve(exchange):
        connections.append(exchange)
        # Head and event at once, and no more: one batch.
        await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
                           b"data: %d\n\n" % len(connections))
        await exchange.reader.read()

    redis = await Redis(t, *KEPT).start()
    upstream = await start_upstream(t, {"/events": serve})
    fleet = await start_fleet(t, upstream, redis=redis, routes=ALL + "  on_upstream_gap: none\n", nodes=1)
    async with fleet.subscribe(0) as client:
        check_equal([event["data"] for event in await client.take(1)], ["1"], "the first event")
        meta, = await redis.call("KEYS", "*:meta")
        # As if another node had found that all entries are lost.
        await redis.call("DEL", meta.decode().removesuffix("meta") + "log")
        await redis.call("HSET", meta, "inc", "7", "from", "0", "next", "0", "ctl", "9")
        await eventually(lambda: len(connections) == 2, "it joins anew", timeout=PATIENCE)
    async with fleet.subscribe(0) as client:
        check_equal([event["data"] for event in await client.take(1)], ["2"], "the first event of the second connection")


@case("producers all: a node that dies takes only its own events away, and its first connection is no gap", timeout=LATE)
async def one_producer_dies(t):
    feeds, fleet = await three_producers(t)
    clients = [await t.enter(fleet.subscribe(node)) for node in (0, 1)]
    for client in clients:
        await client.open()
    await eventually(lambda: all(feed.alive == 1 for feed in feeds), "each node reads its upstream", timeout=PATIENCE)
    for feed in feeds:
        feed.publish(5)
    before = await take(clients, 15)
    await fleet.end(2)
    for feed in feeds[:2]:
        feed.publish(5)
    during = await take(clients, 10)
    await eventually(lambda: feeds[2].alive == 0, "the dead node's connection is gone", timeout=PATIENCE)
    await fleet.launch(2)
    await eventually(lambda: feeds[2].alive == 1, "the third node reads again", timeout=PATIENCE)
    for feed in feeds:
        feed.publish(5)
    after = await take(clients, 15)
    everything = [*before, *during, *after]
    check_equal([reason(event) for event in everything if reason(event)], [], "gaps told")
    seen(everything).require_rising_ids()
    for feed, last in zip(feeds, (15, 15, 10)):
        check_equal(of_feed(everything, feed.name), list(range(1, last + 1)), f"events of {feed.name}")


# --------------------------------------------------------------------------------------------------- sessions

TALK = """
- name: chat
  match: {path: /chat, methods: [GET, POST], accept: any}
  mode: session
  retry: 30ms
  linger: 30s
"""


async def start_talk(t, **more):
    upstream = await start_upstream(t, {"/chat": Feed(own_counter=True, **more)})
    return upstream, await start_fleet(t, upstream, routes=TALK)


def talk_to(fleet, node, last_event_id=None):
    return fleet.subscribe(node, "/chat", method="POST", content=b'{"ask":1}', last_event_id=last_event_id)


@case("an answer to a POST that one node began goes on at another, and ends there as it ended", timeout=LATE)
async def session_hops(t):
    upstream, fleet = await start_talk(t, total=120, pace=0.02)
    async with talk_to(fleet, 0) as client:
        events = await client.take(20)
    async with talk_to(fleet, 1, events[-1]["id"]) as client:  # While it is written.
        events += await client.take(20)
    async with talk_to(fleet, 2, events[-1]["id"]) as client:
        events += await client.to_end()
        check_equal(client.ended, "clean", "the end")
    seen(events).require_exactly(1, 120)
    for node in range(3):  # Once it has ended.
        async with talk_to(fleet, node, events[49]["id"]) as client:
            check_equal(await client.to_end(), events[50:], f"the rest, on node {node}")
            check_equal(client.ended, "clean", "the end")
    check_equal(len(upstream.requests), 1, "requests to the upstream")


@case("an answer to a POST goes on to its end when Redis loses all it had of it", timeout=LATE)
async def session_survives_a_loss(t):
    upstream, fleet = await start_talk(t, total=200, pace=0.02)
    async with talk_to(fleet, 0) as client:
        events = await client.take(20)
        await fleet.redis.call("FLUSHALL")
        events += await client.take(60)
        # Another node has what was said since.
        async with talk_to(fleet, 1, events[-1]["id"]) as other:
            rest = await other.to_end()
        events += await client.to_end()
        check_equal(client.ended, "clean", "the end")
    check_equal(rest, events[80:], "the rest, on another node")
    seen(events).require_exactly(1, 200)
    check_equal(len(upstream.requests), 1, "requests to the upstream")


@case("a POST whose node is killed is told as lost on the others, and never asked again", timeout=LATE)
async def session_lost(t):
    upstream, fleet = await start_talk(t, total=5000, pace=0.02)
    async with talk_to(fleet, 0) as client:
        events = await client.take(20)
        await fleet.end(0)
        events += await client.to_end()
        check_equal(client.ended, "broken", "the end")

    async def is_told():
        async with talk_to(fleet, 1, events[9]["id"]) as client:
            rest = await client.to_end()
            check(client.ended == "broken", "an answer that was lost ends cleanly")
            return rest if rest and reason(rest[-1]) == "upstream-lost" else None

    rest = await eventually(is_told, "the loss is told", timeout=PATIENCE, interval=0.2)
    check_equal(rest[:-1][:len(events) - 10], events[10:], "what was received before")
    async with talk_to(fleet, 2, events[0]["id"]) as client:
        check_equal(reason((await client.to_end())[-1]), "upstream-lost", "what the third node says")
    check_equal(len(upstream.requests), 1, "requests to the upstream")


@case("a session's tag is bound to who opened it on every node", timeout=LATE)
async def session_identity(t):
    upstream, fleet = await start_talk(t, total=5, pace=0.0, ends=False)
    mine, yours = [("Authorization", "Bearer mine")], [("Authorization", "Bearer yours")]
    async with fleet.subscribe(0, "/chat", fields=mine) as client:
        events = await client.take(5)
        async with fleet.subscribe(1, "/chat", fields=yours, last_event_id=events[1]["id"]) as other:
            check_equal(reason((await other.take(1))[0]), "unknown", "the answer to another")
        async with fleet.subscribe(1, "/chat", fields=mine, last_event_id=events[1]["id"]) as own:
            check_equal(await own.take(3), events[2:], "the answer to the one who opened it")


@case("a node that has more of a session than Redis does not judge ids by it", timeout=LATE)
async def stale_session(t):
    upstream, fleet = await start_talk(t, total=6, pace=0.0, ends=False)
    async with talk_to(fleet, 0) as client:
        events = await client.take(6)
    async with talk_to(fleet, 1, events[2]["id"]) as client:
        check_equal(await client.take(3), events[3:], "what the second node has")
    await asyncio.sleep(2)  # It has said that nobody reads there, and asks no more.
    await fleet.end(0)
    # The last entry is lost, and some node has found out.
    meta, = [key.decode() for key in await fleet.redis.call("KEYS", "*:chat:*:meta")]
    await fleet.redis.call("XDEL", meta.removesuffix("meta") + "log", "6-0")
    await fleet.redis.call("XSETID", meta.removesuffix("meta") + "log", "5-0")
    await fleet.redis.call("HSET", meta, "inc", "7", "from", "5", "next", "5", "ctl", "9", "holder", "", "until", "0",
                           "run", "another")

    async def is_told():
        async with talk_to(fleet, 2, events[4]["id"]) as client:
            rest = await client.to_end()
            return rest if rest and reason(rest[-1]) == "upstream-lost" else None

    rest = await eventually(is_told, "the losses are told", timeout=PATIENCE, interval=0.2)
    check_equal([reason(event) for event in rest], ["store-gap", "upstream-lost"], "what the third node says")

    async def is_known():
        async with talk_to(fleet, 1, rest[0]["id"]) as client:
            said = (await client.open()).get("Ssequel-Resume")
            return (said, await client.to_end()) if said else None

    said, after = await eventually(is_known, "the second node serves it", timeout=PATIENCE, interval=0.2)
    check_equal((said, [reason(event) for event in after]), ("live", ["upstream-lost"]), "the answer to the newest id")
