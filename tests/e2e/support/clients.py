"""The client libraries of clients/, each in a process of its own; what they report becomes a feed.Seen."""

import asyncio
import json
import os
from pathlib import Path

from .feed import Seen
from .processes import Process
from .runner import Failure

FOLDER = Path(__file__).resolve().parent.parent
NODE = os.environ.get("NODE", "node")


class Client:
    """Prints one JSON line for everything it sees: {"kind": "open" | "event" | "error" | "state" | "closed", ...}."""

    def __init__(self, library, url, *, page=None, options=None):
        self.library = library
        self.url = url
        self.seen = Seen()
        self.reports = []
        self.opened = 0
        self.evaluated = 0
        self.errors = []
        self.ready_state = None
        arguments = [url, json.dumps({"page": page, **(options or {})})]
        if (FOLDER / "clients" / f"{library}.py").exists():
            command = ["python3", FOLDER / "clients" / f"{library}.py", *arguments]
        else:
            command = [NODE, FOLDER / "clients" / f"{library}.mjs", *arguments]
        self.process = Process(*command, stdin=True, name=f"client {library}", cwd=FOLDER)
        self.pump = None
        self.changed = asyncio.Event()

    async def __aenter__(self):
        await self.process.__aenter__()
        self.pump = asyncio.create_task(self._pump())
        return self

    async def __aexit__(self, *_):
        await self.process.stop()
        self.pump.cancel()
        await asyncio.gather(self.pump, return_exceptions=True)

    async def _pump(self):
        while (line := await self.process.lines.get()) is not None:
            if not line.startswith("{"):
                continue
            report = json.loads(line)
            self.reports.append(report)
            kind = report["kind"]
            if kind == "event":
                self.seen.add({"type": report["type"], "data": report["data"], "id": report["id"]})
            elif kind == "open":
                self.opened += 1
            elif kind == "error":
                self.errors.append(report)
            if "readyState" in report:
                self.ready_state = report["readyState"]
            self.changed.set()
        self.changed.set()

    def tell(self, command):
        """A line on the program's standard input: chromium.mjs takes {"do": ...}."""
        self.process.child.stdin.write((json.dumps(command) + "\n").encode())

    async def evaluate(self, code, timeout=30.0):
        """chromium: the value of an expression, or of its promise, in the page."""
        self.evaluated += 1
        name = f"value {self.evaluated}"
        self.tell({"do": "evaluate", "code": code, "name": name})

        def told(_):
            return [report for report in self.reports if report.get("name") == name
                    or report["kind"] == "failed" and json.loads(report["command"]).get("name") == name]

        await self.until(told, f"the value of {code[:80]}", timeout)
        report = told(self)[0]
        if report["kind"] == "failed":
            raise Failure(f"in the page: {report['message']}")
        return report.get("value")

    async def until(self, question, what, timeout=30.0):
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not question(self):
            if not self.process.running and self.process.lines.empty():
                raise Failure(f"{self.library} ended before: {what}; {list(self.process.log)[-6:]}")
            left = deadline - loop.time()
            if left <= 0:
                raise Failure(
                    f"{self.library}: not within {timeout:g} s: {what}; {len(self.seen.events)} events, last "
                    f"{self.seen.events[-1:]}, opened {self.opened} times, errors {self.errors[-3:]}"
                )
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), min(left, 0.5))
            except asyncio.TimeoutError:
                pass

    async def until_seq(self, last, timeout=30.0):
        await self.until(lambda client: last in client.seen.seqs[-40:], f"event {last}", timeout)
