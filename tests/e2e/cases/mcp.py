"""The Model Context Protocol over Streamable HTTP, both sides npm @modelcontextprotocol/sdk: a server without an event
store behind the proxy, and clients that are cut and resume as the library does, or with its resumption token."""

from pathlib import Path

from support.clients import NODE, Client
from support.processes import Process
from support.runner import case, check, check_equal, eventually
from support.setup import start_proxy, start_relay
from support.wire import fetch

HERE = Path(__file__).resolve().parent.parent

# The route of config/mcp.yaml, in a hurry.
ROUTE = (HERE.parent.parent / "config" / "mcp.yaml").read_text(encoding="utf-8").partition("\nroutes:\n")[2].replace(
    "retry: 1s ", "heartbeat: 100ms\n    retry: 50ms ")


class Server:
    def __init__(self, process, port):
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    async def asked(self, method=None, call=None):
        """Which requests reached it: [{method, call, fields, ended, status}]."""
        every = (await fetch(self.port, target="/asked")).json()
        return [one for one in every if method in (None, one["method"]) and call in (None, one["call"])]


async def start(t, route=ROUTE):
    process = await t.enter(Process(NODE, "upstreams/mcp.mjs", cwd=str(HERE), name="mcp server"))
    server = Server(process, int((await process.line()).rsplit(" ", 1)[1]))
    proxy = await start_proxy(t, server, routes=route) if route else None
    relay = await start_relay(t, proxy.port if proxy else server.port)
    return server, proxy, relay


async def connect(t, port, **options):
    client = await t.enter(Client("mcp", f"http://127.0.0.1:{port}/mcp", options=options))
    t.on_failure(lambda: f"mcp client: {client.reports[-8:]}")
    await client.until(lambda c: of_kind(c, "connected"), "the session is opened")
    return client


def of_kind(client, kind):
    return [report for report in client.reports if report["kind"] == kind]


def notes(client, level):
    return [report["data"] for report in of_kind(client, "note") if report["level"] == level]


def steps(count, word="step"):
    return [f"{word} {n} ☃" for n in range(1, count + 1)]


async def result(client, name, timeout=60):
    def told(c):
        return [r for r in of_kind(c, "result") + of_kind(c, "failed") if r.get("name") == name]

    await client.until(told, f"the result of {name}", timeout)
    return told(client)[0].get("text") or told(client)[0]


@case("a long tool call is cut again and again: each progress once, the result, and one call on the server", timeout=90)
async def long_call(t):
    server, proxy, relay = await start(t)
    client = await connect(t, relay.port)
    await eventually(lambda: stream_is_open(server), "the session's own stream is open", 30)
    # The library forgets the id of a stream that it resumes and that is cut again before it said anything; it asks anew
    # then, and such a server refuses a second stream. So that one says something between two cuts.
    await announce(client, 400, 20)
    client.tell({"do": "call", "tool": "count", "arguments": {"to": 80, "pace": 8}, "name": "long"})
    for step in (3, 20, 41, 60):
        heard = len(notes(client, "notice"))
        await client.until(lambda c, step=step, heard=heard: len(of_kind(c, "progress")) >= step and
                           len(notes(c, "notice")) > heard, f"progress {step}, and an announcement", 60)
        relay.cut_all(reset=t.random.random() < 0.5)
    check_equal(await result(client, "long"), "counted to 80", "the result")
    check_equal([one["progress"] for one in of_kind(client, "progress")], list(range(1, 81)), "progress")
    check_equal(notes(client, "info"), steps(80), "messages of the call")
    await eventually(lambda: finished(server, "count"), "the call is finished on the server")
    check_equal([one["ended"] for one in await server.asked("POST", "count")], ["told"], "calls on the server")
    check_equal(len(await server.asked("GET")), 1, "streams by GET on the server")


async def stream_is_open(server):
    return await server.asked("GET")


async def announce(client, count, pace=0):
    before = len(notes(client, "notice"))
    client.tell({"do": "call", "tool": "announce", "arguments": {"to": count, "pace": pace}, "name": f"announce {before}"})
    await client.until(lambda c: len(notes(c, "notice")) > before, "the first announcement")


@case("the session's own stream by GET is cut: each announcement once, in order, over one stream on the server", timeout=90)
async def own_stream(t):
    server, proxy, relay = await start(t)
    client = await connect(t, relay.port)
    await eventually(lambda: stream_is_open(server), "the session's own stream is open", 30)
    await announce(client, 60, 10)
    for count in (5, 20, 40):
        await client.until(lambda c, count=count: len(notes(c, "notice")) >= count, f"announcement {count}", 60)
        relay.cut_all()
    await client.until(lambda c: len(notes(c, "notice")) >= 60, "announcement 60", 60)
    check_equal(notes(client, "notice"), steps(60, "announcement"), "announcements")
    check_equal(len(await server.asked("GET")), 1, "streams by GET on the server")
    check(not any("last-event-id" in str(one["fields"]).lower() for one in await server.asked()), "an id of ours went on")


@case("a call left by one client is finished by another of its session with the resumption token", timeout=60)
async def token(t):
    server, proxy, relay = await start(t)
    client = await connect(t, relay.port)
    command = {"tool": "count", "arguments": {"to": 40, "pace": 10}, "name": "left"}
    client.tell({"do": "call", **command})
    await client.until(lambda c: len(notes(c, "info")) >= 10, "step 10")
    client.tell({"do": "leave"})
    await client.until(lambda c: of_kind(c, "left"), "the transport is closed")
    await eventually(lambda: finished(server, "count"), "the call is finished with nobody listening", 30)
    seen = len(notes(client, "info"))
    client.tell({"do": "resume", **command, "name": "resumed"})
    check_equal(await result(client, "resumed"), "counted to 40", "the result")
    check(10 <= seen < 40, f"steps seen before leaving: {seen}")
    check_equal(notes(client, "info"), steps(40), "messages of the call")
    check_equal(len(await server.asked("POST", "count")), 1, "calls on the server")
    client.tell({"do": "terminate"})
    await client.until(lambda c: of_kind(c, "terminated"), "the session is ended")
    check_equal(len(await server.asked("DELETE")), 1, "the session's end on the server")


async def finished(server, call):
    return [one for one in await server.asked("POST", call) if one.get("ended") == "told"]


@case("without the proxy a call that is cut has no result, and the token is worth nothing", timeout=60)
async def without_the_proxy(t):
    server, _, relay = await start(t, route=None)
    client = await connect(t, relay.port)
    command = {"tool": "count", "arguments": {"to": 40, "pace": 5}, "name": "cut"}
    client.tell({"do": "call", **command})
    await client.until(lambda c: len(notes(c, "info")) >= 10, "step 10")
    relay.cut_all()
    await client.until(lambda c: of_kind(c, "error"), "the library tells of the cut")
    await eventually(lambda: left(server), "the server is rid of the call's stream", 30)
    check_equal(of_kind(client, "result"), [], "results")
    client.tell({"do": "leave"})
    await client.until(lambda c: of_kind(c, "left"), "the transport is closed")
    check_equal(of_kind(client, "left")[0].get("token"), None, "a resumption token of a server without a store")


async def left(server):
    return [one for one in await server.asked("POST", "count") if one.get("ended")]


@case("a silent stream by GET that is cut again and again stays one on the server, with reattach", timeout=60)
async def silent_stream(t):
    # The library has no id of a stream that said nothing, and asks anew. The server refuses a second one (409) as long as
    # the first is read on, and after some attempts the library gives up.
    server, proxy, relay = await start(t)
    client = await connect(t, relay.port)
    await eventually(lambda: stream_is_open(server), "the session's own stream is open", 30)
    for _ in range(3):
        streams = proxy.log.count("method=GET path=/mcp status=200")
        relay.cut_all()
        await eventually(lambda streams=streams: proxy.log.count("method=GET path=/mcp status=200") > streams,
                         "the client is back", 30)
    await announce(client, 5)
    await client.until(lambda c: len(notes(c, "notice")) >= 5, "announcement 5", 30)
    check_equal(notes(client, "notice"), steps(5, "announcement"), "announcements")
    check_equal([one.get("status") for one in await server.asked("GET")], [None], "streams by GET on the server")
