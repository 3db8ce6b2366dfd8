"""Recorded runs (tests/checker) inside a case: the mixed scenario, and the checker's verdict on it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "checker"))

import check as checker  # noqa: E402  The path above makes these importable.
import history  # noqa: E402
from scenario import Scenario  # noqa: E402

from .setup import start_proxy  # noqa: E402
from .upstreams import Upstream  # noqa: E402

# What a run must have met, or its verdict says little.
FLOORS = {"faults:kill": 1, "resumes": 60, "suffixes": 40, "seams": 10, "sync:upstream-gap": 5, "sync:dropped": 1,
          "sync:ahead": 1, "sync:unknown": 2, "sync:window": 1, "exercised:K7": 1, "goals": 10}
ON_DISK = {"faults:power-loss": 1, "sync:store-gap": 1, "exercised:K10": 10}


async def start_upstream(t, handler):
    return await t.enter(Upstream(handler))


async def judge_scenario(t, name, *, bug=None, store=False):
    """Runs the scenario, with one seeded bug or none; gives the checker's verdict."""
    path = t.folder / f"{name}.jsonl"
    scenario = Scenario(t, start_proxy, start_upstream, path, folder=t.folder / name if store else None,
                        env={"SSEQUEL_SEEDED_BUG": bug} if bug else None)
    for what, least in {**FLOORS, **(ON_DISK if store else {})}.items():
        scenario.history.record("floor", what=what, least=least)
    await scenario.run()
    return checker.judge(history.read(path))
