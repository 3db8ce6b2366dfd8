"""The Redis behind several nodes: one server, a master with replicas and sentinels, or a cluster; and what is in it.

Each has `servers`, `urls` (what a node is told, given its relay's port), `masters()` and the faults that it can have, as
coroutine functions of a Random: they come back once the fault is over, and give its class.
"""

import asyncio
import re
import signal

from history import split_id
from support.processes import Process, free_port, run_to_end
from support.runner import Failure, eventually
from support.servers import Redis

KEPT = ("--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
PATIENCE = 60.0  # Seconds.


class Single:
    """One server with an append-only file."""

    relayed = True  # A relay of its own stands between each node and it.

    def __init__(self, t):
        self.servers = [Redis(t, *KEPT)]

    async def start(self):
        await self.servers[0].start()

    @property
    def port(self):
        return self.servers[0].port

    def url(self, relay):
        return f"redis://127.0.0.1:{relay.port}/0"

    async def masters(self):
        return self.servers

    async def kill(self, random, meanwhile=None, cut=0):
        """kill -9 and a start from the append-only file, of which the last `cut` bytes are gone."""
        server = random.choice(self.servers)
        await server.kill()
        if meanwhile:
            await meanwhile()
        if cut:
            file = max((server.folder / "appendonlydir").glob("*.incr.aof"))
            size = file.stat().st_size
            with open(file, "r+b") as opened:
                opened.truncate(max(size - cut, 0))
        await asyncio.sleep(random.uniform(0.0, 2.0))
        await server.start()
        await self.settled()

    async def settled(self):
        """Until all answer again."""
        await eventually(self.is_whole, "Redis is whole", timeout=PATIENCE, interval=0.05)

    async def is_whole(self):
        return b"loading:0" in await self.servers[0].call("INFO", "persistence")

    async def pause(self, random, seconds):
        server = random.choice(self.servers)
        server.process.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            server.process.signal(signal.SIGCONT)

    async def flush(self, random):
        for server in await self.masters():
            await server.call("FLUSHALL")


class Cluster(Single):
    """Three masters."""

    relayed = False

    def __init__(self, t):
        self.servers = [Redis(t, *KEPT, "--cluster-enabled", "yes", "--cluster-port", free_port(), "--cluster-node-timeout",
                              "2000", "--cluster-require-full-coverage", "no") for _ in range(3)]

    async def start(self):
        await asyncio.gather(*(server.start() for server in self.servers))
        code, out, err = await run_to_end("redis-cli", "--cluster-yes", "--cluster", "create",
                                          *(f"127.0.0.1:{server.port}" for server in self.servers), timeout=PATIENCE)
        if code != 0:
            raise Failure(f"the cluster is not made: {out}{err}")
        await self.settled()

    async def is_whole(self):
        said = await asyncio.gather(*(server.call("CLUSTER", "INFO") for server in self.servers))
        return all(b"cluster_state:ok" in each for each in said)

    def url(self, relay):
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)


class Sentinels(Single):
    """A master, two replicas, and three sentinels, which agree in about a second that a master is away."""

    relayed = False

    def __init__(self, t):
        self.t = t
        self.servers = [Redis(t, *KEPT, "--repl-diskless-sync-delay", "0") for _ in range(3)]
        self.ports = [free_port() for _ in range(3)]

    async def start(self):
        first = self.servers[0]
        for replica in self.servers[1:]:
            replica.settings = (*replica.settings, "--replicaof", f"127.0.0.1 {first.port}")
        await asyncio.gather(*(server.start() for server in self.servers))
        for server in self.servers:  # From here on it is the sentinels' to say who follows whom.
            server.settings = KEPT
        for port in self.ports:
            file = self.t.folder / f"sentinel-{port}.conf"
            file.write_text(f"port {port}\nbind 127.0.0.1\ndir {self.t.folder}\n"
                            f"sentinel monitor feed 127.0.0.1 {first.port} 2\n"
                            "sentinel down-after-milliseconds feed 1000\nsentinel failover-timeout feed 4000\n")
            await self.t.enter(Process("redis-server", file, "--sentinel", name="sentinel"))
        await self.settled()

    def url(self, relay):
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in self.ports) + "/feed"

    async def _ask_one(self, port, *words):
        sentinel = Redis(self.t)
        sentinel.port = port
        return await sentinel.call("SENTINEL", *words)

    async def _ask(self, *words):
        for port in self.ports:
            try:
                return await self._ask_one(port, *words)
            except (OSError, asyncio.IncompleteReadError):
                continue
        raise Failure("no sentinel answers")

    async def masters(self):
        _, port = await self._ask("GET-MASTER-ADDR-BY-NAME", "feed")
        return [server for server in self.servers if server.port == int(port)]

    async def is_whole(self):
        """The master has two replicas that follow, and each sentinel knows them and the others."""
        try:
            master = (await self.masters())[0]
            said = await master.call("INFO", "replication")
            if said.count(b"state=online") != 2 or b"role:master" not in said:
                return False
            for port in self.ports:
                known = dict(zip(*[iter(await self._ask_one(port, "MASTER", "feed"))] * 2))
                if int(known[b"num-slaves"]) < 2 or int(known[b"num-other-sentinels"]) != 2 or known[b"flags"] != b"master":
                    return False
            return True
        except (OSError, Failure, IndexError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            return False

    async def fail_over(self, random, lagging):
        """The master dies, a replica takes its place; it may lack the last second or two. The old master comes back as a
        replica."""
        await self.settled()
        master = (await self.masters())[0]
        if lagging:
            # Its replicas lose their connection, and are refused another one.
            await master.call("ACL", "SETUSER", "default", "-psync", "-sync")
            await master.call("CLIENT", "KILL", "TYPE", "replica")
            await asyncio.sleep(random.uniform(0.3, 2.0))
        await master.kill()

        async def is_another():
            for port in self.ports:
                _, found = await self._ask_one(port, "GET-MASTER-ADDR-BY-NAME", "feed")
                if int(found) == master.port:
                    return False
            return True

        # All of them, or else the old master would be taken for the master for a while, and then lose what it was given.
        await eventually(is_another, "the sentinels have another master", timeout=PATIENCE, interval=0.1)
        await asyncio.sleep(random.uniform(0.0, 1.0))
        await master.start()


_CHANNEL = re.compile(rb'"channel":"([^"]*)"')


async def streams(topology, prefix):
    """{key: server} of the logs' streams."""
    found = {}
    for server in await topology.masters():
        cursor = b"0"
        while True:
            cursor, keys = await server.call("SCAN", cursor, "MATCH", prefix + ":*:log", "COUNT", 1000)
            found.update({key: server for key in keys})
            if cursor == b"0":
                break
    return found


class Entry:
    """An entry of a log's stream; `frame` as clients are sent it, or None: it says something of the log."""

    def __init__(self, fields):
        pairs = dict(zip(fields[::2], fields[1::2]))
        self.frame = pairs.get(b"frame")
        if self.frame is None and b"lines" in pairs:  # Redis itself gave the number.
            self.frame = b"id: %s\n%s\n" % (pairs[b"number"], pairs[b"lines"])
        self.writer = (int(pairs.get(b"inc", 0)), int(pairs.get(b"fence", 0)))
        found = _CHANNEL.search(self.frame or b"")
        self.channel = found[1].decode() if found else None
        name = self.frame.split(b"id: ", 1)[1].split(b"\n")[0].decode() if self.frame else None
        self.tag, self.number = split_id(name) or ("", None)
