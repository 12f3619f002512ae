# SPDX-License-Identifier: MIT
"""The result of a test run: one line per test, and the last line that counts them."""
import sys
import threading

from .say import duration, say


class Suite:
    """Counts and prints results; several threads may report."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, 0
        self.failures = []
        self.lock = threading.Lock()
        colour = sys.stdout.isatty()
        self.words = {"passed": "\033[32mpass\033[0m" if colour else "pass", "failed": "\033[31mFAIL\033[0m" if colour else "FAIL",
                      "skipped": "skip"}

    def result(self, outcome, name, seconds=None, details=()):
        """outcome: passed, failed or skipped."""
        with self.lock:
            setattr(self, outcome, getattr(self, outcome) + 1)
            took = f"  ({duration(seconds)})" if seconds is not None else ""
            say(f"{self.words[outcome]}  {name}{took}")
            for line in details:
                say(f"      {line}")
            if outcome == "failed":
                self.failures.append(name)

    def heading(self, text):
        with self.lock:
            say(f"-- {text}")

    def end(self):
        """The exit status; prints the line of counts, always last."""
        if self.failures:
            say("failed: " + ", ".join(self.failures))
        say(f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else ""))
        return 0 if self.passed and not self.failed else 1
