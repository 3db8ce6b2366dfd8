"""A replay is an access: `authorize: probe` and `{path: ...}` under revoked logins, and under authorisers that are slow,
dead, lying, or asked by a hundred at once. Whatever they do, nobody reads on a verdict that was not given."""

import asyncio
import os
import time

from support.runner import case, check, check_equal
from support.setup import SHARED, start_proxy, start_upstream
from support.upstreams import Feed
from support.wire import Subscription

LOOPS = int(os.environ.get("SSEQUEL_THREADS", "1"))  # Each has its own questions and verdicts.
EVENT_STREAM = ("Accept", "text/event-stream")
ALICE = ("Authorization", "Bearer alice")
BOB = ("Authorization", "Bearer bob")

SESSION_GET = """
- name: personal
  match: {path: /events, methods: [GET]}
  mode: session
  retry: 30ms
"""
SESSION_POST = """
- name: answers
  match: {path: /events, methods: [POST], accept: any}
  mode: session
  retry: 30ms
"""
ROUTES = {"shared": SHARED, "session": SESSION_GET, "POST session": SESSION_POST}
ASKS = {"probe": "  authorize: probe\n", "a path": "  authorize: {path: /auth}\n"}


class Guard:
    """A service and its authoriser. `revoke` names who is refused; `misbehave` is what the authoriser does instead of
    answering: a coroutine function of the exchange."""

    def __init__(self):
        self.feed = Feed(name="f", own_counter=True, total=20, ends=False)
        self.revoked = set()
        self.misbehave = None
        self.asked = 0
        self.asking = 0
        self.most_asking = 0
        self.opened = False
        self.pause = 0.0
        self.users = {}  # By credential: what an answer of success says in X-User-Id.

    def table(self):
        return {"/events": self.events, "/auth": self.authorise, "/elsewhere": self.elsewhere}

    def who(self, exchange):
        return (exchange.request.get("Authorization") or "nobody").rpartition(" ")[2]

    async def elsewhere(self, exchange):
        await self.feed.serve(exchange)

    async def events(self, exchange):
        if exchange.request.method != "GET" or not self.opened:
            self.opened = True
            await self.feed.serve(exchange)
        else:
            await self.judge(exchange, is_probe=True)

    async def authorise(self, exchange):
        await self.judge(exchange, is_probe=False)

    async def judge(self, exchange, is_probe):
        self.asked += 1
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        try:
            await asyncio.sleep(self.pause)
            if self.misbehave:
                await self.misbehave(exchange)
            elif self.who(exchange) in self.revoked:
                await exchange.respond(401, b"who are you\n", [("WWW-Authenticate", "Bearer"), ("X-Reason", "revoked")],
                                       reason="Unauthorized")
            elif is_probe:
                self.asking -= 1
                await self.feed.serve(exchange)
                self.asking += 1
            else:
                user = self.users.get(self.who(exchange))
                await exchange.respond(200, b"", [("X-User-Id", user)] if user else [])
        finally:
            self.asking -= 1


async def start(t, mode, asks, more="  authorize_cache: 0\n"):
    guard = Guard()
    upstream = await start_upstream(t, guard.table())
    proxy = await start_proxy(t, upstream, routes=ROUTES[mode] + ASKS[asks] + more)
    method = "POST" if mode == "POST session" else "GET"
    return guard, proxy, method


async def first_reader(t, proxy, method):
    """Opens the channel and stays."""
    reader = await t.enter(Subscription(proxy.port, fields=[ALICE], method=method, timeout=30,
                                        content=b"{}" if method == "POST" else None))
    return await reader.take(20)


def back(proxy, method, last_event_id, who=ALICE):
    return Subscription(proxy.port, fields=[who], method=method, last_event_id=last_event_id, timeout=30,
                        content=b"{}" if method == "POST" else None)


def revoked(mode, asks):
    @case(f"a revoked login is refused at its next reconnect on a {mode} route that asks {asks}", timeout=30)
    async def run(t):
        guard, proxy, method = await start(t, mode, asks)
        events = await first_reader(t, proxy, method)
        async with back(proxy, method, events[4]["id"]) as again:
            check_equal(await again.take(15), events[5:], "the replay while the login is good")
        asked = guard.asked
        check(asked >= 1, "nobody was asked")
        guard.revoked.add("alice")
        async with back(proxy, method, events[4]["id"]) as again:
            head = await again.open()
            check_equal((head.status, head.get("X-Reason")), (401, "revoked"), "the answer to a revoked login")
            check_equal(await again.to_end(), [], "what it was given")
        guard.revoked.clear()
        async with back(proxy, method, events[4]["id"]) as again:
            check_equal(await again.take(15), events[5:], "the replay once the login is good again")
        check(guard.asked >= asked + 2, f"asked {guard.asked} times after {asked}")

    return run


for _mode in ROUTES:
    for _asks in ASKS:
        if (_mode, _asks) != ("POST session", "probe"):  # A probe by GET is for services that have one.
            revoked(_mode, _asks)


async def dead(exchange):
    exchange.reset()


async def dies_in_the_head(exchange):
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Ty")
    exchange.reset()


async def speaks_no_http(exchange):
    await exchange.raw(b"220 mail.example ESMTP\r\n\r\n")
    exchange.keep_alive = False


async def speaks_twice(exchange):
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n")
    exchange.keep_alive = False


async def hints_only(exchange):
    await exchange.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    exchange.reset()


async def switches(exchange):
    await exchange.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
    exchange.keep_alive = False


async def has_no_head_for_ages(exchange):
    await asyncio.sleep(60)


def says(status, reason="Because", fields=(), content=b"no\n"):
    async def answer(exchange):
        await exchange.respond(status, content, fields, reason=reason)

    return answer


HTML = [("Content-Type", "text/html")]
TO_ELSEWHERE = [("Location", "/elsewhere")]

# What an authoriser does, and which status that is to a client: None stands for an answer in trouble, 200 without data.
NO_VERDICT = {
    "is dead": dead, "dies inside its head": dies_in_the_head, "speaks no HTTP": speaks_no_http,
    "gives two lengths": speaks_twice, "gives hints and dies": hints_only, "switches protocols": switches,
    "says 500": says(500), "says 503": says(503, fields=[("Retry-After", "1")]), "says 429": says(429),
    "says 408": says(408), "says 425": says(425), "says nothing for ages": has_no_head_for_ages,
}
REFUSED = {
    "says 401": (says(401), 401), "says 403": (says(403), 403), "says 404": (says(404), 404), "says 410": (says(410), 410),
    "redirects": (says(302, fields=TO_ELSEWHERE), 302), "redirects for good": (says(308, fields=TO_ELSEWHERE), 308),
    "says 418": (says(418), 418),
}
# An answer of success that is no admission to a probe: a login page, or an error dressed up.
LIES = {
    "answers a page": (says(200, fields=HTML, content=b"<form>log in</form>"), 200),
    "answers JSON": (says(200, fields=[("Content-Type", "application/json")], content=b'{"error":"login"}'), 200),
    "answers 204": (says(204, content=b""), 204),
}


def fails_closed(mode, asks):
    @case(f"nobody reads on a {mode} route while its authoriser ({asks}) is slow, dead, redirecting or lying", timeout=60)
    async def run(t):
        guard, proxy, method = await start(t, mode, asks)
        events = await first_reader(t, proxy, method)
        last = events[4]["id"]

        async def answer(what):
            # A browser's EventSource would give up on any other status; a POST is told.
            async with back(proxy, method, last) as client:
                head = await client.open()
                check_equal(await client.to_end(), [], f"events given while the authoriser {what}")
                check(b"data:" not in client.parser.raw, f"data given while the authoriser {what}")
                return head

        async def unheard(what, misbehave):
            guard.misbehave = misbehave
            head = await answer(what)
            check_equal(head.status, 200 if method == "GET" else 503, f"status while the authoriser {what}")

        for what, misbehave in NO_VERDICT.items():
            if misbehave is not has_no_head_for_ages:
                await unheard(what, misbehave)
        refusals = {**REFUSED, **(LIES if asks == "probe" else {})}
        for what, (misbehave, status) in refusals.items():
            guard.misbehave = misbehave
            check_equal((await answer(what)).status, status, f"status while the authoriser {what}")
        begun = time.monotonic()
        await unheard("says nothing for ages", has_no_head_for_ages)
        check(time.monotonic() - begun < 20, "how long a silent authoriser is waited for")
        guard.misbehave = None
        async with back(proxy, method, last) as again:
            check_equal(await again.take(15), events[5:], "the replay once the authoriser is well again")

    return run


for _mode in ROUTES:
    for _asks in ASKS:
        if (_mode, _asks) != ("POST session", "probe"):
            fails_closed(_mode, _asks)


@case("an authoriser's redirect is not followed, neither by the proxy nor with its credentials", timeout=30)
async def redirects(t):
    guard = Guard()
    upstream = await start_upstream(t, guard.table())
    elsewhere = await start_upstream(t, {"/take": guard.feed})
    proxy = await start_proxy(t, upstream, routes=SESSION_GET + ASKS["a path"])
    events = await first_reader(t, proxy, "GET")
    for target in ("/elsewhere", f"http://127.0.0.1:{elsewhere.port}/take"):
        guard.misbehave = says(307, fields=[("Location", target)])
        async with back(proxy, "GET", events[4]["id"]) as again:
            head = await again.open()
            check_equal((head.status, head.get("Location")), (307, target), "the redirect")
    check_equal([r.path for r in upstream.requests if r.path == "/elsewhere"] + elsewhere.requests, [], "followed")


def holds(mode, asks):
    @case(f"a verdict is held for authorize_cache and not a moment longer on a {mode} route that asks {asks}", timeout=30)
    async def run(t):
        guard, proxy, method = await start(t, mode, asks, "  authorize_cache: 1500ms\n")
        events = await first_reader(t, proxy, method)

        async def status(who=ALICE):
            async with back(proxy, method, events[4]["id"], who) as again:
                return (await again.open()).status

        check_equal(await status(), 200, "the answer to a good login")
        begun, asked = time.monotonic(), guard.asked
        guard.revoked.add("alice")
        held = await status()
        if time.monotonic() - begun < 1 and LOOPS == 1:
            check_equal((held, guard.asked), (200, asked), "the answer within the time, and questions for it")
        if mode == "shared" and LOOPS == 1:
            await status(BOB)
            check_equal(guard.asked, asked + 1, "questions after another has come: the verdict is alice's alone")
        while True:
            seen_at = time.monotonic()  # Before it was asked for: the answer is of no earlier time.
            if await status() == 401:
                break
            check(seen_at - begun < 2, f"admitted {seen_at - begun:.2f} s after the verdict")
            await asyncio.sleep(0.05)
        guard.revoked.clear()
        check_equal(await status(), 200, "a refusal is not held")

    return run


holds("shared", "probe")
holds("shared", "a path")
holds("session", "a path")


def herd(mode, asks):
    @case(f"a hundred reconnects of one login ask once at a time on a {mode} route that asks {asks}", timeout=60)
    async def run(t):
        guard, proxy, method = await start(t, mode, asks)  # No verdict is held: those who wait share one.
        events = await first_reader(t, proxy, method)
        guard.pause = 0.5
        asked = guard.asked

        async def one():
            async with back(proxy, method, events[4]["id"]) as again:
                check_equal(await again.take(15), events[5:], "the replay")

        await asyncio.gather(*(one() for _ in range(100)))
        check(guard.most_asking <= LOOPS, f"{guard.most_asking} questions at the same time")
        check(1 <= guard.asked - asked <= 10 * LOOPS, f"{guard.asked - asked} questions for a hundred reconnects at once")

    return run


for _mode, _asks in (("shared", "probe"), ("shared", "a path"), ("session", "a path"), ("POST session", "a path")):
    herd(_mode, _asks)


@case("what a client says of its original request is overwritten for the authoriser", timeout=30)
async def original(t):
    guard = Guard()
    upstream = await start_upstream(t, guard.table())
    proxy = await start_proxy(t, upstream, routes=SESSION_GET + ASKS["a path"] + "  authorize_cache: 0\n")
    events = await first_reader(t, proxy, "GET")
    forged = [ALICE, ("X-Original-URI", "/public"), ("X-Original-Method", "OPTIONS"), ("X-Original-Uri", "/public"),
              ("Connection", "authorization, x-original-uri"), ("Content-Length", "0"), EVENT_STREAM]
    async with Subscription(proxy.port, fields=forged, last_event_id=events[4]["id"], accept=None) as again:
        await again.take(15)
    question = next(r for r in upstream.requests if r.path == "/auth")
    check_equal((question.all("X-Original-URI"), question.all("X-Original-Method")), (["/events"], ["GET"]), "what it is told")
    check_equal(question.get("Authorization"), "Bearer alice", "the credentials it is shown")
    check_equal(question.get("Last-Event-ID"), None, "an id of ours at the authoriser")


@case("with identity.authorize a session is its user's, over new tokens, whatever else a client says", timeout=30)
async def user(t):
    guard = Guard()
    guard.users = {"alice-1": "alice", "alice-2": "alice", "bob-1": "bob"}
    upstream = await start_upstream(t, guard.table())
    proxy = await start_proxy(t, upstream, routes=SESSION_POST + ASKS["a path"] +
                              "  authorize_cache: 0\n  identity: {authorize: X-User-Id}\n")

    def as_user(token, *more, last_event_id=None):
        return Subscription(proxy.port, method="POST", content=b"{}", last_event_id=last_event_id, timeout=30,
                            fields=[("Authorization", f"Bearer {token}"), *more])

    async with as_user("alice-1") as alice:
        events = await alice.take(20)
    async with as_user("alice-2", last_event_id=events[4]["id"]) as alice:
        check_equal(await alice.take(15), events[5:], "what alice reads on with a new token")
    for more in ([], [("X-User-Id", "alice")], [("Cookie", "X-User-Id=alice")]):
        async with as_user("bob-1", *more, last_event_id=events[4]["id"]) as bob:
            said = await bob.to_end()
            check_equal(([event["type"] for event in said], bob.ended), (["sync-required"], "broken"), f"bob with {more}")
            check('"unknown"' in said[0]["data"], f"bob is told {said[0]}")
    posts = [request for request in upstream.requests if request.method == "POST"]
    check_equal(len(posts), 1, "requests for the stream")
