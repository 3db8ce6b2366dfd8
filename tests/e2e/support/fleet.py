"""Several proxies with one Redis: nodes of a fleet, asked and ended one by one."""

import asyncio
import json
import signal

from .feed import Seen
from .processes import Process
from .proxy import Proxy
from .relay import Relay
from .runner import check_equal, eventually
from .servers import Redis
from .setup import start_upstream
from .upstreams import Feed
from .wire import Subscription

KEPT = ("--appendonly", "yes", "--appendfsync", "always")
LATE = 60  # Seconds that a case may take: several leases, on a busy machine.

LEASE = 3.0  # Seconds, as the product has it where nothing else is said.
PATIENCE = 30.0

FEED = """
- name: feed
  match: {path: /events, accept: any}
  mode: shared
  key: [path]
  start_at: oldest
  retry: 30ms
  linger: 60s
  heartbeat: 200ms
  reconnect: {min: 20ms, max: 200ms}
"""
QUIET = FEED + "  on_upstream_gap: none\n"


class Fleet:
    """`upstreams`: one for all nodes, or a list with one for each. `relayed`: each node has a relay between it and Redis."""

    def __init__(self, t, redis, upstreams, *, routes=FEED, nodes=3, relayed=False, lease=None, extra="", **more):
        self.t = t
        self.redis = redis
        self.upstreams = upstreams if isinstance(upstreams, list) else [upstreams] * nodes
        self.routes = routes
        self.relayed = relayed
        self.lease = f", lease: {lease}" if lease else ""
        self.extra = extra
        self.more = more
        self.proxies = []
        self.relays = []

    async def start(self):
        for number, upstream in enumerate(self.upstreams):
            url = self.redis.url
            if self.relayed:
                self.relays.append(await self.t.enter(Relay(self.redis.port)))
                url = f"redis://127.0.0.1:{self.relays[-1].port}/0"
            extra = f'store: {{kind: redis}}\nredis: {{url: "{url}"{self.lease}}}\n{self.extra}'
            proxy = Proxy(self.t.binary, self.t.folder, getattr(upstream, "url", upstream), routes=self.routes, extra=extra,
                          name=f"node-{number}", **self.more)
            self.proxies.append(proxy)
            self.t.on_failure(lambda number=number: f"log of node {number}:\n" + self.proxies[number].log)
        await asyncio.gather(*(self.t.enter(proxy) for proxy in self.proxies))
        return self

    def __len__(self):
        return len(self.proxies)

    def subscribe(self, node, target="/events", **more):
        more.setdefault("timeout", PATIENCE)
        return Subscription(self.proxies[node].port, target, **more)

    async def leaders(self):
        """The nodes that lead some channel."""
        found = []
        for number, proxy in enumerate(self.proxies):
            if proxy.process.running and await proxy.metric("ssequel_leader"):
                found.append(number)
        return found

    async def leader(self):
        """The one node that leads some channel, once there is exactly one."""
        async def only():
            found = await self.leaders()
            return [*found] if len(found) == 1 else None
        return (await eventually(only, "one node leads", timeout=PATIENCE))[0]

    def send(self, node, number):
        self.proxies[node].process.signal(number)

    async def end(self, node, number=signal.SIGKILL):
        self.send(node, number)
        code = await self.proxies[node].process.wait(20)
        check_equal(code, -number if number == signal.SIGKILL else 0, f"exit code of node {node}")

    async def launch(self, node):
        """Starts it again, at the same addresses."""
        proxy = self.proxies[node]
        proxy.process = await self.t.enter(Process(proxy.binary, "--config", proxy.file, name=f"node-{node}"))
        await proxy.ready()


async def start_fleet(t, upstreams, *, redis=None, **more):
    redis = redis or await Redis(t, *KEPT).start()
    return await Fleet(t, redis, upstreams, **more).start()


async def start_feed(t, **more):
    """(a feed for all, the service that serves it)"""
    feed = Feed(**more)
    return feed, await start_upstream(t, {"/events": feed})


async def open_everywhere(t, fleet, feed, nodes=None, **more):
    """A subscriber at each node, once one of them reads the upstream."""
    clients = [await t.enter(fleet.subscribe(node, **more)) for node in nodes or range(len(fleet))]
    for client in clients:
        check_equal((await client.open()).status, 200, "status")
    await eventually(lambda: feed.alive == 1, "the upstream stream is open", timeout=PATIENCE)
    return clients


async def take(clients, count):
    """The same events from each, as one list."""
    events = await asyncio.gather(*(client.take(count) for client in clients))
    for other in events[1:]:
        check_equal(other, events[0], "events of another node")
    return events[0]


async def take_until(clients, seq):
    """The same events from each, up to this one."""
    async def one(client):
        events = []
        while not events or events[-1]["type"] == "sync-required" or json.loads(events[-1]["data"])["seq"] != seq:
            events += await client.take(1)
        return events

    lists = await asyncio.gather(*map(one, clients))
    for other in lists[1:]:
        check_equal(other, lists[0], "events of another node")
    return lists[0]


def reason(event):
    return json.loads(event["data"])["reason"] if event["type"] == "sync-required" else None


def seen(*lists):
    found = Seen()
    for events in lists:
        for event in events:
            found.add(event)
    return found


def frames(client):
    """What stands on the wire of each event, from its id line on."""
    return [b"id: " + part.split(b"\n\n")[0] for part in bytes(client.parser.raw).split(b"id: ")[1:] if b"data:" in part]
