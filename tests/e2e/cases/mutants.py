"""The proxy with a bug put in on purpose (proxy/base/seeded_bug.h): the checker must name an invariant that it breaks, and
must find nothing where there is none. Wants the binary of the preset `seeded`, hence asked for by name only."""

from support.processes import run_to_end
from support.recorded import judge_scenario
from support.runner import Failure, case, check

# The bug: the invariants of which at least one must be named.
BUGS = {
    "ahead-untold": ("K6",),
    "bookmark-ahead": ("K7",),
    "cookie-replayed": ("K14",),
    "dropped-untold": ("K9",),
    "evicted-untold": ("K4", "K6"),
    "evicts-undelivered": ("K12",),
    "heartbeat-is-an-event": ("K2", "K8"),
    "hop-field-leaks": ("K14",),
    "key-without-identity": ("K8", "K15"),
    "key-without-query": ("K8",),
    "lagged-untold": ("K4", "K5"),
    "never-reconnects": ("K15",),
    "older-of-equal-origins": ("K6",),
    "origin-id-first": ("K4", "K6"),
    "partial-event": ("K8",),
    "post-asked-twice": ("K13",),
    "restart-from-one": ("K1",),
    "resume-repeats-one": ("K2", "K6"),
    "resume-skips-one": ("K4", "K6"),
    "split-crlf": ("K8",),
    "tag-without-identity": ("K8",),
    "two-upstreams": ("K13",),
    "upstream-gap-untold": ("K9",),
}
# Those that show only where a store is read again, or lied about.
BUGS_ON_DISK = {
    "emit-before-persist": ("K1", "K2", "K10"),
    "end-not-restored": ("K10",),
    "last-id-not-restored": ("K9",),
    "loss-not-noticed": ("K1", "K2"),
    "number-not-restored": ("K1", "K10"),
    "other-bytes-restored": ("K1", "K8"),
    "store-gap-untold": ("K4",),
}
RUNS = 3  # A fault at random may miss its bug; three in a row do not.


async def require_seeded(t):
    _, out, _ = await run_to_end(t.binary, "--version")
    check("seeded bugs" in out, f"{t.binary} has no bugs to find: cmake --preset seeded && cmake --build --preset seeded, "
                                "then --binary build/seeded/ssequel")


def mutant(bug, invariants, store):
    @case(f"a proxy with the bug {bug} is caught", timeout=120)
    async def run(t):
        await require_seeded(t)
        seen = set()
        for attempt in range(RUNS):
            verdict = await judge_scenario(t, f"{bug}-{attempt}", bug=bug, store=store)
            seen |= verdict.broken
            if seen & set(invariants):
                return
        raise Failure(f"none of {invariants} was named in {RUNS} runs, but {sorted(seen)}")

    return run


def clean(kind, store):
    @case(f"the same run without a bug breaks nothing, {kind}", timeout=60)
    async def run(t):
        await require_seeded(t)
        verdict = await judge_scenario(t, "none", store=store)
        check(verdict.ok, "\n".join(verdict.lines()))

    return run


for _bug, _invariants in BUGS.items():
    mutant(_bug, _invariants, store=False)
for _bug, _invariants in BUGS_ON_DISK.items():
    mutant(_bug, _invariants, store=True)
clean("in memory", store=False)
clean("on disk", store=True)
