"""Registers cases, runs them, and prints a count.

A case is an async function that takes a Case and raises to fail. Everything it starts is pushed on the case's exit stack
and stopped in reverse order whatever happens. Randomness comes from `case.random`, whose seed is printed with a failure
and can be given back with --seed.
"""

import asyncio
import contextlib
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

_registered = []


class Failure(Exception):
    """What a check raises: a sentence that says what was expected and what was seen."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def check_equal(seen, expected, what):
    if seen != expected:
        raise Failure(f"{what}: expected {expected!r}, seen {seen!r}")


def case(title, *, timeout=30.0, alone=False):
    """Registers an async function. `timeout` is in seconds; `alone` keeps other cases from running beside it."""

    def register(function):
        group = function.__module__.rsplit(".", 1)[-1]
        _registered.append((group, title, timeout, alone, function))
        return function

    return register


class Case:
    def __init__(self, title, seed, folder, binary):
        self.title = title
        self.seed = seed
        self.random = random.Random(f"{seed} {title}")
        self.folder = Path(folder)
        self.binary = binary
        self.stack = contextlib.AsyncExitStack()
        self.notes = []  # Callables that give text worth seeing when the case fails.

    async def enter(self, context):
        return await self.stack.enter_async_context(context)

    def on_failure(self, describe):
        self.notes.append(describe)


async def eventually(question, what, timeout=10.0, interval=0.02):
    """Waits until question() is true (it may be a coroutine function) and gives its value; Failure after `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        value = question()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"not within {timeout:g} s: {what}")
        await asyncio.sleep(interval)


async def _run_one(entry, seed, binary):
    group, title, timeout, _, function = entry
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ssequel-e2e-") as folder:
        one = Case(title, seed, folder, binary)
        problem = None
        notes = []
        try:
            async with one.stack:
                try:
                    await asyncio.wait_for(function(one), timeout)
                except BaseException:
                    notes = [note() for note in one.notes]  # Before the exit stack closes what they speak of.
                    raise
        except asyncio.TimeoutError:
            problem = f"did not end within {timeout:g} s"
        except Failure as failure:
            problem = str(failure)
        except Exception:
            problem = traceback.format_exc().rstrip()
    return group, title, problem, notes, time.monotonic() - started


def _print_failure(title, group, problem, notes, seed):
    print(f"FAILED {group}: {title}\n  seed {seed}")
    print("\n".join("  " + _short(line) for line in problem.splitlines()))
    for note in notes:
        print("\n".join("  | " + _short(line) for line in note.splitlines()[-40:]))
    sys.stdout.flush()


def _short(line, most=600):
    """A list of all that a client saw would bury the other failures."""
    return line if len(line) <= most else f"{line[:most]} ... ({len(line)} characters)"


async def run(*, binary, seed, jobs, only, groups, verbose):
    """Runs what was registered. Gives (passed, failed)."""
    chosen = [
        entry
        for entry in _registered
        if (not groups or entry[0] in groups) and (only is None or only.lower() in entry[1].lower())
    ]
    passed = failed = 0
    by_group = {}
    gate = asyncio.Semaphore(jobs)

    def record(outcome):
        nonlocal passed, failed
        group, title, problem, notes, seconds = outcome
        counts = by_group.setdefault(group, [0, 0, 0.0])
        counts[2] += seconds
        if problem is None:
            passed += 1
            counts[0] += 1
            if verbose:
                print(f"ok {group}: {title} ({seconds:.1f} s)", flush=True)
        else:
            failed += 1
            counts[1] += 1
            _print_failure(title, group, problem, notes, seed)

    async def gated(entry):
        async with gate:
            record(await _run_one(entry, seed, binary))

    await asyncio.gather(*(gated(entry) for entry in chosen if not entry[3]))
    for entry in chosen:
        if entry[3]:
            record(await _run_one(entry, seed, binary))
    for group, (good, bad, seconds) in by_group.items():
        print(f"e2e {group}: {good} ok, {bad} failed, {seconds:.1f} s in all")
    return passed, failed
