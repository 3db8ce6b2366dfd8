"""Ssequel under test: its configuration written, the process started, awaited, asked, stopped."""

import json
import os
import signal
import textwrap

from .processes import Process, free_port
from .runner import Failure, eventually
from .wire import fetch


class Proxy:
    """`routes` and the other texts are YAML as a user would write it; see CONFIG for what surrounds them."""

    def __init__(self, binary, folder, upstream, *, routes=None, limits="", drain="{delay: 0s, timeout: 5s}", extra="",
                 name="proxy", env=None, port=None):
        self.binary = binary
        self.file = folder / f"{name}.yaml"
        self.upstream = upstream
        self.routes = routes
        self.limits = limits
        self.drain = drain
        self.extra = extra
        self.env = env
        self.port = port or free_port()
        self.admin = free_port()
        self.process = None

    def config(self):
        text = [
            f"listen: 127.0.0.1:{self.port}",
            f"admin: 127.0.0.1:{self.admin}",
            f"upstream: {self.upstream}",
        ]
        if "threads:" not in self.extra:
            text.append(f"threads: {os.environ.get('SSEQUEL_THREADS', '1')}")
        if self.limits:
            text.append(f"limits: {self.limits}")
        if self.drain:
            text.append(f"drain: {self.drain}")
        if self.extra:
            text.append(textwrap.dedent(self.extra).strip())
        if self.routes is not None:
            text.append("routes:" + ("" if self.routes.strip() else " []"))
            text.append(textwrap.indent(textwrap.dedent(self.routes).strip("\n"), "  "))
        return "\n".join(text) + "\n"

    def write_config(self):
        self.file.write_text(self.config(), encoding="utf-8")

    async def __aenter__(self):
        self.write_config()
        self.process = Process(self.binary, "--config", self.file, env=self.env, name="ssequel")
        await self.process.__aenter__()
        try:
            await self.ready()
        except BaseException:
            await self.process.stop()
            raise
        return self

    async def __aexit__(self, *_):
        await self.process.stop()
        # A crash, a failed assertion or a sanitizer's report fails the case even if nothing else noticed.
        code = self.process.child.returncode
        reports = [line for line in self.process.log if "Sanitizer" in line or "runtime error" in line]
        if reports or code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL):
            raise Failure(f"ssequel ended with {code}: {reports[:3]}\n{self.log}")

    async def ready(self):
        async def asks():
            if not self.process.running:
                raise Failure("ssequel did not start:\n" + "\n".join(self.process.log))
            try:
                return (await fetch(self.admin, target="/readyz", timeout=2)).status == 200
            except (OSError, Failure, EOFError):
                return False

        await eventually(asks, "ssequel is ready", timeout=60)

    @property
    def log(self):
        return "\n".join(self.process.log)

    async def metrics(self):
        """{(name, ((label, value), ...)): number} of /metrics."""
        answer = await fetch(self.admin, target="/metrics")
        numbers = {}
        for line in answer.text.splitlines():
            if line and not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                name, _, labels = series.partition("{")
                pairs = tuple(sorted(_labels(labels.rstrip("}"))))
                numbers[name, pairs] = float(value)
        return numbers

    async def metric(self, name, **labels):
        """The sum of a metric's series that carry these labels; None if there is no such series."""
        wanted = set(labels.items())
        found = [value for (each, pairs), value in (await self.metrics()).items() if each == name and wanted <= set(pairs)]
        return sum(found) if found else None

    async def channels(self):
        return json.loads((await fetch(self.admin, target="/channels")).content)


def _labels(text):
    for part in text.split('",'):
        name, _, value = part.partition('="')
        if name:
            yield name.strip(), value.rstrip('"')
