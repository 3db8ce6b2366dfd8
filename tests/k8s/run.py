#!/usr/bin/env python3
"""Checks what Kubernetes is given: manifests, alerts, dashboard and image.

    python3 tests/k8s/run.py [-g GROUP]... [--binary B] [--base bookworm|trixie] [--keep]

Groups: manifests, rules (alerts and dashboard), scrape (a Prometheus that scrapes the program), image (built and run; takes
minutes where nothing is cached). The last line is `N passed, N failed`; the exit code tells the same. tests/k8s/install.sh
brings the tools.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import image  # noqa: E402
import manifests  # noqa: E402
import rules  # noqa: E402
import scrape  # noqa: E402
from report import Report  # noqa: E402

# The image last: it leaves this machine's network.
GROUPS = {"manifests": manifests, "rules": rules, "scrape": scrape, "image": image}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=Path, default=ROOT / "build/release/ssequel")
    parser.add_argument("-g", "--group", action="append", choices=GROUPS)
    parser.add_argument("--base", default="bookworm", choices=("bookworm", "trixie"), help="Debian that the image is built on")
    parser.add_argument("--keep", action="store_true", help="keep the images, in build/k8s/storage")
    given = parser.parse_args()
    report = Report()
    for name, group in GROUPS.items():
        if not given.group or name in given.group:
            group.run(report, given)
    return 0 if report.close() else 1


if __name__ == "__main__":
    sys.exit(main())
