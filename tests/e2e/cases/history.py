"""A mixed run of every kind of route, with cuts, upstream breaks and a kill, written down and judged (tests/checker)."""

from support.recorded import judge_scenario
from support.runner import case, check


@case("every invariant holds in a mixed run with faults, in memory", timeout=60)
async def in_memory(t):
    verdict = await judge_scenario(t, "memory")
    check(verdict.ok, "\n".join(verdict.lines()))
