"""Messages that are malformed, ambiguous, too large, too slow: refused as RFC 9110 and 9112 say, and nothing is harmed."""

import asyncio

from support.runner import Failure, case, check, check_equal
from support.setup import SESSION, SHARED, start_proxy, start_upstream
from support.upstreams import Feed, echo_handler
from support.wire import Connection, Subscription, Truncated, fetch, request_bytes

HOST = b"Host: a\r\n"


def post(*fields, content=b""):
    return b"POST /echo HTTP/1.1\r\n" + HOST + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + content


def get(*fields, line=b"GET /echo HTTP/1.1"):
    return line + b"\r\n" + HOST + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked"

# What is sent, and the status expected.
REFUSED = {
    "both Content-Length and Transfer-Encoding": (post(b"Content-Length: 5", CHUNKED, content=b"0\r\n\r\n"), 400),
    "Transfer-Encoding and then Content-Length": (post(CHUNKED, b"Content-Length: 5", content=b"0\r\n\r\n"), 400),
    "two differing lengths": (post(b"Content-Length: 5", b"Content-Length: 6", content=b"hello!"), 400),
    "two differing lengths in one field": (post(b"Content-Length: 5, 6", content=b"hello!"), 400),
    "a signed length": (post(b"Content-Length: +5", content=b"hello"), 400),
    "a negative length": (post(b"Content-Length: -5", content=b"hello"), 400),
    "a hexadecimal length": (post(b"Content-Length: 0x5", content=b"hello"), 400),
    "an empty length": (post(b"Content-Length: ", content=b""), 400),
    "a length past 2^64": (post(b"Content-Length: 99999999999999999999999", content=b"hello"), 400),
    "an unknown transfer coding": (post(b"Transfer-Encoding: xchunked", content=b"0\r\n\r\n"), 400),
    "a transfer coding behind chunked": (post(b"Transfer-Encoding: chunked, gzip", content=b"0\r\n\r\n"), 400),
    "chunked twice": (post(b"Transfer-Encoding: chunked, chunked", content=b"0\r\n\r\n"), 400),
    "Transfer-Encoding in HTTP/1.0": (b"POST /echo HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n\r\n0\r\n\r\n", 400),
    "a bare LF at a line's end": (b"GET /echo HTTP/1.1\nHost: a\n\n", 400),
    "a bare CR in a field": (get(b"X-A: b\rc"), 400),
    "a bare CR that hides a field": (get(b"X-A:\rTransfer-Encoding: chunked"), 400),
    "obs-fold": (get(b"X-A: b", b" continued"), 400),
    "obs-fold of Transfer-Encoding": (post(b"Transfer-Encoding:", b" chunked", content=b"0\r\n\r\n"), 400),
    "a space before a colon": (get(b"X-A : b"), 400),
    "a tab before a colon": (get(b"X-A\t: b"), 400),
    "a field without a colon": (get(b"X-A"), 400),
    "an empty field name": (get(b": b"), 400),
    "a space in front of the first field": (b"GET /echo HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "NUL in a field": (get(b"X-A: b\0c"), 400),
    "a control in a field": (get(b"X-A: b\x01c"), 400),
    "NUL in Last-Event-ID": (get(b"Last-Event-ID: 1\x002"), 400),
    "a second Host": (get(b"Host: b"), 400),
    "no Host in HTTP/1.1": (b"GET /echo HTTP/1.1\r\n\r\n", 400),
    "a space in Host": (b"GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "an invalid method": (get(line=b"GE(T /echo HTTP/1.1"), 400),
    "no target": (get(line=b"GET HTTP/1.1"), 400),
    "two spaces in the request line": (get(line=b"GET  /echo HTTP/1.1"), 400),
    "a fragment in the target": (get(line=b"GET /echo#x HTTP/1.1"), 400),
    "no version": (get(line=b"GET /echo"), 400),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "a bad chunk size": (post(CHUNKED, content=b"zz\r\nhello\r\n0\r\n\r\n"), 400),
    "a signed chunk size": (post(CHUNKED, content=b"+5\r\nhello\r\n0\r\n\r\n"), 400),
    "a chunk size past 2^64": (post(CHUNKED, content=b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"), 400),
    "a chunk longer than its size": (post(CHUNKED, content=b"3\r\nhello\r\n0\r\n\r\n"), 400),
    "a bare LF behind a chunk size": (post(CHUNKED, content=b"5\nhello\r\n0\r\n\r\n"), 400),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    "TRACE": (get(line=b"TRACE /echo HTTP/1.1"), 405),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "another major version": (get(line=b"GET /echo HTTP/3.0"), 505),
    "a head over header_bytes": (get(*[b"X-%d: %s" % (n, b"x" * 1000) for n in range(40)]), 431),
    "one field over header_bytes": (get(b"X-A: " + b"x" * 60_000), 431),
    "ten thousand fields": (get(*[b"a:b" for _ in range(10_000)]), 431),
    "a target over header_bytes": (get(line=b"GET /" + b"x" * 60_000 + b" HTTP/1.1"), 414),
}


async def healthy(proxy, what):
    """A request behind every bad one, served as if nothing had happened."""
    answer = await fetch(proxy.port, target="/hello")
    check_equal((answer.status, answer.content), (200, b"hello\n"), f"the healthy request behind {what}")


async def refused(proxy, upstream, what, data, status):
    before = len(upstream.requests)
    async with Connection(proxy.port, timeout=5) as connection:
        try:
            await connection.send(data)
        except ConnectionError:
            pass
        try:
            answer = await connection.answer()
        except (Truncated, Failure) as failure:
            raise Failure(f"{what}: no answer ({failure})") from None
        check_equal(answer.status, status, f"{what}: status")
        kind = (answer.get("Content-Type") or "").partition(";")[0]
        check_equal(kind, "application/problem+json", f"{what}: Content-Type")
        check_equal(answer.json().get("status"), status, f"{what}: status in the content")
        if status != 405:  # A method that is not served leaves the connection as sound as it was.
            check(await connection.is_closed(), f"{what}: the connection stayed open")
    # A chunk that turns out bad may have begun its way upstream; a head that is bad may not.
    if "chunk" not in what or "chunked" in what:
        check_equal(len(upstream.requests), before, f"{what}: requests that reached the upstream")


@case("every malformed or ambiguous request is refused as the standard says, each followed by a healthy one", timeout=120)
async def all_refused(t):
    upstream = await start_upstream(t, {"/echo": echo_handler})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    problems = []
    for what, (data, status) in REFUSED.items():
        try:
            await refused(proxy, upstream, what, data, status)
        except Failure as failure:
            problems.append(str(failure))
        await healthy(proxy, what)
    check(not problems, f"{len(problems)} of {len(REFUSED)}:\n" + "\n".join(problems))


@case("the same bytes sent one by one get the same answers", timeout=120)
async def split_bytes(t):
    upstream = await start_upstream(t, {"/echo": echo_handler})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    problems = []
    for what, (data, status) in REFUSED.items():
        if len(data) > 400:
            continue
        async with Connection(proxy.port, timeout=5) as connection:
            connection.writer.get_extra_info("socket").setsockopt(6, 1, 1)  # TCP_NODELAY: each write its own segment.
            try:
                for at in range(len(data)):
                    await connection.send(data[at : at + 1])
                    await asyncio.sleep(0)
                answer = await connection.answer()
                if answer.status != status:
                    problems.append(f"{what}: expected {status}, seen {answer.status}")
            except (Failure, ConnectionError) as failure:
                problems.append(f"{what}: {failure}")
    await healthy(proxy, "byte by byte")
    check(not problems, "\n".join(problems))


@case("a request behind a refused one is never looked at")
async def no_smuggling(t):
    upstream = await start_upstream(t, {"/echo": echo_handler})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    smuggled = request_bytes("GET", "/echo?smuggled")
    for what in ("both Content-Length and Transfer-Encoding", "two differing lengths", "a bare CR that hides a field"):
        async with Connection(proxy.port) as connection:
            await connection.send(REFUSED[what][0] + smuggled)
            check_equal((await connection.answer()).status, 400, what)
            check(await connection.is_closed(), f"{what}: the connection stayed open")
    # Our own answer to a request with content: the content is read, not taken for the next request.
    async with Subscription(proxy.port) as _:
        pass
    check_equal([r for r in upstream.requests if "smuggled" in r.target], [], "smuggled requests at the upstream")


@case("a head that comes too slowly is answered 408")
async def slow_head(t):
    upstream = await start_upstream(t)
    proxy = await start_proxy(t, upstream, routes=SESSION, limits="{header_timeout: 500ms}")
    async with Connection(proxy.port) as connection:
        await connection.send(b"GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        answer = await connection.answer()
        check_equal(answer.status, 408, "status")
        check(await connection.is_closed(), "the connection stayed open")
    await healthy(proxy, "a slow head")


@case("a keep-alive connection without a request is closed after idle_timeout")
async def idle(t):
    upstream = await start_upstream(t)
    proxy = await start_proxy(t, upstream, routes=SESSION, limits="{idle_timeout: 300ms}")
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/hello")
        check_equal((await connection.answer()).status, 200, "status")
        check(await connection.is_closed(), "the idle connection stayed open")
    await healthy(proxy, "an idle connection")


@case("a bad upstream response is 502, a silent upstream 504, an upstream that is away 502")
async def upstream_errors(t):
    async def garbage(exchange):
        await exchange.raw(b"nothing of HTTP\r\n\r\n")
        exchange.keep_alive = False

    async def silent(exchange):
        await exchange.reader.read(1)

    async def resets(exchange):
        exchange.reset()

    async def ambiguous(exchange):
        await exchange.head(200, [("Content-Length", "5"), ("Transfer-Encoding", "chunked")])
        await exchange.raw(b"0\r\n\r\n")
        exchange.keep_alive = False

    table = {"/garbage": garbage, "/silent": silent, "/resets": resets, "/ambiguous": ambiguous}
    upstream = await start_upstream(t, table)
    proxy = await start_proxy(t, upstream, routes=SESSION, limits="{head_timeout: 500ms, connect_timeout: 500ms}")
    for path, status in (("/garbage", 502), ("/silent", 504), ("/resets", 502), ("/ambiguous", 502)):
        answer = await fetch(proxy.port, target=path)
        check_equal(answer.status, status, f"status for {path}")
        check_equal(answer.get("Content-Type"), "application/problem+json", f"Content-Type for {path}")
        await healthy(proxy, path)
    await upstream.stop()
    check_equal((await fetch(proxy.port, target="/hello")).status, 502, "status with no upstream")
    await upstream.start()
    await healthy(proxy, "an upstream that was away")


@case("the content of a request answered with an error is drained, or the connection closes")
async def drained(t):
    upstream = await start_upstream(t)
    await upstream.stop()
    proxy = await start_proxy(t, upstream, routes=SESSION)
    async with Connection(proxy.port) as connection:
        await connection.request("POST", "/hello", content=b"x" * 60_000)
        check_equal((await connection.answer()).status, 502, "status")
        try:
            await connection.request("GET", "/hello")
            check_equal((await connection.answer()).status, 502, "status of the second request")
        except (Failure, ConnectionError):
            pass  # Closing is allowed; taking content for a request is not.
    async with Connection(proxy.port) as connection:
        try:
            await connection.request("POST", "/hello", content=b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 20_000)
        except ConnectionError:
            pass
        try:
            check_equal((await connection.answer()).status, 502, "status")
            check(await connection.is_closed(), "the connection stayed open behind half a megabyte of content")
        except Truncated:
            pass


@case("bad requests beside a live stream do not disturb it", timeout=60)
async def beside_a_stream(t):
    events = Feed(own_counter=True, total=400, pace=0.004, ends=False)
    upstream = await start_upstream(t, {"/echo": echo_handler, "/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as client:
        reading = asyncio.create_task(client.take(400))
        for _, (data, _status) in list(REFUSED.items()) * 2:
            async with Connection(proxy.port) as connection:
                connection.writer.write(data[: t.random.randint(1, len(data))])
                await asyncio.sleep(0)
        check_equal([e["id"] for e in await reading], [str(n) for n in range(1, 401)], "ids")
    await healthy(proxy, "all of them")
