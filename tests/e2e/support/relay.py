"""A TCP relay that breaks connections: where a cable, a NAT box or a mobile network would.

It forwards bytes both ways and cuts each connection after a random number of bytes of its answer, by FIN or by reset,
at any position: inside an id line, a chunk size, a character. Client libraries must survive each of them.
"""

import asyncio
import socket
import struct


class Relay:
    """Give it `cuts`, a function that yields how many answer bytes the next connection may carry (None: all)."""

    def __init__(self, target_port, *, cuts=lambda: None, random=None, reset_share=0.5, spare=None,
                 line_ends=True):
        self.target_port = target_port
        self.cuts = cuts
        self.random = random
        self.reset_share = reset_share
        # What of each answer passes before bytes are counted: None (nothing), "head", or "event" (the first one), for
        # clients that cannot come back before they have seen that.
        self.spare = spare
        # False: never cut right behind a line's end (see cases/clients.py, fetch-event-source).
        self.line_ends = line_ends
        self.connections = set()
        self.accepted = 0
        self.cut = 0
        self.positions = []
        self.requests = []  # What each connection sent first, up to about 4 KiB.
        self.offline = False
        self.going = asyncio.Event()  # Not set while nothing goes to the target,
        self.coming = asyncio.Event()  # and nothing comes from it.
        self.server = None
        self.port = None

    async def __aenter__(self):
        self.release()
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        self.cut_all()
        for task in list(self.connections):
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    def cut_all(self, reset=True):
        for task in list(self.connections):
            for writer in task.writers:
                end_connection(writer, reset)

    def go_offline(self):
        """Cuts everything; new connections are reset until go_online()."""
        self.offline = True
        self.cut_all()

    def go_online(self):
        self.offline = False

    def hold(self, answers_only=False):
        """A partition: connections stay, and new ones are made, but nothing gets through until release(). With
        answers_only what is asked is still done, and nobody hears of it."""
        self.coming.clear()
        if not answers_only:
            self.going.clear()

    def release(self):
        self.going.set()
        self.coming.set()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        task.writers = [writer]
        self.connections.add(task)
        self.accepted += 1
        try:
            if self.offline:
                end_connection(writer, True)
                return
            await self.going.wait()
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            task.writers.append(up_writer)
            request = asyncio.create_task(self._copy(reader, up_writer, self._remember()))
            try:
                await self._answer(up_reader, writer, up_writer)
            finally:
                request.cancel()
        except asyncio.CancelledError:
            end_connection(writer, True)  # The case is over; nobody waits for this task's verdict.
        except (ConnectionError, OSError):
            end_connection(writer, True)
        finally:
            self.connections.discard(task)
            for each in task.writers:
                each.close()

    def _remember(self):
        """A place for the first bytes of one connection, kept in `requests`."""
        self.requests.append(bytearray())
        return self.requests[-1]

    async def _copy(self, reader, writer, first):
        try:
            while part := await reader.read(1 << 16):
                await self.going.wait()
                if len(first) < 4096:
                    first += part
                writer.write(part)
                await writer.drain()
            writer.write_eof()
        except (ConnectionError, OSError):
            writer.transport.abort()

    def _cut_position(self, part, budget, last):
        """Where in `part` to cut, or None: not in this one."""
        if len(part) < budget:
            return None
        position = max(budget, 0)
        if self.line_ends:
            return position
        while position <= len(part) and (part[position - 1 : position] if position else last) in (b"\n", b"\r"):
            position += 1
        return position if position <= len(part) else None

    def _spared(self, seen):
        """Where what is spared ends in an answer's first bytes, or None: not yet."""
        mark = b"\r\n\r\n" if self.spare == "head" else b"\n\n"
        start = 0 if self.spare == "head" else seen.find(b"data:")
        end = seen.find(mark, start) if start >= 0 else -1
        return end + len(mark) if end >= 0 else None

    async def _answer(self, reader, writer, up_writer):
        budget = self.cuts()
        counting = self.spare is None
        seen = b""
        sent = 0
        last = b""
        while part := await reader.read(1 << 16):
            await self.coming.wait()
            if not counting:
                seen += part
                end = self._spared(seen)
                if end is None:
                    writer.write(part)
                    await writer.drain()
                    continue
                counting = True
                spared = len(part) - (len(seen) - end)
                writer.write(part[:spared])
                part = part[spared:]
            position = self._cut_position(part, budget - sent, last) if budget is not None else None
            if position is not None:
                writer.write(part[:position])
                await writer.drain()
                self.cut += 1
                self.positions.append(sent + position)
                reset = self.random is not None and self.random.random() < self.reset_share
                end_connection(writer, reset)
                up_writer.transport.abort()
                return
            if part:
                writer.write(part)
                await writer.drain()
                sent += len(part)
                last = part[-1:]
        end_connection(writer, False)


def end_connection(writer, reset):
    """FIN, or a reset where the peer still learns of it: SO_LINGER 0 and close."""
    transport = writer.transport
    raw = writer.get_extra_info("socket")
    if reset and raw is not None and raw.fileno() >= 0:
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        transport.abort()
    elif not transport.is_closing():
        transport.close()


def random_cuts(random, smallest=1, largest=6000, count=12):
    """`count` cuts at random positions, then none, so that a test ends."""
    left = [random.randint(smallest, largest) for _ in range(count)]
    return lambda: left.pop(0) if left else None
