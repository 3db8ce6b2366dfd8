"""A node: Ssequel with the service beside it, and a relay between it and Redis; the ways in which it comes and goes."""

import asyncio
import signal

from support.processes import Process
from support.proxy import Proxy
from support.relay import Relay
from support.runner import Failure
from support.upstreams import Upstream

GRACE = 30.0  # Seconds that a drain may take.


class Node:
    """`serve`: the handler of its own service, or None where `upstream` is a URL that others have too."""

    def __init__(self, t, name, topology, history, *, routes, extra, drain, upstream=None, serve=None):
        self.t = t
        self.name = name
        self.topology = topology
        self.history = history
        self.routes = routes
        self.extra = extra
        self.drain = drain
        self.upstream = upstream
        self.service = Upstream(serve) if serve else None
        self.relay = None
        self.proxy = None
        self.is_whole = True  # No fault is at work on it.
        self.leads = None  # Channels, as last seen.

    async def start(self):
        if self.service:
            await self.t.enter(self.service)
        extra = self.extra
        if self.topology:
            if self.topology.relayed:
                self.relay = await self.t.enter(Relay(self.topology.port))
            extra = extra.replace("REDIS_URL", self.topology.url(self.relay))
        self.proxy = Proxy(self.t.binary, self.t.folder, self.service.url if self.service else self.upstream,
                           routes=self.routes, extra=extra, drain=self.drain, name=self.name)
        self.proxy.write_config()
        await self.launch()

    @property
    def port(self):
        return self.proxy.port

    async def launch(self):
        self.proxy.process = Process(self.t.binary, "--config", self.proxy.file, name=self.name)
        await self.proxy.process.__aenter__()
        await self.proxy.ready()

    async def end(self, number):
        """Ends it by a signal; Failure if it had ended by itself, or does not as it should."""
        process = self.proxy.process
        ran = process.running
        process.signal(number)
        code = await process.wait(GRACE)
        expected = ran and code == (-number if number == signal.SIGKILL else 0)
        self.leads = None
        self.history.record("exit", code=code, expected=expected, node=self.name)
        self.report()
        if not expected:
            raise Failure(f"{self.name} ended with {code}:\n" + "\n".join(list(process.log)[-20:]))

    def report(self):
        for line in self.proxy.process.log:
            if "Sanitizer" in line or "runtime error" in line or "invariant" in line:
                self.history.record("report", text=f"{self.name}: {line}")

    # ------------------------------------------------------------------------------------------------- faults

    async def kill(self, random):
        await self.end(signal.SIGKILL)
        await asyncio.sleep(random.choice([0.0, random.uniform(0.0, 2.0)]))
        await self.launch()

    async def pause(self, random, seconds):
        self.proxy.process.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.proxy.process.signal(signal.SIGCONT)

    async def leave(self, random):
        await self.end(signal.SIGTERM)
        await asyncio.sleep(random.uniform(0.0, 0.5))
        await self.launch()

    async def lose_redis(self, random, seconds):
        """What it sends to Redis does not come there. Connections stay, or are cut, then or in the end."""
        how = random.choice(["held", "held and cut", "cut", "answers lost"])
        if how == "cut":
            self.relay.go_offline()
            await asyncio.sleep(seconds)
            self.relay.go_online()
            return
        self.relay.hold(answers_only=how == "answers lost")
        await asyncio.sleep(seconds)
        if how != "held":
            self.relay.cut_all()
        self.relay.release()

    async def look(self):
        """How many channels it leads; None if it does not say."""
        try:
            return await asyncio.wait_for(self.proxy.metric("ssequel_leader"), 2)
        except (OSError, Failure, EOFError, ValueError, asyncio.TimeoutError):
            return None

    async def stop(self):
        if self.proxy is not None and self.proxy.process is not None:
            self.proxy.process.signal(signal.SIGCONT)
            await self.proxy.process.stop()


async def watch_leaders(nodes, history, stop):
    """Counts, every half second, the channels that nodes have come to lead since: hand-overs."""
    while not stop.is_set():
        for node in nodes:
            if not node.is_whole:
                continue
            leads = await node.look()
            if leads is not None and node.leads is not None and leads > node.leads:
                history.record("count", what="hand-overs", number=int(leads - node.leads))
            node.leads = leads if leads is not None else node.leads
        try:
            await asyncio.wait_for(stop.wait(), 0.5)
        except asyncio.TimeoutError:
            pass
