#!/usr/bin/env python3
"""The proxy against its peers and against what the kernel alone costs.

    tests/bench/compare.py build/release                    everything, 3 runs each
    tests/bench/compare.py build/release fanout replay      some of it
    tests/bench/compare.py build/release --only bare,nchan  without the proxy
    tests/bench/compare.py build/release --first            ahead of whatever else the machine does (root)
    tests/bench/compare.py build/release stores --disk DIR  the disk store in DIR, not in /tmp
    tests/bench/compare.py build/release stores --spread    all of them on all cores, as they come
    tests/bench/compare.py build/release nodes              through a leader, and to a follower, with a Redis beside them

Each scenario runs against each target by turns, so that whatever else the machine does hits all alike; medians are
printed, then what counts: ratios. The target has core 1 to itself, the load core 0; with --spread the scheduler decides,
and a target with several threads may use several cores. Needs the load and bare_loop
programs of the same build folder, Debian's nginx-light and libnginx-mod-nchan, and wrk.
"""

import argparse
import glob
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TARGET_CORE, LOAD_CORE = "1", "0"
is_spread = False
NCHAN_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"


def pinned(core, *command):
    return [*command] if is_spread else ["taskset", "-c", core, *command]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_open(port, process):
    for _ in range(2000):
        if process.poll() is not None:
            sys.exit(f"compare: {process.args[-1]} ended at once with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)
    sys.exit(f"compare: nothing listens on port {port}")


def with_children(pid):
    """The process and all below it."""
    pids = [pid]
    for parent in pids:
        for path in glob.glob(f"/proc/{parent}/task/*/children"):
            with open(path) as children:
                pids += [int(child) for child in children.read().split()]
    return pids


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Target:
    """One server under test: a command, made for ports and a folder of its own."""

    path = "/sse"
    publish = ""
    disk = None  # Where folders are made; None: where temporary files go.

    def __init__(self, build):
        self.build = build

    def start(self, scenario, origin_port):
        self.folder = tempfile.mkdtemp(prefix="ssequel-bench-", dir=Target.disk)
        self.port = free_port()
        self.run(self.command(scenario, origin_port))

    def run(self, command, settle=0.2):
        self.arguments = command
        self.log = open(f"{self.folder}/output", "ab")
        self.process = subprocess.Popen(pinned(TARGET_CORE, *command), stdout=self.log, stderr=self.log)
        wait_until_open(self.port, self.process)
        time.sleep(settle)
        self.pids = with_children(self.process.pid)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def stop(self):
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(text)
        return f"{self.folder}/{name}"


class Bare(Target):
    def command(self, scenario, origin_port):
        return [f"{self.build}/tests/bench/bare_loop", str(self.port), str(origin_port)]


class Nginx(Target):
    """As a plain reverse proxy: unbuffered, upstream connections kept."""

    modules = ""

    def server(self, origin_port):
        return f"""
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}"""

    def command(self, scenario, origin_port):
        config = f"""{self.modules}
worker_processes 1;
worker_rlimit_nofile {resource.getrlimit(resource.RLIMIT_NOFILE)[1]};
daemon off;
user root;
pid {self.folder}/pid;
error_log {self.folder}/error.log;
events {{ worker_connections 19000; multi_accept on; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  upstream origin {{ server 127.0.0.1:{origin_port}; keepalive 256; keepalive_requests 1000000000; }}
  {self.http()}
  server {{
    listen 127.0.0.1:{self.port} backlog=16384;{self.server(origin_port)}
  }}
}}
"""
        return ["nginx", "-p", self.folder, "-c", self.write("nginx.conf", config)]

    def http(self):
        return ""


class Nchan(Nginx):
    """One channel in memory, fed by POSTs."""

    modules = f"load_module {NCHAN_MODULE};"
    publish = "/in"

    def http(self):
        return "nchan_shared_memory_size 512m;"

    def server(self, origin_port):
        return """
    location = /in {
      nchan_publisher http;
      nchan_channel_id feed;
      nchan_message_buffer_length 5000;
      nchan_message_timeout 1h;
    }
    location = /sse {
      nchan_subscriber eventsource;
      nchan_channel_id feed;
      nchan_subscriber_first_message newest;
      nchan_eventsource_ping_interval 0;
    }"""


class Ssequel(Target):
    """One loop, memory store; `shared` where all read one stream, no route where it is only passed through."""

    store = "kind: memory"

    def command(self, scenario, origin_port):
        routes = "routes: []\n"
        if scenario != "plain":
            window = {
                "stores": "events: 20000, bytes: 64MiB",
                "nodes": "events: 20000, bytes: 64MiB",
                "restart": "events: 0, bytes: 1GiB",
            }.get(scenario, "events: 5000, bytes: 64MiB")
            routes = (
                "routes:\n  - {name: bench, match: {path: /sse}, mode: shared, heartbeat: 1h, retain: 1h,\n"
                f"     window: {{{window}}}}}\n"
            )
        config = (
            f"listen: 127.0.0.1:{self.port}\nadmin: 127.0.0.1:{free_port()}\n"
            f"upstream: http://127.0.0.1:{origin_port}\nlog: {{level: warn}}\n"
            f"limits: {{store_bytes: 2GiB}}\nstore: {{{self.store.format(self=self)}}}\n" + routes
        )
        return [f"{self.build}/ssequel", "--config", self.write("ssequel.yaml", config)]


class DiskOs(Ssequel):
    store = "kind: disk, path: {self.folder}/store, sync: os"


class DiskAlways(Ssequel):
    store = "kind: disk, path: {self.folder}/store, sync: always"


class Leader(Ssequel):
    """A node that reads the upstream, and a Redis beside the load."""

    store = "kind: redis"

    def command(self, scenario, origin_port):
        self.redis_port = free_port()
        self.redis = subprocess.Popen(
            pinned(LOAD_CORE, "redis-server", "--port", str(self.redis_port), "--save", "", "--appendonly", "yes",
                   "--dir", self.folder), stdout=subprocess.DEVNULL)
        wait_until_open(self.redis_port, self.redis)
        return self.node(super().command(scenario, origin_port))

    def node(self, command):
        with open(command[-1], "a") as file:
            file.write(f"redis: {{url: 'redis://127.0.0.1:{self.redis_port}'}}\n")
        return command

    def end(self):
        super().end()
        self.redis.kill()
        self.redis.wait()


class Follower(Leader):
    """Another node has the lease, and a subscriber for it; this one serves what it appends."""

    def command(self, scenario, origin_port):
        own = self.port
        self.port = free_port()
        *first, config = super().command(scenario, origin_port)
        os.rename(config, f"{self.folder}/leader.yaml")
        self.leader = subprocess.Popen(pinned(LOAD_CORE, *first, f"{self.folder}/leader.yaml"))
        wait_until_open(self.port, self.leader)
        self.reader = subprocess.Popen(["curl", "-sN", f"http://127.0.0.1:{self.port}/sse"], stdout=subprocess.DEVNULL)
        self.port = own
        return self.node(Ssequel.command(self, scenario, origin_port))

    def end(self):
        self.reader.kill()
        self.leader.kill()
        self.reader.wait()
        self.leader.wait()
        super().end()


TARGETS = {
    "bare": Bare,
    "nginx": Nginx,
    "nchan": Nchan,
    "ssequel": Ssequel,
    "disk-os": DiskOs,
    "disk-always": DiskAlways,
    "memory": Ssequel,
    "leader": Leader,
    "follower": Follower,
}

# Of each scenario: who can do it, arguments for the load, and what is compared (name, key, unit).
SCENARIOS = {
    "fanout": (
        ["bare", "nchan", "ssequel"],
        ["--clients", "1000", "--rate", "50", "--seconds", "4"],
        [("CPU per delivery", "cpu_us_per_delivery", "us"), ("p50", "p50_ms", "ms"), ("p99", "p99_ms", "ms")],
    ),
    "peak": (
        ["bare", "nchan", "ssequel"],
        ["--clients", "1000", "--p99-ms", "250"],
        [("deliveries per second", "deliveries_per_s", "/s")],
    ),
    "replay": (
        ["bare", "nchan", "ssequel"],
        ["--clients", "2000", "--behind", "500"],
        [("time until all caught up", "seconds", "s"), ("CPU", "cpu_s", "s")],
    ),
    "idle": (["bare", "nchan", "ssequel"], ["--clients", "9000"], [("RSS per subscriber", "bytes_each", "bytes")]),
    "plain": (
        ["nginx", "ssequel"],
        [],
        [("CPU per request", "cpu_us_per_request", "us"), ("requests per second", "requests_per_s", "/s")],
    ),
    "stores": (
        ["disk-os", "memory", "disk-always"],
        [],
        [
            ("events per second to one subscriber", "events_per_s", "/s"),
            ("CPU per event", "cpu_us_per_event", "us"),
            ("p50 at 5000 events/s", "p50_ms", "ms"),
            ("p99 at 5000 events/s", "p99_ms", "ms"),
        ],
    ),
    # Redis is on the core of the load; a commit is there and back.
    "nodes": (
        ["leader", "memory", "follower"],
        [],
        [
            ("events per second to one subscriber", "events_per_s", "/s"),
            ("CPU per event", "cpu_us_per_event", "us"),
            ("p50 at 5000 events/s", "p50_ms", "ms"),
            ("p99 at 5000 events/s", "p99_ms", "ms"),
        ],
    ),
    "restart": (
        ["disk-os"],
        [],
        [
            ("from the start to the first replayed event of a window of 1,000,000", "first_s", "s"),
            ("its files", "file_mib", "MiB"),
        ],
    ),
}


def load(target, scenario, arguments, origin_port):
    command = [f"{target.build}/tests/bench/load", scenario, "--port", str(target.port), "--path", target.path]
    command += ["--origin", str(origin_port), "--publish", target.publish, "--pids", ",".join(map(str, target.pids))]
    run = subprocess.run(pinned(LOAD_CORE, *command, *arguments), capture_output=True, text=True, timeout=300)
    if run.stderr:
        print(run.stderr, end="", file=sys.stderr)
    return json.loads(run.stdout) if run.returncode == 0 else None


def plain(target, origin_port):
    command = [f"{target.build}/tests/bench/load", "origin", "--origin", str(origin_port)]
    origin = subprocess.Popen(pinned(LOAD_CORE, *command))
    try:
        wait_until_open(origin_port, origin)
        url = f"http://127.0.0.1:{target.port}/json"
        wrk = pinned(LOAD_CORE, "wrk", "-t1", "-c64")
        subprocess.run([*wrk, "-d1s", url], capture_output=True, check=True)
        before = cpu_seconds(target.pids)
        said = subprocess.run([*wrk, "-d4s", url], capture_output=True, text=True, check=True).stdout
        cpu = cpu_seconds(target.pids) - before
    finally:
        origin.terminate()
        origin.wait()
    if "Non-2xx" in said or "Socket errors" in said:
        print(said, file=sys.stderr)
        return None
    requests = int(re.search(r"(\d+) requests in", said)[1])
    per_s = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    return {"cpu_us_per_request": cpu / requests * 1e6, "requests_per_s": per_s}


def stores(target, origin_port):
    """As fast as it goes, then at a fixed rate. The journal's threads share the target's one core."""
    fast = load(target, "through", ["--events", "2000000"], origin_port)
    paced = fast and load(target, "fanout", ["--clients", "1", "--rate", "5000", "--seconds", "4"], origin_port)
    if not paced:
        return None
    bad = {k: fast[k] + paced[k] for k in ("missing", "repeated", "lost")}
    return {**fast, "p50_ms": paced["p50_ms"], "p99_ms": paced["p99_ms"], **bad}


def restart(target, origin_port):
    """A window of a million events, a clean stop, and the time from exec to the first byte of a resume's replay."""
    said = load(target, "through", ["--events", "1000000"], origin_port)
    if not said:
        return None
    last = int(said["id"])
    target.end()
    size = sum(os.path.getsize(path) for path in glob.glob(f"{target.folder}/store/*"))
    request = f"GET /sse HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\nLast-Event-ID: {last - 500_000}\r\n"
    began = time.monotonic()
    target.run(target.arguments, settle=0)
    with socket.create_connection(("127.0.0.1", target.port)) as client:
        client.sendall(request.encode() + b"\r\n")
        client.settimeout(30)
        got = b""
        while b"\ndata: " not in got:
            part = client.recv(1 << 16)
            if not part:
                return None
            got += part
    seconds = time.monotonic() - began
    if f"id: {last - 499_999}\n".encode() not in got:
        print(f"restart: the replay begins with {got[:400]!r}", file=sys.stderr)
        return None
    return {"first_s": seconds, "file_mib": size / 2**20, **{k: said[k] for k in ("missing", "repeated", "lost")}}


def run_once(name, scenario, arguments, build):
    target = TARGETS[name](build)
    origin_port = free_port()
    target.start(scenario, origin_port)
    try:
        special = {"plain": plain, "stores": stores, "nodes": stores, "restart": restart}
        if scenario in special:
            result = special[scenario](target, origin_port)
        else:
            result = load(target, scenario, arguments, origin_port)
    finally:
        target.stop()
    bad = [k for k in ("missing", "repeated", "lost") if result and result.get(k)]
    if bad:
        print(f"{scenario}: {name}: " + ", ".join(f"{result[k]} {k}" for k in bad), file=sys.stderr)
    return result


def go_first():
    """The scheduler shares by session first (sched(7), autogroup), then by nice value within it."""
    if os.getpid() == os.getpgrp():  # A leader of a process group cannot begin a session: its child can.
        child = os.fork()
        if child:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os.setsid()
    with open("/proc/self/autogroup", "w") as autogroup:
        autogroup.write("-15")
    os.nice(-15)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="a release build folder")
    parser.add_argument("scenarios", nargs="*", help=", ".join(SCENARIOS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default=",".join(TARGETS), help="targets, with commas between")
    parser.add_argument("--first", action="store_true", help="before other work on this machine")
    parser.add_argument("--disk", help="the folder for files of the targets")
    parser.add_argument("--spread", action="store_true", help="nothing is tied to a core")
    options = parser.parse_args()
    Target.disk = options.disk
    global is_spread
    is_spread = options.spread
    unknown = [s for s in options.scenarios if s not in SCENARIOS] + [
        t for t in options.only.split(",") if t not in TARGETS
    ]
    if unknown:
        parser.error("unknown: " + ", ".join(unknown))
    if options.first:
        go_first()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    failed = False
    for scenario in options.scenarios or SCENARIOS:
        names, arguments, figures = SCENARIOS[scenario]
        names = [name for name in names if name in options.only.split(",")]
        results = {name: [] for name in names}
        for _ in range(options.runs):
            for name in names:
                result = run_once(name, scenario, arguments, os.path.abspath(options.build))
                if result is None:
                    print(f"{scenario}: {name}: failed", file=sys.stderr)
                    failed = True
                else:
                    results[name].append(result)
        for title, key, unit in figures:
            values = {n: [r[key] for r in got] for n, got in results.items() if got}
            medians = {n: statistics.median(v) for n, v in values.items()}
            told = [f"{n} {medians[n]:.4g} ({min(v):.4g}..{max(v):.4g})" for n, v in values.items()]
            print(f"{scenario}: {title}, {unit}: " + ", ".join(told))
            subject = "ssequel" if "ssequel" in medians else next(iter(medians), None)
            for other in medians:
                if other != subject and medians[other]:
                    print(f"{scenario}: {title}, {subject} : {other} = {medians[subject] / medians[other]:.3g}")
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
