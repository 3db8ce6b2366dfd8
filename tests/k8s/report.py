"""Counts what held and what did not, and says what was skipped and why."""

import time
import traceback


class Wrong(Exception):
    """What a check found, in a sentence."""


class Skipped(Exception):
    """Why a check cannot be made here."""


def expect(condition, sentence):
    if not condition:
        raise Wrong(sentence)


def equal(found, wanted, what):
    expect(found == wanted, f"{what}: found {found!r}, wanted {wanted!r}")


class Report:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, title, function, *arguments):
        """Runs one check. Returns what it returned, or None where it failed."""
        began = time.monotonic()
        try:
            result = function(*arguments)
        except Skipped as reason:
            self.skipped += 1
            print(f"skipped: {title}: {reason}", flush=True)
            return None
        except Wrong as reason:
            self.failed += 1
            print(f"FAILED: {title}\n  {reason}", flush=True)
            return None
        except Exception:  # pylint: disable=broad-except
            self.failed += 1
            print(f"FAILED: {title}\n{traceback.format_exc()}", flush=True)
            return None
        self.passed += 1
        print(f"ok ({time.monotonic() - began:.1f} s): {title}", flush=True)
        return result

    def close(self):
        if self.skipped:
            print(f"{self.skipped} skipped")
        print(f"{self.passed} passed, {self.failed} failed")
        return self.passed > 0 and self.failed == 0
