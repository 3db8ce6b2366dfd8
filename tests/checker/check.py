#!/usr/bin/env python3
"""Judges histories: python3 tests/checker/check.py [-v] FILE...

Prints each violation by its invariant, with evidence, and what was not exercised; then the floors that a history asks for
and did not reach. Exit code 1 if anything of that kind was found but for what was merely not exercised.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import history  # noqa: E402  The path above makes it importable.
from invariants import INVARIANTS, Judge  # noqa: E402

_SHOWN = 4  # Violations of one invariant that are printed in full.


class Verdict:
    def __init__(self, run, judge):
        self.counts = counts_of(run)
        self.violations = judge.violations
        self.exercised = {name: judge.exercised.get(name, 0) for name, _ in INVARIANTS}
        for name, count in self.exercised.items():
            self.counts["exercised:" + name.split()[0]] = count
        self.missed = [(floor["what"], floor["least"], self.counts.get(floor["what"], 0)) for floor in run.floors
                       if self.counts.get(floor["what"], 0) < floor["least"]]

    @property
    def ok(self):
        return not self.violations and not self.missed

    @property
    def broken(self):
        """Short names of the invariants that do not hold: {"K4", ...}."""
        return {name.split()[0] for name, _, _ in self.violations}

    def lines(self, verbose=False):
        shown = {}
        for name, what, evidence in self.violations:
            shown[name] = shown.get(name, 0) + 1
            if shown[name] <= _SHOWN:
                facts = ", ".join(f"{key}={value!r}" for key, value in evidence.items())
                yield f"VIOLATED {name}: {what} ({facts})"
        for name, count in shown.items():
            if count > _SHOWN:
                yield f"VIOLATED {name}: {count - _SHOWN} more"
        for what, least, seen in self.missed:
            yield f"FLOOR {what}: {seen}, at least {least} expected"
        for name, count in self.exercised.items():
            if count == 0:
                yield f"not exercised: {name}"
            elif verbose and name not in shown:
                yield f"holds {count} times: {name}"
        if verbose:
            yield ", ".join(f"{what} {count}" for what, count in self.counts.items() if not what.startswith("exercised"))


def counts_of(run):
    """What floors may ask for."""
    counts = {"blocks": run.blocks, "attempts": len(run.attempts), "connections": len(run.connections),
              "faults": len(run.faults), "goals": len(run.goals), "resumes": 0, "without data": 0, "suffixes": 0, "seams": 0,
              "hops": 0, "hop suffixes": 0, **run.counts}
    nodes = {}  # Client: the node that gave it its last id.
    for fault in run.faults:
        what = "faults:" + fault["class"]
        counts[what] = counts.get(what, 0) + 1
    for attempt in run.attempts.values():
        # Sent on to come back later.
        counts["without data"] += attempt.status == 200 and not attempt.is_stream
        if attempt.last_event_id is not None and attempt.is_stream:
            counts["resumes"] += 1
            hopped = nodes.get(attempt.client, attempt.node) != attempt.node
            counts["hops"] += hopped
            if attempt.entries and not attempt.is_told:
                counts["suffixes"] += 1
                counts["hop suffixes"] += hopped
                # A seam: the replay and what came only afterwards, in one response.
                old = attempt.entries[0].first_at <= attempt.at
                counts["seams"] += old and attempt.entries[-1].first_at > attempt.head_at
        if attempt.entries:
            nodes[attempt.client] = attempt.node
        for entry in attempt.entries:
            if entry.reason is not None:
                counts["sync:" + entry.reason] = counts.get("sync:" + entry.reason, 0) + 1
    return counts


def judge(run):
    judge = Judge()
    for name, invariant in INVARIANTS:
        judge.invariant = name
        invariant(run, judge)
    return Verdict(run, judge)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("-v", dest="verbose", action="store_true", help="also what holds, and counts")
    arguments = parser.parse_args()
    bad = 0
    for path in arguments.files:
        verdict = judge(history.read(path))
        for line in verdict.lines(arguments.verbose):
            print(line)
        print(f"{path}: {'fine' if verdict.ok else 'BAD'}")
        bad += not verdict.ok
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
