"""A history: JSON lines, one record each, written while a run goes on (Writer) and read again into a model (Run).

Times are seconds of one monotonic clock. What the records hold is told in README.md. A delivered block costs three words
in the model, so that a million of them fit easily: blocks that are the same bytes are one Entry.
"""

import array
import hashlib
import json
import re
import time
from bisect import bisect_right
from itertools import accumulate

# Reasons whose events are entries of the log, with an id of their own; all others borrow the id of the place from which
# the client goes on.
ENTRY_REASONS = {"dropped", "upstream-gap", "store-gap"}
_ID = re.compile(r"(?:([0-9A-Za-z]{22})-)?([0-9]{1,19})(?:-[0-9A-Za-z]+)?\Z")


def digest(data):
    """Of bytes; short, since it stands in every row."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def split_id(text):
    """(tag or "", number) of an id of a log that counts, or None."""
    match = _ID.match(text) if isinstance(text, str) else None
    return (match[1] or "", int(match[2])) if match else None


class Writer:
    """Appends records to a file. One thread (or event loop); what was written survives the end of the writer."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "w", encoding="utf-8", buffering=1 << 16)
        self.next_attempt = 0
        self.next_connection = 0

    def record(self, kind, **facts):
        facts["kind"] = kind
        facts.setdefault("at", round(time.monotonic(), 6))
        self.file.write(json.dumps(facts, separators=(",", ":")) + "\n")

    def close(self):
        self.file.close()

    def attempt_number(self):
        self.next_attempt += 1
        return self.next_attempt

    def connection_number(self):
        self.next_connection += 1
        return self.next_connection


class Channel:
    def __init__(self, record):
        self.name = record["channel"]
        self.mode = record.get("mode", "shared")
        # Several proxies without a common store serve it, each named by `X-Pod`.
        self.has_replicas = record.get("replicas", self.mode == "replicas")
        self.told = record.get("told", True)  # on_upstream_gap: tell
        self.lossless = record.get("lossless", False)  # The upstream resumes by its own ids.
        self.window = record.get("window")  # Events; None: large enough for all.
        self.start = record.get("start", "live")
        self.survives = set(record.get("survives", ("cut", "upstream")))  # Fault classes that lose nothing.
        self.fields = {name.lower() for name in record["fields"]} if "fields" in record else None
        self.producers = record.get("producers", "one")  # all: each node reads an upstream of its own.
        self.overlap = record.get("overlap")  # Seconds in which a new node may already read the upstream that an old one
        # still does; None: there is one node.
        self.connections = []
        self.oversized = 0


class Sent:
    __slots__ = ("connection", "position", "nonce", "seq", "payload", "whole", "origin", "oversized")


class Connection:
    def __init__(self, record):
        self.number = record["connection"]
        self.channel = record["channel"]
        self.ask = record.get("ask")
        self.method = record.get("method", "GET")
        self.node = record.get("node")  # Whose upstream it is, where each node has its own.
        self.opened = record["at"]
        self.closed = None
        self.how = None  # clean, broken (by the upstream) or peer.
        self.sent = []


class Entry:
    """Blocks with the same bytes under the same id. `borrowed`: no entry of the log, but told to one client alone."""

    __slots__ = ("log", "id", "number", "event", "frame", "payload", "nonce", "reason", "borrowed", "first_at")

    @property
    def is_bookmark(self):
        return self.event is None

    def __repr__(self):
        return f"{self.id} {self.reason or self.nonce or self.event}"


class Attempt:
    def __init__(self, record):
        self.number = record["attempt"]
        self.client = record["client"]
        self.channel = record["channel"]
        self.ask = record.get("ask")
        self.method = record.get("method", "GET")
        self.last_event_id = record.get("last_event_id")
        self.node = record.get("node")  # That was asked, of several with a common store.
        self.at = record["at"]
        self.status = None
        self.fields = []
        self.head_at = None
        self.entries = []
        self.times = array.array("d")
        self.how = None
        self.ended_at = None

    def field(self, name):
        return next((value for each, value in self.fields if each.lower() == name), None)

    @property
    def is_stream(self):
        """An answer from a log, or one that says why not; not trouble without data, not another status."""
        return self.status == 200 and self.field("ssequel-resume") is not None

    @property
    def is_told(self):
        """It began with sync-required."""
        if self.entries:
            return self.entries[0].borrowed
        return (self.field("ssequel-resume") or "").startswith("sync-required")

    @property
    def pod(self):
        """Which of several replicas answered."""
        return self.field("x-pod")

    def where(self):
        where = {"client": self.client, "attempt": self.number, "channel": self.channel,
                 "last_event_id": self.last_event_id}
        return {**where, "node": self.node} if self.node else where


class Log:
    """All that any client saw of one sequence of ids: `numbers` in order; an id that had two payloads has two entries."""

    def __init__(self, channel, tag):
        self.channel = channel
        self.tag = tag
        self.by_number = {}
        self.known = {}  # Id text: when it was first seen, as a bookmark too.
        self.numbers = []
        self.feeders = []  # Upstream connections that its events came from, in order.
        self.pods = set()  # Replicas that gave its ids.
        self._sights = None

    def add(self, entry):
        self.known.setdefault(entry.id, entry.first_at)
        if not entry.borrowed and not entry.is_bookmark:
            self.by_number.setdefault(entry.number, []).append(entry)

    def entries(self):
        for number in self.numbers:
            yield number, self.by_number[number][0]

    def newest_by(self, at):
        """The highest number that some client knew of by then, or None: also where all were told to have missed it."""
        if self._sights is None:
            sights = sorted((at, split_id(name)[1]) for name, at in self.known.items() if split_id(name))
            self._sights = [when for when, _ in sights], list(accumulate((number for _, number in sights), max))
        behind = bisect_right(self._sights[0], at)
        return self._sights[1][behind - 1] if behind else None


class Run:
    def __init__(self):
        self.channels = {}
        self.connections = {}
        self.sent = {}  # (channel, nonce)
        self.attempts = {}
        self.clients = {}
        self.logs = {}  # (channel, tag)
        self.homes = {}  # Tag: channels it was seen in.
        self.faults = []
        self.goals = []
        self.floors = []
        self.counts = {}
        self.exits = []
        self.reports = []
        self.resources = []
        self.dumps = []
        self.blocks = 0
        self._interned = {}
        self._strikes = {}  # Class: (starts, stops), both rising.
        self.origins = {}  # (channel, origin id): its entries, by number.

    def struck_between(self, kind, since, until):
        """True if a fault of this class (one ends before the next begins) was at work at some time meanwhile."""
        starts, stops = self._strikes.get(kind, ((), ()))
        behind = bisect_right(starts, until)
        return behind != 0 and stops[behind - 1] >= since

    def lost_between(self, channel, since, until):
        """True if a fault that this channel does not survive happened meanwhile."""
        survives = self.channels[channel].survives
        return any(self.struck_between(kind, since, until) for kind in self._strikes if kind not in survives)

    def any_between(self, since, until):
        """True if anything was done to the proxy meanwhile."""
        return any(self.struck_between(kind, since, until) for kind in self._strikes)

    def sent_of(self, entry):
        return self.sent.get((entry.log.channel, entry.nonce)) if entry.nonce is not None else None

    def log_of_id(self, channel, text):
        """(log, number, first seen) of an id that a log of this channel is known to have given, else None."""
        parts = split_id(text)
        log = self.logs.get((channel, parts[0])) if parts else None
        if log is None or text not in log.known:
            return None
        return log, parts[1], log.known[text]

    def log_of_dump(self, dump):
        """What clients saw of it, or None. A tag tells the channel."""
        tag = dump.get("tag", "")
        channels = self.homes.get(tag, ()) if tag else (dump["channel"],)
        return next((self.logs[channel, tag] for channel in channels if (channel, tag) in self.logs), None)

    # ------------------------------------------------------------------------------------------------- records

    def take(self, record):
        getattr(self, "_on_" + record["kind"].replace("-", "_"))(record)

    def _on_run(self, record):
        pass

    def _on_channel(self, record):
        self.channels[record["channel"]] = Channel(record)

    def _on_connect(self, record):
        connection = Connection(record)
        self.connections[connection.number] = connection
        self.channels[connection.channel].connections.append(connection)

    def _on_sent(self, record):
        sent = Sent()
        connection = self.connections[record["connection"]]
        sent.connection = connection
        sent.position = len(connection.sent)
        sent.nonce = record["nonce"]
        sent.seq = record.get("seq")
        sent.payload = record["payload"]
        sent.whole = record.get("whole", True)
        sent.origin = record.get("origin")
        sent.oversized = record.get("oversized", False)
        connection.sent.append(sent)
        self.channels[connection.channel].oversized += sent.oversized
        self.sent[connection.channel, sent.nonce] = sent

    def _on_disconnect(self, record):
        connection = self.connections[record["connection"]]
        connection.closed = record["at"]
        connection.how = record["how"]

    def _on_attempt(self, record):
        attempt = Attempt(record)
        self.attempts[attempt.number] = attempt
        self.clients.setdefault(attempt.client, []).append(attempt)

    def _on_head(self, record):
        attempt = self.attempts[record["attempt"]]
        attempt.status = record["status"]
        attempt.fields = record["fields"]
        attempt.head_at = record["at"]

    def _on_blocks(self, record):
        attempt = self.attempts[record["attempt"]]
        at = record["at"]
        pod = attempt.pod if self.channels[attempt.channel].has_replicas else None
        for row in record["rows"]:
            entry = self._entry(attempt.channel, row, at)
            attempt.entries.append(entry)
            attempt.times.append(at)
            if pod is not None:
                entry.log.pods.add(pod)
        self.blocks += len(record["rows"])

    def _entry(self, channel, row, at):
        key = (channel, *row)
        entry = self._interned.get(key)
        if entry is not None:
            return entry
        entry = Entry()
        entry.id, entry.event, entry.frame, entry.payload, entry.nonce, entry.reason = row
        entry.borrowed = entry.reason is not None and entry.reason not in ENTRY_REASONS
        tag, entry.number = split_id(entry.id) or ("", None)
        entry.first_at = at
        entry.log = self.logs.get((channel, tag))
        if entry.log is None:
            entry.log = self.logs[channel, tag] = Log(channel, tag)
        if entry.number is not None:
            if tag:
                self.homes.setdefault(tag, set()).add(channel)
            entry.log.add(entry)
        self._interned[key] = entry
        return entry

    def _on_ended(self, record):
        attempt = self.attempts[record["attempt"]]
        attempt.how = record["how"]
        attempt.ended_at = record["at"]

    def _on_fault(self, record):
        self.faults.append(record)

    def _on_goal(self, record):
        self.goals.append(record)

    def _on_floor(self, record):
        self.floors.append(record)

    def _on_count(self, record):
        self.counts[record["what"]] = self.counts.get(record["what"], 0) + record.get("number", 1)

    def _on_exit(self, record):
        self.exits.append(record)

    def _on_report(self, record):
        self.reports.append(record)

    def _on_resources(self, record):
        self.resources.append(record)

    def _on_dump(self, record):
        self.dumps.append(record)

    def finish(self):
        self._interned = None
        for log in self.logs.values():
            log.numbers = sorted(log.by_number)
            for _, entry in log.entries():
                sent = self.sent_of(entry)
                if sent is None:
                    continue
                if not log.feeders or log.feeders[-1] is not sent.connection:
                    log.feeders.append(sent.connection)
                if sent.origin is not None:
                    self.origins.setdefault((log.channel, sent.origin), []).append(entry)
        for fault in sorted(self.faults, key=lambda each: each["at"]):
            starts, stops = self._strikes.setdefault(fault["class"], ([], []))
            starts.append(fault["at"])
            stops.append(fault.get("until", fault["at"]))
        return self


def build(records):
    """A Run of records (dicts)."""
    run = Run()
    for record in records:
        run.take(record)
    return run.finish()


def read(path):
    """A Run of a file. A last line that was cut short (the writer was killed) is left out."""

    def records():
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)

    return build(records())
