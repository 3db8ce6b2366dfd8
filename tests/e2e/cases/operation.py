"""Operating it: draining, signals, reloading, the admin endpoint."""

import asyncio
import json
import os
import signal

from support.processes import run_to_end
from support.runner import case, check, check_equal, eventually
from support.setup import SESSION, SHARED, start_client, start_proxy, start_upstream
from support.upstreams import Feed
from support.wire import Connection, Subscription, fetch

DRAIN = "{delay: 200ms, timeout: 4s, retry_spread: 2s}"
BOTH = SHARED + SESSION.replace("path: /events", "path: /mine")


async def readiness(proxy):
    try:
        return (await fetch(proxy.admin, target="/readyz", timeout=2)).status
    except OSError:
        return None


def drains_by(name, begin, exits):
    @case(f"{name} says goodbye to each subscriber at an event's end with a retry of its own", timeout=60)
    async def run(t):
        events = Feed(own_counter=True, total=10_000, pace=0.002, ends=False)
        upstream = await start_upstream(t, {"/events": events, "/mine": events})
        proxy = await start_proxy(t, upstream, routes=BOTH, drain=DRAIN)
        clients = []
        for n in range(8):
            client = await t.enter(Subscription(proxy.port, "/events" if n < 6 else "/mine"))
            await client.take(3)
            clients.append(client)
        await begin(t, proxy)
        await eventually(lambda: _not_ready(proxy), "not ready")
        endings = await asyncio.wait_for(asyncio.gather(*(client.to_end() for client in clients)), 15)
        for n, (client, rest) in enumerate(zip(clients, endings)):
            check_equal(client.ended, "clean" if n < 6 else "broken", f"end of client {n}'s response")
            # On a shared route the end stands behind a whole frame; nothing of an event is left in the parser.
            check(client.parser.lines == [], f"client {n} was cut inside an event")
            retry = client.parser.retry
            low = 30
            check(retry is not None and low <= retry <= low + 2000, f"client {n} was given retry {retry}")
            ids = [int(e["id"].split("-")[-1]) for e in rest]
            check_equal(ids, list(range(4, 4 + len(ids))), f"ids of client {n} up to the end")
        check(len({client.parser.retry for client in clients}) > 1, "all clients were given one and the same retry")
        if exits:
            check_equal(await proxy.process.wait(10), 0, "exit code")
        else:
            check(proxy.process.running, "POST /drain must leave the process running")
            check_equal(await readiness(proxy), 503, "/readyz")

    return run


async def _not_ready(proxy):
    return await readiness(proxy) != 200


async def by_signal(t, proxy):
    proxy.process.signal(signal.SIGTERM)


async def by_interrupt(t, proxy):
    proxy.process.signal(signal.SIGINT)


async def by_post(t, proxy):
    check_equal((await fetch(proxy.admin, "POST", "/drain")).status, 202, "status of POST /drain")


async def by_command(t, proxy):
    code, out, err = await run_to_end(t.binary, "drain", "--config", proxy.file)
    check_equal(code, 0, f"exit code of `ssequel drain` ({out}{err})")


async def by_command_admin(t, proxy):
    code, out, err = await run_to_end(t.binary, "drain", "--admin", f"127.0.0.1:{proxy.admin}")
    check_equal(code, 0, f"exit code of `ssequel drain` ({out}{err})")


drains_by("SIGTERM", by_signal, True)
drains_by("SIGINT", by_interrupt, True)
drains_by("POST /drain", by_post, False)
drains_by("ssequel drain --config", by_command, False)
drains_by("ssequel drain --admin", by_command_admin, False)


@case("while draining the listener stays open: a new event stream gets 200, a retry and the end, the rest is served")
async def draining_listener(t):
    events = Feed(own_counter=True, total=5, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED, drain="{delay: 0s, timeout: 8s, retry_spread: 1s}")
    await by_post(t, proxy)
    await eventually(lambda: _not_ready(proxy), "not ready")
    async with Subscription(proxy.port) as client:
        check_equal((await client.open()).status, 200, "status of a new event stream")
        check_equal(await client.to_end(), [], "events")
        check(client.parser.retry is not None, "no retry")
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/hello")
        answer = await connection.answer()
        check_equal((answer.status, answer.content), (200, b"hello\n"), "a plain request")
        check_equal((answer.get("Connection") or "").lower(), "close", "Connection")


@case("requests in flight may finish while SIGTERM drains, and the process then exits 0")
async def in_flight(t):
    release = asyncio.Event()

    async def slow(exchange):
        await exchange.head(200, [("Content-Length", "10")])
        await exchange.raw(b"12345")
        await release.wait()
        await exchange.raw(b"67890")

    upstream = await start_upstream(t, {"/slow": slow})
    proxy = await start_proxy(t, upstream, routes=SESSION, drain=DRAIN)
    waiting = asyncio.create_task(fetch(proxy.port, target="/slow"))
    await eventually(lambda: any(r.path == "/slow" for r in upstream.requests), "the request is on its way")
    proxy.process.signal(signal.SIGTERM)
    await eventually(lambda: _not_ready(proxy), "not ready")
    release.set()
    check_equal((await waiting).content, b"1234567890", "content")
    check_equal(await proxy.process.wait(15), 0, "exit code")


@case("a POST stream may finish while SIGTERM drains")
async def post_in_flight(t):
    events = Feed(own_counter=True, total=100, pace=0.01, ends=True)
    upstream = await start_upstream(t, {"/chat": events})
    routes = "\n- {name: chat, match: {path: /chat, methods: [POST]}, mode: session}\n"
    proxy = await start_proxy(t, upstream, routes=routes, drain=DRAIN.replace("4s", "40s"))
    async with Subscription(proxy.port, "/chat", method="POST", content=b"?") as client:
        await client.take(3)
        proxy.process.signal(signal.SIGTERM)
        rest = await client.to_end()
        check_equal((client.ended, len(rest)), ("clean", 97), "the rest of the stream")
    check_equal(await proxy.process.wait(60), 0, "exit code")


@case("SIGTERM ends within drain.timeout although a request never does")
async def drain_timeout(t):
    async def never(exchange):
        await exchange.reader.read(1)

    upstream = await start_upstream(t, {"/never": never})
    proxy = await start_proxy(t, upstream, routes=SESSION, drain="{delay: 100ms, timeout: 1s}")
    async with Connection(proxy.port) as connection:
        await connection.request("GET", "/never")
        await eventually(lambda: upstream.requests, "the request is on its way")
        proxy.process.signal(signal.SIGTERM)
        check_equal(await proxy.process.wait(10), 0, "exit code")


@case("a second signal exits at once with 128 + its number; a signal after POST /drain is the first")
async def second_signal(t):
    events = Feed(own_counter=True, total=3, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    drain = "{delay: 20s, timeout: 30s}"
    proxy = await start_proxy(t, upstream, routes=SHARED, drain=drain, name="twice")
    proxy.process.signal(signal.SIGTERM)
    await eventually(lambda: _not_ready(proxy), "not ready")
    proxy.process.signal(signal.SIGINT)
    code = await proxy.process.wait(10)
    check(code in (128 + signal.SIGINT, -signal.SIGINT), f"exit code {code}, expected {128 + signal.SIGINT}")
    proxy = await start_proxy(t, upstream, routes=SHARED, drain="{delay: 100ms, timeout: 3s}", name="post")
    await by_post(t, proxy)
    proxy.process.signal(signal.SIGTERM)
    check_equal(await proxy.process.wait(15), 0, "exit code of a first signal behind POST /drain")


@case("a browser goes from a draining proxy to its successor with every event once", timeout=60)
async def rolling(t):
    events = Feed()
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED, drain="{delay: 0s, timeout: 5s, retry_spread: 100ms}")
    browser = await start_client(t, "chromium", proxy.port)
    await eventually(lambda: events.alive, "the stream is open")
    events.publish(10)
    await browser.until_seq(10)
    proxy.process.signal(signal.SIGTERM)
    check_equal(await proxy.process.wait(10), 0, "exit code")
    await start_proxy(t, upstream, routes=SHARED, port=proxy.port, name="successor")
    await eventually(lambda: events.alive, "the stream is open again", 20)
    events.publish(10)
    await browser.until_seq(20)
    # The memory store does not outlive the process: the successor does not know id 10 and must say so.
    browser.seen.require_told()
    check_equal(len(browser.seen.syncs), 1, "sync-required events")


async def reloaded(proxy, success):
    return await proxy.metric("ssequel_config_reload_success") == success


@case("SIGHUP reloads routes without dropping a connection; a bad file leaves the old ones in force")
async def sighup(t):
    events = Feed()
    upstream = await start_upstream(t, {"/events": events, "/other": Feed(own_counter=True, total=3, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as client:
        await client.open()
        await eventually(lambda: events.alive, "the stream is open")
        events.publish(3)
        await client.take(3)
        good = proxy.config()
        other = SHARED.replace("/events", "/other").replace("name: feed", "name: other")
        proxy.file.write_text(good + "\n".join("  " + line for line in other.strip().splitlines()) + "\n")
        proxy.process.signal(signal.SIGHUP)

        async def routed():
            async with Subscription(proxy.port, "/other") as one:
                return (await one.event())["id"] == "1"

        await eventually(routed, "the new route is in force", 5)
        proxy.file.write_text("routes: {broken\n")
        proxy.process.signal(signal.SIGHUP)
        await eventually(lambda: reloaded(proxy, 0), "ssequel_config_reload_success is 0", 5)
        check(await routed(), "a bad file took the route away")
        events.publish(3)
        check_equal([e["id"] for e in await client.take(3)], ["4", "5", "6"], "the living subscriber's events")
        proxy.file.write_text(good)
        proxy.process.signal(signal.SIGHUP)
        await eventually(lambda: reloaded(proxy, 1), "ssequel_config_reload_success is 1", 5)


@case("a change of the file reloads by itself, also one by a swapped symbolic link as a ConfigMap does it")
async def file_change(t):
    upstream = await start_upstream(t, {"/one": Feed(own_counter=True, total=3, ends=False)})
    proxy = await start_proxy(t, upstream, routes="")
    config = proxy.config()
    route = SHARED.replace("path: /events", "path: /one").strip()
    changed = config.replace("routes: []", "routes:\n" + "\n".join("  " + line for line in route.splitlines()))

    async def id_is(port, expected):
        async with Subscription(port, "/one") as one:
            event = await one.event()
            return event is not None and event["id"] == expected

    check(await id_is(proxy.port, ""), "without routes an event has no id")
    proxy.file.write_text(changed)
    await eventually(lambda: id_is(proxy.port, "1"), "the changed file is in force", 10)

    # What kubelet does: ..data is a link to a folder and is replaced by rename(2).
    volume = t.folder / "volume"
    for name, text in (("..1", config), ("..2", changed)):
        (volume / name).mkdir(parents=True)
        (volume / name / "ssequel.yaml").write_text(text)
    os.symlink("..1", volume / "..data")
    os.symlink("..data/ssequel.yaml", volume / "ssequel.yaml")
    await proxy.process.stop()
    proxy.write_config = lambda: None
    proxy.file = volume / "ssequel.yaml"
    await t.enter(proxy)
    check(await id_is(proxy.port, ""), "without routes an event has no id")
    os.symlink("..2", volume / "..data_tmp")
    os.rename(volume / "..data_tmp", volume / "..data")
    await eventually(lambda: id_is(proxy.port, "1"), "the swapped link's file is in force", 10)


@case("the admin endpoint: health, readiness, channels, metrics, a status page; drain only by POST")
async def admin(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=10, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    secret = ("Authorization", "Bearer s3cret-t0ken")
    async with Subscription(proxy.port, "/events?token=qu3ry", fields=[secret]) as client:
        await client.take(10)
        async with Subscription(proxy.port, last_event_id="4") as again:
            await again.take(6)
            for target in ("/healthz", "/readyz", "/metrics", "/channels", "/"):
                answer = await fetch(proxy.admin, target=target)
                check_equal(answer.status, 200, f"status of {target}")
                for hidden in (b"s3cret-t0ken", b"qu3ry", b'"seq"'):
                    check(hidden not in answer.content, f"{target} shows {hidden}")
            check(isinstance(await proxy.channels(), (list, dict)), "/channels is JSON")
            numbers = {
                ("sse_events_emitted_total", 10), ("sse_events_delivered_total", 16), ("sse_reconnect_total", 1),
                ("ssequel_subscribers", 2), ("ssequel_channels", 1), ("ssequel_upstream_connected", 1),
                ("ssequel_window_events", 10),
            }
            for name, value in numbers:
                check_equal(await proxy.metric(name, route="feed"), value, name)
            check_equal(await proxy.metric("sse_reconnect_replay_count_sum", route="feed"), 6, "events replayed")
            check_equal(await proxy.metric("ssequel_resumes_total", route="feed", by="own"), 1, "resumes by own id")
            check(await proxy.metric("ssequel_build_info") == 1, "ssequel_build_info")
    check_equal((await fetch(proxy.admin, "GET", "/drain")).status, 405, "GET /drain")
    check_equal((await fetch(proxy.admin, target="/nothing")).status, 404, "an unknown path")
    check_equal(await readiness(proxy), 200, "/readyz behind them")
    check("s3cret-t0ken" not in proxy.log and "qu3ry" not in proxy.log, "a credential or query is in the log")


@case("names of the metrics are those that dashboards rely on")
async def metric_names(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=3, ends=False)})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as client:
        await client.take(3)
        async with Subscription(proxy.port, last_event_id="999") as ahead:
            await ahead.event()
        await fetch(proxy.port, target="/hello")
        present = {name for name, _ in await proxy.metrics()}
    expected = """sse_events_emitted_total sse_events_delivered_total sse_reconnect_total
        sse_reconnect_replay_count_count sse_id_gaps_total last_event_id_mismatch_total duplicate_delivery_rate
        ssequel_resumes_total ssequel_sync_required_total ssequel_trouble_answers_total ssequel_subscribers
        ssequel_channels ssequel_orphans ssequel_window_events ssequel_window_bytes ssequel_upstream_connected
        ssequel_upstream_reconnects_total ssequel_delivery_seconds_count ssequel_subscriber_lag_events_count
        ssequel_events_dropped_total ssequel_events_deduplicated_total ssequel_ids_rewritten_total
        ssequel_http_requests_total ssequel_unrouted_event_streams_total ssequel_connections
        ssequel_config_reload_success ssequel_build_info""".split()
    missing = [name for name in expected if name not in present]
    check(not missing, f"missing: {missing}")


@case("one access line a request, without query, id or credential; JSON where asked")
async def access_lines(t):
    upstream = await start_upstream(t)
    proxy = await start_proxy(t, upstream, routes=SESSION, extra="log: {level: info, format: json}")
    fields = [("Authorization", "Bearer s3cret-t0ken"), ("Last-Event-ID", "1d-of-mine")]
    await fetch(proxy.port, target="/hello?token=qu3ry", fields=fields)
    await eventually(lambda: "/hello" in proxy.log, "an access line")
    for hidden in ("s3cret-t0ken", "qu3ry", "1d-of-mine"):
        check(hidden not in proxy.log, f"the log shows {hidden}")
    for line in proxy.log.splitlines():
        json.loads(line)
    check_equal(sum("/hello" in line for line in proxy.log.splitlines()), 1, "access lines for one request")
