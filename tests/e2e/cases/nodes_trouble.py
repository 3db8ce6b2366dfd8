"""`store: redis`: what becomes of leases, sessions and beginnings when Redis loses or refuses something in a bad moment."""

import asyncio
import json
import shutil
import signal

from cases.nodes_routes import ALL, TALK, talk_to
from support.fleet import (FEED, KEPT, LATE, PATIENCE, QUIET, open_everywhere, reason, seen, start_feed, start_fleet, take,
                           take_until)
from support.runner import case, check, check_equal, eventually
from support.servers import Redis
from support.setup import start_upstream
from support.upstreams import Feed
from support.wire import fetch


@case("sessions that are quiet while Redis is flushed go on, also where another node follows them", timeout=LATE)
async def quiet_sessions(t):
    upstream = await start_upstream(t, {"/chat": Feed(own_counter=True, total=4, pace=3)})
    fleet = await start_fleet(t, upstream, routes=TALK, nodes=2)
    sessions = []

    async def run(number):
        async with talk_to(fleet, 0) as client:
            events = await client.take(1)
            await asyncio.sleep(0.18)
            async with talk_to(fleet, 1, events[0]["id"]):
                events += await client.to_end()
            sessions.append((number, client.ended, [reason(event) or json.loads(event["data"])["seq"] for event in events]))

    tasks = []
    for number in range(16):
        tasks.append(asyncio.create_task(run(number)))
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    await fleet.redis.call("FLUSHALL")
    t.on_failure(lambda: f"sessions: {sessions}")
    await asyncio.wait(tasks, timeout=25)
    for task in tasks:
        task.cancel()
    check_equal(sorted(number for number, ended, events in sessions if ended == "clean" and events == [1, 2, 3, 4]),
                list(range(16)), "those that came to their end")


@case("a session goes on when the answer to what made its keys again was lost", timeout=LATE)
async def session_made_again(t):
    upstream = await start_upstream(t, {"/chat": Feed(own_counter=True, total=30, pace=0.2)})
    fleet = await start_fleet(t, upstream, routes=TALK, nodes=2, relayed=True)
    async with talk_to(fleet, 0) as client:
        events = await client.take(5)
        meta, = [key.decode() for key in await fleet.redis.call("KEYS", "*:chat:*:meta")]
        fleet.relays[0].go_offline()
        await asyncio.sleep(0.3)
        fields = await fleet.redis.call("HGETALL", meta)
        fields = dict(zip(fields[::2], fields[1::2]))
        await fleet.redis.call("FLUSHALL")
        seconds, micros = await fleet.redis.call("TIME")
        # What the first node's join script does, once more.
        fields |= {b"inc": seconds + micros.rjust(6, b"0"), b"from": fields[b"next"], b"ctl": seconds, b"fence": b"1",
                   b"lost": b"1", b"until": b"%d" % (int(seconds) * 1000 + 2500)}
        fields.pop(b"batch", None)
        await fleet.redis.call("HSET", meta, *[part for pair in fields.items() for part in pair])
        fleet.relays[0].go_online()
        events += await asyncio.wait_for(client.to_end(), 20)
        check_equal(client.ended, "clean", "the end")
    seen(events).require_exactly(1, 30)


@case("a session's node that slept, while another one told the session as lost, does not leave its client hanging",
      timeout=LATE)
async def session_asleep(t):
    upstream = await start_upstream(t, {"/chat": Feed(own_counter=True, total=2, pace=22)})
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstream, redis=redis, routes=TALK, nodes=2)
    async with talk_to(fleet, 0) as client:
        events = await client.take(1)
        other = await t.enter(talk_to(fleet, 1, events[0]["id"]))
        await other.open()
        fleet.send(0, signal.SIGSTOP)
        await redis.stop()
        await redis.start()
        rest = await asyncio.wait_for(other.to_end(), 20)
        fleet.send(0, signal.SIGCONT)
        t.on_failure(lambda: f"told elsewhere: {[reason(event) for event in rest]}")
        events += await asyncio.wait_for(client.to_end(), 30)
        check_equal(client.ended, "broken", "the end")


@case("a lease that is granted while XRANGE is refused for a while is used in the end", timeout=LATE)
async def refused_fetch(t):
    feed, upstream = await start_feed(t)
    fleet = await start_fleet(t, upstream, nodes=2, routes=FEED)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(5)
    await take(clients, 5)
    leader = await fleet.leader()
    other = clients[1 - leader]
    await fleet.redis.call("ACL", "SETUSER", "default", "-xread", "-xrange")
    await fleet.redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await asyncio.sleep(0.5)
    feed.publish(5)
    await clients[leader].take(5)
    await fleet.end(leader)
    meta, = [key.decode() for key in await fleet.redis.call("KEYS", "*:feed:*:meta")]
    holder = await fleet.redis.call("HGET", meta, "holder")

    async def is_taken():
        return await fleet.redis.call("HGET", meta, "holder") != holder

    await eventually(is_taken, "the other has the lease", timeout=PATIENCE)
    await asyncio.sleep(0.5)
    await fleet.redis.call("ACL", "SETUSER", "default", "+xread", "+xrange")
    await other.take(5)
    await eventually(lambda: feed.alive == 1, "it reads the upstream", timeout=20)
    feed.publish(1)
    await take_until([other], 11)


@case("producers all: what refuses to go on in a new incarnation for a while does not stop a node's own events",
      timeout=LATE)
async def refused_renewal(t):
    feeds = [Feed(name=name) for name in "ab"]
    upstreams = [await start_upstream(t, {"/events": feed}) for feed in feeds]
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstreams, routes=ALL, redis=redis)
    client = await t.enter(fleet.subscribe(0))
    await client.open()
    await eventually(lambda: all(feed.alive == 1 for feed in feeds), "each reads its upstream", timeout=PATIENCE)
    feeds[0].publish(3)
    await client.take(3)
    meta, = [key.decode() for key in await redis.call("KEYS", "*:feed:*:meta")]
    await redis.call("ACL", "SETUSER", "default", "-exists")
    await redis.call("DEL", meta)
    await asyncio.sleep(3)
    await redis.call("ACL", "SETUSER", "default", "+exists")
    events = await client.take(1)
    check_equal(reason(events[0]), "store-gap", "what is told")
    t.on_failure(lambda: f"told: {events}")
    feeds[0].publish(3)
    events = await asyncio.wait_for(client.take(3), 20)
    check_equal([json.loads(event["data"])["seq"] for event in events], [4, 5, 6], "events")


@case("a head that Redis lost at a restart is said again: the others' clients are served", timeout=LATE)
async def lost_head(t):
    feed = Feed()
    may_answer = asyncio.Event()
    asked = asyncio.Event()

    async def serve(exchange):
        asked.set()
        await may_answer.wait()
        await feed.serve(exchange)

    upstream = await start_upstream(t, {"/events": serve})
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstream, redis=redis, nodes=2, routes=QUIET)
    client = await t.enter(fleet.subscribe(0))
    opening = asyncio.create_task(client.open())
    await asyncio.wait_for(asked.wait(), PATIENCE)
    shutil.copytree(redis.folder, redis.folder.with_name("kept"))
    may_answer.set()
    await opening
    meta, = [key.decode() for key in await redis.call("KEYS", "*:feed:*:meta")]

    async def is_said():
        return await redis.call("HGET", meta, "head")

    await eventually(is_said, "the head is in Redis", timeout=PATIENCE)
    await asyncio.sleep(0.3)
    await redis.kill()
    # All that was written since is lost.
    shutil.rmtree(redis.folder)
    redis.folder.with_name("kept").rename(redis.folder)
    await redis.start()
    await asyncio.sleep(1.5)
    feed.publish(1)
    events = await client.take(1)
    async with fleet.subscribe(1) as other:
        await other.open()
        check_equal(await other.take(1), events, "what the other node serves")


@case("a node that saw entries but not the beginning of a log, which Redis lost, can lead it", timeout=LATE)
async def lost_beginning(t):
    feed, upstream = await start_feed(t)
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstream, redis=redis, nodes=2, lease="1s", routes=QUIET + "  ids: {strategy: ulid}\n")
    client = await t.enter(fleet.subscribe(0))
    await client.open()
    await eventually(lambda: feed.alive == 1, "the upstream is read", timeout=PATIENCE)
    meta, = [key.decode() for key in await redis.call("KEYS", "*:feed:*:meta")]
    await eventually(lambda: redis.call("HGET", meta, "head"), "the head is said", timeout=PATIENCE)
    # As after a restart without the last commit, in which the log began.
    await redis.call("DEL", meta.removesuffix("meta") + "log")
    await redis.call("HSET", meta, "first", "0", "number", "", "open", "0", "ctl", "0", "batch", "", "run", "another")
    await redis.call("HDEL", meta, "head")
    other = await t.enter(fleet.subscribe(1))
    opening = asyncio.create_task(other.open())

    async def has_joined():
        return len(await redis.call("HGETALL", meta.removesuffix("meta") + "nodes")) == 4

    await eventually(has_joined, "the other follows", timeout=PATIENCE)
    feed.publish(1)
    await client.take(1)
    await asyncio.sleep(0.1)
    await fleet.end(0)

    async def leads():
        check(fleet.proxies[1].process.running, "the other node is gone")
        return await fleet.leaders() == [1]

    await eventually(leads, "the other leads", timeout=PATIENCE)
    opening.cancel()


@case("producers all: a node that begins anew has missed events of its service, and the others' clients are told",
      timeout=LATE)
async def torn_producer(t):
    feeds = [Feed(name=name) for name in "ab"]
    connections = []

    async def serve(exchange):
        connections.append(exchange)
        if len(connections) == 2:
            feeds[0].publish(1)  # 7, while nobody is connected.
        await feeds[0].serve(exchange)

    upstreams = [await start_upstream(t, {"/events": each}) for each in (serve, feeds[1])]
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstreams, routes=ALL, redis=redis, relayed=True)
    clients = [await t.enter(fleet.subscribe(node)) for node in (0, 1)]
    for client in clients:
        await client.open()
    await eventually(lambda: all(feed.alive == 1 for feed in feeds), "each reads its upstream", timeout=PATIENCE)
    feeds[0].publish(5)
    await take(clients, 5)
    # The second node does not see the sixth, which Redis loses.
    fleet.relays[1].hold(answers_only=True)
    feeds[0].publish(1)
    await clients[0].take(1)
    fleet.relays[0].hold()
    meta, = [key.decode() for key in await redis.call("KEYS", "*:feed:*:meta")]
    log = meta.removesuffix("meta") + "log"
    number = int(await redis.call("HGET", meta, "number"))
    fleet.relays[1].go_offline()
    await redis.call("XDEL", log, "6-0")
    await redis.call("XSETID", log, "5-0")
    await redis.call("HSET", meta, "next", "5", "ctl", "0", "number", number - 1, "run", "another")
    fleet.relays[1].go_online()
    fleet.relays[1].release()
    told = await clients[1].take(1)
    check_equal(reason(told[0]), "store-gap", "what is told")
    fleet.relays[0].release()
    await eventually(lambda: len(connections) == 2 and feeds[0].alive == 1, "the first node begins anew", timeout=PATIENCE)
    await asyncio.sleep(0.5)
    feeds[0].publish(1)  # 8
    events = await clients[1].take(1)
    check(reason(events[0]) is not None or json.loads(events[0]["data"])["seq"] == 7, f"over a loss in silence: {events}")


@case("a follower's /readyz?store is well again once Redis is", timeout=LATE)
async def well_again(t):
    feed, upstream = await start_feed(t)
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstream, redis=redis, nodes=2)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(5)
    await take(clients, 5)
    follower = 1 - await fleet.leader()

    async def status(node):
        return await fetch(fleet.proxies[node].admin, target="/readyz?store")

    check_equal((await status(follower)).status, 200, "before")
    await redis.call("CONFIG", "SET", "maxmemory", "1")

    async def is_told():
        return (await status(follower)).status == 503

    await eventually(is_told, "the follower says so", timeout=PATIENCE)
    await redis.call("CONFIG", "SET", "maxmemory", "0")
    feed.publish(5)
    await take_until(clients, 10)
    await asyncio.sleep(5)
    check_equal((await status(follower)).status, 200, "the follower, afterwards")


@case("an entry of an unknown incarnation is no reason to ask Redis without a pause", timeout=LATE)
async def foreign_entry(t):
    feed, upstream = await start_feed(t)
    redis = await Redis(t, *KEPT).start()
    fleet = await start_fleet(t, upstream, redis=redis, nodes=2)
    clients = await open_everywhere(t, fleet, feed)
    feed.publish(5)
    before = await take(clients, 5)
    log, = [key.decode() for key in await redis.call("KEYS", "*:feed:*:log")]

    async def calls():
        lines = (await redis.call("INFO", "commandstats")).decode().split()
        return {line.split(":")[0]: int(line.split("calls=")[1].split(",")[0]) for line in lines if "cmdstat_" in line}

    await redis.call("XADD", log, "6-0", "inc", "7", "fence", "1", "number", int(before[-1]["id"]) + 1, "at", "1", "frame",
                     "id: 1\ndata: x\n\n")
    first = await calls()
    await asyncio.sleep(3)
    then = await calls()
    made = {name: then[name] - first.get(name, 0) for name in then if then[name] - first.get(name, 0) > 100}
    check_equal(made, {}, "calls within three seconds")


@case("a session's node that slept gives way to what another one has said of it, also where Redis lost what only it had",
      timeout=LATE)
async def gives_way(t):
    may_go = asyncio.Event()
    may_end = asyncio.Event()

    async def serve(exchange):
        await exchange.head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
        await exchange.chunk(b"data: 1\n\ndata: 2\n\n")
        await may_go.wait()
        await exchange.chunk(b"data: 3\n\n")
        await may_end.wait()
        await exchange.chunk(b"data: 4\n\n")
        await exchange.reader.read()

    upstream = await start_upstream(t, {"/chat": serve})
    fleet = await start_fleet(t, upstream, routes=TALK, relayed=True)
    redis = fleet.redis
    client = await t.enter(talk_to(fleet, 0))
    events = await client.take(2)
    other = await t.enter(talk_to(fleet, 1, events[0]["id"]))
    await other.take(1)
    # The second node does not see the third event, which Redis loses while the first node sleeps.
    fleet.relays[1].hold(answers_only=True)
    may_go.set()
    await client.take(1)
    fleet.send(0, signal.SIGSTOP)
    fleet.relays[1].go_offline()
    meta, = [key.decode() for key in await redis.call("KEYS", "*:chat:*:meta")]
    log = meta.removesuffix("meta") + "log"
    await redis.call("XDEL", log, "3-0")
    await redis.call("XSETID", log, "2-0")
    await redis.call("HSET", meta, "next", "2", "ctl", "9", "run", "another")
    fleet.relays[1].go_online()
    fleet.relays[1].release()
    told = await asyncio.wait_for(other.to_end(), 30)
    check_equal(reason(told[0]), "store-gap", "what is told elsewhere")
    fleet.send(0, signal.SIGCONT)
    may_end.set()
    await asyncio.wait_for(client.to_end(), 20)
    await asyncio.sleep(1)
    numbers = [int(dict(zip(fields[::2], fields[1::2]))[b"number"]) for _, fields in await redis.call("XRANGE", log, "-", "+")
               if b"number" in fields]
    check_equal(numbers, sorted(numbers), "numbers in the log")
    check_equal(len(numbers), 3, "entries in the log")


@case("what tells that a window is gone has an id to go on from, also where the log is empty", timeout=LATE)
async def empty_window(t):
    upstream = await start_upstream(t, {"/chat": Feed(own_counter=True, total=3, ends=False)})
    fleet = await start_fleet(t, upstream, routes=TALK, nodes=2)
    async with talk_to(fleet, 0) as client:
        events = await client.take(3)
        await fleet.redis.call("FLUSHALL")

        async def is_made():
            return await fleet.redis.call("KEYS", "*:chat:*:meta")

        await eventually(is_made, "its keys are made again", timeout=PATIENCE)
        async with talk_to(fleet, 1, events[0]["id"]) as other:
            told, = await other.take(1)
        check_equal((reason(told), told["id"]), ("window", events[-1]["id"]), "what is told")
        async with talk_to(fleet, 1, told["id"]) as other:
            check_equal((await other.open()).get("Ssequel-Resume"), "live", "the answer to that id")
