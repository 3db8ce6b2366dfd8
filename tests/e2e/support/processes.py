"""Child processes: each in a process group of its own, its output kept, stopped by its id whatever happens."""

import asyncio
import os
import signal
import socket
from collections import deque

from .runner import Failure


def free_port(host="127.0.0.1"):
    """A port the kernel says is free. Somebody else may take it before it is used, which the caller would notice."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class Process:
    """Runs a program; `lines` is a queue of its standard output's lines (None at the end), `log` its last 400 lines."""

    def __init__(self, *command, env=None, cwd=None, stdin=False, name=None):
        self.command = [str(part) for part in command]
        self.name = name or os.path.basename(self.command[0])
        self.env = env
        self.cwd = cwd
        self.stdin = stdin
        self.lines = asyncio.Queue()
        self.log = deque(maxlen=2000)
        self.child = None
        self.readers = []

    async def __aenter__(self):
        environment = dict(os.environ)
        environment.update(self.env or {})
        self.child = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.PIPE if self.stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=self.cwd,
            start_new_session=True,
            limit=1 << 24,
        )
        self.readers = [
            asyncio.create_task(self._read(self.child.stdout, self.lines)),
            asyncio.create_task(self._read(self.child.stderr, None)),
        ]
        return self

    async def _read(self, stream, queue):
        async for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            self.log.append(line)
            if queue is not None:
                queue.put_nowait(line)
        if queue is not None:
            queue.put_nowait(None)

    async def __aexit__(self, *_):
        await self.stop()

    @property
    def pid(self):
        return self.child.pid

    @property
    def running(self):
        return self.child.returncode is None

    def signal(self, number):
        if self.running:
            self.child.send_signal(number)

    def _signal_group(self, number):
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass

    async def wait(self, timeout=10.0):
        """The exit code; negative for a signal's number, as in subprocess."""
        try:
            code = await asyncio.wait_for(self.child.wait(), timeout)
        except asyncio.TimeoutError:
            raise Failure(f"{self.name} did not exit within {timeout:g} s") from None
        await asyncio.wait(self.readers, timeout=5)
        return code

    async def stop(self, grace=3.0):
        if self.child is None:
            return
        if self.running:
            self._signal_group(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.child.wait(), grace)
            except asyncio.TimeoutError:
                pass
        self._signal_group(signal.SIGKILL)  # Also what the program left behind in its group.
        await self.child.wait()
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)

    async def line(self, timeout=20.0):
        """The next line of standard output."""
        try:
            line = await asyncio.wait_for(self.lines.get(), timeout)
        except asyncio.TimeoutError:
            raise Failure(f"{self.name} printed nothing for {timeout:g} s; last: {list(self.log)[-5:]}") from None
        if line is None:
            self.lines.put_nowait(None)
            raise Failure(f"{self.name} ended its output; last: {list(self.log)[-8:]}")
        return line

    def status_kib(self, field):
        """A line of /proc/PID/status in KiB, e.g. VmRSS or VmHWM."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise Failure(f"/proc/{self.pid}/status has no {field}")


async def run_to_end(*command, timeout=20.0, env=None, stdin_text=None):
    """(exit code, standard output, standard error) of a short command."""
    environment = dict(os.environ)
    environment.update(env or {})
    child = await asyncio.create_subprocess_exec(
        *[str(part) for part in command],
        stdin=asyncio.subprocess.PIPE if stdin_text is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    try:
        data = stdin_text.encode() if stdin_text is not None else None
        out, err = await asyncio.wait_for(child.communicate(data), timeout)
    except asyncio.TimeoutError:
        raise Failure(f"{command[0]} did not end within {timeout:g} s") from None
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    return child.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
