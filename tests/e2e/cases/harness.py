"""The harness itself: each client library resumes through the cutting relay, and each fault is seen."""

from support.clients import Client
from support.feed import Seen
from support.reference import Reference
from support.relay import Relay, random_cuts
from support.runner import Failure, case, check
from support.upstreams import Upstream, routes

# What reconnects no sooner than after a second is cut less often.
LIBRARIES = {"chromium": 8, "eventsource": 8, "undici": 8, "polyfill": 3, "fetch-event-source": 8, "curl": 8, "python": 8}


# The reference primes its answers, which browsers and undici heed; the others need an event first. Why these two need the
# head stands in cases/clients.py.
SPARE = {"chromium": "head", "undici": "head"}


async def blank_page(exchange):
    await exchange.respond(200, b"<!doctype html><title>blank</title>", [("Content-Type", "text/html")])


def through_cuts(library, cuts):
    @case(f"{library} resumes through a cutting relay with every event once", timeout=60)
    async def run(t):
        upstream = await t.enter(Upstream(routes({"/events": Reference(200), "/blank": blank_page})))
        relay = await t.enter(
            Relay(upstream.port, cuts=random_cuts(t.random, count=cuts), random=t.random, spare=SPARE.get(library, "event"),
                  line_ends=library != "fetch-event-source",
                  reset_share=0.0 if library == "fetch-event-source" else 0.5)
        )
        page = f"http://127.0.0.1:{upstream.port}/blank"
        client = await t.enter(Client(library, f"http://127.0.0.1:{relay.port}/events", page=page))
        await client.until_seq(200, timeout=50)
        client.seen.require_exactly(1, 200)
        check(relay.cut >= cuts // 2, f"the relay cut only {relay.cut} times")

    return run


for _library, _cuts in LIBRARIES.items():
    through_cuts(_library, _cuts)


def fault_is_seen(fault):
    @case(f"a server that {fault} an event fails the checker")
    async def run(t):
        upstream = await t.enter(Upstream(routes({"/events": Reference(120, fault=fault)})))
        relay = await t.enter(Relay(upstream.port, cuts=random_cuts(t.random, smallest=800, largest=1500, count=2)))
        client = await t.enter(Client("python", f"http://127.0.0.1:{relay.port}/events"))
        await client.until_seq(120)
        try:
            client.seen.require_exactly(1, 120)
        except Failure:
            return
        raise Failure(f"the checker let a server pass that {fault} an event")

    return run


for _fault in ("loses", "doubles", "reorders", "changes"):
    fault_is_seen(_fault)


@case("a jump without a sync-required before it fails the checker")
async def untold_gap(t):
    from support import feed

    seen = Seen()
    for seq, number in ((1, 1), (2, 2), (5, 3)):
        seen.add({"type": feed.event_type(seq), "data": feed.data(seq), "id": str(number)})
    try:
        seen.require_told()
    except Failure:
        return
    raise Failure("a silent gap passed")
