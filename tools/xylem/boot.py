# SPDX-License-Identifier: MIT
"""One boot under the eyes of a program: starts QEMU, reads its serial line, ends it when it is done, hangs or takes too long."""
import contextlib
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from .machine import Machine

QUIET_LIMIT = 180   # seconds without a line before a boot counts as hung
TOTAL_LIMIT = 900

# A kernel says that a CPU of its own got no time: the hypervisor is asked by debug keys what it does, while it lasts.
STUCK = re.compile(r"BUG: soft lockup|rcu.*detected stall")
QUESTIONS = "Tqrad"
ANSWER_TIME = 10    # seconds that a machine which hangs has for its answers


class BootError(AssertionError):
    """A boot that did not do what was asked of it; the text ends with the last lines of the console."""


class Boot:
    """A running machine, described by a ready Machine (or what else has its batch()) or by Machine's fields. Use as a context manager; `lines` are the console's lines so far, `times` when each came (s after start)."""

    def __init__(self, ready=None, /, quiet_limit=QUIET_LIMIT, total_limit=TOTAL_LIMIT, echo=False, log=None, **options):
        self.machine = ready or Machine(**options)
        self.quiet_limit, self.total_limit, self.echo = quiet_limit, total_limit, echo
        self.log = open(log, "w", encoding="utf-8") if log else None
        self.lines, self.times = [], []
        self.position = 0
        self.reason = None
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="xylem-boot-"))
        self.queue = queue.Queue()
        self.child = None

    def start(self):
        self.command = self.machine.batch(self.work)
        self.started = self.last = time.monotonic()
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    def _read(self):
        for raw in iter(self.child.stdout.readline, b""):
            self.queue.put((time.monotonic() - self.started, raw.decode(errors="replace").rstrip("\r\n")))
        self.queue.put(None)

    def _next(self):
        """The next line; None at the end of the machine. Raises BootError when it hangs."""
        while True:
            now = time.monotonic()
            left = min(self.last + self.quiet_limit - now, self.started + self.total_limit - now)
            try:
                item = self.queue.get(timeout=max(left, 0.01))
            except queue.Empty:
                quiet = time.monotonic() - self.last >= self.quiet_limit
                self.reason = f"no output for {self.quiet_limit} s" if quiet else f"not finished after {self.total_limit} s"
                error = self.error(f"hang: {self.reason}")  # before the answers: it ends with the machine's own last lines
                self._ask_and_listen()
                raise error from None
            if item is None:
                self.queue.put(None)
                return None
            self.last = time.monotonic()
            self._take(item)
            if STUCK.search(item[1]):
                self._ask()
            return item[1]

    def _take(self, item):
        self.times.append(item[0])
        self.lines.append(item[1])
        if self.echo:
            print(item[1], flush=True)
        if self.log:
            print(f"{item[0]:9.3f} {item[1]}", file=self.log, flush=True)

    def _ask(self):
        """Has the hypervisor print what its CPUs, timers and vCPUs do."""
        with contextlib.suppress(OSError):  # a machine that just ended
            self.switch_input()
            self.send(QUESTIONS)
            self.switch_input()

    def _ask_and_listen(self):
        """The same of a machine that hangs; what it says within ANSWER_TIME still gets into the log."""
        self._ask()
        end = time.monotonic() + ANSWER_TIME
        with contextlib.suppress(queue.Empty):
            while (left := end - time.monotonic()) > 0:
                item = self.queue.get(timeout=left)
                if item is None:
                    self.queue.put(None)
                    return
                self._take(item)

    def expect(self, pattern):
        """Waits for a line that matches and returns the match; lines already read and not yet asked for count too."""
        while True:
            while self.position < len(self.lines):
                self.position += 1
                found = re.search(pattern, self.lines[self.position - 1])
                if found:
                    return found
            if self._next() is None:
                raise self.error(f"the machine ended before a line matched /{pattern}/")

    def send(self, text):
        """Types on the serial line."""
        self.child.stdin.write(text.encode())
        self.child.stdin.flush()

    def switch_input(self):
        """What is typed goes to the hypervisor from now on, as debug keys, or to dom0 again."""
        self.send("\x01" * 3)

    def finish(self):
        """Reads on until QEMU has ended by itself; returns self."""
        while self._next() is not None:
            pass
        self.child.wait(timeout=30)
        return self

    def all(self, pattern):
        """Every match so far, one per line at most."""
        return [found for found in (re.search(pattern, line) for line in self.lines) if found]

    def status(self):
        """Exit status of dom0's script, None when it did not end."""
        ends = self.all(r"xylem-dom0: exit (\d+)")
        return int(ends[-1][1]) if ends else None

    def powered_off(self):
        """Whether dom0 asked for power off and QEMU ended by itself."""
        return bool(self.all(r"xylem-dom0: power off")) and self.child.poll() == 0

    def error(self, text):
        tail = "\n".join(f"  | {line}" for line in self.lines[-40:])
        return BootError(f"{text}\n  QEMU: {' '.join(self.command)}\n{tail}")

    def succeed(self):
        """finish(), then require the script's success and a clean power off."""
        self.finish()
        if self.status() != 0:
            raise self.error("the script did not end" if self.status() is None else f"the script failed with status {self.status()}")
        if not self.powered_off():
            raise self.error("no clean power off")
        return self

    def close(self):
        if self.child and self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGTERM)
            try:
                self.child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait()
        if self.log:
            self.log.close()
        shutil.rmtree(self.work, ignore_errors=True)
