"""Configurations: what is wrong never starts and says where; what is right is printed back; the short form serves."""

import asyncio
import json
import os
import stat

from support.processes import Process, free_port, run_to_end
from support.proxy import Proxy
from support.runner import case, check, check_equal, eventually
from support.setup import SHARED, start_proxy, start_upstream
from support.upstreams import Feed
from support.wire import Connection, Subscription, fetch

# The file, and words that the message must hold: among them the line and column where it is wrong.
WRONG = {
    "an unknown key": ("listen: 127.0.0.1:1\nlimist: {connections: 5}\n", ["2:1", "limist", "limits"]),
    "an unknown key in a route": ("routes:\n  - name: a\n    linge: 5s\n", ["3:5", "linge", "linger"]),
    "a repeated key": ("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", ["2:1", "listen"]),
    "a wrong type": ("threads: [1]\n", ["1:10", "threads"]),
    "a word for a number": ("limits:\n  connections: many\n", ["2:16", "connections", "many"]),
    "a duration without unit": ("drain: {delay: 5}\n", ["1:16", "delay", "5"]),
    "a size that is a duration": ("limits: {event_bytes: 5s}\n", ["1:23", "event_bytes", "5s"]),
    "an unknown word": ("routes:\n  - name: a\n    mode: sharde\n", ["3:11", "sharde", "shared"]),
    "an unset variable": ("upstream: http://${SSEQUEL_NOT_SET}:1\n", ["1:11", "SSEQUEL_NOT_SET"]),
    "a URL without a scheme": ("upstream: 127.0.0.1:3000\n", ["1:11", "upstream"]),
    "a TLS upstream": ("upstream: https://127.0.0.1\n", ["1:11", "upstream"]),
    "a port past 65535": ("listen: 127.0.0.1:70000\n", ["1:9", "listen"]),
    "two routes of one name": ("routes:\n  - {name: a, match: {path: /a}}\n  - {name: a, match: {path: /b}}\n", ["3", "name"]),
    "reconnect min over max": (
        "routes:\n  - name: a\n    mode: shared\n    reconnect: {min: 5s, max: 1s}\n", ["4", "reconnect"]),
    "a shared key on a session route": ("routes:\n  - name: a\n    mode: session\n    key: [path]\n", ["4", "key"]),
    "a session key on a shared route": ("routes:\n  - name: a\n    mode: shared\n    at_end: 204\n", ["4", "at_end"]),
    "start_at.last over window.events": (
        "routes:\n  - name: a\n    mode: shared\n    window: {events: 10}\n    start_at: {last: 20}\n", ["5", "start_at"]),
    "event_bytes over half a window": ("routes:\n  - name: a\n    window: {bytes: 1MiB}\n", ["bytes"]),
    "start without sequence": ("routes:\n  - name: a\n    ids: {strategy: ulid, start: 5}\n", ["3", "start"]),
    "max_age on a session route": ("routes:\n  - name: a\n    max_age: 5s\n", ["3:14", "max_age"]),
    "broken YAML": ("listen: [127.0.0.1:1\nadmin: x\n", ["2:6"]),
    "tabs for indentation": ("limits:\n\tconnections: 5\n", ["2"]),
}


@case("each wrong configuration exits 2, names file, line, column and key, and starts nothing")
async def wrong(t):
    problems = []
    for what, (text, words) in WRONG.items():
        file = t.folder / "wrong.yaml"
        file.write_text(text, encoding="utf-8")
        for command in (["check", file], ["--config", file]):
            code, out, err = await run_to_end(t.binary, *command, timeout=10)
            if code != 2:
                problems.append(f"{what}: exit code {code} of {command[0]}: {(err or out).strip()[:300]}")
            elif not all(word in err for word in ["wrong.yaml", *words]):
                problems.append(f"{what}: the message of {command[0]} lacks one of {words}: {err.strip()[:300]}")
    check(not problems, f"{len(problems)}:\n" + "\n".join(problems))


@case("a file that is not there, a directory, an unknown argument: exit 2 and a message")
async def no_file(t):
    for command in (["--config", t.folder / "none.yaml"], ["--config", t.folder], ["check", t.folder / "none.yaml"],
                    ["--no-such-argument"], ["--upstream"], ["--upstream", "nonsense"], ["nonsense"]):
        code, _, err = await run_to_end(t.binary, *command)
        check_equal(code, 2, f"exit code of {command}")
        check(err.strip() != "", f"no message for {command}")


@case("check prints the effective configuration, which check accepts and prints the same; passwords are masked")
async def check_prints(t):
    file = t.folder / "right.yaml"
    file.write_text(
        "listen: ['127.0.0.1:0', 'unix:/tmp/x.sock']\nupstream: http://${NAME:-localhost}:3000\n"
        "limits: {event_bytes: 64KiB}\nroutes:\n  - {name: a, match: {path: '/a/**'}, mode: shared, window: {bytes: 1MiB},"
        " upstream_fields: {Authorization: 'Bearer ${TOKEN}'}}\n", encoding="utf-8")
    code, out, err = await run_to_end(t.binary, "check", file, env={"TOKEN": "s3cret-t0ken"})
    check_equal(code, 0, f"exit code ({err.strip()})")
    check("localhost:3000" in out and "64KiB" in out, f"not the effective configuration: {out[:400]}")
    check("s3cret-t0ken" not in out, "a credential was printed")
    again = t.folder / "again.yaml"
    again.write_text(out, encoding="utf-8")
    code, second, err = await run_to_end(t.binary, "check", again)
    check_equal(code, 0, f"exit code for what check printed ({err.strip()[:300]})")
    check_equal(second, out, "what check prints of what it printed")


@case("schema prints a JSON Schema that knows each key")
async def schema(t):
    code, out, _ = await run_to_end(t.binary, "schema")
    check_equal(code, 0, "exit code")
    properties = json.loads(out)["properties"]
    for key in ("listen", "admin", "upstream", "threads", "log", "limits", "drain", "routes"):
        check(key in properties, f"the schema lacks {key}")


@case("--version and --help answer and exit 0")
async def version(t):
    code, out, _ = await run_to_end(t.binary, "--version")
    check_equal(code, 0, "exit code of --version")
    check("ssequel" in out.lower() and any(c.isdigit() for c in out), f"--version printed {out!r}")
    code, out, _ = await run_to_end(t.binary, "--help")
    check_equal(code, 0, "exit code of --help")
    check("--config" in out and "--upstream" in out, f"--help printed {out!r}")


@case("an address in use exits 2 and names it")
async def in_use(t):
    busy = await start_upstream(t)
    file = t.folder / "busy.yaml"
    for listen, admin in ((busy.port, free_port()), (free_port(), busy.port)):
        file.write_text(f"listen: 127.0.0.1:{listen}\nadmin: 127.0.0.1:{admin}\nupstream: http://127.0.0.1:9\n")
        code, out, err = await run_to_end(t.binary, "--config", file)
        check_equal(code, 2, "exit code")
        check(str(busy.port) in out + err, f"the address is not named: {err!r}")


@case("--upstream alone serves with the defaults: the service as it is, and each client can resume")
async def short_form(t):
    upstream = await start_upstream(t, {"/stream": Feed(own_counter=True, total=20, ends=False)})
    port, admin = free_port(), free_port()
    command = [t.binary, "--upstream", upstream.url, "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}",
               "--shared", "/feed"]
    process = await t.enter(Process(*command))
    t.on_failure(lambda: "\n".join(process.log))

    async def up():
        try:
            return (await fetch(admin, target="/readyz")).status == 200
        except OSError:
            check(process.running, "it exited")
            return False

    await eventually(up, "ready")
    check_equal((await fetch(port, target="/hello")).content, b"hello\n", "a plain request")
    async with Subscription(port, "/stream") as first:
        events = await first.take(10)
    async with Subscription(port, "/stream", last_event_id=events[-1]["id"]) as second:
        rest = await second.take(10)
    tag = events[0]["id"].split("-")[0]
    check_equal([e["id"] for e in events + rest], [f"{tag}-{n}" for n in range(1, 21)], "ids over a reconnect")
    code, out, err = await run_to_end(t.binary, "healthcheck", "--admin", f"127.0.0.1:{admin}")
    check_equal(code, 0, f"exit code of healthcheck ({out}{err})")


@case("listening on several addresses, on IPv6 and on a Unix socket")
async def addresses(t):
    upstream = await start_upstream(t)
    path = t.folder / "proxy.sock"
    other = free_port("::1")
    proxy = Proxy(t.binary, t.folder, upstream.url, routes="")
    config = proxy.config().replace(f"listen: 127.0.0.1:{proxy.port}",
                                    f"listen: ['127.0.0.1:{proxy.port}', '[::1]:{other}', 'unix:{path}']")
    proxy.config = lambda: config
    await t.enter(proxy)
    for connection in (Connection(proxy.port), Connection(other, host="::1"), Connection(path=str(path))):
        async with connection:
            await connection.request("GET", "/hello")
            check_equal((await connection.answer()).content, b"hello\n", "content")
    check(stat.S_ISSOCK(os.stat(path).st_mode), "no socket at the path")


@case("two event loops serve as one: a client may resume on either", timeout=60)
async def two_threads(t):
    events = Feed(own_counter=True, total=200, pace=0.001, ends=False)
    upstream = await start_upstream(t, {"/events": events})
    proxy = await start_proxy(t, upstream, routes=SHARED, extra="threads: 2")

    async def one(n):
        ids, last = [], None
        while not ids or ids[-1] < 200:
            async with Subscription(proxy.port, last_event_id=last) as client:
                for event in await client.take(min(30 + n, 200 - (ids[-1] if ids else 0))):
                    ids.append(int(event["id"]))
                last = str(ids[-1])
        check_equal(ids, list(range(1, 201)), "ids over several connections")

    await asyncio.gather(*(one(n) for n in range(12)))
    check_equal(upstream.connections, 1, "upstream connections")
