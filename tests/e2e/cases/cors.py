"""Cross-Origin Resource Sharing (Fetch, section 3.2) in Chromium: pages of several origins read streams of a service that
allows some of them and has never heard of Last-Event-ID."""

import asyncio
import json

from support.clients import Client
from support.runner import case, check, check_equal, eventually
from support.setup import SESSION, SHARED, start_proxy, start_relay, start_upstream
from support.upstreams import Feed
from support.wire import Subscription, fetch

ANSWERS = """
- name: answers
  match: {path: /v1/answers, methods: [POST], accept: any}
  mode: session
  retry: 30ms
"""


class Service:
    """Allows the origins in `allowed`, to read and to send the fields in `fields`; refuses a preflight that names any
    other field, as services do that list what they know."""

    def __init__(self, allowed=(), fields=("authorization", "content-type", "x-mine"), **feed):
        self.allowed = set(allowed)
        self.fields = set(fields)
        self.feed = {"own_counter": True, "total": 30, "pace": 0.01, "ends": False, **feed}
        self.preflights = []
        self.down = False
        self.polite = False  # Answers a preflight with what it does allow, instead of a refusal.

    def cors(self, exchange):
        origin = exchange.request.get("Origin")
        if origin not in self.allowed:
            return []
        return [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true"), ("Vary", "Origin")]

    async def __call__(self, exchange):
        if self.down:  # As gateways answer, which know nothing of who may read: an EventSource would give up for ever.
            await exchange.respond(503, b"be back soon\n", reason="Service Unavailable")
        elif exchange.request.method == "OPTIONS":
            await self.preflight(exchange)
        else:
            feed = Feed(**self.feed)
            feed.style.fields = tuple(self.cors(exchange))
            await feed.serve(exchange)

    async def preflight(self, exchange):
        self.preflights.append(exchange.request)
        asked = exchange.request.get("Access-Control-Request-Headers") or ""
        names = {name.strip().lower() for name in asked.split(",") if name.strip()}
        if not self.polite and (not self.cors(exchange) or names - self.fields):
            await exchange.respond(403, b"never heard of that\n", reason="Forbidden")
        else:
            names &= self.fields
            more = [("Access-Control-Allow-Headers", ", ".join(sorted(names)))] if names else []
            await exchange.respond(204, b"", [*self.cors(exchange), ("Access-Control-Allow-Methods", "GET, POST"), *more])


async def start(t, routes, **service):
    """The service behind the proxy, and a place whose pages are of another origin."""
    pages = await start_upstream(t)
    here, there = f"http://127.0.0.1:{pages.port}", f"http://localhost:{pages.port}"
    service = Service(**{"allowed": [here], **service})
    upstream = await start_upstream(t, {path: service for path in ("/events", "/v1/answers")})
    proxy = await start_proxy(t, upstream, routes=routes)
    browser = await t.enter(Client("chromium", "", page=f"{here}/page"))
    t.on_failure(lambda: f"browser: {browser.reports[-6:]}")
    return service, upstream, proxy, browser, here, there


async def visit(browser, url):
    visits = sum(report["kind"] == "loaded" for report in browser.reports)
    browser.tell({"do": "goto", "url": url})
    await browser.until(lambda c: sum(report["kind"] == "loaded" for report in c.reports) > visits, f"{url} is loaded")


# read(url, init, count): the first `count` ids of a stream, and what a page may see of its head.
READ = """(async (url, init, count) => {
  const stop = new AbortController();
  let response;
  try {
    response = await fetch(url, { ...init, signal: stop.signal });
  } catch (error) {
    return { refused: String(error) };
  }
  let text = '';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const ids = () => [...text.matchAll(/^id: (.*)$/mg)].map((found) => found[1]);
  while (ids().length < count && !text.includes('sync-required')) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));  // Broken off: what came, came.
    if (done) break;
    text += value;
  }
  stop.abort();
  return { status: response.status, resume: response.headers.get('ssequel-resume'), ids: ids().slice(0, count), text };
})"""


async def read(browser, url, count, **init):
    return await browser.evaluate(f"{READ}({json.dumps(url)}, {json.dumps(init)}, {count})")


@case("a page of another origin posts, is cut, and resumes with Last-Event-ID although the service knows no such field",
      timeout=60)
async def page_posts(t):
    service, upstream, proxy, browser, here, there = await start(t, ANSWERS)
    url = f"http://127.0.0.1:{proxy.port}/v1/answers"
    post = {"method": "POST", "body": "{}", "credentials": "include",
            "headers": {"Authorization": "Bearer a", "Content-Type": "application/json"}}
    first = await read(browser, url, 10, **post)
    check_equal((first.get("status"), first.get("resume"), len(first.get("ids", []))), (200, "live", 10), f"at first: {first}")
    post["headers"]["Last-Event-ID"] = first["ids"][-1]
    await emitted(proxy, 20)  # So that there is something to replay.
    rest = await read(browser, url, 20, **post)
    check_equal((rest.get("status"), rest.get("resume")), (200, "suffix"), f"the resumed stream's head: {rest}")
    tag = first["ids"][0].rpartition("-")[0]
    check_equal(first["ids"] + rest["ids"], [f"{tag}-{n}" for n in range(1, 31)], "ids")
    check_equal(len([r for r in upstream.requests if r.method == "POST"]), 1, "requests that reached the service")
    check_equal(len(service.preflights), 2, "preflights that reached the service: one more for one field more")
    # By GET, too: the same page, with the id in the field.
    again = await read(browser, url, 20, credentials="include",
                       headers={"Authorization": "Bearer a", "Last-Event-ID": first["ids"][-1]})
    check_equal(again.get("ids"), rest["ids"], f"ids by GET: {again}")
    # A page of an origin that the service does not know gets no preflight's consent, and never comes to ask.
    await visit(browser, f"{there}/page")
    refused = await read(browser, url, 1, **post)
    check("refused" in refused, f"a page of a foreign origin read {refused}")
    # One that it knows, but that did not open the session, asks and is told that the id is unknown.
    service.allowed.add(there)
    other = await read(browser, url, 1, **post)
    # By the head: what comes before a content breaks off, a browser may throw away.
    check_equal((other.get("resume"), other.get("ids")), ("sync-required; reason=unknown", []), f"another origin's page: {other}")
    check_equal(len([r for r in upstream.requests if r.method == "POST"]), 1, "requests that reached the service")


async def emitted(proxy, count):
    async def are_there():
        return await proxy.metric("sse_events_emitted_total") >= count

    await eventually(are_there, f"{count} events have arrived", timeout=30)


@case("a shared channel has for each origin what the service said to it, and nothing for one it does not know", timeout=60)
async def shared(t):
    service, upstream, proxy, browser, here, there = await start(t, SHARED, total=400)
    url = f"http://127.0.0.1:{proxy.port}/events"
    opened = await read(browser, url, 5, credentials="include")
    check_equal(opened.get("ids"), [str(n) for n in range(1, 6)], f"the page that opened the channel: {opened}")
    asked = len(upstream.requests)
    await emitted(proxy, 10)
    resumed = await read(browser, url + "?lastEventId=5", 5, credentials="include")
    check_equal((resumed.get("ids"), resumed.get("resume")), ([str(n) for n in range(6, 11)], "suffix"), f"it resumes: {resumed}")
    check_equal(len(upstream.requests), asked, "requests for an origin that is known")
    await visit(browser, f"{there}/page")
    for _ in range(2):
        refused = await read(browser, url, 1, credentials="include")
        check("refused" in refused, f"a page of an origin that the service does not know read {refused}")
    service.allowed.add(there)
    await eventually(lambda: stranger(proxy, "http://third.example"), "another origin has its verdict", 30)
    check_equal((await head_for(proxy, here)).get("Access-Control-Allow-Origin"), here, "for the first origin, still")
    for origin in (here, there, "http://third.example", None):
        head = await head_for(proxy, origin)
        allowed = head.get("Access-Control-Allow-Origin")
        check(allowed in (None, origin), f"{origin} was given {allowed}")
        check(not (allowed == "*" and head.get("Access-Control-Allow-Credentials")), "everybody, with credentials")
    streams = [request for request in upstream.requests if request.method == "GET"]
    check(len(streams) <= 6, f"{len(streams)} requests at the service for four origins")


async def head_for(proxy, origin):
    fields = [("Origin", origin)] if origin else []
    async with Subscription(proxy.port, fields=fields, last_event_id="3") as client:
        return await client.open()


async def stranger(proxy, origin):
    return (await head_for(proxy, origin)).get("Access-Control-Allow-Origin") is None


def trouble(mode, route):
    @case(f"EventSource on another origin's page outlives a service in trouble on a {mode} route", timeout=60)
    async def run(t):
        service, upstream, proxy, browser, here, there = await start(t, route)
        relay = await start_relay(t, proxy.port)
        url = f"http://127.0.0.1:{relay.port}/events"
        service.down = True
        await browser.evaluate(f"""(() => {{
            window.states = []; window.ids = [];
            window.source = new EventSource({json.dumps(url)}, {{ withCredentials: true }});
            source.onerror = () => states.push(source.readyState);
            const take = (event) => ids.push(event.lastEventId);
            source.addEventListener('message', take); source.addEventListener('tick', take);
          }})()""")
        await eventually(lambda: browser.evaluate("states.length >= 2"), "the page has met trouble twice", 30)
        service.down = False
        await eventually(lambda: browser.evaluate("ids.length >= 5"), "events once the service is back", 30)
        service.down = True
        await upstream.stop()
        states = await browser.evaluate("states.length")
        relay.cut_all()  # Back to a proxy whose service is away.
        # On a shared route it is let in to wait.
        more = 1 if mode == "shared" else 2
        await eventually(lambda: browser.evaluate(f"states.length >= {states} + {more}"), "trouble again", 30)
        service.down = False
        seen = await browser.evaluate("ids.length")
        await upstream.start()
        await eventually(lambda: browser.evaluate(f"ids.length > {seen}"), "events again", 30)
        check_equal(await browser.evaluate("states.filter((state) => state === EventSource.CLOSED).length"), 0, "given up")

    return run


trouble("shared", SHARED)
trouble("session", SESSION)


@case("preflights: only the field of ours is added, only where the service consents to the rest", timeout=30)
async def preflights(t):
    origin = "http://page.example"
    service = Service([origin])
    upstream = await start_upstream(t, {path: service for path in ("/events", "/v1/answers", "/plain")})
    proxy = await start_proxy(t, upstream, routes=SHARED + ANSWERS)

    async def ask(path, names, who=origin, method="GET"):
        fields = [("Origin", who), ("Access-Control-Request-Method", method)]
        answer = await fetch(proxy.port, "OPTIONS", path, fields + ([("Access-Control-Request-Headers", names)] if names else []))
        allowed = (answer.get("Access-Control-Allow-Headers") or "").lower().replace(" ", "").split(",")
        return answer, sorted(name for name in allowed if name)

    for path, method in (("/events", "GET"), ("/v1/answers", "POST")):
        for names, expected in (("last-event-id", ["last-event-id"]), ("x-mine", ["x-mine"]), (None, []),
                                ("Last-Event-ID,X-Mine", ["last-event-id", "x-mine"]),
                                ("authorization, LAST-EVENT-ID ,x-mine", ["authorization", "last-event-id", "x-mine"])):
            answer, allowed = await ask(path, names, method=method)
            check_equal((answer.status // 100, allowed), (2, expected), f"a preflight of {path} for {names}")
            sent = service.preflights[-1].get("Access-Control-Request-Headers")
            check("last-event-id" not in (sent or "").lower() and sent != "", f"{names} came to the service as {sent!r}")
        answer, allowed = await ask(path, "last-event-id,x-unknown", method=method)
        check_equal((answer.status, allowed), (403, []), f"a field that the service does not know, on {path}")
        answer, allowed = await ask(path, "last-event-id", "http://evil.example", method)
        check_equal((answer.status, allowed, answer.get("Access-Control-Allow-Origin")), (403, [], None), "an origin unknown")
        service.polite = True
        answer, allowed = await ask(path, "x-mine,last-event-id,x-unknown", method=method)
        check_equal((answer.status, allowed), (204, ["x-mine"]), f"what the service allows of a request that it does not, on {path}")
        answer, allowed = await ask(path, "last-event-id", "http://evil.example", method)
        check_equal((answer.status, allowed), (204, []), f"a polite answer to an origin unknown, on {path}")
        service.polite = False
    answer, allowed = await ask("/plain", "last-event-id")
    check_equal((answer.status, allowed), (403, []), "a path of no route: the service's own affair")
    check_equal(service.preflights[-1].get("Access-Control-Request-Headers"), "last-event-id", "what came to the service")


@case("a hundred origins on one shared channel cost no more than a hundred short requests, and no memory of them", timeout=60)
async def many_origins(t):
    service = Service([], total=5)
    upstream = await start_upstream(t, {"/events": service})
    proxy = await start_proxy(t, upstream, routes=SHARED)
    async with Subscription(proxy.port) as reader:
        await reader.take(5)

        async def come(number):
            origin = f"http://page{number}.example"
            service.allowed.add(origin)
            async with Subscription(proxy.port, fields=[("Origin", origin)], last_event_id="2", timeout=30) as client:
                head = await client.open()
                check_equal(head.get("Access-Control-Allow-Origin"), origin, "its own origin")
                check_equal([event["id"] for event in await client.take(3)], ["3", "4", "5"], "ids")

        for begin in range(0, 100, 10):
            await asyncio.gather(*(come(number) for number in range(begin, begin + 10)))
        await eventually(lambda: len(upstream.open) == 1, "one upstream stream is left, the reader's", 30)
        check(len(upstream.requests) <= 101, f"{len(upstream.requests)} requests at the service")
        # The last by name is remembered, of the first nothing.
        for number, more in ((99, 0), (0, 1)):
            before = len(upstream.requests)
            await come(number)
            check_equal(len(upstream.requests) - before, more, f"requests for origin {number}, which comes again")
