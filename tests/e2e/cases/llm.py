"""Answers of language models: the SDKs of OpenAI's and others read an answer to its end over cut connections, and the
service is asked once. The SDKs themselves do not resume; under them is a fetch that does (clients/resuming-fetch.mjs)."""

import asyncio
import json
from pathlib import Path

from support.clients import NODE, Client
from support.processes import Process
from support.relay import random_cuts
from support.runner import case, check, check_equal, eventually
from support.setup import start_proxy, start_relay, start_upstream
from support.upstreams import Feed
from support.wire import Subscription, fetch

HERE = Path(__file__).resolve().parent.parent

COMPLETIONS = """
- name: completions
  match: {path: "/v1/**", methods: [POST], accept: any}
  mode: session
  heartbeat: 100ms
  retry: 30ms
  prime: never
  at_end: 204
"""


def answer(count):
    """The text that upstreams/openai.mjs gives for "COUNT words"."""
    return "".join(f"w{n}{'é☃🙂' if n % 7 == 0 else ''}" + ("\n" if n % 10 == 0 else " ") for n in range(1, count + 1))


class Model:
    """The service as a process of its own."""

    def __init__(self, process, port):
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    async def asked(self):
        """What it was asked so far: [{method, path, fields, content, ended}]."""
        return (await fetch(self.port, target="/asked")).json()

    async def answered(self):
        """The same once each answer ended: a reader may know its end before the service does."""
        async def all_ended():
            asked = await self.asked()
            return asked if all("ended" in one for one in asked) else None

        return await eventually(all_ended, "each answer ended on the service")


async def start_model(t):
    process = await t.enter(Process(NODE, "upstreams/openai.mjs", cwd=str(HERE), name="model"))
    return Model(process, int((await process.line()).rsplit(" ", 1)[1]))


async def start_asker(t, library, port, **options):
    client = await t.enter(Client(library, f"http://127.0.0.1:{port}/v1", options=options))
    t.on_failure(lambda: f"{library}: {client.reports[-8:]}")
    return client


def of_kind(client, kind):
    return [report for report in client.reports if report["kind"] == kind]


async def outcome(client, timeout=60):
    """The last report, `done` or `failed`."""
    await client.until(lambda c: of_kind(c, "done") or of_kind(c, "failed"), "the answer's end", timeout)
    return (of_kind(client, "done") or of_kind(client, "failed"))[0]


# name: library and options.
READERS = {
    "npm openai, chat completion": ("openai", {"api": "chat"}),
    "npm openai, response": ("openai", {"api": "responses"}),
    "an eager decoder in Python": ("openai_python", {}),
    "npm ai": ("ai-sdk", {}),
}


def reads_over_cuts(name, library, options):
    @case(f"{name}: a streamed answer is whole over cuts, and asked for once", timeout=90)
    async def run(t):
        model = await start_model(t)
        proxy = await start_proxy(t, model, routes=COMPLETIONS)
        relay = await start_relay(t, proxy.port, spare="event",
                                  cuts=random_cuts(t.random, smallest=1, largest=9000, count=8))
        t.on_failure(lambda: f"relay: cut at {relay.positions}")
        client = await start_asker(t, library, relay.port, ask="200 words, 2 ms", **options)
        done = await outcome(client)
        check_equal(done.get("text"), answer(200), f"the text; {done}")
        check_equal(done["tokens"], 200, "usage, which comes last")
        check(relay.cut >= 3, f"the relay cut only {relay.cut} times")
        asked = await model.answered()
        check_equal([(one["method"], one["ended"]) for one in asked], [("POST", "told")], "what the service was asked")
        check("last-event-id" not in str(asked[0]["fields"]).lower(), "Last-Event-ID reached the service")
        resumes = [one["resume"] for one in of_kind(client, "open")[1:]]
        check_equal(set(resumes), {"suffix"}, "Ssequel-Resume of the reconnects")
        if options.get("api") == "responses":
            check_equal((done["whole"], done["inOrder"]), (answer(200), True), "what the library put together")

    return run


for _name, (_library, _options) in READERS.items():
    reads_over_cuts(_name, _library, _options)


@case("without the proxy each of these readers fails when it is cut, so that what they prove is the proxy's", timeout=60)
async def without_the_proxy(t):
    model = await start_model(t)

    async def reads(library, options):
        relay = await start_relay(t, model.port, spare="event", cuts=lambda: 3000)
        client = await start_asker(t, library, relay.port, ask="200 words, 1 ms", **options)
        done = await outcome(client)
        check(done["kind"] == "failed" or done["text"] != answer(200), f"{library} read all: {done}")

    await asyncio.gather(*(reads(library, options) for library, options in READERS.values()))


@case("heartbeats while the model thinks are no events to any reader, and a block without data would be", timeout=60)
async def heartbeats(t):
    model = await start_model(t)
    proxy = await start_proxy(t, model, routes=COMPLETIONS)
    primed = await start_proxy(t, model, routes=COMPLETIONS.replace("prime: never", "prime: always"), name="primed")

    async def reads(library, options):
        client = await start_asker(t, library, proxy.port, ask="3 words, 350 ms", **options)
        check_equal((await outcome(client)).get("text"), answer(3), f"what {library} read")

    async def sees_lines():
        async with question(proxy.port, "2 words, 350 ms") as raw:
            await raw.to_end()
            check(raw.parser.comments >= 3, f"heartbeats on the way: {raw.parser.comments}")
            check(b"\n\n\n" not in raw.parser.raw and not raw.parser.raw.startswith(b"\n"), "a stray empty line")

    async def fails_when_primed():  # It would notice: this one takes every empty line for an event.
        client = await start_asker(t, "openai_python", primed.port, ask="3 words, 1 ms")
        check_equal((await outcome(client))["kind"], "failed", "the eager decoder where blocks without data are sent")

    await asyncio.gather(sees_lines(), fails_when_primed(), *(reads(*reader) for reader in READERS.values()))


KEY = ("Authorization", "Bearer sk-raw")


def question(port, ask, last_event_id=None, method="POST", fields=(KEY,), path="/v1/chat/completions"):
    """The same question by hand."""
    content = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": ask}]}).encode()
    return Subscription(port, path, method=method, content=content if method == "POST" else None, fields=list(fields),
                        last_event_id=last_event_id, accept=None, timeout=30)


def text_of(events):
    return "".join(json.loads(event["data"])["choices"][0]["delta"].get("content") or ""
                   for event in events if event["data"] != "[DONE]" and event["type"] == "message")


@case("what is no event stream is untouched: a whole answer, 401, 429 with Retry-After", timeout=30)
async def no_stream(t):
    model = await start_model(t)
    proxy = await start_proxy(t, model, routes=COMPLETIONS)
    plain, refused, busy = await asyncio.gather(
        start_asker(t, "openai", proxy.port, api="plain", ask="9 words, 0 ms"),
        start_asker(t, "openai", proxy.port, key="wrong", ask="9 words, 0 ms"),
        start_asker(t, "openai", proxy.port, model="busy", ask="9 words, 0 ms"))
    check_equal((await outcome(plain)).get("text"), answer(9), "an answer with stream: false")
    seen = await outcome(refused)
    check_equal((seen.get("name"), seen.get("status")), ("AuthenticationError", 401), "a wrong key")
    check("who are you" in seen["message"], f"the service's own words: {seen}")
    seen = await outcome(busy)
    check_equal((seen.get("name"), seen.get("status"), seen.get("retryAfter")), ("RateLimitError", 429, "7"), "a 429")
    check_equal(await proxy.metric("ssequel_trouble_answers_total"), 0, "trouble answers")


@case("a finished answer is replayed from its base, and 204 after its end; two readers see the same bytes", timeout=30)
async def finished(t):
    model = await start_model(t)
    proxy = await start_proxy(t, model, routes=COMPLETIONS)
    async with question(proxy.port, "30 words, 1 ms") as first:
        head = await first.event()
        base = head["id"].rpartition("-")[0] + "-0"
        async with question(proxy.port, "30 words, 1 ms", base) as second:  # While the first is reading.
            events = [head, *await first.to_end()]
            check_equal(await second.to_end(), events, "a second reader's events")
            check_equal((first.ended, second.ended), ("clean", "clean"), "how both ended")
    check_equal(text_of(events[:-2] + events[-1:]), answer(30), "the text")
    async with question(proxy.port, "30 words, 1 ms", base) as again:
        check_equal((await again.to_end(), again.ended), (events, "clean"), "the answer fetched again")
    for last, status in ((events[-1]["id"], 204), (events[-2]["id"], 200)):
        async with question(proxy.port, "30 words, 1 ms", last) as late:
            check_equal((await late.open()).status, status, f"status after {last}")
            rest = await late.to_end()
            check_equal(rest, [] if status == 204 else events[-1:], "what was left")
    check_equal(len(await model.asked()), 1, "how often the service was asked")


@case("an answer that the service broke off is told as lost to whoever resumes, and never asked for again", timeout=30)
async def broken_off(t):
    model = await start_model(t)
    proxy = await start_proxy(t, model, routes=COMPLETIONS)
    client = await start_asker(t, "openai", proxy.port, ask="60 words, 2 ms, breaks at 40")
    seen = await outcome(client)
    check_equal(seen["kind"], "failed", "the outcome of an answer that broke off")
    opens = of_kind(client, "open")
    check(len(opens) >= 2, f"the reader did not come back: {opens}")
    check(any("upstream-lost" in one["message"] for one in [*of_kind(client, "cut"), seen]), f"not told: {client.reports}")
    check_equal([one["ended"] for one in await model.answered()], ["broke off"], "what the service was asked")
    for library, options in (READERS["npm ai"], READERS["an eager decoder in Python"]):
        client = await start_asker(t, library, proxy.port, ask="60 words, 2 ms, breaks at 40", **options)
        seen = await outcome(client)
        check(seen["kind"] == "failed" or of_kind(client, "error"), f"{library} took a broken answer for a whole one: {seen}")
    check_equal(len(await model.asked()), 3, "how often the service was asked")


@case("an answer is read on for whoever left, and with linger: 0 leaving is cancelling", timeout=30)
async def left(t):
    model = await start_model(t)
    proxy = await start_proxy(t, model, routes=COMPLETIONS)
    eager = await start_proxy(t, model, routes=COMPLETIONS + "  linger: 0\n", name="cancelling")

    async def ended(number):
        return (await model.asked())[number].get("ended")

    async with question(proxy.port, "60 words, 5 ms") as reader:
        await reader.take(3)
    check_equal(await eventually(lambda: ended(0), "the answer ended", 30), "told", "an answer nobody was there for")
    async with question(eager.port, "400 words, 5 ms") as reader:
        last = (await reader.take(3))[-1]["id"]
    check_equal(await eventually(lambda: ended(1), "the answer ended", 30), "left", "an answer whose reader left")
    async with question(eager.port, "400 words, 5 ms", last) as reader:
        events = await reader.to_end()
        check_equal((events[-1]["type"], reader.ended), ("sync-required", "broken"), "what a cancelled answer says later")
    check_equal(len(await model.asked()), 2, "how often the service was asked")


class Page:
    """upstreams/chat.html in Chromium, behind a relay and the proxy."""

    def __init__(self, t, model, proxy, relay, browser):
        self.model, self.proxy, self.relay, self.browser = model, proxy, relay, browser
        self.visits = 0
        t.on_failure(lambda: f"relay: {relay.accepted} connections, cut at {relay.positions}; {browser.reports[-6:]}")

    async def asks(self, query, text, cuts=lambda: None, **relay):
        """A new visit, on which the question is asked."""
        self.relay.cuts = lambda: None
        self.browser.tell({"do": "goto", "url": f"http://127.0.0.1:{self.relay.port}/chat{query}"})
        self.visits += 1
        await self.browser.until(lambda c: len(of_kind(c, "loaded")) > self.visits, "the page is loaded")
        self.relay.cuts, self.relay.line_ends = cuts, relay.get("line_ends", True)
        self.relay.cut_all()  # What the page and its parts came by.
        self.browser.tell({"do": "evaluate", "code": f"ask('{text}')"})

    async def reload(self):
        self.browser.tell({"do": "reload"})

    async def shows(self, condition):
        return await shown(self.browser, condition)

    async def ends_well(self, count):
        """The page shows `count` words, asked for once by this visit and read by the proxy to their end."""
        check_equal(await self.shows("done"), answer(count), "the text that the page shows at the end")
        asked = await self.model.answered()
        check_equal([(one["method"], one["ended"]) for one in asked], [("POST", "told")] * self.visits, "what was asked")
        check_equal(of_kind(self.browser, "pageerror"), [], "errors of the page")


async def start_page(t, routes):
    model = await start_model(t)
    proxy = await start_proxy(t, model, routes=routes)
    relay = await start_relay(t, proxy.port, spare="event", reset_share=0.0)
    browser = await t.enter(Client("chromium", "", page=f"http://127.0.0.1:{relay.port}/chat"))
    return Page(t, model, proxy, relay, browser)


@case("Chromium: a page that is reloaded in the middle of an answer shows the whole", timeout=90)
async def reloads(t):
    page = await start_page(t, COMPLETIONS)
    for query in ("", "?keep=base"):  # With the text so far kept, and with the answer replayed from its beginning.
        await page.asks(query, "150 words, 10 ms")
        for length in (100, 400):
            text = await page.shows(f"text.length > {length}")
            check(answer(150).startswith(text), f"shown before a reload: {text[-80:]!r}")
            await page.reload()
        await page.ends_well(150)


@case("Chromium: pages that post, and come back by POST, by GET or by a library, show the whole answer", timeout=90)
async def page_over_cuts(t):
    page = await start_page(t, COMPLETIONS.replace("[POST]", "[GET, POST]") + "  ids: {place: last}\n")
    for query in ("", "?read=get", "?read=library"):
        cut = page.relay.cut
        await page.asks(query, "150 words, 4 ms", random_cuts(t.random, smallest=500, largest=6000, count=4),
                        line_ends="library" not in query)
        await page.ends_well(150)
        check(page.relay.cut > cut, f"the relay cut nothing on the visit of {query}")


async def shown(browser, condition):
    """The text that the page shows as soon as a condition on `text` and `done` holds."""
    return await browser.evaluate(f"""new Promise((tell) => {{
        const look = () => {{
          const element = document.querySelector('#answer');
          const text = element.textContent, done = element.dataset.done === 'yes';
          if ({condition}) tell(text); else setTimeout(look, 5);
        }};
        look();
      }})""", timeout=60)


# Resumes `times` times behind an id; how often the page could read that the rest is lost.
READ_TO_ITS_BREAK = """(async (id, times) => {
  let told = 0;
  for (let time = 0; time < times; time++) {
    const response = await fetch('/v1/chat/completions',
      { method: 'POST', body: '{}', headers: { Authorization: 'Bearer sk-page', 'Last-Event-ID': id } });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    try {
      for (let part = {}; !part.done; part = await reader.read()) text += part.value ?? '';
    } catch {}
    if (/upstream-lost/.test(text)) told++;
  }
  return told;
})"""


@case("Chromium: a page reads that the rest is lost before it is shown that the answer breaks off", timeout=90)
async def told_before_the_break(t):
    page = await start_page(t, COMPLETIONS)
    await page.asks("", "60 words, 2 ms, breaks at 40")
    kept = "JSON.parse(sessionStorage.chat ?? 'null')?.id"
    last = await eventually(lambda: page.browser.evaluate(kept), "the page keeps an id", 30)
    await eventually(lambda: has_broken_off(page.model), "the service breaks off", 30)
    await visit_without_relay(page)
    # A browser throws away what its page has not read when the break is seen: nearly all, were it to follow at once.
    for place in ("1", last.rpartition("-")[2]):
        told = await page.browser.evaluate(f"{READ_TO_ITS_BREAK}('{last.rpartition('-')[0]}-{place}', 10)", timeout=60)
        check(told >= 8, f"told {told} of 10 times behind event {place}")


async def has_broken_off(model):
    return (await model.asked())[0].get("ended") == "broke off"


async def visit_without_relay(page):
    loaded = len(of_kind(page.browser, "loaded"))
    page.browser.tell({"do": "goto", "url": f"http://127.0.0.1:{page.proxy.port}/chat"})
    await page.browser.until(lambda c: len(of_kind(c, "loaded")) > loaded, "the page is loaded")


OVERLAPPING = {
    "a session route for GET": """
- name: streams
  match: {path: "/**", methods: [GET], accept: text/event-stream}
  mode: session
""",
    "a shared route with tagged ids": """
- name: streams
  match: {path: "/v1/**", methods: [GET], accept: any}
  mode: shared
  key: [path]
  ids: {tag: always}
  start_at: oldest
""",
}


def overlaps(name, route):
    @case(f"a route for POST before {name} of the same path: a GET with an id comes to the one that gave it", timeout=30)
    async def run(t):
        async def both(exchange):
            feed = Feed(own_counter=True, total=20, pace=0.005, ends=exchange.request.method == "POST")
            await feed.serve(exchange)

        upstream = await start_upstream(t, {"/v1/both": both})
        proxy = await start_proxy(t, upstream, routes=COMPLETIONS + route)
        for _ in range(3):  # With several loops the tags are on each of them.
            async with Subscription(proxy.port, "/v1/both", fields=[KEY], last_event_id=None) as stream:
                listened = await stream.take(20)
            async with question(proxy.port, "", path="/v1/both") as asked:
                answered = await asked.to_end()
            for events in (listened, answered):
                async with Subscription(proxy.port, "/v1/both", fields=[KEY], last_event_id=events[9]["id"]) as again:
                    check_equal(await again.take(10), events[10:20], "what is left after the tenth event")
                # To anybody else it is as unknown as any id.
                stranger = ("Authorization", "Bearer sk-other")
                if events is answered:
                    heads = []
                    for last in (events[9]["id"], "0" * 22 + "-10"):
                        async with Subscription(proxy.port, "/v1/both", fields=[stranger], last_event_id=last) as other:
                            head, event = await other.open(), await other.event()
                            check_equal(json.loads(event["data"])["reason"], "unknown", "a stranger's answer")
                            heads.append([field for field in head.fields if field[0].lower() != "date"])
                    check_equal(heads[0], heads[1], "the answer to a stranger's id, and to one of nobody's")
        posts = [request for request in upstream.requests if request.method == "POST"]
        check_equal(len(posts), 3, "questions that reached the service")

    return run


for _name, _route in OVERLAPPING.items():
    overlaps(_name, _route)


REATTACH = COMPLETIONS + "  reattach: [Idempotency-Key]\n"


@case("a question that an SDK sends again by itself joins its answer, and the service is asked once", timeout=60)
async def sent_again(t):
    model = await start_model(t)
    proxy = await start_proxy(t, model, routes=REATTACH)
    # Two connections are lost inside the answer's head: what the library sends again has no id yet.
    relay = await start_relay(t, proxy.port, cuts=iter([20, 90] + [None] * 50).__next__)
    client = await start_asker(t, "openai", relay.port, ask="60 words, 5 ms", retries=5,
                               headers={"Idempotency-Key": "7f0c"})
    done = await outcome(client)
    check_equal((done.get("text"), done.get("tokens")), (answer(60), 60), f"the answer: {done}")
    check_equal(relay.cut, 2, "connections lost")
    check_equal([one["ended"] for one in await model.answered()], ["told"], "what the service was asked")


@case("only the same question of the same asker with the same key joins an answer", timeout=30)
async def joins(t):
    model = await start_model(t)
    proxy = await start_proxy(t, model, routes=REATTACH)

    async def ask(ask="40 words, 2 ms", key="k1", who="sk-raw"):
        async with question(proxy.port, ask, fields=[("Authorization", f"Bearer {who}"), ("Idempotency-Key", key)]) as one:
            return await one.to_end()

    first, second = await asyncio.gather(ask(), ask())  # At the same moment.
    check_equal(second, first, "the events of the same question at the same time")
    check_equal(await ask(), first, "the events of the same question afterwards")
    check_equal(text_of(first[:-2]), answer(40), "the text")
    check_equal(len(await model.asked()), 1, "how often the service was asked")
    for number, other in enumerate([{"ask": "41 words, 2 ms"}, {"key": "k2"}, {"who": "sk-thief"}]):
        events = await ask(**other)
        check(events[0]["id"].partition("-")[0] != first[0]["id"].partition("-")[0], f"{other} was given another's answer")
        check_equal(len(await model.asked()), 2 + number, f"how often the service was asked after {other}")
