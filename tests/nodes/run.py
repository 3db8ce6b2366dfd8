#!/usr/bin/env python3
"""Several nodes with one Redis: subscribers that come back to any node, while nodes and Redis fail. At the end the checker of
recorded runs (tests/checker) judges what the subscribers of all nodes saw: one id is one event on every node, nobody loses an
event untold or gets one twice.

    python3 tests/nodes/run.py [--faults N] [--subscribers N] [--producers one|all] [--topology single|sentinel|cluster]
                               [--nodes N] [--store redis|disk] [--lease SECONDS] [--pace SECONDS] [--seed S] [--binary B]
                               [--threads N] [--keep FILE] [-v]

Faults come one at a time, or two: nodes are killed, stopped and woken, drained, cut off from Redis; Redis is killed and comes
back with all it had, or without the last of it, stands still, is emptied, fails over to a replica that lags. --store disk is
one node without Redis: what is found there is not the nodes' affair. The last line is `N passed, N failed`; the exit code
tells the same.
"""

import argparse
import asyncio
import contextlib
import random
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "checker"), str(HERE.parent / "e2e")]

import check  # noqa: E402  The paths above make these importable.
import history  # noqa: E402
from event_source import EventSource  # noqa: E402
from node import Node, watch_leaders  # noqa: E402
from scenario import SHARED_FIELDS  # noqa: E402
from sources import Source  # noqa: E402
from support.runner import Failure, eventually  # noqa: E402
from support.upstreams import Upstream  # noqa: E402
from topology import Cluster, Entry, Sentinels, Single, streams  # noqa: E402

WINDOW = 50000  # Events: more than any client is ever behind.
SMALL = 64
RETRY = 0.15  # Seconds; what a route says.
PREFIX = "nodes"
COMMON = """mode: shared
  key: [path]
  retry: 150ms
  linger: 30s
  reconnect: {min: 20ms, max: 400ms}
  producers: PRODUCERS"""
ROUTES = f"""
- name: journal
  match: {{path: /journal, accept: any}}
  on_upstream_gap: none
  window: {{events: {WINDOW}, bytes: 64MiB, age: 24h}}
  {COMMON}
- name: small
  match: {{path: /small, accept: any}}
  window: {{events: {SMALL}}}
  {COMMON}
- name: own
  match: {{path: /own/*, accept: any}}
  mode: session
  retry: 150ms
- name: feed
  match: {{path: /**, accept: any}}
  window: {{events: {WINDOW}, bytes: 64MiB, age: 24h}}
  {COMMON}
"""
DRAIN = "{delay: 200ms, timeout: 8s, retry_spread: 300ms}"
CALM = 60.0  # Seconds that all clients get, at the end, to come to the newest event.
SURVIVES = ["cut", "upstream", "kill", "pause", "drain", "partition", "redis-pause", "redis-kill"]
TOPOLOGIES = {"single": Single, "sentinel": Sentinels, "cluster": Cluster}


class Nodes:
    def __init__(self, arguments, folder, seed):
        self.arguments = arguments
        self.random = random.Random(f"{seed} faults")
        self.others_random = random.Random(f"{seed} others")  # So that a seed gives the same faults again.
        self.folder = Path(folder)
        self.binary = arguments.binary
        self.history = history.Writer(self.folder / "history.jsonl")
        self.stack = contextlib.AsyncExitStack()
        self.is_redis = arguments.store == "redis"
        self.is_all = arguments.producers == "all"
        self.topology = TOPOLOGIES[arguments.topology](self) if self.is_redis else None
        self.lease = arguments.lease
        self.sources = {}  # (channel, node or "")
        self.nodes = []
        self.subscribers = []
        self.lives = []
        self.upstream = None
        self.stop = asyncio.Event()
        self.struck = 0
        self.deck = []
        # The first ones come alone: however few there are, some that everything survives are not beside a loss.
        self.opening = [("kill", self.kill), ("drain", self.drain)]

    async def enter(self, context):
        return await self.stack.enter_async_context(context)

    def say(self, text):
        if self.arguments.verbose:
            print(f"{time.monotonic() - self.began:7.1f} {text}", flush=True)

    # ------------------------------------------------------------------------------------------------ the sides

    def tell_channels(self):
        self.channels = ["/feed/1", "/feed/2", "/small"] + ([] if self.is_all else ["/journal"])
        for channel in self.channels:
            lossless = channel == "/journal"
            # While Redis is away, what waits for it takes up to half a window.
            window = (SMALL // 2 if self.is_redis else SMALL) if channel == "/small" else WINDOW
            facts = {"told": not lossless, "lossless": lossless, "window": window, "survives": SURVIVES,
                     "fields": SHARED_FIELDS}
            if self.is_redis:
                facts["overlap"] = 2 * self.lease + 1.0
            if self.is_all:
                facts["producers"] = "all"
            self.history.record("channel", channel=channel, **facts)

    def source(self, channel, node):
        name = (channel, node if self.is_all else "")
        if name not in self.sources:
            is_journal = channel == "/journal"
            # Those of several nodes together must leave a client time to come back.
            pace = 0.05 * (3 if self.is_all else 1) if channel == "/small" else self.arguments.pace
            self.sources[name] = Source(self.history, self.others_random, channel, pace=pace, tidy=True, journal=is_journal,
                                        origin=(lambda seq: f"e-{seq}") if is_journal else None, node=name[1] or None)
        return self.sources[name]

    def handler(self, node):
        async def serve(exchange):
            await self.source(exchange.request.path, node).serve(exchange)
        return serve

    async def start_nodes(self):
        if not self.is_all:
            self.upstream = await self.enter(Upstream(self.handler("")))
        lines = [f"threads: {self.arguments.threads}"]
        if self.is_redis:
            await self.topology.start()
            lease = f"{self.lease * 1000:.0f}ms"
            lines += ["store: {kind: redis}", f'redis: {{url: "REDIS_URL", prefix: {PREFIX}, lease: {lease}}}']
        else:
            lines.append(f"store: {{kind: disk, path: {self.folder}/store}}")
        for number in range(self.arguments.nodes if self.is_redis else 1):
            name = f"n{number + 1}"
            node = Node(self, name, self.topology, self.history, routes=ROUTES.replace("PRODUCERS", self.arguments.producers),
                        extra="\n".join(lines), drain=DRAIN, upstream=self.upstream.url if self.upstream else None,
                        serve=self.handler(name) if self.is_all else None)
            self.nodes.append(node)
            await node.start()

    def choose(self):
        node = self.others_random.choice(self.nodes)
        return node.name, node.port

    def subscribe_one(self):
        number = len(self.subscribers)
        channel = self.channels[number % len(self.channels)]
        if number % 20 == 19:
            channel = f"/own/{number}"
            self.history.record("channel", channel=channel, mode="session", survives=SURVIVES)
        subscriber = EventSource(self.history, 0, f"s{number}", channel, channel, random=self.others_random,
                                 churn=self.others_random.choice([(0.2, 2.0), (0.5, 5.0), (2.0, 20.0)]), choose=self.choose)
        self.subscribers.append(subscriber)
        self.lives.append(asyncio.create_task(subscriber.live(self.stop)))

    # ----------------------------------------------------------------------------------------------- the faults

    async def on_node(self, kind, fault, *, leader=False):
        """A fault of one node, which no other fault has meanwhile."""
        whole = [node for node in self.nodes if node.is_whole]
        if not whole:
            return kind
        node = max(whole, key=lambda each: each.leads or 0) if leader else self.random.choice(whole)
        node.is_whole = False
        self.say(f"  {kind} of {node.name}, which leads {node.leads}")
        try:
            await fault(node)
        finally:
            node.is_whole = True
        return kind

    def kill(self):
        return self.on_node("kill", lambda node: node.kill(self.random), leader=self.random.random() < 0.5)

    async def kill_all(self):
        whole = [node for node in self.nodes if node.is_whole]
        await asyncio.gather(*(self.on_node("kill", lambda node: node.kill(self.random)) for _ in whole))
        return "kill"

    def pause(self):
        seconds = self.random.uniform(0.3, 2.0) * self.lease
        return self.on_node("pause", lambda node: node.pause(self.random, seconds), leader=self.random.random() < 0.6)

    def drain(self):
        return self.on_node("drain", lambda node: node.leave(self.random), leader=self.random.random() < 0.5)

    def partition(self):
        seconds = self.random.uniform(0.1, 2.5) * self.lease
        return self.on_node("partition", lambda node: node.lose_redis(self.random, seconds), leader=self.random.random() < 0.6)

    async def redis_pause(self):
        await self.topology.pause(self.random, self.random.uniform(0.2, 2.0) * self.lease)
        return "redis-pause"

    async def redis_kill(self):
        """Whether it lost something is measured, before a node comes to it again: the disk may have been slow."""
        given = {}

        async def meanwhile():
            for node in self.nodes:
                if node.relay:
                    node.relay.hold()
            await asyncio.sleep(0.1)
            given.update(self.newest_numbers())

        try:
            await self.topology.kill(self.random, meanwhile)
            return "redis-lost-tail" if await self.has_lost(given) else "redis-kill"
        finally:
            for node in self.nodes:
                if node.relay:
                    node.relay.release()

    async def redis_lost_tail(self):
        """With one in four all nodes die too, so that nobody remembers what was lost."""
        also = self.random.random() < 0.25
        whole = [node for node in self.nodes if node.is_whole]

        async def kill_nodes():
            await asyncio.gather(*(self.on_node("kill", lambda node: node.kill(self.random)) for _ in whole))

        began = time.monotonic()
        dying = []

        async def meanwhile():
            if also:
                dying.append(asyncio.create_task(kill_nodes()))
                await asyncio.sleep(0.2)

        await self.dump()
        await self.topology.kill(self.random, meanwhile, cut=self.random.randint(300, 12000))
        await asyncio.gather(*dying)
        if dying:
            self.history.record("fault", **{"class": "kill"}, at=began, until=time.monotonic())
        return "redis-lost-tail"

    async def redis_flush(self):
        await self.dump()
        await self.topology.flush(self.random)
        return "redis-flush"

    async def fail_over(self):
        await self.dump()
        await self.topology.fail_over(self.random, lagging=self.random.random() < 0.7)
        return "redis-failover"

    def faults(self):
        """(how many of a deck, class, coroutine function)"""
        yield from [(5, "kill", self.kill), (3, "drain", self.drain), (4, "pause", self.pause)]
        if not self.is_redis:
            return
        yield 1, "kill", self.kill_all
        if self.topology.relayed:
            yield 6, "partition", self.partition
        if self.arguments.topology == "sentinel":
            yield 5, "redis", self.fail_over
        else:
            yield from [(3, "redis-pause", self.redis_pause), (3, "redis", self.redis_kill), (2, "redis", self.redis_flush)]
        if self.arguments.topology == "single":
            yield 3, "redis", self.redis_lost_tail

    async def has_lost(self, given):
        """Whether some log in Redis ends before what subscribers were given of it."""
        held = {}
        for key, server in (await streams(self.topology, PREFIX)).items():
            for _, fields in await server.call("XREVRANGE", key, "+", "-", "COUNT", 50):
                entry = Entry(fields)
                if entry.channel:
                    held[entry.channel] = max(held.get(entry.channel, 0), entry.number)
                    break
        return any(held.get(channel, 0) < newest for channel, newest in given.items())

    def newest_numbers(self):
        newest = {}
        for each in self.subscribers:
            parts = history.split_id(each.last_id)
            if parts and each.channel in self.channels:
                newest[each.channel] = max(newest.get(each.channel, 0), parts[1])
        return newest

    def draw(self):
        """(class, coroutine function): from a deck, so that few faults are of many kinds, too."""
        if not self.deck:
            self.deck = [(kind, fault) for count, kind, fault in self.faults() for _ in range(count)]
            self.random.shuffle(self.deck)
        return self.deck.pop()

    async def strike(self):
        is_alone = bool(self.opening)
        todo = dict([self.opening.pop(0) if is_alone else self.draw()])
        if not is_alone and self.random.random() < 0.2 and len(self.nodes) > 1:
            kind, fault = self.draw()
            todo.setdefault(kind, fault)

        async def one(fault):
            began = time.monotonic()
            self.say(f"fault {self.struck + 1}: {fault.__name__}")
            kind = await fault()
            # What it brings about takes a moment more: a lease runs out, a loss is noticed.
            is_loss = kind not in SURVIVES
            self.history.record("fault", **{"class": kind}, at=began,
                                until=time.monotonic() + (2 * self.lease + 1.0 if is_loss else 0.0))
            self.struck += 1

        await asyncio.gather(*(one(fault) for fault in todo.values()))
        if self.is_redis:
            await self.topology.settled()
        # Mostly the next one waits until nearly all are back; at times it follows at once.
        await asyncio.sleep(self.random.uniform(0.1, 0.8))
        if is_alone or self.random.random() < 0.7:
            await eventually(self.are_nearly_all_back, "nearly all are back", timeout=CALM)

    def are_nearly_all_back(self):
        living = [each for each in self.subscribers if not each.is_closed]
        return sum(each.is_reading for each in living) >= 0.7 * len(living)

    # ------------------------------------------------------------------------------------------------- the run

    async def run(self):
        self.began = time.monotonic()
        self.tell_channels()
        async with self.stack:
            self.stack.callback(self.history.close)  # When nobody writes to it any more.
            try:
                await self.start_nodes()
            finally:
                self.stack.push_async_callback(self.clean_up)
            for _ in range(self.arguments.subscribers):
                self.subscribe_one()
            await eventually(lambda: all(each.last_id for each in self.subscribers), "all have an id to come back with",
                             timeout=CALM)
            watching = asyncio.create_task(watch_leaders(self.nodes, self.history, self.stop) if self.is_redis else
                                           asyncio.sleep(0))
            await asyncio.sleep(1.0)
            while self.struck < self.arguments.faults:
                await self.strike()
                for life in self.lives:
                    if life.done() and not life.cancelled() and life.exception():
                        raise life.exception()
            await self.come_to_the_end()
            self.stop.set()
            await asyncio.wait([watching, *self.lives], timeout=10)
            await self.dump()
            for node in self.nodes:
                await node.end(15)
        for upstream in [self.upstream, *(node.service for node in self.nodes)]:
            if upstream and upstream.errors:
                raise Failure(f"the upstream's own errors: {upstream.errors[:3]}")

    async def clean_up(self):
        self.stop.set()
        for life in self.lives:
            life.cancel()
        await asyncio.gather(*self.lives, return_exceptions=True)
        for node in self.nodes:
            await node.stop()

    async def come_to_the_end(self):
        """Nobody leaves any more, all is well; each source sends one more event, which must come to all of its channel."""
        for source in self.sources.values():
            source.calm()
        for subscriber in self.subscribers:
            subscriber.churn = None
        living = [each for each in self.subscribers if not each.is_closed]
        await eventually(lambda: all(each.is_reading and not each.will_leave for each in living), "all are connected again",
                         timeout=CALM)
        await asyncio.sleep(2 * self.lease if self.is_redis else 0.5)
        for round_ in sorted({node for _, node in self.sources}):
            marks = {}
            for (channel, node), source in self.sources.items():
                if node != round_ or all(each.channel != channel for each in living):
                    continue
                if channel in self.channels:
                    marks[channel] = await eventually(source.mark, f"{channel} of {node or 'all'} is read", timeout=CALM)
                elif source is self.newest(channel):
                    # A session is one node's; one that its client could not come back to may stand beside it for a while.
                    marks[channel] = source.mark()
            for each in living:
                if each.channel in marks:
                    nonce = marks[each.channel]
                    self.history.record("goal", channel=each.channel, client=each.client, nonce=nonce, within=CALM)
                    each.aim(nonce)
            waiting = [each for each in living if each.channel in marks]
            deadline = time.monotonic() + CALM
            while time.monotonic() < deadline and not all(each.reached.is_set() for each in waiting):
                await asyncio.sleep(0.05)
        closed = [each.client for each in self.subscribers if each.is_closed]
        if closed:
            raise Failure(f"given up for ever, as an EventSource does on anything but a stream: {closed}")

    def newest(self, channel):
        """The source with the connection that was opened last, of those that stand; None if none does."""
        standing = [each for (name, _), each in self.sources.items() if name == channel and each.newest() is not None]
        return max(standing, key=lambda each: each.newest(), default=None)

    async def dump(self):
        """What Redis holds of each log."""
        if not self.is_redis:
            return
        for key, server in (await streams(self.topology, PREFIX)).items():
            entries = [Entry(fields) for _, fields in await server.call("XRANGE", key, "-", "+")]
            entries = [entry for entry in entries if entry.number is not None]
            channel = next((entry.channel for entry in entries if entry.channel), None)
            if channel:
                tag = entries[0].tag
                rows = [[entry.number, history.digest(entry.frame), *entry.writer] for entry in entries]
                self.history.record("dump", channel=None if tag else channel, tag=tag, entries=rows)


def floors(arguments):
    """What a run must have met, or its verdict says little."""
    n, subscribers = arguments.faults, arguments.subscribers
    yield "faults", n
    yield "resumes", n * subscribers // 4
    yield "suffixes", n * subscribers // 20
    yield "goals", subscribers * 9 // 10
    yield "seams", n * subscribers // 60
    yield "exercised:K9", 20
    yield "exercised:K10", n * subscribers // 40
    if arguments.store == "redis":
        yield "hops", n * subscribers // 8
        yield "hop suffixes", n * subscribers // 40
        yield "exercised:K11", 20
        if arguments.producers == "one":
            yield "hand-overs", n // 5
        if n >= 40 and arguments.topology != "cluster":
            yield "sync:store-gap", 10


async def nodes(arguments, seed):
    with tempfile.TemporaryDirectory(prefix="ssequel-nodes-") as folder:
        run = Nodes(arguments, folder, seed)
        for what, least in floors(arguments):
            run.history.record("floor", what=what, least=least)
        problem = None
        try:
            await run.run()
        except Failure as failure:
            problem = str(failure)
        verdict = check.judge(history.read(run.history.path))
        for line in verdict.lines(verbose=True):
            print(line)
        if problem:
            print(problem)
        ok = verdict.ok and problem is None
        if arguments.keep or not ok:
            kept = arguments.keep or f"/tmp/ssequel-nodes-{arguments.producers}-{seed}.jsonl"
            shutil.copy(run.history.path, kept)
            print(f"history kept: {kept}")
            for node in run.nodes:
                if not ok and node.proxy is not None and node.proxy.process is not None:
                    lines = node.proxy.process.log
                    Path(f"{kept}.{node.name}.log").write_text("\n".join(lines) + "\n")
                    lines = [line for line in lines if "msg=request" not in line]
                    print(f"{node.name}'s last log lines:", *lines[-12:], sep="\n  ")
        return ok, run.struck


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--subscribers", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--producers", choices=["one", "all"], default="one")
    parser.add_argument("--topology", choices=sorted(TOPOLOGIES), default="single")
    parser.add_argument("--store", choices=["redis", "disk"], default="redis")
    parser.add_argument("--lease", type=float, default=3.0, help="seconds")
    parser.add_argument("--pace", type=float, default=0.25, help="seconds between two events of a stream")
    parser.add_argument("--binary", default=str(HERE.parent.parent / "build" / "release" / "ssequel"))
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--keep", help="keep the history in this file, whatever the verdict")
    parser.add_argument("-v", dest="verbose", action="store_true")
    arguments = parser.parse_args()
    if not Path(arguments.binary).exists():
        sys.exit(f"no {arguments.binary}: build it first (cmake --preset release && cmake --build --preset release)")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    began = time.monotonic()
    print(f"nodes seed {seed}, store {arguments.store}, {arguments.topology}, producers {arguments.producers}", flush=True)
    ok, struck = asyncio.run(nodes(arguments, seed))
    print(f"{struck} faults in {time.monotonic() - began:.0f} s")
    print(f"{int(ok)} passed, {int(not ok)} failed")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
