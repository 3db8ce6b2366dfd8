"""The admin endpoint's status: its event stream by hand, and what it says of windows."""

import asyncio
import contextlib
import json
import time

from support.runner import case, check, check_equal, eventually
from support.setup import start_proxy, start_upstream
from support.upstreams import Feed
from support.wire import Subscription, fetch

# One name is such that a page which trusts it would run it.
HOSTILE = "<img/src=x/onerror=document.title=1>"
ROUTES = f"""
- name: "{HOSTILE}"
  match: {{path: /events, accept: any}}
  mode: shared
  key: [path, query]
  ids: {{start: 1}}
  retry: 30ms
  window: {{events: 100}}
- name: personal
  match: {{path: /mine}}
  mode: session
  retry: 30ms
"""
SECRETS = ("payload-of-the-service", "token-in-a-query", "credential-of-a-client")


class Ticks(Feed):
    """Events whose data must be shown nowhere."""

    def _frame(self, seq):
        return f"data: payload-of-the-service {seq}\n\n".encode()


async def begin(t, **more):
    events = Ticks()
    upstream = await start_upstream(t, {"/events": events, "/mine": events})
    return upstream, events, await start_proxy(t, upstream, routes=ROUTES, **more)


async def shown(proxy, question, what):
    """The route's facts once they are as `question` says."""
    async def asks():
        route = (await fresh(proxy))["routes"][0]
        return route if question(route) else None

    return await eventually(asks, what, timeout=30, interval=0.1)


async def fresh(proxy):
    """A snapshot that was gathered after this was called."""
    now = time.time() * 1000
    async with Subscription(proxy.admin, "/status") as stream:
        while (facts := json.loads((await stream.take(1))[0]["data"]))["at"] <= now:
            pass
        return facts


@case("the status is a stream with rising ids that resumes, for a bounded number of viewers", timeout=90)
async def stream_itself(t):
    _, _, proxy = await begin(t)
    async with Subscription(proxy.admin, "/status") as first:
        seen = await first.take(4)
        check_equal(first.response.get("Content-Type"), "text/event-stream", "type")
        check_equal(first.response.get("Cache-Control"), "no-store", "caching")
    ids = [int(event["id"]) for event in seen]
    check(ids == sorted(set(ids)), f"ids that do not rise: {ids}")
    times = [json.loads(event["data"])["at"] for event in seen]
    # A machine that is busy may be late with one, and then early with the next.
    check(times[3] - times[0] >= 2400, f"gathered more often than once a second: {times}")
    async with Subscription(proxy.admin, "/status", last_event_id=str(ids[0])) as again:
        resumed = await again.take(4)
    check_equal(resumed[:3], seen[1:], "what came after the resume point")
    check(int(resumed[3]["id"]) > ids[3], "and then what is new")
    # Nobody looks: nothing is gathered, so that nothing is kept of that time.
    await asyncio.sleep(3.5)
    now = time.time() * 1000
    async with Subscription(proxy.admin, "/status") as later:
        times = []
        while not times or times[-1] < now:
            times.append(json.loads((await later.take(1))[0]["data"])["at"])
    check(max(b - a for a, b in zip(times, times[1:])) >= 2000, f"gathered while nobody looked: {times}")
    async with contextlib.AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(Subscription(proxy.admin, "/status")) for _ in range(16)]
        for viewer in viewers:
            await viewer.take(1)
        check_equal((await fetch(proxy.admin, target="/status")).status, 503, "one viewer too many")
    await eventually(lambda: _status_of(proxy), "the places of those who left are free", timeout=30)
    check_equal((await fetch(proxy.admin, "POST", "/status", content=b"")).status, 405, "POST /status")


async def _status_of(proxy):
    async with Subscription(proxy.admin, "/status") as stream:
        return (await stream.open()).status == 200


@case("the status page allows only itself, and its parts are served with their types")
async def parts(t):
    _, _, proxy = await begin(t)
    for path, kind in (("/", "text/html"), ("/status.css", "text/css"), ("/status.js", "text/javascript"),
                       ("/status-plot.js", "text/javascript"), ("/status.svg", "image/svg+xml")):
        answer = await fetch(proxy.admin, target=path)
        check_equal(answer.status, 200, path)
        check(answer.get("Content-Type").startswith(kind), f"{path} is {answer.get('Content-Type')}")
        policy = answer.get("Content-Security-Policy") or ""
        check("default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy, f"{path}: {policy}")
        check_equal(answer.get("X-Content-Type-Options"), "nosniff", path)
        text = answer.text
        for foreign in ("http://", "https://", "//cdn", "onclick=", "style="):
            found = text.replace("http://www.w3.org/2000/svg", "")
            check(foreign not in found, f"{path} holds {foreign}")
    check_equal((await fetch(proxy.admin, "HEAD", "/")).content, b"", "HEAD /")
    check_equal((await fetch(proxy.admin, target="/status.map")).status, 404, "what is not there")


@case("the status says whether a window covers what clients needed, and which setting to change", timeout=90)
async def windows(t):
    _, events, proxy = await begin(t)
    async with Subscription(proxy.port, "/events") as reader:
        await reader.open()
        await eventually(lambda: events.alive, "the upstream stream stands", timeout=30)
        need = (await shown(proxy, lambda r: True, "facts"))["need"]
        check_equal((need["verdict"], need["advice"]), ("unknown", ""), "before anybody came back")
        events.publish(90)
        ids = [int(event["id"]) for event in await reader.take(90)]

        async def come_back(behind):
            async with Subscription(proxy.port, "/events", last_event_id=str(ids[-1] - behind)) as again:
                await again.take(1)

        await come_back(10)
        need = (await shown(proxy, lambda r: r["need"]["resumes"] == 1, "one came back"))["need"]
        check_equal((need["verdict"], need["most"], need["setting"]), ("covers", 10, "window.events"), "10 of 100")
        await come_back(80)
        need = (await shown(proxy, lambda r: r["need"]["resumes"] == 2, "two came back"))["need"]
        check_equal((need["verdict"], need["most"]), ("tight", 80), "80 of 100")
        check_equal(need["advice"], "raise window.events from 100 to 160", "the advice")
        events.publish(210)  # The window holds up to twice as many.
        ids += [int(event["id"]) for event in await reader.take(210)]
        await come_back(299)
        route = await shown(proxy, lambda r: r["need"]["gaps"] == 1, "one was told of a gap")
        need = route["need"]
        check_equal((need["verdict"], need["most"]), ("too small", 299), "299 of 100")
        check_equal(need["advice"], "raise window.events from 100 to 600", "the advice")
        check_equal(need["minutes"][-1][2] or need["minutes"][-2][2], 299, "this minute's")
        check_equal(route["sync"], {"window": 1}, "reasons")
