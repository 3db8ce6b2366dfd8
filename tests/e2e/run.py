#!/usr/bin/env python3
"""Runs the end-to-end cases against a built ssequel.

    python3 tests/e2e/run.py [--binary build/release/ssequel] [-k WORDS] [-g GROUP] [--seed N] [--jobs N] [--threads N] [-v]

Groups are the modules of cases/. Ends with a line `N passed, N failed`; the exit code tells the same.
"""

import argparse
import asyncio
import importlib
import os
import random
import shutil
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

# Groups that want a build of their own, and are run where they are named.
ON_REQUEST = {"mutants"}

from support import runner  # noqa: E402  The path above makes it importable.


def main():
    # A shell's background job has SIGINT ignored, and so would everything started from here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(HERE.parent.parent / "build" / "release" / "ssequel"))
    parser.add_argument("-k", dest="only", help="only cases whose title contains this")
    parser.add_argument("-g", dest="groups", action="append", help="only this group; may be repeated")
    parser.add_argument("--seed", type=int, default=None, help="the seed that a failure printed")
    parser.add_argument("--jobs", type=int, default=3, help="cases at the same time")
    parser.add_argument("--threads", default="1", help="event loops of every proxy (`threads:` of its configuration)")
    parser.add_argument("-v", dest="verbose", action="store_true")
    arguments = parser.parse_args()

    os.environ["SSEQUEL_THREADS"] = arguments.threads
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    groups = sorted(path.stem for path in (HERE / "cases").glob("*.py") if path.stem != "__init__")
    for group in groups:
        importlib.import_module(f"cases.{group}")
    wanted = arguments.groups or [group for group in groups if group not in ON_REQUEST]
    if wanted != ["harness"] and not Path(arguments.binary).exists():
        sys.exit(f"no {arguments.binary}: build it first (cmake --preset release && cmake --build --preset release)")
    for program in ("node", "curl"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed: see tests/install.sh")
    print(f"e2e seed {seed}", flush=True)
    passed, failed = asyncio.run(
        runner.run(binary=arguments.binary, seed=seed, jobs=arguments.jobs, only=arguments.only,
                   groups=set(wanted), verbose=arguments.verbose)
    )
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
