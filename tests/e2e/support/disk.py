"""A proxy with `store: {kind: disk}` over several lives, a disk of a given size, a client that always comes back."""

import asyncio
import contextlib
import signal
import subprocess
from pathlib import Path

from .feed import Seen
from .proxy import Proxy
from .runner import Failure, check_equal
from .setup import SHARED
from .wire import Subscription, fetch

QUIET = SHARED + "  on_upstream_gap: none\n"
AUTO = SHARED.replace("  ids: {start: 1}\n", "")
SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}


class Disk:
    """Proxies one after the other on one directory and one port."""

    def __init__(self, t, upstream, *, path=None, sync="os", routes=SHARED, limits="", extra=""):
        self.t = t
        self.upstream = upstream
        self.path = Path(path or t.folder / "store")
        self.sync = sync
        self.routes = routes
        self.limits = limits
        self.extra = extra
        self.proxy = None
        self.runs = 0

    @property
    def port(self):
        return self.proxy.port

    @property
    def file(self):
        return self.path / "ssequel.db"

    def make(self, **more):
        self.runs += 1
        extra = f"store: {{kind: disk, path: {self.path}, sync: {self.sync}}}\n{self.extra}"
        options = {"routes": self.routes, "limits": self.limits, "extra": extra, **more}
        return Proxy(self.t.binary, self.t.folder, getattr(self.upstream, "url", self.upstream),
                     name=f"proxy-{self.runs}", port=self.proxy.port if self.proxy else None, **options)

    async def start(self, **more):
        proxy = self.make(**more)
        self.proxy = proxy
        await self.t.enter(proxy)
        number = self.runs
        self.t.on_failure(lambda: f"log of run {number}:\n" + proxy.log)
        return proxy

    async def stop(self, how="SIGTERM"):
        self.proxy.process.signal(SIGNALS[how])
        code = await self.proxy.process.wait(10)
        check_equal(code, 0 if how == "SIGTERM" else -signal.SIGKILL, f"exit code after {how}")

    async def restart(self, how="SIGTERM", **more):
        await self.stop(how)
        return await self.start(**more)

    def subscribe(self, target="/events", **more):
        return Subscription(self.port, target, **more)

    def aside(self):
        """Files that were set aside."""
        return sorted(path.name for path in self.path.glob("*.damaged-*"))

    def bytes(self):
        return sum(path.stat().st_size for path in self.path.iterdir() if path.is_file() and "damaged" not in path.name)



@contextlib.asynccontextmanager
async def small_disk(path, size):
    """A file system of `size` bytes at `path`; None where mounting is not possible. Grow it with `resize`."""
    path.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "ssequel-e2e", str(path)], capture_output=True)
    if made.returncode != 0:
        print(f"disk: skipped, no tmpfs can be mounted: {made.stderr.decode().strip()}", flush=True)
        yield None
        return

    def resize(to):
        subprocess.run(["mount", "-o", f"remount,size={to}", str(path)], check=True)

    try:
        yield resize
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False)


async def status(proxy, target="/readyz"):
    answer = await fetch(proxy.admin, target=target, timeout=5)
    return answer.status, answer.text


async def is_well(proxy):
    return (await status(proxy, "/readyz?store"))[0] == 200


class Follower:
    """An EventSource by hand: reads, comes back with its last id whenever the response ends, for ever."""

    def __init__(self, disk, target="/events"):
        self.disk = disk
        self.target = target
        self.seen = Seen()
        self.opened = 0
        self.statuses = set()

    async def run(self):
        while True:
            last = self.seen.ids[-1] if self.seen.events else None
            with contextlib.suppress(OSError, Failure):
                async with self.disk.subscribe(self.target, last_event_id=last, timeout=5.0) as client:
                    self.statuses.add((await client.open()).status)
                    self.opened += 1
                    while (event := await client.event()) is not None:
                        self.seen.add(event)
            await asyncio.sleep(0.02)

    def __enter__(self):
        self.task = asyncio.create_task(self.run())
        return self

    def __exit__(self, *_):
        self.task.cancel()
