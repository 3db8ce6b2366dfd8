#!/usr/bin/env python3
"""The demo's legacy service: an event stream without usable ids, one page, and a bad cable to look at it through.

    legacy.py --port 3000 --cable 8081:8080 [--host 127.0.0.1]

GET /feed   an order about every second: some events without an id, some with a UUID, some with a hexadecimal number.
            A client that comes back has lost what was sent meanwhile: this service knows nothing of Last-Event-ID.
GET /       the page.
POST /cable {"do": "cut"} or {"do": "offline", "seconds": 5}: what happens to the connections through the cable.

Python's standard library only. Every event goes to whoever is connected at that moment, and is then forgotten.
"""

import argparse
import asyncio
import json
import random
import signal
import time
import uuid
from pathlib import Path

from cable import Cable

PAGE = Path(__file__).with_name("index.html")
ITEMS = ["a kilo of oranges", "two umbrellas", "one tuba", "forty-two towels", "a chess set", "green ink", "seven lamps",
         "a map of Ghent", "winter tyres", "one left shoe", "a very long rope", "three sundials"]


class Orders:
    """Makes an order now and then and writes it to every connection that is open."""

    def __init__(self, pace):
        self.pace = pace
        self.number = 0
        self.readers = set()

    def event(self):
        self.number += 1
        order = {"order": self.number, "item": random.choice(ITEMS), "at": int(time.time() * 1000)}
        lines = [f"data: {json.dumps(order)}", "", ""]
        kind = random.randrange(3)
        if kind == 1:
            lines.insert(0, f"id: {uuid.uuid4()}")
        elif kind == 2:
            # With a letter: one of digits only could be an id of Ssequel's, too, as the demo has them begin at 1.
            lines.insert(0, f"id: {random.getrandbits(36):x}{random.choice('abcdef')}")
        return "\n".join(lines).encode()

    async def run(self):
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * self.pace)
            event = self.event()
            for writer in list(self.readers):
                writer.write(b"%x\r\n%s\r\n" % (len(event), event))

    async def serve(self, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")
        self.readers.add(writer)
        try:
            while await reader.read(1024):  # Until the client leaves.
                pass
        finally:
            self.readers.discard(writer)


class Service:
    def __init__(self, orders, cable):
        self.orders = orders
        self.cable = cable

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, _ = head.split("\r\n")[0].split(" ")
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                content = await reader.readexactly(min(int(fields.get("content-length", 0)), 1 << 16))
                path = target.partition("?")[0]
                if (method, path) == ("GET", "/feed"):
                    await self.orders.serve(reader, writer)
                    return
                if (method, path) == ("GET", "/"):
                    self.answer(writer, 200, PAGE.read_bytes(), "text/html; charset=utf-8")
                elif (method, path) == ("POST", "/cable"):
                    self.answer(writer, 202, b"{}", "application/json")
                    self.obey(json.loads(content or b"{}"))
                else:
                    self.answer(writer, 404, b"There is / and /feed.\n", "text/plain")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        except asyncio.CancelledError:
            pass  # Ctrl-C: nobody waits for this connection's end.
        finally:
            writer.close()

    @staticmethod
    def answer(writer, status, content, kind):
        writer.write(f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
                     f"Cache-Control: no-store\r\n\r\n".encode() + content)

    def obey(self, command):
        if command.get("do") == "cut":
            self.cable.cut_streams()
        elif command.get("do") == "offline":
            self.cable.go_offline(min(float(command.get("seconds", 5)), 60))


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--cable", default="8081:8080", help="PORT:PROXY_PORT")
    parser.add_argument("--host", default="127.0.0.1", help="where the cable listens")
    parser.add_argument("--pace", type=float, default=0.8, help="seconds between two orders, about")
    arguments = parser.parse_args()
    cable_port, proxy_port = (int(part) for part in arguments.cable.split(":"))

    cable = Cable(proxy_port)
    orders = Orders(arguments.pace)
    await asyncio.start_server(Service(orders, cable).serve, "127.0.0.1", arguments.port)
    await asyncio.start_server(cable.serve, arguments.host, cable_port)
    making = asyncio.create_task(orders.run())

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    making.cancel()


if __name__ == "__main__":
    asyncio.run(main())
