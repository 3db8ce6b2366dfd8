"""The invariants, one function each: its docstring is what must hold. Each looks at a whole Run and tells a Judge.

A function says `judge.seen()` for each thing it could judge: one that saw nothing was not exercised, which is not the same
as having held. Evidence names client, attempt, ids and nonces.
"""

from bisect import bisect_right

import reasons
from history import ENTRY_REASONS, split_id
from reasons import SLACK

OVERLAP = 0.5  # Seconds that the upstream may take to learn that a connection is gone.
# Faults that happen to proxies and connections alone: what is in a store stays in it.
_OF_PROXIES = {"kill", "stop", "pause", "drain", "rollout", "partition", "upstream", "cut"}
END_GRACE = 0.25  # Seconds after which an end that was seen must be as durable as the entries before it.


class Judge:
    def __init__(self):
        self.invariant = None
        self.exercised = {}
        self.violations = []

    def seen(self, count=1):
        self.exercised[self.invariant] = self.exercised.get(self.invariant, 0) + count

    def violation(self, what, **evidence):
        self.violations.append((self.invariant, what, evidence))


def steps(attempt):
    """(previous place, entry, why) for each block of an attempt: why is None where nothing was told between the two, else
    the reason. A place is (log, number); it is None where the client did not say from where it goes on."""
    place = None
    for entry in attempt.entries:
        if entry.borrowed or entry.is_bookmark:
            yield place, entry, entry.reason or "bookmark"
        else:
            yield place, entry, None
        if entry.number is not None:
            place = (entry.log, entry.number)


def k1_agreement(run, judge):
    """Of one id all clients, and the store, saw the same bytes."""
    for log in run.logs.values():
        for number in log.numbers:
            judge.seen()
            entries = log.by_number[number]
            if len(entries) > 1:
                judge.violation("one id with different bytes", channel=log.channel, id=entries[0].id,
                                seen=[(entry.id, entry.nonce or entry.reason, entry.frame) for entry in entries[:4]])
    for dump in run.dumps:
        log = run.log_of_dump(dump)
        for number, frame, *_ in dump["entries"]:
            for entry in log.by_number.get(number, ()) if log else ():
                judge.seen()
                if entry.frame != frame:
                    judge.violation("the store holds other bytes than a client saw", channel=log.channel, id=entry.id,
                                    nonce=entry.nonce)


def k2_ordered(run, judge):
    """Every event has an id, and the ids that one client sees rise, over reconnects too."""
    for client, attempts in run.clients.items():
        last = None  # (log, number)
        for attempt in attempts:
            if attempt.last_event_id is None and (
                    run.channels[attempt.channel].mode == "session" or run.channels[attempt.channel].start != "live"):
                last = None  # It begins anew, and asked for that.
            for entry in attempt.entries:
                if entry.number is None:
                    if not entry.borrowed:
                        judge.violation("an event without an id of ours", **attempt.where(), id=entry.id,
                                        nonce=entry.nonce)
                    continue
                if entry.borrowed:
                    last = (entry.log, entry.number)
                    continue
                if entry.is_bookmark:
                    continue
                judge.seen()
                if last is not None and last[0] is entry.log and entry.number <= last[1]:
                    judge.violation("an id that does not rise", **attempt.where(), after=last[1], id=entry.id,
                                    nonce=entry.nonce)
                last = (entry.log, entry.number)


def k3_unique(run, judge):
    """What the upstream sent once has one id."""
    ids = {}
    for log in run.logs.values():
        for number in log.numbers:
            for entry in log.by_number[number]:
                if entry.nonce is None:
                    continue
                judge.seen()
                other = ids.setdefault((log.channel, entry.nonce), entry)
                if other is not entry and other.id != entry.id:
                    judge.violation("one event with two ids", channel=log.channel, nonce=entry.nonce,
                                    ids=[other.id, entry.id])


def k4_contiguous(run, judge):
    """Consecutive ids differ by one, from the resume point on; a jump stands behind a sync-required that tells it."""
    for attempt in run.attempts.values():
        known = run.log_of_id(attempt.channel, attempt.last_event_id)
        resumed = known[:2] if known and not _passed_on(run, attempt, known) else None
        for place, entry, why in steps(attempt):
            place = place or resumed
            if why is not None or place is None or entry.number is None or entry.reason == "store-gap":
                continue
            judge.seen()
            if place[0] is not entry.log or entry.number != place[1] + 1:
                judge.violation("ids jump", **attempt.where(), after=place[1], id=entry.id, nonce=entry.nonce)


def _passed_on(run, attempt, known):
    """True where a session's log was lost and its id carries the upstream's own: that one is asked, a new log begins."""
    return attempt.last_event_id.count("-") == 2 and run.lost_between(attempt.channel, known[2], attempt.head_at or 0)


def k5_reliable(run, judge):
    """A client that saw a and c of one log, and was told nothing between, saw every b between that anybody saw."""
    for attempt in run.attempts.values():
        for place, entry, why in steps(attempt):
            if why is not None or place is None or entry.number is None or place[0] is not entry.log:
                continue
            if entry.reason == "store-gap":
                continue
            judge.seen()
            numbers = entry.log.numbers
            between = numbers[bisect_right(numbers, place[1]):bisect_right(numbers, entry.number - 1)]
            if between:
                judge.violation("a client missed what others saw", **attempt.where(), after=place[1], then=entry.number,
                                missed=between[:5])


def k6_resumable(run, judge):
    """The first event after a resume is the successor of the resume point; any other resume point is told."""
    for attempt in run.attempts.values():
        text = attempt.last_event_id
        if text is None or not attempt.is_stream or attempt.is_told:
            continue
        first = next((entry for entry in attempt.entries if not entry.is_bookmark and entry.number is not None), None)
        known = run.log_of_id(attempt.channel, text)
        if known:
            log, number, _ = known
            behind = bisect_right(log.numbers, number)
            expected = log.numbers[behind] if behind < len(log.numbers) else None
            if first is None or _passed_on(run, attempt, known):
                continue
            judge.seen()
            if first.reason != "store-gap" and (first.log is not log or first.number != expected):
                judge.violation("not the successor of the resume point", **attempt.where(), expected=expected,
                                id=first.id, nonce=first.nonce)
            continue
        if run.channels[attempt.channel].mode == "session" and (split_id(text) or ("",))[0] == "":
            continue  # Not of a tag's form: the upstream's own affair.
        judge.seen()
        places = list(_origin_places(run, attempt, text))
        if not places:
            judge.violation("went live on an id that the log never gave", **attempt.where(),
                            answer=attempt.field("ssequel-resume"))
        elif first is not None and all(first.number != place + 1 for place in places):
            judge.violation("not the successor of the newest event with this origin id", **attempt.where(),
                            expected=[place + 1 for place in places], id=first.id, nonce=first.nonce)


def _origin_places(run, attempt, origin):
    """Numbers of the newest entry with this origin id when the attempt was made, and of those that came about then."""
    newest = None
    for entry in run.origins.get((attempt.channel, origin), ()):
        if entry.first_at <= attempt.at:
            newest = entry.number
        elif entry.first_at <= attempt.head_at + SLACK:
            yield entry.number  # Perhaps in the log already when the place was chosen.
    if newest is not None:
        yield newest


def k7_bookmark(run, judge):
    """No event at or below a bookmark comes after it, and none is left out behind it."""
    for attempt in run.attempts.values():
        bookmark = None
        for entry in attempt.entries:
            if entry.is_bookmark:
                bookmark = entry
                continue
            if bookmark is None or entry.borrowed or entry.number is None:
                continue
            judge.seen()
            if entry.log is bookmark.log and entry.number <= bookmark.number:
                judge.violation("an event behind a bookmark that is above it", **attempt.where(), bookmark=bookmark.id,
                                id=entry.id, nonce=entry.nonce)
            bookmark = None


def k8_no_phantom(run, judge):
    """Each event was sent by the upstream of its own channel, whole, and arrives as it was sent."""
    seen = set()
    for attempt in run.attempts.values():
        for entry in attempt.entries:
            if entry.reason is not None or entry.is_bookmark or id(entry) in seen:
                continue
            seen.add(id(entry))
            judge.seen()
            sent = run.sent_of(entry)
            if sent is None:
                others = [channel for channel, nonce in run.sent if nonce == entry.nonce] if entry.nonce else []
                what = f"an event of {others[0]}" if others else "an event that no upstream sent"
                judge.violation(what, **attempt.where(), id=entry.id, event=entry.event, nonce=entry.nonce)
            elif not sent.whole:
                judge.violation("an event that the upstream never finished", **attempt.where(), id=entry.id,
                                nonce=entry.nonce)
            elif sent.payload != entry.payload:
                judge.violation("an event with other content than was sent", **attempt.where(), id=entry.id,
                                nonce=entry.nonce)
    for tag, channels in run.homes.items():
        if len(channels) > 1:
            judge.violation("one tag in several channels", tag=tag, channels=sorted(channels))
    for log in run.logs.values():
        if len(log.pods) > 1:
            judge.violation("ids of one log from several replicas", channel=log.channel, tag=log.tag, pods=sorted(log.pods))


def k9_source_order(run, judge):
    """The order of ids is the order of sending; between what one connection sent nothing is left out but what a `dropped`
    tells, and between what two connections sent stands an `upstream-gap` (or, where none is told, nothing is missing)."""
    for log in run.logs.values():
        # By node, where each has an upstream of its own: the last event with a nonce, the reasons since, are they gapless.
        befores = {}
        last = None
        for number, entry in log.entries():
            for before in befores.values():
                before[2] = before[2] and number == last + 1
                if entry.reason is not None:
                    before[1].append(entry.reason)
            last = number
            sent = run.sent_of(entry)
            if sent is None:
                continue
            node = sent.connection.node
            if node in befores:
                judge.seen()
                _order_of(run, judge, log, befores[node][0], sent, *befores[node][1:])
            befores[node] = [sent, [], True]


def _order_of(run, judge, log, first, second, reasons, is_gapless):
    channel = run.channels[log.channel]
    evidence = {"channel": log.channel, "nonces": [first.nonce, second.nonce],
                "connections": [first.connection.number, second.connection.number], "between": reasons}
    if first.connection is second.connection:
        if second.position <= first.position:
            judge.violation("ids in another order than they were sent", **evidence)
        elif is_gapless:
            skipped = first.connection.sent[first.position + 1:second.position]
            _left_out(judge, skipped, reasons, evidence)
        return
    if second.connection.number < first.connection.number:
        judge.violation("an event of an earlier connection behind one of a later", **evidence)
        return
    if not is_gapless or "store-gap" in reasons:
        return
    _left_out(judge, second.connection.sent[:second.position], reasons, evidence)
    ended_clean = first.connection.how == "clean"
    if ended_clean and not run.any_between(first.connection.opened, second.connection.opened):
        _left_out(judge, first.connection.sent[first.position + 1:], reasons, evidence)
    if channel.lossless and second.seq != first.seq + 1 and "dropped" not in reasons:
        judge.violation("missing or doubled although the upstream goes on by its own ids", **evidence,
                        seqs=[first.seq, second.seq])
    if channel.producers == "all" and run.any_between(first.connection.opened, second.connection.opened):
        return  # The first connection of another life of the node.
    if channel.told and not (channel.mode == "session" and ended_clean) and "upstream-gap" not in reasons:
        judge.violation("another upstream connection, and no upstream-gap tells it", **evidence)


def _left_out(judge, skipped, reasons, evidence):
    missing = [sent.nonce for sent in skipped if sent.whole and not sent.oversized]
    oversized = sum(sent.oversized for sent in skipped)
    if missing:
        judge.violation("events that were sent and have no entry", **evidence, missing=missing[:5])
    elif oversized > reasons.count("dropped"):
        judge.violation("an event too large to keep, and no `dropped` tells it", **evidence)


def k10_durable(run, judge):
    """What was delivered before a fault that the channel survives can be resumed from after it, or has left the window; and
    a response's end stays the end it was."""
    for attempt in run.attempts.values():
        known = run.log_of_id(attempt.channel, attempt.last_event_id)
        if not known or not attempt.is_stream:
            continue
        log, number, seen_at = known
        if not run.any_between(seen_at, attempt.head_at) or run.lost_between(attempt.channel, seen_at, attempt.head_at):
            continue
        judge.seen()
        told = attempt.entries[0].reason if attempt.is_told and attempt.entries else None
        if told is not None and told not in ("lagged", "upstream-lost") and not (
                told == "window" and reasons.has_left(run, log, number, attempt.head_at)):
            judge.violation("what was delivered before a fault is lost after it", **attempt.where(), told=told)
    ends = {}
    for attempt in run.attempts.values():
        if run.channels[attempt.channel].mode != "session" or not attempt.entries:
            continue
        if attempt.how not in ("clean", "broken") or run.any_between(attempt.at, attempt.ended_at + END_GRACE):
            continue
        log = attempt.entries[-1].log
        if len(log.feeders) == 1:
            ends.setdefault(log, []).append(attempt)
    for log, attempts in ends.items():
        first = attempts[0]
        for attempt in attempts[1:]:
            if first.how != "clean" or not run.any_between(first.ended_at, attempt.at) or run.lost_between(
                    log.channel, first.ended_at, attempt.ended_at):
                continue
            judge.seen()
            if attempt.how == "broken":
                judge.violation("a response that had ended cleanly breaks off after a fault", **attempt.where(),
                                told=attempt.entries[-1].reason, id=attempt.entries[-1].id)


def k11_fence(run, judge):
    """(Incarnation, epoch) of the writer never falls along a log."""
    for dump in run.dumps:
        last = None
        for number, _, *writer in dump["entries"]:
            if not writer:
                continue
            judge.seen()
            if last is not None and tuple(writer) < last:
                judge.violation("an entry of an earlier writer behind one of a later", channel=dump["channel"],
                                number=number, writer=writer, after=last)
            last = tuple(writer)


def k12_justified_sync(run, judge):
    """Each sync-required has a reason that what happened bears out."""
    for attempt in run.attempts.values():
        for place, entry, _ in steps(attempt):
            if not entry.borrowed:
                continue
            judge.seen()
            problem = reasons.of(entry.reason)(run, attempt, entry, place)
            if problem:
                judge.violation(problem, **attempt.where(), reason=entry.reason, id=entry.id)
    for log in run.logs.values():
        dropped = 0
        gaps = 0
        store_gaps = 0
        last = None
        for number, entry in log.entries():
            if entry.reason in ENTRY_REASONS:
                judge.seen()
            if entry.reason == "store-gap":
                store_gaps += 1
                losses = sum(fault["class"] not in _OF_PROXIES and fault["at"] <= entry.first_at for fault in run.faults)
                if store_gaps > losses:
                    judge.violation("a store-gap though the store lost nothing", channel=log.channel, id=entry.id,
                                    gaps=store_gaps, losses=losses)
            dropped += entry.reason == "dropped"
            gaps += entry.reason == "upstream-gap"
            sent = run.sent_of(entry)
            if sent is None:
                continue
            if run.channels[log.channel].producers == "all":  # Between two events of one node stand others' gaps.
                last = sent
                continue
            most = 0 if last is None else sent.connection.number - last.connection.number
            if last is not None and gaps > most:
                judge.violation("an upstream-gap where the upstream stood", channel=log.channel,
                                nonces=[last.nonce, sent.nonce], gaps=gaps)
            gaps = 0
            last = sent
        if run.channels[log.channel].producers == "all" and gaps >= max(1, len(run.channels[log.channel].connections)):
            judge.violation("more upstream-gaps than upstream connections", channel=log.channel, gaps=gaps)
        if dropped > run.channels[log.channel].oversized:
            judge.violation("a `dropped` for nothing", channel=log.channel, dropped=dropped)


def _one_at_a_time(judge, channel, connections):
    def stands(first, second, overlap):
        return first.closed is None or first.closed > second.opened + overlap

    for first, second in zip(connections, connections[1:]):
        if stands(first, second, OVERLAP if channel.overlap is None else channel.overlap):
            judge.violation("two upstream connections at a time", channel=channel.name,
                            connections=[first.number, second.number])
    # While a channel is handed over there may be two for a while, and never three.
    for first, second, third in zip(connections, connections[1:], connections[2:]):
        if stands(first, third, OVERLAP) and stands(second, third, OVERLAP):
            judge.violation("three upstream connections at a time", channel=channel.name,
                            connections=[first.number, second.number, third.number])


def k13_upstream_count(run, judge):
    """One upstream connection at a time for a shared channel (or for each node, where each has an upstream of its own), two
    for at most so long as a hand-over may take; one upstream request for each session."""
    for channel in run.channels.values():
        if channel.mode == "shared":
            judge.seen(len(channel.connections))
            by_node = {}
            for connection in channel.connections:
                by_node.setdefault(connection.node, []).append(connection)
            for connections in by_node.values():
                _one_at_a_time(judge, channel, connections)
    asked = {}
    for connection in run.connections.values():
        if connection.ask is not None and run.channels[connection.channel].mode == "session":
            asked.setdefault(connection.ask, []).append(connection)
    for attempt in run.attempts.values():
        if run.channels[attempt.channel].mode != "session" or attempt.ask is None:
            continue
        judge.seen()
        count = len(asked.get(attempt.ask, ()))
        most = 0 if attempt.method != "GET" and attempt.last_event_id is not None else 1
        if count > most:
            judge.violation(f"asked the upstream {count} times, at most {most} allowed", **attempt.where(),
                            method=attempt.method)


def k14_headers(run, judge):
    """A head has only fields that belong there, and nothing that was meant for somebody else."""
    for attempt in run.attempts.values():
        allowed = run.channels[attempt.channel].fields
        if attempt.status != 200 or allowed is None:
            continue
        judge.seen()
        extra = sorted({name for name, _ in attempt.fields if name.lower() not in allowed})
        if extra:
            judge.violation("fields that must not be there", **attempt.where(), fields=extra)
        for name, value in attempt.fields:
            if "canary" in value and (attempt.ask is None or f"canary-{attempt.ask}-" not in value):
                judge.violation("a field meant for somebody else", **attempt.where(), field=name, value=value)


def k15_progress(run, judge):
    """Once all is well again every client comes to the end of its log in time."""
    for goal in run.goals:
        judge.seen()
        reached = None
        for attempt in reversed(run.clients.get(goal["client"], [])):
            for entry, at in zip(reversed(attempt.entries), reversed(attempt.times)):
                if entry.nonce == goal["nonce"]:
                    reached = at
                    break
            if reached is not None:
                break
        if reached is None or reached > goal["at"] + goal["within"]:
            judge.violation("a client did not come to the end in time", client=goal["client"], channel=goal["channel"],
                            nonce=goal["nonce"], late=None if reached is None else reached - goal["at"])


def k16_hygiene(run, judge):
    """No end of the process that nobody asked for, no sanitizer's report, and what it held it lets go of."""
    for record in run.exits:
        judge.seen()
        if not record["expected"]:
            judge.violation("the proxy ended by itself", code=record["code"])
    for record in run.reports:
        judge.seen()
        judge.violation("a report", text=record["text"])
    before = {record["process"]: record for record in run.resources if record["when"] == "before"}
    for after in run.resources:
        if after["when"] != "after" or after["process"] not in before:
            continue
        judge.seen()
        if after["fds"] > before[after["process"]]["fds"] + after.get("slack", 2):
            judge.violation("descriptors are left over", before=before[after["process"]]["fds"], after=after["fds"])


INVARIANTS = [
    ("K1 agreement", k1_agreement),
    ("K2 ordered", k2_ordered),
    ("K3 unique", k3_unique),
    ("K4 contiguous", k4_contiguous),
    ("K5 reliable", k5_reliable),
    ("K6 resumable", k6_resumable),
    ("K7 bookmark", k7_bookmark),
    ("K8 no phantom", k8_no_phantom),
    ("K9 source order", k9_source_order),
    ("K10 durable", k10_durable),
    ("K11 fence", k11_fence),
    ("K12 justified sync", k12_justified_sync),
    ("K13 upstream count", k13_upstream_count),
    ("K14 headers", k14_headers),
    ("K15 progress", k15_progress),
    ("K16 hygiene", k16_hygiene),
]
