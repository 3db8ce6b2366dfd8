#!/usr/bin/env python3
"""Rollouts: pods with Ssequel as a sidecar are replaced one after the other, in the kubelet's order of steps (pod.py),
behind a load balancer that learns of it late (balancer.py), while subscribers that behave as browsers do
(tests/checker/event_source.py) read on. At the end the checker of recorded runs (tests/checker) says whether any promise was
broken: nobody may lose an event untold, get one twice, or end CLOSED.

    python3 tests/rollout/run.py [--store disk|memory] [--restarts N] [--subscribers N] [--replicas N] [--binary B]
                                 [--seed S] [--threads N] [--keep FILE] [-v]

disk     one pod, whose volume is handed on: down for a moment at each restart. A service that goes on from its own ids loses
         nothing at all; what another one sent while nobody was connected to it is told by `upstream-gap`.
memory   several pods with `tag: always`, a new one ready before an old one goes: a client that comes to another pod than
         before is told so by `sync-required`, and where it has a session of its own, gets a new one there.

Some subscribers have a session of their own. Some pods end otherwise: their service is gone at once, or they get SIGTERM at once, or SIGKILL before they were done. The
last line is `N passed, N failed`; the exit code tells the same.
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
from pod import Pod  # noqa: E402
from scenario import SHARED_FIELDS  # noqa: E402
from sources import Source  # noqa: E402
from support.processes import Process  # noqa: E402
from support.runner import Failure, eventually  # noqa: E402

WINDOW = 20000  # Events: more than any client is ever behind.
RETRY = 0.15  # Seconds; what a route says, so that many restarts fit into little time.
ROUTES = f"""
- name: journal
  match: {{path: /journal, accept: any}}
  mode: shared
  key: [path]
  on_upstream_gap: none
  ids: {{tag: TAG}}
  window: {{events: {WINDOW}, bytes: 64MiB, age: 24h}}
  retry: {RETRY * 1000:.0f}ms
  reconnect: {{min: 10ms, max: 100ms}}
- name: own
  match: {{path: /own/*, accept: any}}
  mode: session
  retry: {RETRY * 1000:.0f}ms
- name: feed
  match: {{path: /**, accept: any}}
  mode: shared
  key: [path]
  ids: {{tag: TAG}}
  window: {{events: {WINDOW}, bytes: 64MiB, age: 24h}}
  retry: {RETRY * 1000:.0f}ms
  reconnect: {{min: 10ms, max: 100ms}}
"""
LATE = 4  # Newcomers that still come to a pod that ends.
DRAIN = "{delay: 400ms, timeout: 8s, retry_spread: 500ms}"
CALM = 60.0  # Seconds that all clients get, at the end, to come to the newest event.


class Rollout:
    def __init__(self, arguments, folder, seed):
        self.arguments = arguments
        self.random = random.Random(seed)
        self.folder = Path(folder)
        self.history = history.Writer(self.folder / "history.jsonl")
        self.is_disk = arguments.store == "disk"
        self.replicas = 1 if self.is_disk else arguments.replicas
        self.survives = ["cut", "upstream"] + (["rollout"] if self.is_disk else [])
        self.channels = ["/feed", "/journal"] if self.is_disk else ["/feed"]
        self.sources = {}  # (channel, pod or ""): a service's memory lives as long as it does, a journal longer.
        self.balancer = None
        self.pods = []
        self.count = 0
        self.subscribers = []
        self.lives = []
        self.port = None  # The balancer's.
        self.took = []  # Seconds of each termination.
        self.stop = asyncio.Event()

    # ------------------------------------------------------------------------------------------------ the sides

    def tell_channels(self):
        for channel in self.channels:
            lossless = channel == "/journal"
            self.history.record("channel", channel=channel, mode="shared" if self.is_disk else "replicas",
                                told=not lossless, lossless=lossless, window=WINDOW, survives=self.survives,
                                fields=[*SHARED_FIELDS, "X-Pod"])

    def source(self, channel, pod):
        name = (channel, "" if self.is_disk else pod)
        if name not in self.sources:
            is_journal = channel == "/journal"
            self.sources[name] = Source(self.history, self.random, channel, pace=self.arguments.pace, tidy=True,
                                        journal=is_journal, origin=(lambda seq: f"e-{seq}") if is_journal else None,
                                        fields=[] if self.is_disk else [("X-Pod", pod)])
        return self.sources[name]

    async def new_pod(self):
        self.count += 1
        name = f"pod{self.count}"

        async def serve(exchange):
            await self.source(exchange.request.path, name).serve(exchange)

        store = f"store: {{kind: disk, path: {self.folder}/volume}}" if self.is_disk else "store: {kind: memory}"
        pod = Pod(name, self.arguments.binary, self.folder, serve, self.history,
                  routes=ROUTES.replace("TAG", "auto" if self.is_disk else self.arguments.tag),
                  extra=f"{store}\nlog: {{level: warn}}\nthreads: {self.arguments.threads}", drain=DRAIN)
        self.pods.append(pod)
        await pod.start()
        await asyncio.sleep(self.random.uniform(0.0, 0.2))  # Until the endpoint is known everywhere.
        self.tell_balancer("add", pod)
        return pod

    def tell_balancer(self, what, pod):
        self.balancer.child.stdin.write(f"{what} {pod.proxy.port}\n".encode())

    # ------------------------------------------------------------------------------------------------- restarts

    async def terminate(self, pod):
        async def forget_endpoint():
            # Of the time that this takes, drain.delay covers most, and not all.
            await asyncio.sleep(self.random.uniform(0.05, 0.8))
            self.tell_balancer("remove", pod)

        forgetting = asyncio.create_task(forget_endpoint())
        for _ in range(LATE):
            self.subscribe_one(late=pod.proxy.port)
        chance = self.random.random()
        if chance < 0.1:  # Grace is over before it is done.
            seconds = await pod.terminate(service_after=0.1, grace=self.random.uniform(0.1, 0.5))
        elif chance < 0.3:  # Not a native sidecar.
            seconds = await pod.terminate(service_after=self.random.uniform(0.0, 1.0), plain=True)
        elif chance < 0.5:  # The service does not wait for anything.
            seconds = await pod.terminate(service_after=0.0)
        else:
            seconds = await pod.terminate(service_after=self.random.uniform(0.3, 1.5))
        self.took.append(seconds)
        await forgetting
        await pod.stop()
        self.pods.remove(pod)

    async def restart(self):
        began = time.monotonic()
        if self.is_disk:
            await self.terminate(self.pods[0])
            await self.new_pod()
        else:
            old = self.pods[0]
            await self.new_pod()
            await self.terminate(old)
        self.history.record("fault", **{"class": "rollout"}, at=began, until=time.monotonic())
        # Mostly the next one waits until nearly all are back, as a rollout does; at times it follows at once.
        await asyncio.sleep(self.random.uniform(0.1, 0.5))
        if self.random.random() < 0.8:
            most = 0.98 * sum(not each.is_closed for each in self.subscribers)
            await eventually(lambda: sum(each.is_reading for each in self.subscribers) >= most, "nearly all are back",
                             timeout=CALM)

    # ------------------------------------------------------------------------------------------------- the run

    def subscribe_one(self, **more):
        number = len(self.subscribers)
        channel = self.channels[number % len(self.channels)]
        if number % 25 == 0:
            channel = f"/own/{number}"
            self.history.record("channel", channel=channel, mode="session", replicas=not self.is_disk,
                                survives=self.survives)
        subscriber = EventSource(self.history, self.port, f"s{number}", channel, channel, random=self.random, **more)
        self.subscribers.append(subscriber)
        self.lives.append(asyncio.create_task(subscriber.live(self.stop)))

    async def run(self):
        self.tell_channels()
        async with contextlib.AsyncExitStack() as stack:
            self.balancer = await stack.enter_async_context(
                Process(sys.executable, HERE / "balancer.py", stdin=True, name="balancer"))
            self.port = int(await self.balancer.line())

            async def clean_up():
                self.stop.set()
                for life in self.lives:
                    life.cancel()
                await asyncio.gather(*self.lives, return_exceptions=True)
                for pod in self.pods:
                    await pod.stop()
                self.history.close()

            stack.push_async_callback(clean_up)
            for _ in range(self.replicas):
                await self.new_pod()
            for number in range(self.arguments.subscribers):
                self.subscribe_one(churn=(0.3, 3.0) if number % 10 == 9 else None)
            await eventually(lambda: all(each.last_id for each in self.subscribers), "all have an id to come back with",
                             timeout=CALM)
            for number in range(self.arguments.restarts):
                await self.restart()
                if self.arguments.verbose:
                    print(f"restart {number + 1}: {self.took[-1]:.1f} s", flush=True)
            await self.come_to_the_end()
            for life in self.lives:
                if life.done() and life.exception():
                    raise life.exception()
        for pod in self.pods:
            if pod.service.errors:
                raise Failure(f"the service's own errors: {pod.service.errors[:3]}")

    async def come_to_the_end(self):
        """Nobody leaves any more; each subscriber's pod sends one more event, and it must come."""
        for source in self.sources.values():
            source.calm()
        for subscriber in self.subscribers:
            subscriber.churn = None
        living = [each for each in self.subscribers if not each.is_closed]
        # A subscriber may stand on a pod that was told to go, for a moment still.
        names = {pod.name for pod in self.pods}

        def is_settled(each):
            return each.is_reading and not each.will_leave and (self.is_disk or each.pod in names)

        await eventually(lambda: all(map(is_settled, living)), "all are connected again", timeout=CALM)
        await asyncio.sleep(4 * self.arguments.pace)
        aims = {(each.channel, "" if self.is_disk else each.pod): None for each in living}
        for name in aims:
            aims[name] = await eventually(self.sources[name].mark, f"{name} has a connection", timeout=CALM)
        for each in living:
            nonce = aims[each.channel, "" if self.is_disk else each.pod]
            self.history.record("goal", channel=each.channel, client=each.client, nonce=nonce, within=CALM)
            each.aim(nonce)
        deadline = time.monotonic() + CALM
        while time.monotonic() < deadline and not all(each.reached.is_set() for each in living):
            await asyncio.sleep(0.05)


def floors(arguments):
    """What a run must have met, or its verdict says little."""
    comings = arguments.restarts * arguments.subscribers
    if arguments.store == "disk":
        yield from {"faults": arguments.restarts, "resumes": comings // 2, "suffixes": comings // 8, "exercised:K9": 20,
                    "exercised:K10": comings // 2, "sync:upstream-gap": arguments.subscribers // 4}.items()
    else:
        yield from {"faults": arguments.restarts, "resumes": comings // arguments.replicas // 2,
                    "sync:unknown": comings // arguments.replicas // 2}.items()
    yield "goals", arguments.subscribers
    yield "without data", arguments.restarts // 4  # Came to a pod that was about to go.


async def rollout(arguments, seed):
    with tempfile.TemporaryDirectory(prefix="ssequel-rollout-") as folder:
        run = Rollout(arguments, folder, seed)
        for what, least in floors(arguments):
            run.history.record("floor", what=what, least=least)
        problem = None
        try:
            await run.run()
        except Failure as failure:
            problem = str(failure)
        verdict = check.judge(history.read(run.history.path))
        for line in verdict.lines(verbose=arguments.verbose):
            print(line)
        if problem:
            print(problem)
        ok = verdict.ok and problem is None
        if arguments.keep or not ok:
            kept = arguments.keep or f"/tmp/ssequel-rollout-{seed}.jsonl"
            shutil.copy(run.history.path, kept)
            print(f"history kept: {kept}")
        counts = verdict.counts
        print(f"{len(run.took)} restarts, {len(run.subscribers)} subscribers, {counts['blocks']} blocks, "
              f"{counts['resumes']} resumes, {counts['without data']} sent on, {counts.get('sync:unknown', 0)} told that they are at another replica, "
              f"a termination took up to {max(run.took, default=0):.1f} s")
        return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=["disk", "memory"], default="disk")
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--subscribers", type=int, default=200)
    parser.add_argument("--replicas", type=int, default=3, help="with memory")
    parser.add_argument("--pace", type=float, default=0.25, help="seconds between two events of a stream")
    parser.add_argument("--tag", choices=["always", "auto"], default="always",
                        help="auto must fail: ids say nothing of the replica")
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
    print(f"rollout seed {seed}, store {arguments.store}", flush=True)
    ok = asyncio.run(rollout(arguments, seed))
    print(f"in {time.monotonic() - began:.0f} s")
    print(f"{int(ok)} passed, {int(not ok)} failed")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
