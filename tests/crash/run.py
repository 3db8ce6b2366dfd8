#!/usr/bin/env python3
"""kill -9 at random instants, under load: the proxy is killed and started again, its clients resume, and at the end the
checker of recorded runs (tests/checker) says whether any promise was broken.

    python3 tests/crash/run.py [--kills N] [--binary B] [--seed S] [--sync os|always] [--store disk|memory] [--threads N]
                               [--keep FILE]

Kills come while events flow, right after a start, and during one. What the upstream sends while nobody is connected to it is
lost by nature and must be told by one `upstream-gap`; on the routes whose upstream goes on by its own ids nothing at all may be
missing. In the end every log is replayed from its first id. A failed run keeps its history and prints its seed. The last line
is `N passed, N failed`; the exit code tells the same.
"""

import argparse
import asyncio
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "checker"), str(HERE.parent / "e2e")]

import check  # noqa: E402  The paths above make these importable.
import history  # noqa: E402
from readers import Reader, come_to_the_end  # noqa: E402
from scenario import SHARED_FIELDS  # noqa: E402
from sources import Source  # noqa: E402
from support.processes import Process  # noqa: E402
from support.proxy import Proxy  # noqa: E402
from support.runner import Failure  # noqa: E402
from support.upstreams import Upstream  # noqa: E402

COMMON = """retry: 30ms
  linger: 60s
  reconnect: {min: 10ms, max: 100ms}"""
LARGE = 50000  # Events: more than any client is ever behind.
SMALL = 64
RETAIN = 20  # Seconds.
ROUTES = f"""
- name: journal
  match: {{path: /journal/*, accept: any}}
  mode: shared
  key: [path]
  window: {{events: {LARGE}, bytes: 64MiB, age: 24h}}
  on_upstream_gap: none
  {COMMON}
- name: small
  match: {{path: /small, accept: any}}
  mode: shared
  key: [path]
  window: {{events: {SMALL}}}
  {COMMON}
- name: private
  match: {{path: /private, accept: any}}
  mode: shared
  key: [path, identity]
  window: {{events: {LARGE}, bytes: 64MiB, age: 24h}}
  {COMMON}
- name: chat
  match: {{path: /chat, methods: [GET, POST], accept: any}}
  mode: session
  retry: 30ms
  linger: 20s
  retain: {RETAIN}s
- name: feed
  match: {{path: /**, accept: any}}
  mode: shared
  key: [path]
  window: {{events: {LARGE}, bytes: 64MiB, age: 24h}}
  {COMMON}
"""


class Crash:
    def __init__(self, arguments, folder, seed):
        self.arguments = arguments
        self.random = random.Random(seed)
        self.history = history.Writer(Path(folder) / "history.jsonl")
        is_disk = arguments.store == "disk"
        self.survives = ["cut", "upstream"] + (["kill", "stop"] if is_disk else [])
        self.upstream = Upstream(self.serve)
        self.proxy = None
        self.folder = Path(folder)
        self.store = f"store: {{kind: disk, path: {folder}/store, sync: {arguments.sync}}}" if is_disk else ""
        self.sources = {}
        self.chats = {}
        self.readers = []
        self.finished = []  # Exchanges that a client has seen the end of, and when.
        self.stop = asyncio.Event()
        self.kills = 0
        self.starting = 0.05  # Seconds that a start took, lately.

    # ------------------------------------------------------------------------------------------------ the sides

    def source(self, channel, *, told=True, lossless=False, window=LARGE, **more):
        self.history.record("channel", channel=channel, told=told, lossless=lossless, window=window,
                            survives=self.survives, fields=SHARED_FIELDS)
        self.sources[channel] = Source(self.history, self.random, channel, **more)

    def make_sources(self):
        for number in (1, 2, 3):
            self.source(f"/feed/{number}", pace=0.02, tidy=number != 3)
        self.source("/feed/bursts", pace=0.05, burst=20, tidy=True)
        self.source("/feed/breaking", pace=0.02, lives=(10, 120))
        self.source("/feed/ids", pace=0.02, tidy=True, origin=lambda seq: f"i-{seq}")
        self.source("/small", pace=0.02, tidy=True, window=SMALL)
        self.source("private/A", pace=0.03, tidy=True)
        self.source("private/B", pace=0.03, tidy=True)
        for number in (1, 2):
            self.source(f"/journal/{number}", told=False, lossless=True, journal=True, pace=0.02, tidy=number == 1,
                        origin=lambda seq: f"e-{seq}", lives=(20, 200) if number == 2 else None)

    async def serve(self, exchange):
        request = exchange.request
        if request.path == "/chat":
            await self.chats[request.get("X-Client")].serve(exchange)
        elif request.path == "/private":
            await self.sources["private/" + request.get("Authorization")[-1]].serve(exchange)
        else:
            await self.sources[request.target].serve(exchange)

    def reader(self, client, channel, fields=()):
        target = channel
        if channel.startswith("private/"):
            target, fields = "/private", [("Authorization", "Bearer " + channel[-1]), *fields]
        return Reader(self.history, self.proxy.port, client, channel, target, fields=fields)

    def chat(self, client, method, **more):
        channel = "chat/" + client
        self.history.record("channel", channel=channel, mode="session", survives=self.survives)
        self.chats[client] = Source(self.history, self.random, channel, **more)
        return Reader(self.history, self.proxy.port, client, channel, "/chat", method=method,
                      fields=[("X-Client", client)], content=b'{"ask":1}' if method == "POST" else None)

    async def ask(self, number):
        turn = 0
        while not self.stop.is_set():
            turn += 1
            reader = self.chat(f"ask{number}.{turn}", "POST", pace=0.01, total=self.random.randint(5, 60), tidy=True,
                               ending=self.random.choice(["clean", "clean", "broken"]))
            if await reader.exchange(self.random, attempts=40, cut=(0.1, 0.8)) == "clean" and reader.rows:
                self.finished.append((time.monotonic(), reader))

    async def look_back(self):
        """What ended once ends as it did, as long as it is kept."""
        turn = 0
        while not self.stop.is_set():
            await asyncio.sleep(0.1)
            while self.finished and self.finished[0][0] < time.monotonic() - RETAIN / 2:
                self.chats.pop(self.finished.pop(0)[1].client)
            if self.finished:
                turn += 1
                await self.random.choice(self.finished)[1].look_back(self.random, f"late{turn}")

    # --------------------------------------------------------------------------------------------- the proxy

    async def launch(self):
        process = Process(self.arguments.binary, "--config", self.proxy.file, name="ssequel")
        await process.__aenter__()
        self.proxy.process = process

    async def ready(self):
        began = time.monotonic()
        await self.proxy.ready()
        self.starting = time.monotonic() - began

    async def end(self, number):
        """Kills what runs. False if it was gone already, by itself."""
        process = self.proxy.process
        ran = process.running
        if ran:
            process.signal(number)
        code = await process.wait(20)
        expected = ran and code == (-number if number == signal.SIGKILL else 0)
        self.history.record("exit", code=code, expected=expected)
        for line in process.log:
            if "Sanitizer" in line or "runtime error" in line or "invariant" in line:
                self.history.record("report", text=line)
        if not expected:
            raise Failure(f"the proxy ended by itself, {code}:\n" + "\n".join(list(process.log)[-20:]))

    async def kill_and_start(self):
        """One fault: it lasts until the proxy is ready again, and may be several kills. One in ten begins with a stop as
        it should be."""
        began = time.monotonic()
        is_stop = self.random.random() < 0.1
        await self.end(signal.SIGTERM if is_stop else signal.SIGKILL)
        self.kills += not is_stop
        while self.kills < self.arguments.kills and self.random.random() < 0.2:  # During the start.
            await self.launch()
            await asyncio.sleep(self.random.uniform(0, 1.5 * self.starting))
            await self.end(signal.SIGKILL)
            self.kills += 1
        await self.launch()
        await self.ready()
        self.history.record("fault", **{"class": "stop" if is_stop else "kill"}, at=began, until=time.monotonic())

    # ------------------------------------------------------------------------------------------------- the run

    async def run(self):
        await self.upstream.start()
        self.make_sources()
        self.proxy = Proxy(self.arguments.binary, self.folder, self.upstream.url, routes=ROUTES,
                           extra="\n".join([self.store, "log: {level: warn}", f"threads: {self.arguments.threads}"]),
                           drain="{delay: 0s, timeout: 10s}")
        self.proxy.write_config()
        await self.launch()
        await self.ready()
        for channel in self.sources:
            for copy in range(3 if channel == "/feed/1" else 2):
                # The first asks as an EventSource does, and is given a bookmark to begin with.
                fields = [] if copy else [("Cache-Control", "no-cache")]
                self.readers.append(self.reader(f"{channel}#{copy}", channel, fields))
        for number in (1, 2):
            self.readers.append(self.chat(f"talk{number}", "GET", pace=0.02, tidy=True,
                                          origin=(lambda seq: f"t-{seq}") if number == 1 else None))
        tasks = [asyncio.create_task(reader.follow(self.random, self.stop, cut=(0.2, 2.0), rest=(0.0, 0.05)))
                 for reader in self.readers]
        tasks += [asyncio.create_task(self.ask(number)) for number in (1, 2, 3)]
        tasks.append(asyncio.create_task(self.look_back()))
        try:
            while self.kills < self.arguments.kills:
                # Right after a start, or while everything flows.
                await asyncio.sleep(self.random.uniform(0, 0.05) if self.random.random() < 0.3
                                    else self.random.uniform(0.1, 1.6))
                await self.kill_and_start()
            await asyncio.sleep(0.5)
            self.stop.set()
            await asyncio.wait(tasks, timeout=10)
            await self.heal()
            await self.end(signal.SIGTERM)
            await self.launch()
            await self.ready()
            await self.replay()
            await self.end(signal.SIGTERM)
            if self.store:
                self.dump()
        finally:
            # A reader may take being cancelled for a connection that was lost, and go on.
            self.stop.set()
            for _ in range(100):
                for task in tasks:
                    task.cancel()
                if not (await asyncio.wait(tasks, timeout=0.1))[1]:
                    break
            results = [task.exception() if task.done() and not task.cancelled() else None for task in tasks]
            await self.proxy.process.stop()
            await self.upstream.stop()
            self.history.close()
        for result in results:
            if isinstance(result, Exception):
                raise result
        if self.upstream.errors:
            raise Failure(f"the upstream's own errors: {self.upstream.errors[:3]}")

    async def heal(self):
        for source in [*self.sources.values(), *self.chats.values()]:
            source.calm()
        talks = {f"chat/{client}": self.chats[client] for client in ("talk1", "talk2")}
        await asyncio.gather(*(
            come_to_the_end(self.history, [reader for reader in self.readers if reader.channel == channel], source,
                            within=8.0)
            for channel, source in [*self.sources.items(), *talks.items()]))

    async def replay(self):
        """After a clean stop: each log once more, from the first id that anybody was given and the window still has."""
        firsts = {}
        for reader in self.readers:
            if reader.first_id and (reader.channel not in firsts or reader.first_at < firsts[reader.channel].first_at):
                firsts[reader.channel] = reader
        again = []
        for channel, reader in firsts.items():
            if channel in self.sources:
                replayer = self.reader("again" + channel, channel)
                tag, first = history.split_id(reader.first_id)
                first = max(first, history.split_id(reader.last_id)[1] - LARGE * 4 // 5)
                replayer.last_id = f"{tag}-{first}" if tag else str(first)
                again.append((replayer, self.sources[channel]))
        await asyncio.gather(*(come_to_the_end(self.history, [replayer], source, within=15.0)
                               for replayer, source in again))


    def dump(self):
        """What the store holds of each log."""
        database = sqlite3.connect(f"file:{self.folder}/store/ssequel.db?mode=ro", uri=True)
        logs = database.execute("SELECT id, tag, target FROM logs WHERE forgotten=0").fetchall()
        for log, tag, target in logs:
            entries = []
            for frames, in database.execute("SELECT frames FROM blocks WHERE log=? ORDER BY first", (log,)):
                for frame in bytes(frames).split(b"\n\n")[:-1]:
                    name = frame[len("id: "):frame.index(b"\n")].decode()
                    entries.append([history.split_id(name)[1], history.digest(frame + b"\n\n")])
            self.history.record("dump", channel=None if tag else target, tag=tag, entries=entries)
        database.close()


FLOORS = {"faults": 0.5, "resumes": 6, "suffixes": 2, "seams": 0.3, "sync:upstream-gap": 2, "exercised:K7": 0.01, "exercised:K9": 20}


async def crash(arguments, seed):
    with tempfile.TemporaryDirectory(prefix="ssequel-crash-") as folder:
        run = Crash(arguments, folder, seed)
        for what, share in FLOORS.items():
            if what == "sync:upstream-gap" and arguments.store == "memory":
                continue  # Whose log begins anew, and has nothing before it.
            run.history.record("floor", what=what, least=int(share * arguments.kills))
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
            kept = arguments.keep or f"/tmp/ssequel-crash-{seed}.jsonl"
            shutil.copy(run.history.path, kept)
            print(f"history kept: {kept}")
        if not ok and run.proxy is not None:
            print("\n".join(list(run.proxy.process.log)[-10:]))
        return ok, run.kills


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--binary", default=str(HERE.parent.parent / "build" / "release" / "ssequel"))
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--sync", choices=["os", "always"], default="os")
    parser.add_argument("--store", choices=["disk", "memory"], default="disk")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--keep", help="keep the history in this file, whatever the verdict")
    arguments = parser.parse_args()
    if not Path(arguments.binary).exists():
        sys.exit(f"no {arguments.binary}: build it first (cmake --preset release && cmake --build --preset release)")
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    began = time.monotonic()
    print(f"crash seed {seed}", flush=True)
    ok, kills = asyncio.run(crash(arguments, seed))
    print(f"{kills} kills in {time.monotonic() - began:.0f} s, store {arguments.store}, sync {arguments.sync}")
    print(f"{int(ok)} passed, {int(not ok)} failed")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
