"""The disk store in trouble: a disk that is full, files that are damaged. Nothing is lost, doubled or changed in
silence, and all goes on by itself.

Filling a disk needs a file system of its own: a small tmpfs, which only root can mount. Where that is not possible, the
case says so and passes.
"""

import asyncio
import contextlib
import json
import re

from support.disk import AUTO, QUIET, Disk, is_well, small_disk, status
from support.feed import Seen
from support.runner import case, check, check_equal, eventually
from support.setup import SHARED, start_upstream
from support.upstreams import Feed


# --------------------------------------------------------------------------------------------------- a full disk


async def is_stalled(disk, seen):
    """Nothing came for a second although the upstream has more, and the proxy knows why."""
    if await is_well(disk.proxy):
        return False
    had = len(seen.events)
    await asyncio.sleep(1)
    return had == len(seen.events)


def full(name, size, ballast, window):
    @case(f"a full disk ({name}): intake stops, heartbeats go on, and all goes on by itself with space", timeout=120)
    async def run(t):
        total = 6000
        events = Feed(own_counter=True, total=total, pace=0.0005, ends=False)
        upstream = await start_upstream(t, {"/events": events})
        folder = t.folder / "small"
        async with small_disk(folder, size) as resize:
            if resize is None:
                return
            routes = QUIET + f"  heartbeat: 100ms\n  window: {window}\n"
            disk = Disk(t, upstream, path=folder / "store", routes=routes, limits="{event_bytes: 64KiB}")
            await disk.start()
            seen = Seen()
            async with disk.subscribe(timeout=60.0) as client:

                async def read():
                    while (event := await client.event()) is not None:
                        seen.add(event)

                reading = asyncio.create_task(read())
                await eventually(lambda: len(seen.events) > 5, "events come")
                if ballast:
                    with contextlib.suppress(OSError), open(folder / "ballast", "wb", buffering=0) as file:
                        while file.write(bytes(4096)):
                            pass
                await eventually(lambda: is_stalled(disk, seen), "intake stops", 60, 0.2)
                stalled_at = len(seen.events)
                check(stalled_at < total, "everything went through before the disk was full")
                code, text = await status(disk.proxy)
                check_equal(code, 200, "/readyz while the disk is full")
                check(re.search(r"full|space", text), f"/readyz does not say why: {text!r}")
                check_equal((await status(disk.proxy, "/readyz?store"))[0], 503, "/readyz?store while the disk is full")
                check(await disk.proxy.metric("ssequel_store_errors_total") > 0, "ssequel_store_errors_total")
                comments = client.parser.comments
                await asyncio.sleep(1)
                check(client.parser.comments >= comments + 3, "no heartbeats while the disk is full")
                check(not reading.done(), "the subscriber was let go")
                check_equal(len(upstream.open), 1, "upstream connections kept")
                if ballast:
                    (folder / "ballast").unlink()
                else:
                    resize("64m")
                await eventually(lambda: len(seen.events) == total, "all goes on with space", 60, 0.1)
                await eventually(lambda: is_well(disk.proxy), "the store is well again")
                reading.cancel()
            seen.require_exactly(1, total)
            check_equal(seen.ids, [str(n) for n in range(1, total + 1)], "ids")
            check_equal(len(upstream.streams("/events")), 1, "upstream requests")
            await upstream.stop()
            await disk.restart("SIGKILL")
            async with disk.subscribe(last_event_id=str(total - 50)) as client:
                check_equal(await client.take(50), seen.events[-50:], "the end of the window after SIGKILL")
            check_equal(disk.aside(), [], "files set aside")
            await disk.stop("SIGKILL")

    return run


full("1 MiB", "1m", False, "{events: 0, bytes: 16MiB}")
full("something else fills it", "24m", True, "{events: 0, bytes: 16MiB}")


@case("killed while the disk is full, nothing that was seen is missing, and it goes on with space", timeout=120)
async def killed_while_full(t):
    total = 5000
    events = Feed(own_counter=True, total=total, pace=0.0005, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    folder = t.folder / "small"
    async with small_disk(folder, "1m") as resize:
        if resize is None:
            return
        disk = Disk(t, upstream, path=folder / "store", routes=QUIET + "  window: {events: 0, bytes: 16MiB}\n",
                    limits="{event_bytes: 64KiB}")
        await disk.start()
        seen = Seen()
        async with disk.subscribe(timeout=60.0) as client:

            async def read():
                while (event := await client.event()) is not None:
                    seen.add(event)

            reading = asyncio.create_task(read())
            await eventually(lambda: is_stalled(disk, seen), "intake stops", 60, 0.2)
            await upstream.stop()
            await disk.stop("SIGKILL")
            await asyncio.wait([reading], timeout=5)
        await disk.start()  # On a disk that is still full.
        resize("64m")
        async with disk.subscribe(last_event_id="0", timeout=30.0) as client:
            check_equal(await client.take(len(seen.events)), seen.events, "the window, from the log's base on")
        await disk.stop("SIGKILL")


# ----------------------------------------------------------------------------------------------------- damage


def damage(data, random, how):
    """A damaged copy of a file's bytes."""
    data = bytearray(data)
    if how == "zeros in the middle":
        at = random.randrange(len(data) // 2)
        data[at : at + 8192] = bytes(min(8192, len(data) - at))
    elif how == "cut in half":
        del data[len(data) // 2 :]
    elif how == "the first page":
        data[:100] = bytes(random.randrange(256) for _ in range(100))
    elif how == "one bit":
        at = random.randrange(len(data))
        data[at] ^= 1 << random.randrange(8)
    elif how == "emptied":
        data.clear()
    elif how == "one bit of an event":
        event = random.choice(re.findall(rb'{"seq":\d+,', data)[-250:])
        return bytes(data).replace(event, b"z" + event[1:])  # In every copy: one may lie in a free page.
    return bytes(data)


def damaged(how, start, certain):
    routes = SHARED if start == "start: 1" else AUTO

    @case(f"a database damaged while stopped ({how}, {start}) is never taken for whole", timeout=90)
    async def run(t):
        events = Feed()
        disk = Disk(t, await start_upstream(t, {"/events": events}), routes=routes)
        given = {}
        highest = 0
        outcomes = []
        for round in range(1 if certain else 4):
            await disk.start()
            async with disk.subscribe() as client:
                await eventually(lambda: events.alive, "the upstream stream is open")
                events.publish(300)
                last = events.last
                while True:
                    event = await client.event()
                    check(given.setdefault(event["id"], event) == event, f"an id was given twice: {event}")
                    highest = max(highest, int(event["id"]))
                    if event["type"] != "sync-required" and json.loads(event["data"])["seq"] == last:
                        break
            await disk.stop()
            aside = len(disk.aside())
            disk.file.write_bytes(damage(disk.file.read_bytes(), t.random, how))
            await disk.start()
            async with disk.subscribe(last_event_id=str(highest - 100)) as client:
                await eventually(lambda: events.alive, "the upstream stream is open")
                events.publish(1)
                first = await client.event()
                if len(disk.aside()) > aside or how == "emptied":  # Of an empty file there is nothing to set aside.
                    outcomes.append("told")
                    content = json.loads(first["data"])
                    check_equal((first["type"], content["reason"]), ("sync-required", "unknown"), "the old id's answer")
                    event = await client.event()
                    while event["type"] == "sync-required" or json.loads(event["data"])["seq"] != events.last:
                        event = await client.event()
                    check(int(event["id"]) > highest, f"id {event['id']} is not above {highest}")
                    check(re.search(r"damaged|lost", disk.proxy.log), "the log does not say so")
                    check(await disk.proxy.metric("ssequel_store_gaps_total") >= 1, "ssequel_store_gaps_total")
                else:
                    outcomes.append("whole")
                    check_equal(first["id"], str(highest - 99), "the first id of the replay")
                    async with disk.subscribe() as whole:  # From the oldest on.
                        event = await whole.event()
                        while int(event["id"]) < highest:
                            check_equal(event, given[event["id"]], "an event of the window")
                            event = await whole.event()
            await disk.stop()
        if certain:
            check_equal(outcomes, ["told"], "what became of it")

    return run


damaged("the first page", "start: auto", True)
damaged("the first page", "start: 1", True)
damaged("one bit of an event", "start: auto", True)
damaged("one bit of an event", "start: 1", True)
damaged("emptied", "start: auto", True)
damaged("cut in half", "start: auto", True)
damaged("zeros in the middle", "start: auto", False)
damaged("one bit", "start: auto", False)
damaged("one bit", "start: 1", False)


@case("a write-ahead log damaged after SIGKILL loses nothing in silence", timeout=90)
async def damaged_wal(t):
    events = Feed()
    disk = Disk(t, await start_upstream(t, {"/events": events}), routes=AUTO)
    given = {}
    told = 0
    for how in ("cut in half", "one bit", "zeros in the middle", "emptied"):
        await disk.start()
        async with disk.subscribe() as client:
            await eventually(lambda: events.alive, "the upstream stream is open")
            events.publish(200)
            last = events.last
            while True:
                event = await client.event()
                check(given.setdefault(event["id"], event) == event, f"an id was given twice: {event}")
                if event["type"] != "sync-required" and json.loads(event["data"])["seq"] == last:
                    break
        highest = int(event["id"])
        await disk.stop("SIGKILL")
        wal = disk.path / "ssequel.db-wal"
        check(wal.stat().st_size > 0, "nothing in the write-ahead log")
        wal.write_bytes(damage(wal.read_bytes(), t.random, how))
        await disk.start()
        async with disk.subscribe(last_event_id=str(highest)) as client:
            await eventually(lambda: events.alive, "the upstream stream is open")
            events.publish(1)
            first = await client.event()
            if first["type"] == "sync-required" and json.loads(first["data"])["reason"] != "upstream-gap":
                told += 1
            event = first
            while event["type"] == "sync-required" or json.loads(event["data"])["seq"] != events.last:
                event = await client.event()
            check(int(event["id"]) > highest, f"id {event['id']} is not above {highest} ({how})")
            check(given.setdefault(event["id"], event) == event, "an id was given twice")
        await disk.stop()
    check(told >= 2, f"a loss was told only {told} times")
