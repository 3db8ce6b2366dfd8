"""Legacy services as they are: every line end, flushes byte by byte, compression nobody asked for, HTTP/1.0, state."""

import json
import sys
from pathlib import Path

from support.clients import NODE
from support.feed import Seen
from support.processes import Process
from support.runner import case, check, check_equal, eventually
from support.setup import ROUTES, SHARED, start_proxy, start_upstream
from support.upstreams import Feed, Style
from support.wire import Subscription

HERE = Path(__file__).resolve().parent.parent

STYLES = {
    "LF": Style(),
    "CRLF": Style(eol="\r\n"),
    "CR": Style(eol="\r"),
    "one byte a write": Style(bytewise=True),
    "one byte a write with CRLF": Style(bytewise=True, eol="\r\n"),
    "gzip in spite of identity": Style(gzip=True),
    "deflate in spite of identity": Style(deflate=True),
    "HTTP/1.0 and the connection's end": Style(close_delimited=True),
    "a byte order mark": Style(bom=True),
    "comments between events": Style(comments=True),
    "a charset in its type": Style(content_type="text/event-stream;charset=utf-8"),
}


async def read_over_a_break(t, proxy, total):
    """Reads half, leaves, resumes, reads the rest."""
    seen = Seen()
    async with Subscription(proxy.port) as first:
        for event in await first.take(total // 2):
            seen.add(event)
        head = await first.open()
        check_equal(head.get("Content-Encoding"), None, "Content-Encoding towards the client")
        check(b"\r" not in first.parser.raw, "a CR was passed on")
    async with Subscription(proxy.port, last_event_id=seen.ids[-1]) as second:
        for event in await second.take(total - total // 2):
            seen.add(event)
        check(b"\r" not in second.parser.raw, "a CR was passed on")
    return seen


def speaks(name, style):
    for mode in ("shared", "session"):

        @case(f"an upstream that writes {name} is resumable on a {mode} route")
        async def run(t, mode=mode):
            upstream = await start_upstream(t, {"/events": Feed(style, own_counter=True, total=60, ends=False)})
            proxy = await start_proxy(t, upstream, routes=ROUTES[mode])
            seen = await read_over_a_break(t, proxy, 60)
            seen.require_exactly(1, 60)
            check_equal(len([r for r in upstream.requests if r.path == "/events"]), 1, "upstream requests")


for _name, _style in STYLES.items():
    speaks(_name, _style)


@case("a shared upstream request asks for no compression and carries no condition or range")
async def shared_request(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=3, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    fields = [("Accept-Encoding", "gzip, br"), ("If-None-Match", '"x"'), ("Range", "bytes=0-"), ("X-Mine", "kept")]
    async with Subscription(proxy.port, fields=fields) as client:
        await client.take(3)
    request = upstream.streams("/events")[0]
    for absent in ("Accept-Encoding", "If-None-Match", "Range"):
        value = request.get(absent)
        check(value is None or (absent == "Accept-Encoding" and value == "identity"), f"{absent}: {value}")
    check_equal(request.get("X-Mine"), "kept", "a field of the subscriber's own")


@case("an upstream that sends its whole state on each connection: a reconnect is told, or silent where it may be")
async def whole_state(t):
    for on_gap, told in (("tell", 1), ("none", 0)):
        events = Feed(whole_state=True)
        events.publish(5)
        upstream = await start_upstream(t, {"/events": events})
        routes = SHARED + f"  on_upstream_gap: {on_gap}\n"
        proxy = await start_proxy(t, upstream, routes=routes, name=f"proxy-{on_gap}")
        async with Subscription(proxy.port) as client:
            await client.take(5)
            for exchange in list(upstream.open):
                exchange.reset()
            rest = await client.take(5 + told)
            check_equal([e["type"] == "sync-required" for e in rest], [True] * told + [False] * 5, "what came again")
            if told:
                content = json.loads(rest[0]["data"])
                check_equal((content["reason"], content["requested"]), ("upstream-gap", None), "the told gap")
            check_equal([e["id"] for e in rest], [str(n) for n in range(6, 11 + told)], "ids")
        check_equal(len(upstream.streams("/events")), 2, "upstream connections for the stream")


@case("an upstream with ids of its own gets its last one back on our reconnect")
async def origin_ids(t):
    events = Feed(origin_ids=lambda seq: f"uuid-{seq:04x}-é")
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as client:
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(7)
        first = await client.take(7)
        check_equal([e["id"] for e in first], [str(n) for n in range(1, 8)], "ids")
        check(b"uuid" not in client.parser.raw, "the origin's id was passed on")
        for exchange in list(upstream.open):
            exchange.reset()
        await eventually(lambda: len(upstream.streams("/events")) == 2, "our reconnect")
        check_equal(upstream.streams("/events")[1].get("Last-Event-ID"), "uuid-0007-é", "Last-Event-ID of our reconnect")


@case("an upstream id in the window resumes a client that comes from before the proxy")
async def migration(t):
    events = Feed(origin_ids=lambda seq: f"old-{seq:04x}")
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as client:
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(20)
        await client.take(20)
        async with Subscription(proxy.port, last_event_id="old-000c") as migrating:
            check_equal((await migrating.event())["id"], "13", "first id after the origin id of event 12")
            check_equal((await migrating.open()).get("Ssequel-Resume"), "suffix", "Ssequel-Resume")
    check_equal(await proxy.metric("ssequel_resumes_total", by="origin"), 1, "resumes by origin id")


@case("an event over event_bytes keeps its id and is told as dropped")
async def too_large(t):
    async def large(exchange):
        await exchange.head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
        await exchange.chunk(b"data: one\n\n")
        for _ in range(20):
            await exchange.chunk(b"data: " + b"x" * 1000 + b"\n")
        await exchange.chunk(b"\ndata: three\n\n")
        await exchange.reader.read(1)

    upstream = await start_upstream(t, {"/events": large})
    proxy = await start_proxy(t, upstream, routes=SHARED, limits="{event_bytes: 16KiB}")
    async with Subscription(proxy.port) as client:
        events = await client.take(3)
    check_equal([e["type"] for e in events], ["message", "sync-required", "message"], "types")
    check_equal([e["id"] for e in events], ["1", "2", "3"], "ids")
    check_equal(json.loads(events[1]["data"])["reason"], "dropped", "reason")
    check_equal(events[2]["data"], "three", "the event behind the dropped one")


@case("ndjson lines become events")
async def ndjson(t):
    async def lines(exchange):
        fields = [("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")]
        await exchange.head(200, fields)
        for seq in range(1, 11):
            await exchange.chunk(b'{"n":%d}\n' % seq)
        await exchange.reader.read(1)

    upstream = await start_upstream(t, {"/events": lines})
    proxy = await start_proxy(t, upstream, routes=SHARED + "  upstream_format: ndjson\n")
    async with Subscription(proxy.port) as client:
        events = await client.take(10)
    check_equal([e["data"] for e in events], ['{"n":%d}' % n for n in range(1, 11)], "data")
    check_equal([e["id"] for e in events], [str(n) for n in range(1, 11)], "ids")


async def server_port(process):
    """The port that a server program of upstreams/ prints first."""
    return int((await process.line()).split()[-1])


@case("better-sse, a Node library with ids of its own, is resumable on both kinds of route")
async def better_sse(t):
    server = await t.enter(Process(NODE, HERE / "upstreams" / "better-sse.mjs", name="better-sse", cwd=HERE))
    port = await server_port(server)
    for mode in ("shared", "session"):
        proxy = await start_proxy(t, f"http://127.0.0.1:{port}", routes=ROUTES[mode], name=mode)
        seen = await read_over_a_break(t, proxy, 40)
        check_equal(seen.seqs, list(range(1, 41)), "events")
        seen.require_rising_ids()


def python_server(eol, version):
    for mode in ("shared", "session"):

        @case(f"Python's http.server with {eol} over {version} is resumable on a {mode} route")
        async def run(t, mode=mode):
            command = [sys.executable, HERE / "upstreams" / "http_server.py", eol, version]
            server = await t.enter(Process(*command, name="http_server.py"))
            proxy = await start_proxy(t, f"http://127.0.0.1:{await server_port(server)}", routes=ROUTES[mode])
            seen = await read_over_a_break(t, proxy, 60)
            seen.require_exactly(1, 60)


python_server("CRLF", "HTTP/1.1")
python_server("CR", "HTTP/1.1")
python_server("CRLF", "HTTP/1.0")


@case("an upstream on a Unix socket is read like any other")
async def unix_socket(t):
    path = str(t.folder / "upstream.sock")
    await start_upstream(t, {"/events": Feed(own_counter=True, total=10, ends=False)}, path=path)
    proxy = await start_proxy(t, f"unix:{path}", routes=SHARED)
    async with Subscription(proxy.port) as client:
        seen = Seen()
        for event in await client.take(10):
            seen.add(event)
    seen.require_exactly(1, 10)
    check_equal(seen.ids[-1], "10", "last id")
