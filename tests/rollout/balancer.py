#!/usr/bin/env python3
"""A load balancer for rollouts: a process of its own that gives each new connection to one of its endpoints, at random, and
leaves those that stand alone, as a Kubernetes Service does.

Prints its port, then reads commands, a line each: `add PORT`, `remove PORT`. Where there is no endpoint, or where it
refuses, the connection is reset.
"""

import asyncio
import random
import resource
import socket
import struct
import sys

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, no time.


def reset(transport):
    if transport.is_closing():
        return
    raw = transport.get_extra_info("socket")
    try:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    except OSError:
        pass
    transport.abort()


class Side(asyncio.Protocol):
    """One of the two connections of a pair: what it reads the other one writes."""

    def __init__(self, peer=None):
        self.peer = peer
        self.transport = None
        self.early = []  # From the client, before the endpoint has accepted.

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.peer is None:
            self.early.append(data)
        else:
            self.peer.transport.write(data)

    def eof_received(self):
        if self.peer is not None and self.peer.transport.can_write_eof() and not self.peer.transport.is_closing():
            self.peer.transport.write_eof()
        return True

    def connection_lost(self, error):
        if self.peer is None:
            return
        if error:
            reset(self.peer.transport)
        else:
            self.peer.transport.close()

    def pause_writing(self):
        if self.peer is not None and not self.peer.transport.is_closing():
            self.peer.transport.pause_reading()

    def resume_writing(self):
        if self.peer is not None and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()


class Client(Side):
    def __init__(self, endpoints):
        super().__init__()
        self.endpoints = endpoints
        self.task = None

    def connection_made(self, transport):
        super().connection_made(transport)
        self.task = asyncio.create_task(self._connect())

    async def _connect(self):
        if not self.endpoints:
            reset(self.transport)
            return
        try:
            _, endpoint = await asyncio.get_running_loop().create_connection(
                lambda: Side(self), "127.0.0.1", random.choice(self.endpoints))
        except OSError:
            reset(self.transport)
            return
        if self.transport.is_closing():
            reset(endpoint.transport)
            return
        self.peer = endpoint
        for data in self.early:
            endpoint.transport.write(data)


async def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    endpoints = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(endpoints), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        what, _, port = line.decode().strip().partition(" ")
        if what == "add":
            endpoints.append(int(port))
        elif int(port) in endpoints:
            endpoints.remove(int(port))


if __name__ == "__main__":
    asyncio.run(main())
