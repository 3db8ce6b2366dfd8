"""`store: {kind: disk}`: what a client was once given is there after any kind of restart, with the same ids and bytes.
Then directories: which are made, which are refused, and how."""

import asyncio
import json
import shutil
import subprocess

from support import feed as numbered
from support.disk import AUTO, QUIET, SIGNALS, Disk, Follower, small_disk
from support.feed import split_id
from support.processes import Process, run_to_end
from support.runner import case, check, check_equal, eventually
from support.setup import SESSION, SHARED, start_client, start_upstream
from support.upstreams import Feed, Style


def survives(how, sync):
    @case(f"after {how} with sync {sync} the same ids and bytes are there, and the next id is one more", timeout=60)
    async def run(t):
        events = Feed()
        disk = Disk(t, await start_upstream(t, {"/events": events}), sync=sync)
        await disk.start()
        async with disk.subscribe() as client:
            await eventually(lambda: events.alive, "the upstream stream is open")
            events.publish(50)
            before = await client.take(50)
        await disk.restart(how)
        async with disk.subscribe(last_event_id="20") as client:
            head = await client.open()
            check_equal(head.get("Ssequel-Resume"), "suffix", "Ssequel-Resume")
            check_equal(await client.take(30), before[20:], "what is replayed after the restart")
            told = (await client.take(1))[0]
            check_equal((told["type"], told["id"]), ("sync-required", "51"), "the gap of the upstream's new connection")
            check_equal(json.loads(told["data"])["reason"], "upstream-gap", "its reason")
            events.publish(5)
            after = await client.take(5)
        check_equal([e["id"] for e in after], [str(n) for n in range(52, 57)], "ids after the restart")
        check_equal([json.loads(e["data"])["seq"] for e in after], list(range(51, 56)), "events after the restart")
        await disk.restart("SIGKILL" if how == "SIGTERM" else "SIGTERM")
        async with disk.subscribe(last_event_id="0") as client:  # The log's base.
            check_equal(await client.take(56), [*before, told, *after], "the whole window after another restart")
        check_equal(disk.aside(), [], "files set aside")

    return run


for _how in SIGNALS:
    for _sync in ("os", "always"):
        survives(_how, _sync)


@case("a log that began at the time goes on at exactly one more after SIGKILL; another start would be above it")
async def goes_on(t):
    events = Feed()
    disk = Disk(t, await start_upstream(t, {"/events": events, "/other": events}),
                routes=AUTO.replace("path: /events", "path: /**") + "  on_upstream_gap: none\n")
    await disk.start()
    async with disk.subscribe() as client:
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(10)
        ids = [int(e["id"]) for e in await client.take(10)]
    check_equal(ids, list(range(ids[0], ids[0] + 10)), "ids")
    await disk.restart("SIGKILL")
    async with disk.subscribe(last_event_id=str(ids[-1])) as client:
        check_equal((await client.open()).get("Ssequel-Resume"), "live", "Ssequel-Resume")
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(3)
        check_equal([int(e["id"]) for e in await client.take(3)], [ids[-1] + n for n in (1, 2, 3)], "ids")
        async with disk.subscribe("/other") as other:
            await eventually(lambda: events.alive == 2, "the other stream is open")
            events.publish(1)
            check(int((await other.take(1))[0]["id"]) > ids[-1] + 3, "a new log's id is above all that were given")


@case("killed at ten random moments under load: nothing that anybody saw is missing, doubled or changed", timeout=120)
async def killed_under_load(t):
    events = Feed()
    disk = Disk(t, await start_upstream(t, {"/events": events}))
    await disk.start()
    stopping = asyncio.Event()

    async def publish():
        while not stopping.is_set():
            events.publish(t.random.randrange(1, 8))
            await asyncio.sleep(0.002)

    with Follower(disk) as one, Follower(disk) as two:
        publisher = asyncio.create_task(publish())
        for _ in range(10):
            had = len(one.seen.events)
            await eventually(lambda: len(one.seen.events) > had, "events go on", 20)
            await asyncio.sleep(t.random.random() * 0.3)
            await disk.restart("SIGKILL")
        had = len(one.seen.events)
        await eventually(lambda: len(one.seen.events) > had + 5, "events go on", 20)
        stopping.set()
        await publisher
        had = -1
        while had != (had := len(one.seen.events) + len(two.seen.events)):
            await asyncio.sleep(0.5)
    check(len(one.seen.events) > 300, f"only {len(one.seen.events)} events went through")
    check(one.opened > 10, f"the follower came back only {one.opened} times")
    for follower in (one, two):
        follower.seen.require_told()
        follower.seen.require_rising_ids()  # Across all restarts: each id is one more than the last.
        check({json.loads(e["data"])["reason"] for e in follower.seen.syncs} <= {"upstream-gap"}, "reasons")
        check_equal(follower.statuses, {200}, "statuses")
    by_id = {event["id"]: event for event in one.seen.events}
    for event in two.seen.events:
        check(by_id.setdefault(event["id"], event) == event, f"two clients saw different events: {event}")
    last = one.seen.ids[-1]
    async with disk.subscribe() as client:  # From the oldest on.
        window = [await client.event()]
        while window[-1]["id"] != last:
            window.append(await client.event())
    for event in window:
        check(by_id.get(event["id"], event) == event, f"the window holds another event: {event}")
    missing = set(by_id) - {event["id"] for event in window}
    check(all(int(n) < int(window[0]["id"]) for n in missing), f"not in the window: {sorted(missing)[:5]}")
    check_equal(disk.aside(), [], "files set aside")


@case("twelve starts in a row, killed as soon as they answer, use up no ids")
async def crash_loop(t):
    events = Feed()
    disk = Disk(t, await start_upstream(t, {"/events": events}), routes=QUIET)
    await disk.start()
    async with disk.subscribe() as client:
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(4)
        before = await client.take(4)
    for _ in range(12):
        await disk.restart("SIGKILL")
    async with disk.subscribe(last_event_id="2") as client:
        check_equal(await client.take(2), before[2:], "the replay")
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(1)
        check_equal((await client.take(1))[0]["id"], "5", "the next id")


@case("Chromium goes on over SIGTERM and SIGKILL and is not told of a loss", timeout=90)
async def browser(t):
    events = Feed()
    upstream = await start_upstream(t, {"/events": events})
    disk = Disk(t, upstream, routes=QUIET)
    await disk.start()
    browser = await start_client(t, "chromium", disk.port)
    for how in ("SIGTERM", "SIGKILL", None):
        await eventually(lambda: events.alive, "the upstream stream is open", 30)
        events.publish(20)
        await browser.until_seq(events.last)
        if how:
            await disk.stop(how)
            await eventually(lambda: not events.alive, "the upstream stream is closed")
            await disk.start()
    browser.seen.require_exactly(1, 60)
    check_equal(browser.seen.ids, [str(n) for n in range(1, 61)], "ids")


@case("a window whose upstream is gone is served after a restart, and the subscriber stays on heartbeats", timeout=60)
async def upstream_gone(t):
    events = Feed(Style(fields=(("X-Feed", "of the service"), ("Cache-Control", "no-store"))))
    upstream = await start_upstream(t, {"/events": events})
    disk = Disk(t, upstream, routes=SHARED + "  heartbeat: 100ms\n")
    await disk.start()
    async with disk.subscribe() as client:
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(30)
        before = await client.take(30)
        fields = client.response.fields
    await disk.stop("SIGKILL")
    await upstream.stop()
    await disk.start()
    async with disk.subscribe(last_event_id="10") as client:
        head = await client.open()
        check_equal(head.status, 200, "status")
        check_equal(await client.take(20), before[10:], "the replay")
        check_equal([f for f in head.fields if f[0].lower() not in ("ssequel-resume", "date")],
                    [f for f in fields if f[0].lower() not in ("ssequel-resume", "date")], "the response's fields")
        check_equal(head.get("X-Feed"), "of the service", "a field of the upstream's, which is away")
        reading = asyncio.create_task(client.event())
        await eventually(lambda: client.parser.comments >= 3, "heartbeats")
        await upstream.start()
        await eventually(lambda: events.alive, "the upstream stream is open", 20)
        events.publish(1)
        check_equal((await reading)["id"], "31", "the told gap")
        check_equal((await client.event())["id"], "32", "the next event")


def ended(name, ends, ending):
    @case(f"a session's response that {name} is replayed with that end after a restart, without asking the upstream")
    async def run(t):
        async def chat(exchange):
            feed = Feed(own_counter=True, total=10, ends=ends)
            if ends:
                await feed.serve(exchange)
            else:
                await exchange.head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
                for seq in range(1, 11):
                    await exchange.chunk(numbered.frame(seq))
                exchange.reset()

        upstream = await start_upstream(t, {"/chat": chat})
        routes = "- {name: chat, match: {path: /chat, methods: [POST, GET], accept: any}, mode: session}"
        for method in ("POST", "GET"):
            disk = Disk(t, upstream, routes=routes, path=t.folder / f"store-{method}")
            await disk.start()
            content = b'{"ask":1}' if method == "POST" else None
            async with disk.subscribe("/chat", method=method, content=content) as client:
                before = await client.to_end()
                check_equal((len(before), client.ended), (10, ending), "the response")
            asked = len(upstream.requests)
            for how in ("SIGKILL", "SIGTERM"):
                await disk.restart(how)
                async with disk.subscribe("/chat", method=method, content=content,
                                          last_event_id=before[3]["id"]) as client:
                    rest = await client.to_end()
                    told = [e for e in rest if e["type"] == "sync-required"]
                    check_equal([e for e in rest if e not in told], before[4:], f"the replay of {method} after {how}")
                    check_equal(client.ended, ending, f"the end of {method} after {how}")
                    reasons = [json.loads(e["data"])["reason"] for e in told]
                    check_equal(reasons, ["upstream-lost"] if method == "POST" and not ends else [], "what is told")
                check_equal(len(upstream.requests), asked, "requests at the upstream")
            await disk.stop()

    return run


ended("ended", True, "clean")
ended("broke off", False, "broken")


@case("a session cut by SIGKILL is replayed up to where it broke off; GET then asks again, POST is told", timeout=60)
async def session_cut(t):
    events = Feed(own_counter=True, total=10, ends=False)
    upstream = await start_upstream(t, {"/chat": events})
    routes = "- {name: chat, match: {path: /chat, methods: [POST, GET], accept: any}, mode: session}"
    for method in ("GET", "POST"):
        disk = Disk(t, upstream, routes=routes, path=t.folder / f"store-{method}")
        await disk.start()
        content = b"?" if method == "POST" else None
        async with disk.subscribe("/chat", method=method, content=content) as client:
            before = await client.take(10)
            await disk.stop("SIGKILL")
        tag, _ = split_id(before[0]["id"])
        asked = len(upstream.requests)
        await disk.start()
        async with disk.subscribe("/chat", method=method, content=content, last_event_id=before[5]["id"]) as client:
            rest = await client.to_end()
            check_equal(rest[:4], before[6:], f"the replay of {method}")
            check_equal(client.ended, "broken", f"the end of {method}")
            check_equal(len(upstream.requests), asked, f"requests at the upstream of {method}")
            told = [json.loads(e["data"])["reason"] for e in rest[4:]]
            check_equal(told, ["upstream-lost"] if method == "POST" else [], f"what {method} is told")
        if method == "GET":
            async with disk.subscribe("/chat", last_event_id=before[-1]["id"]) as client:
                told = (await client.take(1))[0]
                check_equal(json.loads(told["data"])["reason"], "upstream-gap", "reason")
                more = await client.take(10)
                check_equal([e["id"] for e in [told, *more]], [f"{tag}-{n}" for n in range(11, 22)], "ids that go on")
            check_equal(len(upstream.requests), asked + 1, "the request that goes on")
        await disk.stop()


@case("a session's tag is bound to who opened it after a restart, too")
async def session_identity(t):
    upstream = await start_upstream(t, {"/events": Feed(own_counter=True, total=5, ends=False)})
    disk = Disk(t, upstream, routes=SESSION)
    await disk.start()
    mine, yours = [("Authorization", "Bearer mine")], [("Authorization", "Bearer yours")]
    async with disk.subscribe(fields=mine) as client:
        before = await client.take(5)
    await disk.restart("SIGKILL")
    async with disk.subscribe(fields=yours, last_event_id=before[1]["id"]) as client:
        event = (await client.take(1))[0]
        check_equal((event["type"], json.loads(event["data"])["reason"]), ("sync-required", "unknown"), "to another")
    async with disk.subscribe(fields=mine, last_event_id=before[1]["id"]) as client:
        check_equal(await client.take(3), before[2:], "to the one who opened it")
    found = subprocess.run(["grep", "-ral", "Bearer mine", str(disk.path)], capture_output=True, text=True)
    check_equal(found.stdout, "", "files that hold a credential")


@case("a changed key starts a new log above all earlier ids, and old ids are answered with sync-required")
async def changed_key(t):
    events = Feed()
    disk = Disk(t, await start_upstream(t, {"/events": events}), routes=AUTO)
    await disk.start()
    async with disk.subscribe() as client:
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(10)
        before = await client.take(10)
    await disk.restart(routes=AUTO.replace("key: [path]", "key: [host, path]"))
    async with disk.subscribe(last_event_id=before[4]["id"]) as client:
        await eventually(lambda: events.alive, "the upstream stream is open")
        event = (await client.take(1))[0]
        check_equal((event["type"], json.loads(event["data"])["reason"]), ("sync-required", "unknown"), "the answer")
        events.publish(1)
        check(int((await client.take(1))[0]["id"]) > int(before[-1]["id"]), "the new log's id is above the old ones")


@case("a smaller window in the configuration is a smaller window after a restart")
async def smaller_window(t):
    events = Feed()
    disk = Disk(t, await start_upstream(t, {"/events": events}), routes=QUIET)
    await disk.start()
    async with disk.subscribe() as client:
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(400)
        before = await client.take(400)
    await disk.restart(routes=QUIET + "  window: {events: 50}\n")
    async with disk.subscribe(last_event_id="2") as client:
        event = (await client.take(1))[0]
        check_equal(json.loads(event["data"])["reason"], "window", "the answer to an id that left the window")
    async with disk.subscribe(last_event_id="390") as client:
        check_equal(await client.take(10), before[390:], "the rest")
    check(await disk.proxy.metric("ssequel_window_events") <= 100, "the window holds more than twice its bound")


# ------------------------------------------------------------------------------------------------ directories


async def refused(disk, *words):
    """Starting fails with exit code 2 and an error that says these."""
    proxy = disk.make()
    proxy.write_config()
    code, out, err = await run_to_end(disk.t.binary, "--config", proxy.file)
    check_equal(code, 2, f"exit code ({out}{err})")
    for word in ("store.path", *words):
        check(str(word) in err, f"the error does not say {word!r}: {err}")
    return err


@case("a directory that is missing is made, for its owner only")
async def made(t):
    disk = Disk(t, await start_upstream(t), path=t.folder / "new")
    await disk.start()
    check(disk.file.exists(), "no ssequel.db")
    for path in (disk.path, *disk.path.iterdir()):
        check_equal(path.stat().st_mode & 0o077, 0, f"what others may do with {path.name}")


@case("a directory that cannot be made or written is an error with exit code 2")
async def not_writable(t):
    upstream = await start_upstream(t)
    (t.folder / "file").write_text("a file")
    await refused(Disk(t, upstream, path=t.folder / "file"), t.folder / "file")
    await refused(Disk(t, upstream, path=t.folder / "file" / "below"), t.folder / "file" / "below")
    await refused(Disk(t, upstream, path="/proc/ssequel-e2e"), "/proc/ssequel-e2e")
    async with small_disk(t.folder / "mounted", "4m") as resize:
        if resize is None:
            return
        subprocess.run(["mount", "-o", "remount,ro", str(t.folder / "mounted")], check=True)
        await refused(Disk(t, upstream, path=t.folder / "mounted"), t.folder / "mounted")
        await refused(Disk(t, upstream, path=t.folder / "mounted" / "below"), t.folder / "mounted" / "below")


@case("a directory that another process holds is an error that names its process id, and the holder goes on")
async def held(t):
    events = Feed()
    disk = Disk(t, await start_upstream(t, {"/events": events}))
    holder = await disk.start()
    other = Disk(t, disk.upstream)
    other.runs = 50
    await refused(other, str(holder.process.pid), disk.path)
    async with disk.subscribe() as client:
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(3)
        await client.take(3)
    await disk.stop("SIGKILL")  # The lock goes with the process.
    await disk.start()


@case("a database that is another program's, or a newer version's, is refused and stays as it is")
async def foreign(t):
    upstream = await start_upstream(t)
    disk = Disk(t, upstream)
    disk.path.mkdir()
    subprocess.run(["sqlite3", str(disk.file), "CREATE TABLE mine(x); INSERT INTO mine VALUES(7)"], check=True)
    before = disk.file.read_bytes()
    await refused(disk, "ssequel.db")
    check_equal(disk.file.read_bytes(), before, "the other program's file")
    disk.file.unlink()
    await disk.start()
    await disk.stop()
    subprocess.run(["sqlite3", str(disk.file), "PRAGMA user_version=9999"], check=True, stdout=subprocess.DEVNULL)
    await refused(disk, "newer")
    check_equal(disk.aside(), [], "files set aside")


# -------------------------------------------------------------------------------------------------- room and tools


@case("files stay within twice the window while twenty windows go through", timeout=120)
async def bounded(t):
    size, window = 8 * 1024, 16 * 1024 * 1024
    total = 20 * window // size
    block = b"data: " + b"x" * (size - 40) + b" %06d\n\n"

    async def serve(exchange):
        await exchange.head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
        for n in range(1, total + 1):
            await exchange.chunk(block % n)
            if n % 16 == 0:
                await asyncio.sleep(0)
        await exchange.reader.read(1)

    disk = Disk(t, await start_upstream(t, {"/events": serve}), routes=QUIET + "  window: {events: 0, bytes: 16MiB}\n",
                limits="{event_bytes: 64KiB}")
    await disk.start()
    most = 0
    last = 0
    async with disk.subscribe() as client:
        for n in range(total):
            event = await client.event()
            check_equal(int(event["data"][-6:]), n + 1, "the event")
            last = event["id"]
            if n % 64 == 0:
                most = max(most, disk.bytes())
    check_equal(last, str(total), "the last id")
    check(window <= most <= 2 * window, f"the files took {most / 2**20:.1f} MiB")
    check(await disk.proxy.metric("ssequel_store_commit_seconds_count") > 0, "ssequel_store_commit_seconds")
    await disk.restart("SIGKILL")
    async with disk.subscribe(last_event_id=str(total - 100)) as client:
        check_equal([e["id"] for e in await client.take(100)], [str(n) for n in range(total - 99, total + 1)], "ids")
    check(disk.bytes() <= 2 * window, f"the files take {disk.bytes() / 2**20:.1f} MiB after a restart")


@case("sqlite3 shows the windows while the proxy runs, and holds nobody up")
async def by_hand(t):
    if shutil.which("sqlite3") is None:
        print("disk: skipped, no sqlite3", flush=True)
        return
    events = Feed()
    disk = Disk(t, await start_upstream(t, {"/events": events}))
    await disk.start()
    async with disk.subscribe() as client:
        await eventually(lambda: events.alive, "the upstream stream is open")
        events.publish(40)
        before = await client.take(40)

        async def ask(sql):
            code, out, err = await run_to_end("sqlite3", "-readonly", "-json", disk.file, sql)
            check_equal(code, 0, f"sqlite3's exit code ({err})")
            return json.loads(out or "[]")

        row = (await ask("SELECT * FROM windows"))[0]
        check_equal((row["route"], row["events"], row["newest"]), ("feed", 40, 40), "the window's row")
        frames = await ask("SELECT CAST(frames AS TEXT) AS text FROM blocks ORDER BY first")
        text = "".join(row["text"] for row in frames)
        for event in before:
            check(f"id: {event['id']}\n" in text, f"event {event['id']} is not in the file")
        reader = await t.enter(Process("sqlite3", "-readonly", disk.file, stdin=True))
        reader.child.stdin.write(b"BEGIN; SELECT count(*) FROM blocks;\n")  # A snapshot that stays open.
        await reader.child.stdin.drain()
        await reader.line()
        events.publish(100)
        check_equal([e["id"] for e in await client.take(100)], [str(n) for n in range(41, 141)], "ids meanwhile")
    await disk.restart("SIGKILL")
    async with disk.subscribe(last_event_id="40") as client:
        check_equal([e["id"] for e in await client.take(100)], [str(n) for n in range(41, 141)], "ids after SIGKILL")
