"""Each invariant on two small histories made by hand: one in which it holds, one in which it does not.

    python3 -m unittest discover -s tests/checker
"""

import io
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path

import check
import history
from sources import payload_digest

TAG = "0123456789abcdefghijkl"
OTHER = "zyxwvutsrqponmlkjihgfe"


class Story:
    """A history told in a few words. Time passes by a tenth of a second with each record."""

    def __init__(self, **channel):
        self.records = []
        self.at = 0.0
        self.connections = 0
        self.attempts = 0
        self.positions = {}
        self.channel("c", **channel)

    def tell(self, kind, **facts):
        self.at = round(self.at + 0.1, 1)
        self.records.append({"kind": kind, "at": self.at, **facts})
        return self

    def channel(self, name, **more):
        return self.tell("channel", channel=name, **more)

    def connect(self, channel="c", **more):
        self.connections += 1
        return self.tell("connect", connection=self.connections, channel=channel, **more)

    def send(self, *nonces, connection=None, **more):
        for nonce in nonces:
            self.tell("sent", connection=connection or self.connections, nonce=nonce, payload=payload_of(nonce), **more)
        return self

    def disconnect(self, how="broken", connection=None):
        return self.tell("disconnect", connection=connection or self.connections, how=how)

    def attempt(self, client="anna", channel="c", resume="live", status=200, fields=(), **more):
        self.attempts += 1
        self.tell("attempt", attempt=self.attempts, client=client, channel=channel, **more)
        fields = [["Ssequel-Resume", resume], *fields]
        return self.tell("head", attempt=self.attempts, status=status, fields=fields)

    def get(self, *blocks):
        """Each block: (id, nonce), (id, None, reason) or (id,), which is a bookmark."""
        return self.tell("blocks", attempt=self.attempts, rows=[row(*block) for block in blocks])

    def end(self, how="cut"):
        return self.tell("ended", attempt=self.attempts, how=how)

    def fault(self, kind="kill"):
        return self.tell("fault", **{"class": kind}, until=self.at + 0.1)

    def verdict(self):
        return check.judge(history.build(self.records))


def payload_of(nonce):
    return payload_digest("message", nonce)


def row(name, nonce=None, reason=None, frame=None, payload=None):
    if nonce is None and reason is None:
        return [name, None, "", "", None, None]
    event = "sync-required" if reason else "message"
    return [name, event, frame or f"{name}/{nonce or reason}", payload or payload_of(nonce or reason), nonce, reason]


def stream(*nonces, **channel):
    """A channel whose upstream has sent these."""
    return Story(**channel).connect().send(*nonces)


class Invariants(unittest.TestCase):
    def holds(self, name, story):
        verdict = story.verdict()
        self.assertGreater(verdict.exercised[next(each for each in verdict.exercised if each.split()[0] == name)], 0)
        self.assertEqual([], verdict.violations)

    def breaks(self, name, story, evidence=""):
        lines = [line for line in story.verdict().lines() if line.startswith(f"VIOLATED {name} ")]
        self.assertTrue(lines, f"{name} sees nothing")
        self.assertIn(evidence, lines[0])

    def test_k1_agreement(self):
        both = stream("a", "b").attempt().get(("10", "a"), ("11", "b")).end().attempt("ben")
        self.holds("K1", both.get(("10", "a")))
        both = stream("a", "b").attempt().get(("10", "a"), ("11", "b")).end().attempt("ben")
        self.breaks("K1", both.get(("10", "b")), "'10'")

    def test_k1_agreement_with_the_store(self):
        self.holds("K1", stream("a").attempt().get(("10", "a")).tell("dump", channel="c", entries=[[10, "10/a"]]))
        self.breaks("K1", stream("a").attempt().get(("10", "a")).tell("dump", channel="c", entries=[[10, "10/b"]]))

    def test_k2_ordered(self):
        self.holds("K2", stream("a", "b").attempt().get(("10", "a")).end()
                   .attempt(last_event_id="10", resume="suffix").get(("11", "b")))
        self.breaks("K2", stream("a", "b").attempt().get(("10", "a"), ("11", "b")).end()
                    .attempt(last_event_id="11", resume="suffix").get(("11", "b")), "'anna'")

    def test_k2_wants_an_id_on_every_event(self):
        self.breaks("K2", stream("a").attempt().get((None, "a")), "without an id")

    def test_k3_unique(self):
        self.holds("K3", stream("a", "b").attempt().get(("10", "a"), ("11", "b")))
        self.breaks("K3", stream("a").attempt().get(("10", "a"), ("11", "a")), "'a'")

    def test_k4_contiguous(self):
        self.holds("K4", stream("a", "b").attempt().get(("9",), ("10", "a"), ("11", "b")))
        self.breaks("K4", stream("a", "b").attempt().get(("10", "a"), ("12", "b")), "after=10")

    def test_k4_counts_from_the_resume_point(self):
        begun = stream("a", "b", "c").attempt().get(("10", "a"), ("11", "b"), ("12", "c")).end()
        self.breaks("K4", begun.attempt(last_event_id="10", resume="suffix").get(("12", "c")), "after=10")

    def test_k4_accepts_what_is_told(self):
        story = stream(*"abcdefg", window=3).attempt().get(("10", "a"), ("15", None, "lagged"), ("16", "g"))
        self.holds("K4", story.end().attempt("ben").get(("15", "f"), ("16", "g")))

    def test_k5_reliable(self):
        seen = stream("a", "b", "c").attempt().get(("10", "a"), ("20", "b"), ("30", "c")).end().attempt("ben")
        self.assertNotIn("K5", seen.get(("10", "a"), ("20", "b")).verdict().broken)
        seen = stream("a", "b", "c").attempt().get(("10", "a"), ("20", "b"), ("30", "c")).end().attempt("ben")
        self.breaks("K5", seen.get(("10", "a"), ("30", "c")), "missed=[20]")

    def test_k6_resumable(self):
        story = stream("a", "b", "c").attempt().get(("10", "a"), ("11", "b"), ("12", "c")).end()
        self.holds("K6", story.attempt("ben", last_event_id="10", resume="suffix").get(("11", "b")))
        self.breaks("K6", story.attempt("cleo", last_event_id="10", resume="suffix").get(("12", "c")), "expected=11")

    def test_k6_no_id_goes_live_in_silence(self):
        story = stream("a").disconnect().connect().attempt().get(("10", "a")).end()
        self.holds("K6", story.attempt("ben", last_event_id="10", resume="suffix").get(("11", None, "upstream-gap")))
        self.breaks("K6", story.attempt("cleo", last_event_id="99", resume="live"), "never gave")

    def test_k6_by_an_origin_id(self):
        story = Story().connect().send("a", origin="x").send("b", origin="x").send("c", origin="y")
        story.attempt().get(("10", "a"), ("11", "b"), ("12", "c")).end()
        self.holds("K6", story.attempt("ben", last_event_id="x", resume="suffix").get(("12", "c")))
        self.breaks("K6", story.attempt("cleo", last_event_id="x", resume="suffix").get(("11", "b")), "origin id")

    def test_k7_bookmark(self):
        self.holds("K7", stream("a").attempt().get(("9",), ("10", "a")))
        self.breaks("K7", stream("a", "b").attempt().get(("10", "a"), ("13",), ("11", "b")), "bookmark='13'")

    def test_k8_no_phantom(self):
        self.holds("K8", stream("a").attempt().get(("10", "a")))
        self.breaks("K8", stream("a").attempt().get(("10", "b")), "no upstream sent")
        self.breaks("K8", stream("a").channel("d").attempt(channel="d").get(("10", "a")), "an event of c")
        self.breaks("K8", Story().connect().send("a", whole=False).attempt().get(("10", "a")), "never finished")
        self.breaks("K8", stream("a").attempt().get(("10", "a", None, None, "x")), "other content")

    def test_k8_a_tag_has_one_home(self):
        story = stream("a").channel("d").connect("d").send("b").attempt().get((f"{TAG}-1", "a")).end()
        self.holds("K8", story.attempt("ben", "d").get((f"{OTHER}-1", "b")))
        self.breaks("K8", story.attempt("cleo", "d").get((f"{TAG}-2", "b")), "one tag")

    def test_k8_a_log_has_one_replica(self):
        def story(name):
            begun = stream("a", "b", mode="replicas").attempt(fields=[["X-Pod", "one"]]).get((f"{TAG}-1", "a")).end()
            return begun.attempt("ben", fields=[["X-Pod", "two"]]).get((name, "b"))

        self.holds("K8", story(f"{OTHER}-1"))
        self.breaks("K8", story(f"{TAG}-2"), "several replicas")

    def test_k9_source_order(self):
        self.holds("K9", stream("a", "b").attempt().get(("10", "a"), ("11", "b")))
        self.breaks("K9", stream("a", "b").attempt().get(("10", "b"), ("11", "a")), "another order")
        self.breaks("K9", stream("a", "b", "c").attempt().get(("10", "a"), ("11", "c")), "missing=['b']")

    def test_k9_upstream_gaps_are_told(self):
        story = stream("a").disconnect().connect().send("b").attempt()
        self.holds("K9", story.get(("10", "a"), ("11", None, "upstream-gap"), ("12", "b")))
        story = stream("a").disconnect().connect().send("b").attempt()
        self.breaks("K9", story.get(("10", "a"), ("11", "b")), "no upstream-gap")

    def test_k9_dropped_events_are_told(self):
        story = stream("a").send("b", oversized=True).send("c").attempt()
        self.holds("K9", story.get(("10", "a"), ("11", None, "dropped"), ("12", "c")))
        story = stream("a").send("b", oversized=True).send("c").attempt()
        self.breaks("K9", story.get(("10", "a"), ("11", "c")), "`dropped`")

    def test_k9_nothing_is_missing_where_the_upstream_resumes(self):
        def story(seq):
            told = Story(told=False, lossless=True).connect().send("a", seq=1).disconnect().connect()
            return told.send("b", seq=seq).attempt().get(("10", "a"), ("11", "b"))
        self.holds("K9", story(2))
        self.breaks("K9", story(3), "seqs=[1, 3]")

    def test_k9_a_clean_end_loses_nothing(self):
        story = stream("a", "b").disconnect("clean").connect().send("c").attempt()
        self.breaks("K9", story.get(("10", "a"), ("11", None, "upstream-gap"), ("12", "c")), "missing=['b']")

    def test_k9_each_node_has_an_order_of_its_own(self):
        def story(*nonces):
            told = Story(producers="all").connect(node="one").send("a", "b").connect(node="two").send("x", "y")
            return told.attempt().get(*((str(10 + place), nonce) for place, nonce in enumerate(nonces)))
        self.holds("K9", story("a", "x", "b", "y"))
        self.breaks("K9", story("b", "x", "a", "y"), "another order")
        self.breaks("K9", Story(producers="all").connect(node="one").send("a", "b", "c").connect(node="two").send("x")
                    .attempt().get(("10", "a"), ("11", "x"), ("12", "c")), "missing=['b']")

    def test_k9_another_connection_of_one_node_is_told(self):
        def story(*gap):
            told = Story(producers="all").connect(node="one").send("a").disconnect().connect(node="one").send("b")
            return told.attempt().get(("10", "a"), *gap, (str(11 + len(gap)), "b"))
        self.holds("K9", story(("11", None, "upstream-gap")))
        self.breaks("K9", story(), "no upstream-gap")

    def test_k10_durable(self):
        def story(*block):
            told = stream("a", "b", survives=["kill"]).attempt().get(("10", "a"), ("11", "b")).end("broken").fault()
            return told.attempt("ben", last_event_id="10", resume="suffix").get(block)
        self.holds("K10", story("11", "b"))
        self.breaks("K10", story("11", None, "unknown"), "told='unknown'")

    def test_k10_asks_nothing_of_what_does_not_survive(self):
        story = stream("a").attempt().get(("10", "a")).end("broken").fault()
        story.attempt(last_event_id="10", resume="sync-required; reason=unknown").get(("50", None, "unknown"))
        self.assertEqual([], story.verdict().violations)

    def test_k10_an_end_stays_what_it_was(self):
        def story(how):
            told = stream("a", "b", mode="session", survives=["kill"]).disconnect("clean").attempt()
            told.get((f"{TAG}-1", "a"), (f"{TAG}-2", "b")).end("clean").tell("goal", channel="c", client="anna",
                                                                          nonce="b", within=9)
            told.tell("exit", code=-9, expected=True).tell("exit", code=-9, expected=True).fault()
            told.tell("exit", code=0, expected=True).attempt("ben", last_event_id=f"{TAG}-1", resume="suffix")
            return told.get((f"{TAG}-2", "b")).end(how)
        self.holds("K10", story("clean"))
        self.breaks("K10", story("broken"), "breaks off")

    def test_k11_fence(self):
        self.holds("K11", Story().tell("dump", channel="c", entries=[[1, "x", 1, 1], [2, "y", 1, 2]]))
        self.breaks("K11", Story().tell("dump", channel="c", entries=[[1, "x", 1, 2], [2, "y", 1, 1]]), "number=2")

    def test_k12_unknown(self):
        story = stream("a").attempt().get(("10", "a")).end()
        self.holds("K12", story.attempt("ben", last_event_id="zzz", resume="sync-required").get(("10", None, "unknown")))
        self.breaks("K12", story.attempt("cleo", last_event_id="10", resume="sync-required")
                    .get(("10", None, "unknown")), "called unknown")

    def test_k12_unknown_among_replicas(self):
        def story(pod):
            begun = stream("a", "b", mode="replicas").attempt(fields=[["X-Pod", "one"]]).get((f"{TAG}-1", "a")).end()
            return begun.attempt(last_event_id=f"{TAG}-1", resume="sync-required", fields=[["X-Pod", pod]]).get(
                (f"{OTHER if pod == 'two' else TAG}-1", None, "unknown"))

        self.holds("K12", story("two"))
        self.breaks("K12", story("one"), "this replica gave")

    def test_k12_unknown_of_a_session_among_replicas(self):
        def story(pod):
            begun = stream("a", mode="session", replicas=True).attempt(fields=[["X-Pod", "one"]])
            begun.get((f"{TAG}-1", "a")).end().fault("rollout")
            return begun.attempt(last_event_id=f"{TAG}-1", resume="sync-required", fields=[["X-Pod", pod]]).get(
                (f"{OTHER}-0", None, "unknown"))

        self.holds("K12", story("two"))
        self.breaks("K12", story("one"), "this replica gave")

    def test_k12_window_and_lagged(self):
        def story(window, reason):
            told = stream(*"abcdef", window=window).attempt().get(*((str(10 + i), n) for i, n in enumerate("abcdef")))
            told.end().attempt("ben", last_event_id="10", resume="sync-required")
            return told.get(("15", None, reason))
        self.holds("K12", story(4, "window"))
        nobody = stream(*"ab", window=4).attempt().get(("10", "a")).end().attempt("ben")  # Saw what was between.
        self.holds("K12", nobody.get(("14", None, "lagged")).end().attempt("cleo", last_event_id="10", resume="sync-required")
                   .get(("14", None, "window")))
        self.breaks("K12", story(9, "window"), "not full")
        self.breaks("K12", stream("a", "b", window=4).attempt().get(("10", "a"), ("11", None, "lagged")), "still in")

    def test_k12_entries(self):
        self.breaks("K12", stream("a", "b").attempt().get(("10", "a"), ("11", None, "upstream-gap"), ("12", "b")),
                    "the upstream stood")
        self.breaks("K12", stream("a").attempt().get(("10", "a"), ("11", None, "dropped")), "for nothing")
        self.breaks("K12", stream("a").attempt().get(("10", "a"), ("12", None, "store-gap")), "lost nothing")
        self.holds("K12", stream("a").fault("power-loss").attempt().get(("10", "a"), ("90", None, "store-gap")))
        for kind in ("pause", "drain", "partition"):
            self.breaks("K12", stream("a").fault(kind).attempt().get(("10", "a"), ("90", None, "store-gap")), "lost nothing")
        self.breaks("K12", stream("a").fault("redis-flush").attempt().get(
            ("10", "a"), ("90", None, "store-gap"), ("190", None, "store-gap")), "gaps=2, losses=1")
        self.breaks("K12", stream("a").attempt().get(("10", "a"), ("90", None, "store-gap")).fault("redis-flush"), "losses=0")

    def test_k12_gaps_of_several_producers(self):
        def story(gaps):
            told = Story(producers="all").connect(node="one").send("a").connect(node="two").send("x").attempt()
            return told.get(("10", "a"), ("11", "x"), *((str(12 + gap), None, "upstream-gap") for gap in range(gaps)))
        self.holds("K12", story(1))
        self.breaks("K12", story(2), "more upstream-gaps")

    def test_k12_upstream_lost(self):
        def story(how):
            told = stream("a", mode="session").disconnect(how).attempt(method="POST")
            return told.get((f"{TAG}-1", "a"), (f"{TAG}-1", None, "upstream-lost")).end("broken")
        self.holds("K12", story("broken"))
        self.breaks("K12", story("clean"), "ended cleanly")

    def test_k13_upstream_count(self):
        self.holds("K13", Story().connect().disconnect().connect())
        late = Story().connect().connect()
        late.at += 2
        self.breaks("K13", late.disconnect(connection=1), "connections=[1, 2]")

    def test_k13_a_hand_over_takes_only_so_long(self):
        def story(seconds, **more):
            told = Story(overlap=3, **more).connect().connect()
            told.at += seconds
            return told.disconnect(connection=1)
        self.holds("K13", story(2))
        self.breaks("K13", story(4), "connections=[1, 2]")
        three = Story(overlap=3).connect().connect().connect()
        three.at += 2
        self.breaks("K13", three.disconnect(connection=1).disconnect(connection=2), "connections=[1, 2, 3]")

    def test_k13_one_for_each_node(self):
        def story(node):
            late = Story(producers="all").connect(node="one").connect(node=node)
            late.at += 2
            return late.disconnect(connection=1)
        self.holds("K13", story("two"))
        self.breaks("K13", story("one"), "connections=[1, 2]")

    def test_k13_a_post_is_asked_once(self):
        def story(times):
            told = Story(mode="session")
            for _ in range(times):
                told.connect(method="POST", ask="q").disconnect()
            return told.attempt(method="POST", ask="q")
        self.holds("K13", story(1))
        self.breaks("K13", story(2), "2 times")
        self.breaks("K13", Story(mode="session").connect(method="POST", ask="q")
                    .attempt(method="POST", ask="q", last_event_id=f"{TAG}-1"), "at most 0")

    def test_k14_headers(self):
        def story(*fields):
            return Story(fields=["Ssequel-Resume", "Set-Cookie"]).attempt(fields=fields, ask="q1")
        self.holds("K14", story(["set-cookie", "canary-q1-7"]))
        self.breaks("K14", story(["Set-Cookie", "canary-q2-7"]), "somebody else")
        self.breaks("K14", story(["X-Hop", "1"]), "X-Hop")

    def test_k15_progress(self):
        def story(nonce):
            return stream("a").attempt().tell("goal", channel="c", client="anna", nonce=nonce, within=1).get(("10", "a"))
        self.holds("K15", story("a"))
        self.breaks("K15", story("b"), "in time")

    def test_k16_hygiene(self):
        def story(fds, expected=True):
            told = Story().tell("resources", when="before", process=1, fds=9)
            return told.tell("exit", code=0, expected=expected).tell("resources", when="after", process=1, fds=fds)
        self.holds("K16", story(10))
        self.breaks("K16", story(30), "left over")
        self.breaks("K16", story(9, expected=False), "by itself")
        self.breaks("K16", Story().tell("report", text="AddressSanitizer"), "AddressSanitizer")


class Judgement(unittest.TestCase):
    def test_a_floor_that_is_not_reached_fails_the_run(self):
        story = stream("a").attempt().get(("10", "a")).tell("floor", what="faults:kill", least=1)
        self.assertFalse(story.verdict().ok)
        self.assertTrue(story.fault().verdict().ok)

    def test_hops_and_what_a_run_counts_itself_may_be_floors(self):
        def story(second):
            told = stream("a", "b").attempt(node="one").get(("10", "a")).end()
            told.attempt(last_event_id="10", resume="suffix", node=second).get(("11", "b"))
            return told.tell("count", what="hand-overs")

        def counts(second):
            return [story(second).verdict().counts[each] for each in ("hops", "hop suffixes", "hand-overs")]

        self.assertEqual(([1, 1, 1], [0, 0, 1]), (counts("two"), counts("one")))
        self.assertIn("node='two'", next(line for line in story("two").end().attempt(
            last_event_id="11", node="two", resume="suffix").get(("11", "b")).verdict().lines() if "K2" in line))

    def test_what_was_not_exercised_is_said(self):
        self.assertIn("not exercised: K11 fence", list(stream("a").attempt().get(("10", "a")).verdict().lines()))

    def test_a_file_is_judged_as_its_records_are_and_a_torn_last_line_is_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "h.jsonl"
            writer = history.Writer(path)
            for record in stream("a").attempt().get(("10", "b")).records:
                writer.record(**record)
            writer.close()
            with open(path, "a", encoding="utf-8") as file:
                file.write('{"kind":"blo')
            self.assertEqual({"K8"}, check.judge(history.read(path)).broken)
            with redirect_stdout(io.StringIO()) as out:
                check.sys.argv = ["check.py", str(path)]
                self.assertRaises(SystemExit, check.main)
            self.assertIn("BAD", out.getvalue())


if __name__ == "__main__":
    unittest.main()
