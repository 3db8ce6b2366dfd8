"""A pod, as the kubelet runs it: a service, Ssequel beside it as a native sidecar, and the order in which they come and go.

    start       sidecar ── its startup probe ──► service ── ready ──► an endpoint, some time later
    terminate   preStop of the sidecar (`ssequel drain`) at once; the service ends when it likes, at once perhaps;
                only then SIGTERM to the sidecar; SIGKILL to what is left when the grace period is over.
                Meanwhile, on its own time, the endpoint goes: until then new connections still come.

A container that is no sidecar gets its SIGTERM at once instead, with or without preStop: `plain`.
"""

import asyncio
import signal
import time

from support.processes import Process, run_to_end
from support.proxy import Proxy
from support.runner import Failure
from support.upstreams import Upstream

GRACE = 30.0  # Seconds.


class Pod:
    def __init__(self, name, binary, folder, handler, history, *, routes, extra, drain):
        self.name = name
        self.history = history
        self.service = Upstream(handler)
        self.settings = {"routes": routes, "extra": extra, "drain": drain, "name": name}
        self.binary = binary
        self.folder = folder
        self.proxy = None
        self.is_ending = False

    async def start(self):
        await self.service.start()
        port = self.service.port
        await self.service.stop()  # It comes up after the sidecar, at an address that is known before.
        self.proxy = Proxy(self.binary, self.folder, f"http://127.0.0.1:{port}", **self.settings)
        self.proxy.write_config()
        self.proxy.process = Process(self.binary, "--config", self.proxy.file, name="ssequel")
        await self.proxy.process.__aenter__()
        await self.proxy.ready()
        await self.service.start()

    async def _pre_stop(self):
        code, out, err = await run_to_end(self.binary, "drain", "--admin", f"127.0.0.1:{self.proxy.admin}", timeout=GRACE)
        if code != 0:
            raise Failure(f"{self.name}: ssequel drain ended with {code}: {out}{err}")

    async def terminate(self, *, service_after, plain=False, grace=GRACE):
        """service_after: seconds until the service has ended. Gives the seconds that it took."""
        self.is_ending = True
        began = time.monotonic()
        process = self.proxy.process
        if plain:
            process.signal(signal.SIGTERM)
        else:
            await self._pre_stop()
        await asyncio.sleep(max(0.0, began + service_after - time.monotonic()))
        await self.service.stop()
        if not plain:
            process.signal(signal.SIGTERM)
        expected = (0,)
        try:
            code = await process.wait(max(0.0, began + grace - time.monotonic()))
        except Failure:
            if grace >= GRACE:
                raise
            process.signal(signal.SIGKILL)
            code = await process.wait()
            expected = (0, -signal.SIGKILL)  # It may have ended just then.
        self.history.record("exit", code=code, expected=code in expected, pod=self.name)
        self._report()
        return time.monotonic() - began

    def _report(self):
        for line in self.proxy.process.log:
            if "Sanitizer" in line or "runtime error" in line or "invariant" in line:
                self.history.record("report", text=f"{self.name}: {line}")

    async def stop(self):
        """Whatever state it is in."""
        if self.proxy is not None and self.proxy.process is not None:
            await self.proxy.process.stop()
        await self.service.stop()
