"""A bad cable: forwards TCP connections to a port, and breaks them when told to."""

import asyncio


class Cable:
    def __init__(self, port):
        self.port = port
        self.offline_until = 0.0
        self.connections = {}  # Writer towards the browser: True once an event stream came through it.

    def cut_streams(self):
        """Breaks every connection that carries an event stream, wherever in an event it may be."""
        for writer, is_stream in list(self.connections.items()):
            if is_stream:
                writer.transport.abort()

    def go_offline(self, seconds):
        """Breaks every connection and lets none through for so long."""
        loop = asyncio.get_running_loop()
        self.offline_until = loop.time() + seconds + 0.2

        def unplug():
            for writer in list(self.connections):
                writer.transport.abort()

        loop.call_later(0.2, unplug)  # So that the answer to the one who asked gets through.

    async def serve(self, reader, writer):
        if asyncio.get_running_loop().time() < self.offline_until:
            writer.transport.abort()
            return
        self.connections[writer] = False
        up_writer = None
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.port)
            there = asyncio.create_task(self._forward(reader, up_writer))
            while part := await up_reader.read(1 << 16):
                if b"text/event-stream" in part:
                    self.connections[writer] = True
                writer.write(part)
                await writer.drain()
            there.cancel()
        except (ConnectionError, OSError, asyncio.CancelledError):
            pass
        finally:
            self.connections.pop(writer, None)
            writer.close()
            if up_writer is not None:
                up_writer.close()

    @staticmethod
    async def _forward(reader, writer):
        try:
            while part := await reader.read(1 << 16):
                writer.write(part)
                await writer.drain()
        except (ConnectionError, OSError):
            pass
        writer.close()
