"""Redis and PostgreSQL of a case's own: on ports of the kernel's choice, in the case's folder, stopped with it."""

import asyncio
import os
import pwd
import shutil
import signal
from pathlib import Path

from .processes import Process, free_port, run_to_end
from .runner import Failure, eventually


class Redis:
    """redis-server; `settings` as on its command line. Keeps its port over stop() and start()."""

    def __init__(self, t, *settings):
        self.t = t
        self.port = free_port()
        self.folder = t.folder / f"redis-{self.port}"
        self.settings = settings
        self.process = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self):
        self.folder.mkdir(exist_ok=True)
        self.process = await self.t.enter(
            Process("redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                    *self.settings, name="redis-server"))
        await eventually(self.answers, "Redis answers", timeout=30)
        return self

    async def stop(self):
        await self.process.stop(grace=0.0)

    async def kill(self):
        """At once, also while it is stopped."""
        self.process.signal(signal.SIGKILL)
        await self.process.wait()

    async def call(self, *arguments):
        """The whole answer: bytes, int, list or None; an error is a Failure with its text."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        try:
            writer.write(_command(arguments))
            return await asyncio.wait_for(_reply(reader), 10)
        finally:
            writer.close()

    async def answers(self):
        try:
            return await self.ask("PING") == b"+PONG"
        except OSError:
            return False

    async def ask(self, *arguments):
        """The first line of the answer, or a bulk string's content."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(_command(arguments))
            line = (await asyncio.wait_for(reader.readline(), 10)).strip()
            if line.startswith(b"$") and line != b"$-1":
                return (await reader.readexactly(int(line[1:]) + 2))[:-2]
            return line
        finally:
            writer.close()


def _command(arguments):
    parts = [each if isinstance(each, bytes) else str(each).encode() for each in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


async def _reply(reader):
    """One value of RESP 2."""
    line = (await reader.readuntil(b"\r\n"))[:-2]
    kind, rest = line[:1], line[1:]
    if kind == b"-":
        raise Failure(f"Redis says {rest.decode()}")
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    if int(rest) < 0:
        return None
    if kind == b"$":
        return (await reader.readexactly(int(rest) + 2))[:-2]
    return [await _reply(reader) for _ in range(int(rest))]


class Postgres:
    """postgres with a user `app`, who may do anything. As root it runs as the user that Debian's package made."""

    def __init__(self, t):
        self.t = t
        self.port = free_port()
        self.folder = t.folder / f"postgres-{self.port}"
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        self.process = None
        self.user = []
        if os.getuid() == 0:
            who = pwd.getpwnam("postgres")
            self.user = ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]

    @property
    def url(self):
        return f"postgresql://app@127.0.0.1:{self.port}/postgres"

    async def make(self):
        self.folder.mkdir()
        if self.user:
            os.chmod(self.t.folder, 0o755)  # The case's folder is root's own.
            shutil.chown(self.folder, "postgres", "postgres")
        code, _, err = await run_to_end(*self.user, self.programs / "initdb", "-D", self.folder / "data", "-U", "app", "-A",
                                     "trust", "-N", "--locale=C", "-E", "UTF8", timeout=60)
        if code != 0:
            raise Failure(f"initdb: {err}")
        return await self.start()

    async def start(self):
        self.process = await self.t.enter(
            Process(*self.user, self.programs / "postgres", "-D", self.folder / "data", "-p", self.port, "-c",
                    "listen_addresses=127.0.0.1", "-k", self.folder, "-c", "fsync=off", name="postgres"))
        await eventually(self.answers, "PostgreSQL answers", timeout=60, interval=0.1)
        return self

    async def stop(self):
        """At once, connections and all."""
        self.process.signal(signal.SIGQUIT)
        await self.process.wait(20)

    async def answers(self):
        return (await self.sql("SELECT 7")) == "7"

    async def sql(self, query):
        return (await run_to_end("psql", "-X", "-q", "-A", "-t", self.url, "-c", query, timeout=20))[1].strip()
