"""The numbered events that every upstream of these tests sends, and the checker that knows them again.

The data of event N is `{"seq":N,"feed":F,` and `"pad":P}`, on two data lines for every tenth N, so that a client that
parses the data as JSON sees whether an event was lost, doubled, reordered or changed. clients/feed.mjs checks nothing:
it hands what a library gave it to this checker.
"""

import json

from .runner import Failure

_PAD = "abc: déf ☃ 0123456789 "


def pad(seq):
    text = _PAD * 12
    return text[: (seq * 37) % 211]


def data(seq, feed="f"):
    joint = "\n" if seq % 10 == 0 else " "
    head = json.dumps({"seq": seq, "feed": feed}, separators=(",", ":"))[:-1] + ","
    return head + joint + json.dumps({"pad": pad(seq)}, ensure_ascii=False)[1:]


def event_type(seq):
    return "tick" if seq % 7 == 0 else "message"


def frame(seq, feed="f", eol="\n", origin_id=None):
    """The event as an upstream writes it: raw, without an id unless `origin_id` is given."""
    lines = []
    if event_type(seq) != "message":
        lines.append("event: " + event_type(seq))
    if origin_id is not None:
        lines.append("id: " + origin_id)
    lines += ["data: " + line for line in data(seq, feed).split("\n")]
    return (eol.join(lines) + eol + eol).encode()


class Seen:
    """What one client was given, in order: `add` each event as {type, data, id}."""

    def __init__(self):
        self.events = []

    def add(self, event):
        self.events.append(event)

    @property
    def seqs(self):
        return [json.loads(event["data"])["seq"] for event in self.events if event["type"] in ("message", "tick")]

    @property
    def ids(self):
        return [event["id"] for event in self.events]

    @property
    def syncs(self):
        return [event for event in self.events if event["type"] == "sync-required"]

    def require_exactly(self, first, last, feed="f"):
        """Each of first..last exactly once, in order, with its own type and bytes, and nothing else."""
        expected = list(range(first, last + 1))
        if self.syncs:
            raise Failure(f"sync-required where nothing was lost: {self.syncs[:3]}")
        if self.seqs != expected:
            raise Failure(describe_difference(self.seqs, expected))
        for event, seq in zip(self.events, expected):
            self._require_unchanged(event, seq, feed)
        self.require_rising_ids()

    def require_told(self, feed="f"):
        """Rising, nothing twice; every jump stands right behind a sync-required."""
        last = None
        told = False
        for event in self.events:
            if event["type"] == "sync-required":
                told = True
                continue
            seq = json.loads(event["data"])["seq"]
            self._require_unchanged(event, seq, feed)
            if last is not None and seq <= last:
                raise Failure(f"event {seq} came after {last}")
            if last is not None and seq != last + 1 and not told:
                raise Failure(f"event {seq} follows {last} and no sync-required told of the gap")
            last, told = seq, False

    @staticmethod
    def _require_unchanged(event, seq, feed):
        if event["data"] != data(seq, feed) or event["type"] != event_type(seq):
            raise Failure(f"event {seq} was changed on its way: {event!r}")

    def require_rising_ids(self):
        """No id twice to one client, and N of TAG-N (or of N) rises by exactly one while the tag stays."""
        last = None
        for event in self.events:
            tag, number = split_id(event["id"])
            if last is not None and last[0] == tag and number != last[1] + 1:
                raise Failure(f"id {event['id']} follows {last}")
            last = (tag, number)


def split_id(text):
    """(tag or '', number) of one of our sequence ids: N, TAG-N or TAG-N-O."""
    if not isinstance(text, str) or not text:
        raise Failure(f"an event without an id: {text!r}")
    parts = text.split("-")
    try:
        return ("", int(parts[0])) if len(parts) == 1 else (parts[0], int(parts[1]))
    except ValueError:
        raise Failure(f"not an id of a sequence: {text!r}") from None


def describe_difference(seen, expected):
    missing = [seq for seq in expected if seq not in set(seen)]
    double = sorted({seq for seq in seen if seen.count(seq) > 1})
    disorder = [(a, b) for a, b in zip(seen, seen[1:]) if b <= a]
    foreign = [seq for seq in seen if seq not in set(expected)]
    return (
        f"expected {expected[0]}..{expected[-1]} once each in order, seen {len(seen)} events: missing {missing[:8]}, "
        f"double {double[:8]}, out of order {disorder[:4]}, foreign {foreign[:8]}"
    )
