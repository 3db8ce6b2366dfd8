"""A mixed run of every kind of route, with cuts, upstream breaks and a kill, written down and judged (tests/checker)."""

from support.recorded import judge_scenario
from support.runner import case, check


def holds(kind, store):
    @case(f"every invariant holds in a mixed run with faults, {kind}", timeout=60)
    async def run(t):
        verdict = await judge_scenario(t, "run", store=store)
        check(verdict.ok, "\n".join(verdict.lines()))

    return run


holds("in memory", store=False)
holds("on disk", store=True)
