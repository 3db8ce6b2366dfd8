"""One mixed run of the proxy on every kind of route, with faults, written down: what the seeded bugs are looked for in.

`run()` gives the path of the history. Everything random comes from the Random it is given.
"""

import asyncio
import shutil
import signal
import sqlite3

from history import Writer
from readers import Reader, come_to_the_end
from sources import Source

ROUTES = """
- name: private
  match: {{path: /private, accept: any}}
  mode: shared
  key: [path, identity]
  heartbeat: 200ms
  {common}
- name: small
  match: {{path: /small, accept: any}}
  mode: shared
  key: [path]
  window: {{events: {window}}}
  {common}
- name: journal
  match: {{path: /journal, accept: any}}
  mode: shared
  key: [path]
  on_upstream_gap: none
  {common}
- name: chat
  match: {{path: /chat, methods: [GET, POST], accept: any}}
  mode: session
  window: {{events: 40}}
  retry: 30ms
  linger: 20s
- name: feed
  match: {{path: /**, accept: any}}
  mode: shared
  key: [host, path, query]
  heartbeat: 200ms
  {common}
"""
COMMON = "\n  ".join(["retry: 30ms", "linger: 20s", "reconnect: {min: 10ms, max: 80ms}"])
WINDOW = 32
EVENT_BYTES = 32 * 1024
SHARED_FIELDS = ["Content-Type", "Cache-Control", "X-Accel-Buffering", "Ssequel-Resume", "Transfer-Encoding", "Connection",
                 "X-Service"]


class Scenario:
    """`folder`: of the disk store; None: memory. Faults come every `seconds`: a kill; on disk also a loss of power, which
    leaves the store as it was after the kill before."""

    def __init__(self, case, start_proxy, start_upstream, path, *, folder=None, env=None, seconds=1.6):
        self.case = case
        self.start_proxy = start_proxy
        self.start_upstream = start_upstream
        self.random = case.random
        self.history = Writer(path)
        self.folder = folder
        self.store = f"store: {{kind: disk, path: {folder}, sync: os}}" if folder else ""
        self.faults = [self.kill, self.lose_power] if folder else [self.kill]
        self.env = env
        self.seconds = seconds
        self.survives = ["cut", "upstream"] + (["kill"] if folder else [])
        self.finished = []  # Exchanges that a client has seen the end of.
        self.sources = {}
        self.chats = {}
        self.readers = []
        self.mirrored = None
        self.stop = asyncio.Event()
        self.rounds = 0
        self.proxy = None

    # ----------------------------------------------------------------------------------------------- upstream

    def source(self, channel, *, told=True, lossless=False, window=None, **more):
        self.history.record("channel", channel=channel, told=told, lossless=lossless, window=window,
                            survives=self.survives, fields=SHARED_FIELDS)
        self.sources[channel] = Source(self.history, self.random, channel, event_bytes=EVENT_BYTES, **more)

    def make_sources(self):
        lives = (10, 50)
        self.source("/feed?c=1", lives=lives, oversized=0.04)
        self.source("/feed?c=2", lives=lives)
        self.source("/quiet", pace=0.7)
        self.source("/dup", origin=lambda seq: f"d-{seq % 5}", lives=lives)
        self.source("/mirror", origin=lambda seq: self.mirrored)
        self.source("private/A", lives=lives)
        self.source("private/B", lives=lives)
        self.source("/small", window=WINDOW, pace=0.01, burst=5, pad=(24000, 30000))
        self.source("/journal", told=False, lossless=True, journal=True, origin=lambda seq: f"e-{seq}", lives=lives)

    async def serve(self, exchange):
        request = exchange.request
        if request.path == "/chat":
            await self.chats[request.get("X-Client")].serve(exchange)
        elif request.path == "/private":
            await self.sources["private/" + (request.get("Authorization") or "?")[-1]].serve(exchange)
        else:
            await self.sources[request.target].serve(exchange)

    # ------------------------------------------------------------------------------------------------ clients

    def reader(self, client, channel, target=None, fields=(), **more):
        if channel.startswith("private/"):
            target, fields = "/private", [("Authorization", "Bearer " + channel[-1]), *fields]
        return Reader(self.history, self.proxy.port, client, channel, target or channel, fields=fields, **more)

    def chat(self, client, method, **more):
        channel = "chat/" + client
        self.history.record("channel", channel=channel, mode="session", window=40, survives=self.survives)
        self.chats[client] = Source(self.history, self.random, channel, **more)
        return Reader(self.history, self.proxy.port, client, channel, "/chat", method=method,
                      fields=[("X-Client", client), ("Authorization", "Bearer A")],
                      content=b'{"ask":1}' if method == "POST" else None)

    def probe(self, client, channel, last_event_id):
        """One request with an odd resume point, beside everything else."""
        return self.reader(client, channel).attempt(last_event_id, seconds=0.3)

    async def probes(self):
        """Resume points that are ahead, foreign, evicted, of others, or the upstream's own."""
        by = {reader.channel: reader for reader in self.readers}
        for _ in range(2):
            await asyncio.sleep(self.seconds * 0.35)
            self.rounds += 1
            round_ = self.rounds
            feed, small, dup = by["/feed?c=1"], by["/small"], by["/dup"]
            ids = [row[0] for row in small.rows if row[0]]
            jobs = []
            if feed.last_id:
                jobs.append(self.probe(f"ahead{round_}", "/feed?c=1", str(int(feed.last_id) + 100000)))
                jobs.append(self.probe(f"foreign{round_}", "/feed?c=2", "no-such-id"))
                jobs.append(self.probe(f"elsewhere{round_}", "/feed?c=2", feed.last_id))
            if by["private/A"].last_id:
                jobs.append(self.probe(f"tenant{round_}", "private/B", by["private/A"].last_id))
            for back in (WINDOW // 2, 3 * WINDOW):
                if len(ids) > back:
                    jobs.append(self.probe(f"back{back}-{round_}", "/small", ids[-back]))
            if dup.rows and (sent := self.sources["/dup"].origins.get(dup.rows[-1][4])):
                jobs.append(self.probe(f"origin{round_}", "/dup", sent))
            talk = by.get("chat/talk")
            if talk is not None and talk.last_id:
                jobs.append(self.steal(f"thief{round_}", talk.last_id))
            await asyncio.gather(*jobs)

    def steal(self, client, last_event_id):
        """Another identity shows an id of somebody else's session."""
        thief = self.chat(client, "GET", pace=0.05)
        thief.fields = [("X-Client", client), ("Authorization", "Bearer B")]
        return thief.attempt(last_event_id, seconds=0.25)

    async def talk(self, reader):
        """A long GET session whose upstream is faster than its line."""
        await reader.follow(self.random, self.stop, cut=(0.1, 0.5), rest=(0.05, 0.3))

    async def ask(self, number):
        """POST exchanges of 40 events, one after the other; each followed over cuts to its end."""
        turn = 0
        while not self.stop.is_set():
            turn += 1
            ending = self.random.choice(["clean", "clean", "broken"])
            reader = self.chat(f"ask{number}.{turn}", "POST", pace=0.01, total=40, ending=ending)
            if await reader.exchange(self.random) == "clean" and reader.rows:
                self.finished.append(reader)

    async def look_back(self):
        """What ended once ends as it did."""
        turn = 0
        while not self.stop.is_set():
            await asyncio.sleep(0.1)
            if self.finished:
                turn += 1
                await self.random.choice(self.finished[:4]).look_back(self.random, f"late{turn}")

    async def stall(self):
        """Reads for a while, then not, so that it falls out of the small window."""
        turn = 0
        while not self.stop.is_set():
            turn += 1
            reader = self.reader(f"stalled{turn}", "/small")
            await reader.attempt(stalled=(0.1, 1.2), seconds=1.0, until=self.stop)

    async def doze(self):
        """The same on a session, whose upstream then has to wait."""
        turn = 0
        while not self.stop.is_set():
            turn += 1
            reader = self.chat(f"dozing{turn}", "GET", pace=0.01, burst=12, pad=(24000, 30000))
            await reader.attempt(stalled=(0.1, 1.2), seconds=1.0, until=self.stop)

    async def mirror(self):
        """Lets the upstream give ids that are ids of ours: what a proxy behind a proxy would."""
        reader = next(each for each in self.readers if each.channel == "/mirror")
        while not self.stop.is_set():
            recent = [row[0] for row in reader.rows[-6:] if row[0]]
            self.mirrored = self.random.choice(recent) if recent else None
            await asyncio.sleep(0.01)

    # -------------------------------------------------------------------------------------------------- faults

    async def kill(self):
        await self.strike("kill", self.keep)

    async def lose_power(self):
        await self.strike("power-loss", self.fall_back)
        # Across the place where something was lost, from an id that was not.
        await asyncio.gather(*(self.probe(f"across{reader.client}", reader.channel, reader.first_id)
                               for reader in self.readers if reader.channel.startswith("/feed") and reader.first_id))

    async def strike(self, kind, meanwhile):
        began = self.now()
        old = self.proxy
        old.process.signal(signal.SIGKILL)
        code = await old.process.wait()
        self.history.record("exit", code=code, expected=code == -signal.SIGKILL)
        if kind not in self.survives:
            next(reader for reader in self.readers if reader.channel == "/mirror").rows.clear()
            self.mirrored = None
        meanwhile()
        self.proxy = await self.start(old.port)
        self.history.record("fault", **{"class": kind}, at=began, until=self.now())

    def keep(self):
        if self.folder:
            shutil.copytree(self.folder, f"{self.folder}-kept")

    def fall_back(self):
        """The store is what the disk had when it was kept: the tail that tells may have survived, or only another boot
        id does."""
        newer = (self.folder / "ssequel.tail").read_bytes()
        shutil.rmtree(self.folder)
        shutil.copytree(f"{self.folder}-kept", self.folder)
        if self.random.random() < 0.5:
            (self.folder / "ssequel.tail").write_bytes(newer)
            return
        with sqlite3.connect(self.folder / "ssequel.db") as database:
            database.execute("UPDATE meta SET value='another' WHERE name='boot_id'")
        database.close()

    @staticmethod
    def now():
        return asyncio.get_running_loop().time()

    async def start(self, port=None):
        return await self.start_proxy(self.case, self.upstream, routes=ROUTES.format(common=COMMON, window=WINDOW),
                                      extra=self.store, env=self.env, port=port,
                                      limits=f"{{event_bytes: {EVENT_BYTES // 1024}KiB}}")

    # ----------------------------------------------------------------------------------------------------- run

    async def run(self):
        self.make_sources()
        self.upstream = await self.start_upstream(self.case, self.serve)
        self.proxy = await self.start()
        for number, channel in enumerate(self.sources):
            for copy in range(2):
                # Half of them ask as an EventSource does, and are given a bookmark to begin with.
                fields = [("Cache-Control", "no-cache")] if copy else []
                self.readers.append(self.reader(f"reader{number}.{copy}", channel, fields=fields))
        followers = [reader.follow(self.random, self.stop) for reader in self.readers]
        talk = self.chat("talk", "GET", pace=0.03, burst=12)
        self.readers.append(talk)
        tasks = [asyncio.create_task(job) for job in
                 [*followers, self.talk(talk), self.ask(1), self.ask(2), self.look_back(), self.stall(),
                  self.doze(), self.mirror()]]
        try:
            for strike in self.faults:
                await asyncio.gather(asyncio.sleep(self.seconds), self.probes())
                await strike()
            await asyncio.gather(asyncio.sleep(self.seconds), self.probes())
            self.stop.set()
            await asyncio.wait(tasks, timeout=5)
            await self.heal()
            await self.leave()
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            self.history.close()
        for result in results:
            if isinstance(result, Exception):
                raise result
        if self.upstream.errors:
            raise RuntimeError(f"the upstream's own errors: {self.upstream.errors[:3]}")
        return self.history.path

    async def heal(self):
        """All is well again: nothing breaks any more, and each reader must come to the end of its log."""
        for source in [*self.sources.values(), *self.chats.values()]:
            source.calm()
        await asyncio.gather(*(
            come_to_the_end(self.history, [reader for reader in self.readers if reader.channel == channel], source)
            for channel, source in [*self.sources.items(), ("chat/talk", self.chats["talk"])]))

    async def leave(self):
        """The proxy goes when it is told to, and says so by its exit code."""
        if self.proxy.process.running:
            self.proxy.process.signal(signal.SIGTERM)
            code = await self.proxy.process.wait(15)
            self.history.record("exit", code=code, expected=code == 0)
        else:
            code = self.proxy.process.child.returncode
            self.history.record("exit", code=code, expected=False)
        for line in self.proxy.process.log:
            if "Sanitizer" in line or "runtime error" in line or "invariant" in line:
                self.history.record("report", text=line)
