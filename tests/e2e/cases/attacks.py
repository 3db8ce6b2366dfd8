"""Who guesses, steals or forges ids learns nothing and gets nothing: an id that is another's is answered like one that
nobody ever had, and what stands in an id stays there."""

import json
import re
import statistics
import time
from urllib.parse import quote_from_bytes

from support.feed import data as data_of
from support.runner import Failure, case, check, check_equal, eventually
from support.setup import SESSION, SHARED, start_proxy, start_upstream
from support.upstreams import Feed
from support.wire import Connection, EventStreamParser, Subscription, Truncated, fetch

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ALICE = [("Authorization", "Bearer alice"), ("Cookie", "sid=alice"), ("Origin", "http://page.example")]

ROUTES = """
- name: answers
  match: {path: "/v1/**", methods: [POST], accept: any}
  mode: session
  retry: 30ms
- name: other
  match: {path: "/other/**", methods: [GET]}
  mode: session
  retry: 30ms
- name: personal
  match: {path: "/**", methods: [GET]}
  mode: session
  retry: 30ms
"""


async def for_everybody(exchange):
    """A service that asks nobody who they are, so that only the proxy stands between them."""
    who = (exchange.request.get("Authorization") or "nobody").rpartition(" ")[2]
    feed = Feed(name=who, own_counter=True, total=20, ends=exchange.request.method == "POST")
    feed.style.fields = (("Set-Cookie", f"canary={who}; Path=/"),)
    await feed.serve(exchange)


PATHS = {path: for_everybody for path in ("/a", "/b", "/other/a", "/v1/a", "/v1/b")}


async def opened(proxy, path, method="GET", fields=()):
    """Alice's events, read to the twentieth."""
    async with Subscription(proxy.port, path, method=method, content=b"{}" if method == "POST" else None,
                            fields=list(fields or ALICE)) as client:
        return await client.take(20)


async def answer_to(proxy, path, last_event_id, fields, method="GET", accept="text/event-stream"):
    """(status, fields, what was said up to its first event or its end): without what is random in every answer."""
    async with Subscription(proxy.port, path, method=method, content=b"{}" if method == "POST" else None,
                            fields=list(fields), last_event_id=last_event_id, accept=accept) as client:
        head = await client.open()
        event = await client.event()
        said = bytes(client.parser.raw).decode().replace(last_event_id, "ASKED")
        if event is not None and event["type"] != "sync-required":
            raise Failure(f"{path}: an event where none was due: {event}")
    said = re.sub(r"[0-9A-Za-z]{22}-\d+", "TAG", said)
    return head.status, [field for field in head.fields if field[0].lower() != "date"], said, client.ended


def without(fields, name):
    return [field for field in fields if field[0] != name]


def instead(fields, name, value):
    return [*without(fields, name), (name, value)]


# What a thief may ask instead of alice: path and fields.
THIEVES = {
    "another Authorization": (None, instead(ALICE, "Authorization", "Bearer bob")),
    "no Authorization": (None, without(ALICE, "Authorization")),
    "another Cookie": (None, instead(ALICE, "Cookie", "sid=bob")),
    "no Cookie": (None, without(ALICE, "Cookie")),
    "a Cookie more": (None, instead(ALICE, "Cookie", "sid=alice; sid=bob")),
    "another Origin": (None, instead(ALICE, "Origin", "http://evil.example")),
    "Origin: null": (None, instead(ALICE, "Origin", "null")),
    "no Origin": (None, without(ALICE, "Origin")),
    "another X-Api-Key": (None, [*ALICE, ("X-Api-Key", "1")]),
    "another MCP session": (None, [*ALICE, ("Mcp-Session-Id", "1")]),
    "another user by a proxy": (None, [*ALICE, ("X-Forwarded-User", "bob")]),
    "identity named away": (None, [*instead(ALICE, "Authorization", "Bearer bob"), ("Connection", "authorization")]),
    "another path": ("b", ALICE),
}


def stolen(method, folder):
    @case(f"a stolen id of a {method} session is answered exactly as an unknown one, whoever asks", timeout=60)
    async def run(t):
        upstream = await start_upstream(t, PATHS)
        proxy = await start_proxy(t, upstream, routes=ROUTES)
        events = await opened(proxy, folder + "a", method)
        tag, _, place = events[4]["id"].partition("-")
        unknown = "".join(t.random.choice(DIGITS) for _ in tag)
        for who, (path, fields) in THIEVES.items():
            path = folder + (path or "a")
            with_stolen = await answer_to(proxy, path, f"{tag}-{place}", fields, method)
            with_unknown = await answer_to(proxy, path, f"{unknown}-{place}", fields, method)
            check_equal(with_stolen, with_unknown, f"the answer to {who}, against an unknown id's")
            check('"unknown"' in with_stolen[2], f"{who} is told of {with_stolen[2][:200]}")
            check(data_of(6, "alice") not in with_stolen[2], f"{who} read alice's event")
        # The one whose it is reads on, so that the answers above are not just how it always is.
        async with Subscription(proxy.port, folder + "a", method=method, content=b"{}" if method == "POST" else None,
                                fields=list(ALICE), last_event_id=events[4]["id"]) as alice:
            check_equal(await alice.take(15), events[5:], "what alice reads on")
        check((await proxy.metric("last_event_id_mismatch_total", reason="identity")) >= 10, "the operator is told")
        check("alice" not in proxy.log and tag not in proxy.log, "a credential or a tag in the log")

    return run


stolen("GET", "/")
stolen("POST", "/v1/")


@case("an id of one route is unknown on another, a shared one's on a session and the other way round", timeout=30)
async def other_routes(t):
    upstream = await start_upstream(t, {**PATHS, "/events": for_everybody})
    proxy = await start_proxy(t, upstream, routes=SHARED.replace("  key: [path]\n  ids: {start: 1}\n", "") + ROUTES)
    personal = (await opened(proxy, "/a"))[4]["id"]
    shared = (await opened(proxy, "/events"))[4]["id"]
    for path, asked in (("/other/a", personal), ("/events", personal), ("/a", shared), ("/b", shared)):
        check('"unknown"' in (await answer_to(proxy, path, asked, ALICE))[2], f"an id of elsewhere on {path}")
    for path, asked in (("/v1/a", personal), ("/v1/a", shared)):
        status, _, said, ended = await answer_to(proxy, path, asked, ALICE, "POST")
        check(status == 200 and '"unknown"' in said and ended is None, f"an id of elsewhere on {path}: {status} {said}")
    posted = [request for request in upstream.requests if request.method == "POST"]
    check_equal(posted, [], "POST requests with an id that were asked anew")


@case("how long an answer takes does not tell a stolen id from an unknown one", timeout=60)
async def timing(t):
    async def authoriser(exchange):
        await exchange.respond(403, b"no\n", reason="Forbidden")

    upstream = await start_upstream(t, {**PATHS, "/auth": authoriser})
    proxy = await start_proxy(t, upstream, routes=ROUTES.replace("accept: any}\n", "accept: any}\n  authorize: {path: /auth}\n"))
    events = await opened(proxy, "/v1/a", "POST")
    tag, _, place = events[4]["id"].partition("-")
    thief = instead(ALICE, "Authorization", "Bearer bob")
    times = {f"{tag}-{place}": [], f"{'x' * 22}-{place}": []}
    for _ in range(60):
        for asked, seen in times.items():
            begun = time.perf_counter()
            await answer_to(proxy, "/v1/a", asked, thief, "POST")
            seen.append(time.perf_counter() - begun)
    (stolen_times, unknown_times) = times.values()
    for one, other in ((stolen_times, unknown_times), (unknown_times, stolen_times)):
        tenths = statistics.quantiles(other, n=10)
        check(tenths[0] <= statistics.median(one) <= tenths[-1],
              f"medians {statistics.median(one):.6f} and {statistics.median(other):.6f}, tenths of the latter {tenths}")
    check_equal([r.path for r in upstream.requests if r.path == "/auth"], [], "questions about a stolen id")


@case("Set-Cookie goes to the one whose request it answered and to no one after", timeout=30)
async def set_cookie(t):
    upstream = await start_upstream(t, {**PATHS, "/events": for_everybody})
    proxy = await start_proxy(t, upstream, routes=SHARED + ROUTES)

    async def cookies(path, **more):
        async with Subscription(proxy.port, path, fields=list(ALICE), **more) as client:
            head = await client.open()
            await client.event()
            return head.all("Set-Cookie")

    for path, method in (("/a", "GET"), ("/v1/a", "POST")):
        content = b"{}" if method == "POST" else None
        async with Subscription(proxy.port, path, fields=list(ALICE), method=method, content=content) as first:
            check_equal((await first.open()).all("Set-Cookie"), ["canary=alice; Path=/"], f"the opener's own on {path}")
            last = (await first.take(5))[-1]["id"]
            check_equal(await cookies(path, last_event_id=last), [], f"Set-Cookie of a replay on {path}")
            check_equal(await cookies(path, last_event_id=last, method=method, content=content), [], "by its method")
    check_equal(await cookies("/events"), [], "Set-Cookie to the first of a shared channel")
    check_equal(await cookies("/events", last_event_id="3"), [], "Set-Cookie to who resumes a shared channel")
    await upstream.stop()
    check_equal(await cookies("/b"), [], "Set-Cookie of an answer in trouble")


CANARY = b"X-Injected: 1"
# An id as raw bytes in the field, and the statuses that may answer it: 400 for what no field may hold (RFC 9110 5.5).
HOSTILE = {
    "quotes and a backslash": (b'"\\"},{"reason":"none\\', {200}),
    "markup": (b"</script><img src=x>${jndi:ldap://x}%s%n{{7*7}}", {200}),
    "a tab": (b"a\tb", {200}),
    "invalid UTF-8": (b"\xff\xfe\x80\xc0\xaf", {200}),
    "an overlong line end": (b"1\xc0\x8a" + CANARY, {200}),
    "a byte order mark": (b"\xef\xbb\xbf5", {200}),
    "line and paragraph separators": ("1\u2028\u2029\u0085id: 9".encode(), {200}),
    "escapes of a terminal": (b"1\x1b[31m", {400}),
    "a bare CR": (b"1\r" + CANARY, {400}),
    "NUL": (b"1\x00", {400}),
    "DEL": (b"1\x7f", {200, 400}),
    "a megabyte": (b"9" * (1 << 20), {431}),
    "30 KiB": (b"a" * 30_000, {200}),
    "30 KiB of digits": (b"9" * 30_000, {200}),
    "percent escapes": (b"1%0d%0a" + CANARY, {200}),
    "Redis commands": (b"1\\r\\nFLUSHALL\\r\\n", {200}),
    "SQL": (b"1'; DROP TABLE entries; --", {200}),
    "a tag and a place below zero": (b"x" * 22 + b"--1", {200}),
    "a tag and a place past 2^64": (b"x" * 22 + b"-" + b"9" * 40, {200}),
    "a tag and nothing": (b"x" * 22 + b"-", {200}),
    "a tag and a path": (b"x" * 22 + b"-1-../../etc/passwd", {200}),
}


async def ask_raw(port, target, *lines):
    """(status, fields, event stream parsed so far) of a request of raw bytes."""
    async with Connection(port) as connection:
        try:
            await connection.send(b"GET %s HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n%s\r\n\r\n" %
                                  (target, b"\r\n".join(lines) if lines else b"X-A: b"))
        except ConnectionError:
            pass  # Refused while it was still sending.
        head = await connection.head()
        parser, events = EventStreamParser(), []
        if head.status == 200 and head.get("Content-Type") == "text/event-stream":
            try:
                async for part in connection.chunks(head):
                    if events := events + parser.feed(part):
                        break
            except Truncated:
                pass
        return head, events, parser


def innocent(what, head, events, parser, allowed):
    check(head.status in allowed, f"{what}: status {head.status}, allowed {allowed}")
    check(head.get("X-Injected") is None, f"{what}: a field was injected: {head.fields}")
    for event in events[:1]:
        if event["type"] == "sync-required":
            said = json.loads(event["data"])
            check_equal(set(said), {"reason", "requested", "oldest", "newest"}, f"{what}: the members of its data")
            check(len(said["requested"].encode()) <= 128, f"{what}: requested is longer than 128 bytes")
    check(b"\n" + CANARY not in parser.raw, f"{what}: a line was injected: {bytes(parser.raw)[:300]}")


@case("ids with line ends, NUL, quotes, a megabyte or no UTF-8 are only ever ids, in the field and in the query", timeout=90)
async def hostile_ids(t):
    upstream = await start_upstream(t, {**PATHS, "/events": for_everybody})
    proxy = await start_proxy(t, upstream, routes=SHARED + ROUTES, extra="log: {level: info, format: json}")
    await opened(proxy, "/events")
    for what, (raw, allowed) in HOSTILE.items():
        for path in (b"/events", b"/a"):
            innocent(f"{what} in the field on {path}", *await ask_raw(proxy.port, path, b"Last-Event-ID: " + raw), allowed)
            query = quote_from_bytes(raw, safe="").encode()
            statuses = {414} if len(query) > 32_000 else {200}
            innocent(f"{what} in the query on {path}", *await ask_raw(proxy.port, path + b"?lastEventId=" + query), statuses)
    for what, raw in (("a line end", b"%0d%0a"), ("NUL", b"%00"), ("a line end escaped twice", b"%250d%250a"),
                      ("a broken escape", b"%"), ("another broken escape", b"%zz"), ("no UTF-8", b"%ff%fe")):
        for path in (b"/events", b"/a"):
            target = path + b"?lastEventId=1" + raw + CANARY.replace(b" ", b"%20") + b"&x=1"
            innocent(f"{what} in the query", *await ask_raw(proxy.port, target), {200})
    for path in (b"/events", b"/a"):
        two = (b"Last-Event-ID: 1", b"Last-Event-ID: 2")
        innocent("two fields", *await ask_raw(proxy.port, path, *two), {200})
    sent = [(name, value) for request in upstream.requests for name, value in request.fields]
    check(not any(name == "X-Injected" for name, _ in sent), "a field was injected upstream")
    for line in proxy.log.splitlines():
        check(isinstance(json.loads(line), dict) and "Injected" not in line, f"an id in the log: {line[:200]}")
    check_equal((await fetch(proxy.port, target="/hello")).status, 200, "a healthy request afterwards")


def base62(raw):
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 62)
        text = DIGITS[digit] + text
    return text


@case("an origin id forged into one of ours reaches the service only if it could have come by itself", timeout=30)
async def forged_origin(t):
    upstream = await start_upstream(t, PATHS)
    proxy = await start_proxy(t, upstream, routes=ROUTES)
    for origin, arrives in ((b"plain-7", True), ("ü 7".encode(), True), (b"1\r\n" + CANARY, False), (b"1\n2", False),
                            (b"a\x00b", False), (b"a\x7fb\x1b", False), (b"x" * 48, True), (b"x" * 49, False)):
        begun = len(upstream.requests)
        resume = await answer_to_any(proxy, "/a", f"{'z' * 22}-1-{base62(origin)}")
        request = upstream.requests[begun]
        seen = [value.encode("utf-8", "surrogateescape") for value in request.all("Last-Event-ID")]
        check_equal(seen, [origin] if arrives else [], f"Last-Event-ID at the service for a forged {origin}")
        check(request.get("X-Injected") is None, f"a field was injected by {origin}")
        check_equal(resume, "live" if arrives else "sync-required; reason=unknown", f"what is said of a forged {origin}")


async def answer_to_any(proxy, path, last_event_id):
    """What its head says of the id."""
    async with Subscription(proxy.port, path, fields=list(ALICE), last_event_id=last_event_id) as client:
        head = await client.open()
        check_equal(head.status, 200, "status")
        await client.event()
        return head.get("Ssequel-Resume")


@case("five hundred guessed ids open nothing, cost nothing, and leave no trace", timeout=60)
async def guessing(t):
    upstream = await start_upstream(t, PATHS)
    proxy = await start_proxy(t, upstream, routes=ROUTES)
    events = await opened(proxy, "/v1/a", "POST")
    before = len(await proxy.channels() or [])
    for count in range(500):
        guess = "".join(t.random.choice(DIGITS) for _ in range(22)) + "-" + str(t.random.randint(0, 30))
        if count % 5 == 0:
            guess += "-" + base62(b"e-7")  # With an id of the service's, which a GET would be asked with.
        async with Connection(proxy.port) as one:
            await one.request("POST", "/v1/a", [*ALICE, ("Last-Event-ID", guess)], b"{}")
            head = await one.head()
            check_equal((head.status, head.get("Ssequel-Resume")), (200, "sync-required; reason=unknown"), "a guess")
    check_equal(len([r for r in upstream.requests if r.method == "POST"]), 1, "what reached the service")
    check_equal(len(await proxy.channels() or []), before, "channels")
    check_equal(await proxy.metric("last_event_id_mismatch_total", reason="unknown"), 500, "counted mismatches")
    async with Subscription(proxy.port, "/v1/a", method="POST", content=b"{}", fields=list(ALICE),
                            last_event_id=events[4]["id"]) as alice:
        check_equal(await alice.take(15), events[5:], "what alice reads on")


@case("who asks and leaves again and again is cut at orphans.per_identity, and nobody else is", timeout=60)
async def orphans(t):
    upstream = await start_upstream(t, {"/v1/a": forever})
    proxy = await start_proxy(t, upstream, routes=ROUTES.replace(
        "accept: any}\n", "accept: any}\n  orphans: {per_identity: 3, total: 100}\n"))

    async def leaves(who):
        async with Subscription(proxy.port, "/v1/a", method="POST", content=b"{}", accept=None,
                                fields=[("Authorization", f"Bearer {who}")]) as client:
            return (await client.take(3))[-1]["id"]

    def kept(who):
        return [one for one in upstream.open if one.request.get("Authorization") == f"Bearer {who}"]

    bobs = [await leaves("bob") for _ in range(2)]
    alices = [await leaves("alice") for _ in range(10)]
    await eventually(lambda: len(kept("alice")) <= 3, "alice's requests are cut down to three", 30)
    check_equal((len(kept("alice")), len(kept("bob"))), (3, 2), "requests that the service is still answering")
    check_equal(await proxy.metric("ssequel_orphans"), 5, "ssequel_orphans")
    # The oldest were cancelled; the latest and another's can still be read.
    for who, last in (("alice", alices[-1]), ("bob", bobs[0])):
        async with Subscription(proxy.port, "/v1/a", method="POST", content=b"{}", accept=None, last_event_id=last,
                                fields=[("Authorization", f"Bearer {who}")]) as client:
            check_equal([event["id"].rpartition("-")[2] for event in await client.take(3)], ["4", "5", "6"], who)
    async with Subscription(proxy.port, "/v1/a", method="POST", content=b"{}", accept=None, last_event_id=alices[0],
                            fields=[("Authorization", "Bearer alice")]) as client:
        events = await client.to_end()
        check_equal((events[-1]["type"], client.ended), ("sync-required", "broken"), "what a cancelled one says")


async def forever(exchange):
    await Feed(own_counter=True, total=20, ends=False).serve(exchange)
