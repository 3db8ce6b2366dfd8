"""`ids`: each strategy with real allocators, what becomes of events while an allocator is away, migrations from UUIDs."""

import asyncio
import json
import re
import uuid

from support.disk import Disk
from support.processes import run_to_end
from support.runner import case, check, check_equal, eventually
from support.servers import Postgres, Redis
from support.setup import start_proxy, start_upstream
from support.upstreams import Feed
from support.wire import Subscription, fetch

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
NODE_BITS, EPOCH = 10, 1_700_000_000_000


def route(name, ids, more=""):
    return f"""
- name: {name}
  match: {{path: /{name}, accept: any}}
  mode: shared
  key: [path]
  ids: {{{ids}}}
  start_at: oldest
  prime: always
  retry: 30ms
  heartbeat: 100ms
  on_upstream_gap: none
  reconnect: {{min: 20ms, max: 200ms}}
{more}"""


def order(strategy, id_):
    """What ids of a strategy are ordered by."""
    if strategy == "ulid":
        check(ULID.fullmatch(id_), f"not a ULID: {id_}")
        return id_
    check(id_.isdecimal(), f"not a number: {id_}")
    return int(id_)


def require_rising(strategy, ids):
    keys = [order(strategy, id_) for id_ in ids]
    check(all(a < b for a, b in zip(keys, keys[1:])), f"ids of {strategy} do not rise: {ids}")


def sequence_numbers(events):
    return [json.loads(event["data"])["seq"] for event in events]


async def lives(t, strategy, ids, extra=""):
    """Ids rise, a cut is resumed at each of them and at the base, a restart goes on above."""
    events = Feed()
    disk = Disk(t, await start_upstream(t, {"/feed": events}), routes=route("feed", ids), extra=extra)
    await disk.start()
    async with disk.subscribe("/feed") as client:
        await client.open()
        await eventually(lambda: events.alive, "the upstream stream is open", timeout=30)
        events.publish(40)
        before = await client.take(40)
        # The response begins with a block that has an id and no data: the log's base.
        base = re.search(rb"^id: ([^\n]*)\n\n", bytes(client.parser.raw), re.M)[1].decode()
    require_rising(strategy, [base, *(e["id"] for e in before)])
    check_equal(sequence_numbers(before), list(range(1, 41)), "order of arrival")
    for last, rest in ((base, before), (before[0]["id"], before[1:]), (before[24]["id"], before[25:])):
        async with disk.subscribe("/feed", last_event_id=last) as client:
            check_equal((await client.open()).get("Ssequel-Resume"), "suffix", f"Ssequel-Resume after {last}")
            check_equal(await client.take(len(rest)), rest, f"what follows {last}")
    await disk.restart("SIGKILL")
    async with disk.subscribe("/feed", last_event_id=before[-1]["id"]) as client:
        check_equal((await client.open()).get("Ssequel-Resume"), "live", "Ssequel-Resume after the restart")
        await eventually(lambda: events.alive, "the upstream stream is open again", timeout=30)
        events.publish(5)
        after = await client.take(5)
    require_rising(strategy, [before[-1]["id"], *(e["id"] for e in after)])
    async with disk.subscribe("/feed", last_event_id=base) as client:
        check_equal(await client.take(45), before + after, "the whole window after the restart")
    return [e["id"] for e in before + after], disk, events


@case("ulid: ids rise, a cut is resumed at each, a restart goes on above", timeout=60)
async def ulid(t):
    await lives(t, "ulid", "strategy: ulid")


@case("snowflake: time, node, sequence; ids rise, a cut is resumed, a restart goes on above", timeout=60)
async def snowflake(t):
    ids, _, _ = await lives(t, "snowflake", "strategy: snowflake, node_id: 77")
    check_equal({int(id_) >> (22 - NODE_BITS) & ((1 << NODE_BITS) - 1) for id_ in ids}, {77}, "nodes in the ids")


@case("redis: a counter a channel; ids rise, a cut is resumed, a restart goes on above", timeout=60)
async def redis_counter(t):
    redis = await Redis(t).start()
    ids, disk, events = await lives(t, "redis", "strategy: redis", f"redis: {{url: '{redis.url}', prefix: mine}}")
    check_equal([int(id_) for id_ in ids[:40]], list(range(int(ids[0]), int(ids[0]) + 40)), "ids of one life")
    keys = await redis.ask("EVAL", "return table.concat(redis.call('KEYS', '*'), ' ')", "0")
    check(re.fullmatch(rb"mine:ids:feed:[0-9A-Za-z]+", keys), f"keys: {keys}")
    # Redis loses everything; the log does not.
    await redis.ask("FLUSHALL")
    await disk.restart("SIGTERM")
    async with disk.subscribe("/feed", last_event_id=ids[-1]) as client:
        await client.open()
        await eventually(lambda: events.alive, "the upstream stream is open again", timeout=30)
        events.publish(1)
        require_rising("redis", [ids[-1], (await client.take(1))[0]["id"]])


@case("postgres: values of a sequence; ids rise, a cut is resumed, a restart goes on above", timeout=90)
async def postgres(t):
    server = await Postgres(t).make()
    await lives(t, "postgres", "strategy: postgres",
                f"postgres: {{url: '{server.url}', sequence: events_seq, block: 10}}")
    check(int(await server.sql("SELECT last_value FROM events_seq")) >= 46, "the sequence was used")


@case("on session routes ids have a tag with every strategy, and are resumed", timeout=60)
async def session_tags(t):
    redis = await Redis(t).start()
    events = Feed(own_counter=True, total=10, ends=False)
    names = {"ulid": "strategy: ulid", "redis": "strategy: redis", "named": "strategy: redis, counter: all_events",
             "snowflake": "strategy: snowflake, node_id: 1"}
    upstream = await start_upstream(t, {f"/{name}": events for name in names})
    routes = "".join(f"""
- name: {name}
  match: {{path: /{name}, accept: any}}
  ids: {{{ids}}}
""" for name, ids in names.items())
    proxy = await start_proxy(t, upstream, routes=routes, extra=f"redis: {{url: '{redis.url}'}}")
    for name in names:
        async with Subscription(proxy.port, f"/{name}") as client:
            seen = await client.take(10)
        tags = {event["id"].partition("-")[0] for event in seen}
        check_equal(len(tags), 1, f"tags of {name}")
        require_rising("ulid" if name == "ulid" else name, [event["id"].partition("-")[2] for event in seen])
        async with Subscription(proxy.port, f"/{name}", last_event_id=seen[3]["id"]) as client:
            check_equal(await client.take(6), seen[4:], f"what follows on {name}")
    check_equal(len(upstream.requests), len(names), "requests to the upstream")
    check(int(await redis.ask("GET", "all_events")) >= 10, "the shared counter was used")


async def goes_away(t, ids, extra, allocator, stop, start):
    """While the allocator is away events wait, subscribers stay, intake stops; then all arrives, in order."""
    events = Feed()
    disk = await start_proxy(t, await start_upstream(t, {"/feed": events}), routes=route("feed", ids), extra=extra)
    async with Subscription(disk.port, "/feed", timeout=30) as client:
        await client.open()
        await eventually(lambda: events.alive, "the upstream stream is open", timeout=30)
        events.publish(3)
        seen = await client.take(3)
        await stop()
        count = 5000  # More than a channel holds back itself: the upstream has to wait.
        events.publish(count)
        await eventually(lambda: disk.metric("ssequel_id_errors_total", allocator=allocator), "the outage is counted",
                         timeout=30)
        ready = await fetch(disk.admin, target="/readyz")
        check_equal(ready.status, 200, "readiness: other traffic goes on")
        check(re.search(f"ids from {allocator}: (?!ready)", ready.text), f"why is not said: {ready.text}")
        had = client.parser.comments
        taking = asyncio.create_task(client.take(count))
        await eventually(lambda: client.parser.comments > had + 3, "heartbeats go on", timeout=30)
        given = await disk.metric("sse_events_emitted_total", route="feed")
        check(given <= 3 + 1000, f"{given} events have an id")  # What was fetched before; a block at most.
        check(not taking.done(), "the subscriber was sent away")
        await start()
        seen += await asyncio.wait_for(taking, 60)
    check_equal(sequence_numbers(seen), list(range(1, count + 4)), "order of arrival")
    require_rising("number", [event["id"] for event in seen])
    ready = await fetch(disk.admin, target="/readyz")
    check(f"ids from {allocator}: ready" in ready.text, f"readiness: {ready.text}")


@case("Redis away: intake stops, heartbeats go on, nobody is sent away, and it goes on by itself", timeout=120)
async def redis_away(t):
    redis = await Redis(t, "--appendonly", "yes").start()
    await goes_away(t, "strategy: redis", f"redis: {{url: '{redis.url}'}}", "redis", redis.stop, redis.start)


@case("PostgreSQL away: the same", timeout=120)
async def postgres_away(t):
    server = await Postgres(t).make()
    await goes_away(t, "strategy: postgres", f"postgres: {{url: '{server.url}', block: 2}}", "postgres", server.stop,
                    server.start)


@case("Redis away at the start: trouble that a browser survives, and it begins by itself", timeout=60)
async def away_at_start(t):
    redis = Redis(t)
    events = Feed()
    upstream = await start_upstream(t, {"/feed": events})
    proxy = await start_proxy(t, upstream, routes=route("feed", "strategy: redis"), extra=f"redis: {{url: '{redis.url}'}}")
    async with Subscription(proxy.port, "/feed", timeout=30) as client:
        check_equal((await client.open()).status, 200, "status")
        check_equal(await client.to_end(), [], "events")
        check(client.parser.retry >= 30, f"retry: {client.parser.retry}")
    check_equal(upstream.requests, [], "requests to the upstream")
    check_equal(await proxy.metric("ssequel_trouble_answers_total", route="feed"), 1.0, "trouble answers")
    await redis.start()

    async def is_served():
        async with Subscription(proxy.port, "/feed", timeout=30) as client:
            await client.open()
            if not events.alive:
                return False
            events.publish(1)
            return (await client.take(1))[0]["id"].isdecimal()

    await eventually(is_served, "events have ids", timeout=30)


@case("snowflake: nodes by a lease in Redis differ, stop with it, and are given back at the end", timeout=90)
async def leases(t):
    redis = await Redis(t).start()
    events = Feed()
    upstream = await start_upstream(t, {"/feed": events})
    extra = f"redis: {{url: '{redis.url}', lease: 1s}}"
    pod = {"POD_NAME": "web-6d4cf56db6-x7k2p"}  # A Deployment's: no ordinal.
    proxies = [await start_proxy(t, upstream, routes=route("feed", "strategy: snowflake"), extra=extra, name=f"p{n}", env=pod)
               for n in range(2)]
    nodes = []
    for proxy in proxies:
        async with Subscription(proxy.port, "/feed", timeout=30) as client:
            await client.open()
            await eventually(lambda: events.alive, "the upstream stream is open", timeout=30)
            events.publish(20)
            ids = [int(event["id"]) for event in await client.take(20)]
            nodes.append({id_ >> (22 - NODE_BITS) & ((1 << NODE_BITS) - 1) for id_ in ids})
        await fetch(proxy.port, target="/hello")
    check_equal([len(found) for found in nodes], [1, 1], "nodes in the ids of each")
    check(nodes[0] != nodes[1], f"both are node {nodes[0]}")

    async with Subscription(proxies[0].port, "/feed", timeout=30) as client:
        await client.open()
        await redis.stop()
        await eventually(lambda: proxies[0].metric("ssequel_id_errors_total", allocator="node"), "the loss is counted",
                         timeout=30)
        await asyncio.sleep(1.0)  # The lease runs out.
        had = await proxies[0].metric("sse_events_emitted_total", route="feed")
        events.publish(1)
        await asyncio.sleep(0.3)
        check_equal(await proxies[0].metric("sse_events_emitted_total", route="feed"), had, "ids without a lease")
        await redis.start()
        await eventually(lambda: _more(proxies[0], had), "ids with a lease again", timeout=30)
    for proxy in proxies:
        await proxy.process.stop()
    held = await redis.ask("EVAL", "return table.concat(redis.call('HVALS', KEYS[1]), ',')", "1", "ssequel:nodes:10")
    check(all(value.split(b" ")[1] == b"0" for value in held.split(b",")), f"not given back: {held}")


async def _more(proxy, had):
    return await proxy.metric("sse_events_emitted_total", route="feed") > had


def uuid_of(seq):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"event {seq}"))


def migration(style, raw):
    @case(f"clients that still hold UUIDs are resumed exactly, also after a restart; origin: {style}", timeout=60)
    async def run(t):
        events = Feed(origin_ids=uuid_of)
        disk = Disk(t, await start_upstream(t, {"/feed": events}),
                    routes=route("feed", f"origin: {style}"))
        await disk.start()
        async with disk.subscribe("/feed") as client:
            await client.open()
            await eventually(lambda: events.alive, "the upstream stream is open", timeout=30)
            events.publish(30)
            all_events = await client.take(30)
            bytes_seen = bytes(client.parser.raw)
        for seq in (1, 17, 29):  # Data of one line: JSON of several stays as it is.
            check(raw(uuid_of(seq)) in bytes_seen, f"the origin id of event {seq} does not travel")
        check(all(event["id"].isdecimal() for event in all_events), "ids are ours")

        async def resume(seq):
            async with disk.subscribe("/feed", last_event_id=uuid_of(seq)) as old:
                wanted = "suffix" if seq < 30 else "live"
                check_equal((await old.open()).get("Ssequel-Resume"), wanted, f"Ssequel-Resume after event {seq}")
                check_equal(await old.take(30 - seq), all_events[seq:], f"what follows event {seq}")

        for seq in (1, 17, 29, 30):
            await resume(seq)
        check_equal(await disk.proxy.metric("ssequel_resumes_total", route="feed", by="origin"), 4.0, "resumes by origin")
        await disk.restart("SIGKILL")
        for seq in (1, 29):
            await resume(seq)
        async with disk.subscribe("/feed", last_event_id=all_events[9]["id"]) as new:
            check_equal(await new.take(20), all_events[10:], "what follows one of our ids")
        async with disk.subscribe("/feed", last_event_id=str(uuid.uuid4())) as lost:
            first = (await lost.take(1))[0]
            check_equal((first["type"], json.loads(first["data"])["reason"]), ("sync-required", "unknown"), "a foreign UUID")
        check_equal(await disk.proxy.metric("ssequel_resumes_total", route="feed", by="origin"), 2.0, "resumes by origin")
        check_equal(await disk.proxy.metric("ssequel_resumes_total", route="feed", by="own"), 1.0, "resumes by own ids")
        # The upstream is asked to go on from its own id.
        await eventually(lambda: disk.upstream.requests[-1].get("Last-Event-ID") == uuid_of(30),
                         "the upstream sees its own id", timeout=30)

    return run


migration("comment", lambda origin: f"\n: origin {origin}\n".encode())
migration("{field: origin-id}", lambda origin: f"\norigin-id: {origin}\n\n".encode())
migration("{json: oid}", lambda origin: f'{{"oid":"{origin}",'.encode())


@case("a password in redis.url or postgres.url is neither logged nor printed", timeout=60)
async def passwords(t):
    upstream = await start_upstream(t, {"/one": Feed(), "/two": Feed()})
    extra = ("redis: {url: 'redis://app:s3cret%40@127.0.0.1:1/0'}\n"
             "postgres: {url: 'postgresql://app:s3cret@127.0.0.1:1/x'}")
    proxy = await start_proxy(t, upstream, routes=route("one", "strategy: redis") + route("two", "strategy: postgres"),
                              extra=extra)
    async with Subscription(proxy.port, "/one"), Subscription(proxy.port, "/two"):
        for allocator in ("redis", "postgres"):
            await eventually(lambda: proxy.metric("ssequel_id_errors_total", allocator=allocator),
                             f"trouble with {allocator} is counted", timeout=30)
    ready = await fetch(proxy.admin, target="/readyz")
    checked = await run_to_end(t.binary, "check", proxy.file)
    check_equal(checked[0], 0, "exit code of check")
    check("redis://app:***@127.0.0.1:1/0" in checked[1], f"printed: {checked[1]}")
    for text in (proxy.log, ready.text, checked[1]):
        check("s3cret" not in text, f"a password is told: {text}")
