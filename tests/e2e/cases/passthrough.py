"""What is no event stream passes through untouched: content of any size, trailers, upgrades, odd but valid fields."""

import asyncio
import hashlib
from pathlib import Path

from support.clients import NODE, Client
from support.processes import Process
from support.runner import case, check, check_equal, eventually
from support.setup import SHARED, start_proxy, start_upstream
from support.upstreams import echo_handler
from support.wire import Connection, fetch, request_bytes

HERE = Path(__file__).resolve().parent.parent
GIB = 1 << 30
BLOCK = bytes(range(256)) * 1024  # 256 KiB
GROWTH_KIB = 32 * 1024


@case("method, target, fields and content arrive as they were sent, in their order and case")
async def fields_pass(t):
    upstream = await start_upstream(t, {"/echo": echo_handler})
    proxy = await start_proxy(t, upstream, routes="")
    fields = [("x-LOWER-Upper", "1"), ("X-Twice", "a"), ("Cookie", "a=b; c=d"), ("X-Twice", "b"), ("X-Odd", "ä;,\"=\t'"),
              ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("X-Empty", ""),
              ("Connection", "x-hop"), ("X-Hop", "gone"), ("Keep-Alive", "timeout=5"), ("TE", "trailers"),
              ("X-Forwarded-For", "10.1.1.1"), ("X-Forwarded-Proto", "https")]
    answer = None
    async with Connection(proxy.port) as connection:
        await connection.request("PATCH", "/echo?q=%20a+b&c=%2f&d", fields, content=b"\x00\xffcontent")
        answer = await connection.answer()
    got = answer.json()
    check_equal((got["method"], got["target"]), ("PATCH", "/echo?q=%20a+b&c=%2f&d"), "request line")
    check_equal(got["content"].encode("latin-1"), b"\x00\xffcontent", "content")
    seen = [tuple(pair) for pair in got["fields"]]
    for pair in fields[:7]:
        check(pair in seen, f"{pair} did not arrive as it was sent: {seen}")
    kept = [pair for pair in seen if pair in fields[:7]]
    check_equal(kept, fields[:7], "order of fields")
    names = [name.lower() for name, _ in seen]
    for gone in ("x-hop", "keep-alive"):
        check(gone not in names, f"hop-by-hop field {gone} went upstream")
    forwarded = dict((name.lower(), value) for name, value in seen)
    check_equal(forwarded["x-forwarded-for"], "10.1.1.1, 127.0.0.1", "X-Forwarded-For")
    check_equal(forwarded["x-forwarded-proto"], "https", "X-Forwarded-Proto")
    check_equal(forwarded["x-forwarded-host"], "test.local", "X-Forwarded-Host")
    check_equal(forwarded["host"], "test.local", "Host")


@case("status, reason, fields, duplicates and trailers of an answer pass")
async def answers_pass(t):
    async def teapot(exchange):
        await exchange.head(418, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-oDD", "é"), ("Trailer", "X-Sum"),
                                  ("Transfer-Encoding", "chunked"), ("Connection", "X-Hop"), ("X-Hop", "gone")],
                            "I am a Teapot")
        await exchange.chunk(b"short ")
        await exchange.chunk(b"and stout")
        await exchange.last_chunk([("X-Sum", "42")])

    upstream = await start_upstream(t, {"/tea": teapot})
    proxy = await start_proxy(t, upstream, routes="")
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/tea", [("TE", "trailers")])
        answer = await connection.answer()
    check_equal((answer.status, answer.content), (418, b"short and stout"), "answer")
    check_equal(answer.all("Set-Cookie"), ["a=1", "b=2"], "Set-Cookie")
    check(("X-oDD", "é".encode().decode("latin-1")) in answer.fields, f"X-oDD: {answer.fields}")
    check_equal(answer.get("X-Hop"), None, "hop-by-hop field")
    check_equal(answer.trailers, [("X-Sum", "42")], "trailers")


@case("requests on one connection are answered one by one, pipelined ones too, over few upstream connections")
async def pipelining(t):
    upstream = await start_upstream(t, {"/echo": echo_handler})
    proxy = await start_proxy(t, upstream, routes="")
    async with Connection(proxy.port) as connection:
        await connection.send(b"".join(request_bytes("GET", f"/echo?{n}") for n in range(20)))
        for n in range(20):
            check_equal((await connection.answer()).json()["target"], f"/echo?{n}", "target of a pipelined request")
        for n in range(20):
            await connection.request("POST", f"/echo?post{n}", content=b"x" * n)
            check_equal(len((await connection.answer()).json()["content"]), n, "content")
    check(upstream.connections <= 3, f"{upstream.connections} upstream connections for forty requests in a row")


@case("HEAD, OPTIONS, 304 and 204 have no content and leave the connection usable")
async def no_content(t):
    async def nothing(exchange):
        status = int(exchange.request.target.rpartition("?")[2])
        await exchange.head(status, [("ETag", '"x"')] + ([("Content-Length", "10")] if status == 304 else []))

    upstream = await start_upstream(t, {"/echo": echo_handler, "/nothing": nothing})
    proxy = await start_proxy(t, upstream, routes="")
    async with Connection(proxy.port) as connection:
        for method, target in (("HEAD", "/echo"), ("GET", "/nothing?304"), ("GET", "/nothing?204"), ("OPTIONS", "/echo")):
            await connection.request(method, target)
            answer = await connection.answer(method)
            check(answer.status in (200, 204, 304), f"{method} {target}: {answer.status}")
        await connection.request("GET", "/echo")
        check_equal((await connection.answer()).json()["method"], "GET", "the request behind them")


@case("100-continue comes from the upstream before the content is sent")
async def continues(t):
    upstream = await start_upstream(t, {"/echo": echo_handler})
    proxy = await start_proxy(t, upstream, routes="")
    async with Connection(proxy.port) as connection:
        await connection.send(request_bytes("POST", "/echo", [("Expect", "100-continue"), ("Content-Length", "5")]))
        check_equal((await connection.head()).status, 100, "the interim answer")
        await connection.send(b"hello")
        check_equal((await connection.answer()).json()["content"], "hello", "content")


@case("an HTTP/1.0 client without keep-alive gets its answer and the connection's end")
async def http_1_0(t):
    upstream = await start_upstream(t)
    proxy = await start_proxy(t, upstream, routes="")
    async with Connection(proxy.port) as connection:
        await connection.send(b"GET /hello HTTP/1.0\r\n\r\n")
        answer = await connection.answer()
        check_equal((answer.status, answer.content), (200, b"hello\n"), "answer")
        check_equal(answer.get("Transfer-Encoding"), None, "Transfer-Encoding towards HTTP/1.0")
        check(await connection.is_closed(), "the connection stayed open")


@case("WebSocket messages of three megabytes and the closing code pass both ways")
async def websocket(t):
    server = await t.enter(Process(NODE, HERE / "upstreams" / "ws-echo.mjs", name="ws-echo", cwd=HERE))
    port = int((await server.line()).split()[-1])
    proxy = await start_proxy(t, f"http://127.0.0.1:{port}", routes=SHARED)
    client = await t.enter(Client("websocket", f"ws://127.0.0.1:{proxy.port}/chat?room=7"))
    await client.until(lambda c: any(r["kind"] == "closed" for r in c.reports), "the WebSocket closed")
    reports = {report["kind"]: report for report in client.reports}
    check("echo" in reports and reports["echo"]["same"], f"echo differs: {client.reports}")
    check_equal(reports["echo"]["greeting"]["path"], "/chat?room=7", "target")
    check_equal((reports["closed"]["code"], reports["closed"]["reason"]), (4001, "bye"), "the close frame")


@case("bytes behind an upgrade flow until either side ends")
async def upgrade(t):
    async def raw_echo(exchange):
        await exchange.head(101, [("Connection", "Upgrade"), ("Upgrade", "raw-echo")], "Switching Protocols")
        while part := await exchange.reader.read(4096):
            await exchange.raw(part.upper())
        exchange.keep_alive = False

    upstream = await start_upstream(t, {"/raw": raw_echo})
    proxy = await start_proxy(t, upstream, routes="")
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/raw", [("Connection", "Upgrade"), ("Upgrade", "raw-echo")])
        check_equal((await connection.head()).status, 101, "status")
        for word in (b"one", b"two" * 10_000):
            await connection.send(word)
            check_equal(await connection._bounded(connection.reader.readexactly(len(word)), "echo"), word.upper(), "echo")


@case("h2c is never upgraded to")
async def no_h2c(t):
    upstream = await start_upstream(t, {"/echo": echo_handler})
    proxy = await start_proxy(t, upstream, routes="")
    fields = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/echo", fields)
        answer = await connection.answer()
    check_equal(answer.status, 200, "status")
    names = [name.lower() for name, _ in answer.json()["fields"]]
    check("upgrade" not in names and "http2-settings" not in names, f"went upstream: {names}")


@case("a client that leaves in the middle of an answer ends the upstream's work")
async def client_leaves(t):
    ended = asyncio.Event()

    async def endless(exchange):
        await exchange.head(200, [("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")])
        try:
            while True:
                await exchange.chunk(BLOCK)
        finally:
            ended.set()

    upstream = await start_upstream(t, {"/endless": endless})
    proxy = await start_proxy(t, upstream, routes="")
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/endless")
        await connection.head()
    await asyncio.wait_for(ended.wait(), 10)


def _peak_growth(proxy, before):
    return proxy.process.status_kib("VmHWM") - before


@case("a download of 1 GiB passes with every byte and without growing the proxy", timeout=240, alone=True)
async def download(t):
    async def big(exchange):
        await exchange.head(200, [("Content-Length", str(GIB)), ("Content-Type", "application/octet-stream")])
        for _ in range(GIB // len(BLOCK)):
            await exchange.raw(BLOCK)

    upstream = await start_upstream(t, {"/big": big})
    proxy = await start_proxy(t, upstream, routes="")
    await fetch(proxy.port, target="/hello")
    before = proxy.process.status_kib("VmHWM")
    code, seen = await _curl_hash(f"http://127.0.0.1:{proxy.port}/big")
    check_equal(code, 0, "curl's exit code")
    expected = hashlib.sha256()
    for _ in range(GIB // len(BLOCK)):
        expected.update(BLOCK)
    check_equal(seen, expected.hexdigest(), "SHA-256 of the download")
    check(_peak_growth(proxy, before) < GROWTH_KIB, f"the proxy grew by {_peak_growth(proxy, before)} KiB")


async def _curl_hash(url):
    """curl's exit code, and the SHA-256 of what it downloaded, without keeping it."""
    curl = await asyncio.create_subprocess_exec("curl", "-sS", url, stdout=asyncio.subprocess.PIPE, limit=1 << 20)
    try:
        digest = hashlib.sha256()
        while part := await curl.stdout.read(1 << 20):
            digest.update(part)
        return await curl.wait(), digest.hexdigest()
    finally:
        if curl.returncode is None:
            curl.kill()
            await curl.wait()


@case("an upload of 1 GiB passes with every byte and without growing the proxy", timeout=240, alone=True)
async def upload(t):
    upstream, sink = await _start_sink(t)
    proxy = await start_proxy(t, upstream, routes="")
    await fetch(proxy.port, target="/sink", timeout=10)
    before = proxy.process.status_kib("VmHWM")
    head = f"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: {GIB}\r\nConnection: close\r\n\r\n".encode()
    async with Connection(proxy.port, timeout=120) as connection:
        await connection.send(head)
        for _ in range(GIB // len(BLOCK)):
            await connection.send(BLOCK)
        answer = await connection.answer()
    check_equal((answer.status, answer.content), (200, str(GIB).encode()), "the upstream's count of bytes")
    check_equal(sink["first"], BLOCK[:1024], "the first bytes")
    check(_peak_growth(proxy, before) < GROWTH_KIB, f"the proxy grew by {_peak_growth(proxy, before)} KiB")


@case("a slow reader holds a large download back instead of filling the proxy", timeout=60, alone=True)
async def backpressure(t):
    sent = 0

    async def endless(exchange):
        nonlocal sent
        await exchange.head(200, [("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")])
        while True:
            await exchange.chunk(BLOCK)
            sent += len(BLOCK)

    upstream = await start_upstream(t, {"/endless": endless})
    proxy = await start_proxy(t, upstream, routes="")
    await fetch(proxy.port, target="/hello")
    before = proxy.process.status_kib("VmHWM")
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/endless")
        await connection.head()  # And reads no further.
        last = -1
        while last != sent:  # Until the upstream was held back for half a second.
            last = sent
            await asyncio.sleep(0.5)
            check(sent < 256 << 20, "the upstream was never held back")
        check(_peak_growth(proxy, before) < GROWTH_KIB, f"the proxy grew by {_peak_growth(proxy, before)} KiB")


async def _start_sink(t):
    """A server that counts what it is sent without keeping it: (its URL, what it saw)."""
    seen = {"first": b""}

    async def serve(reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.split("content-length:")[1].split("\r\n")[0]) if "content-length:" in head else 0
            count = 0
            while count < length:
                part = await reader.read(1 << 20)
                if not part:
                    break
                seen["first"] = seen["first"] or part[:1024]
                count += len(part)
            text = str(count).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 21)
    t.stack.callback(server.close)
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


@case("many requests at once leave no connection behind")
async def no_leak(t):
    upstream = await start_upstream(t, {"/echo": echo_handler})
    proxy = await start_proxy(t, upstream, routes="")
    for _ in range(4):
        await asyncio.gather(*(fetch(proxy.port, target=f"/echo?{n}") for n in range(50)))

    async def idle():
        return (await proxy.metric("ssequel_connections") or 0) <= 1

    await eventually(idle, "ssequel_connections is back at nothing")
