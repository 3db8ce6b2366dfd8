"""Whether a sync-required that one client was given had a reason: a function each, which says what is wrong with it or None.

Each gets the run, the attempt, the block, and the place that the client was at before it, or None.
"""

from history import split_id

SLACK = 3.0  # Seconds between an event's being in the log and the first sight of it by some client (1.3 were seen, at load 10).


def has_left(run, log, number, at):
    """True if a window of the channel's size may have let go of the entry with this number by then."""
    window = run.channels[log.channel].window
    if window is None:
        return False
    newest = log.newest_by(at + SLACK)
    return newest is not None and newest - number >= window


def unheard(run, attempt, entry, place):
    return "a reason that nobody heard of"


def unknown(run, attempt, entry, place):
    known = run.log_of_id(attempt.channel, attempt.last_event_id)
    if known and run.channels[attempt.channel].has_replicas:
        return "an id that this replica gave is called unknown" if attempt.pod in known[0].pods else None
    if known and known[2] < attempt.at and not run.lost_between(attempt.channel, known[2], attempt.head_at):
        return "an id that the log gave is called unknown"
    return None


def ahead(run, attempt, entry, place):
    return "an id that the log gave is called ahead of it" if unknown(run, attempt, entry, place) else None


def window(run, attempt, entry, place):
    parts = split_id(attempt.last_event_id)
    log = run.logs.get((attempt.channel, parts[0])) if parts else None
    if log is None:
        return "the window is said to have passed an id that was never given"
    if not has_left(run, log, parts[1], attempt.head_at) and not run.lost_between(attempt.channel, 0, attempt.head_at):
        return "an id is said to have left the window, which was not full"
    return None


def lagged(run, attempt, entry, place):
    channel = run.channels[attempt.channel]
    if channel.mode == "session" or channel.window is None:
        return "told to lag where nothing may be evicted unread"
    if place is not None and place[0] is entry.log and entry.number - place[1] < channel.window:
        return "told to lag though its place was still in the window"
    return None


def upstream_lost(run, attempt, entry, place):
    connection = entry.log.feeders[-1] if entry.log.feeders else None
    if connection is None or connection.how != "clean":
        return None
    # An end that was not yet in the log when the proxy was killed is not known after it: K10 looks at those seen.
    if run.any_between(connection.opened, attempt.at):
        return None
    return "the upstream is called lost though it ended cleanly"


_JUDGES = {"unknown": unknown, "ahead": ahead, "window": window, "lagged": lagged, "upstream-lost": upstream_lost}


def of(reason):
    return _JUDGES.get(reason, unheard)
