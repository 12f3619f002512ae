# SPDX-License-Identifier: MIT
"""`./xylem bench --profile ROW`: whose instructions an operation of the table takes, and which of the hypervisor's functions. The emulator
executes single instructions for that and writes each one's address into a pipe."""
import bisect
import collections
import os
import pathlib
import re
import subprocess
import tempfile
import time

from . import build
from .boot import Boot
from .monitor import Monitor
from .say import Failure, say

ENOUGH = 3_000_000  # instructions
KERNEL = 0xffffffff80000000
HYPERVISOR = range(0xffff800000000000, 0xffff880000000000)


def count(lines, mark):
    """How often each address of the trace was executed in whole operations, each of which begins at `mark`; and how many those were."""
    counts, piece, total, operations = collections.Counter(), None, 0, 0
    for line in lines:
        found = re.search(r"/([0-9a-f]{16})/", line)
        if not found:
            continue
        address = int(found[1], 16)
        if address == mark:
            if piece is not None:
                counts.update(piece)
                total += piece.total()
                operations += 1
                if total >= ENOUGH:
                    break
            piece = collections.Counter()
        if piece is not None:
            piece[address] += 1
    return counts, operations


def functions():
    """Addresses, sorted, and short names of the hypervisor's functions."""
    listing = subprocess.run(["llvm-nm-19", "--numeric-sort", "--demangle", build.tree("x86_64") / "xylem.sym"], capture_output=True, text=True,
                             check=True).stdout
    found = [match for line in listing.splitlines() if (match := re.match(r"(\w{16}) [tTwW] (.*)", line))]
    return [int(match[1], 16) for match in found], [re.sub(r"\(anonymous namespace\)::|xylem::|\(.*", "", match[2]) for match in found]


def report(counts, operations):
    """Instructions per operation as lines of text."""
    addresses, names = functions()
    sides, inside = collections.Counter(), collections.Counter()
    for address, times in counts.items():
        side = "dom0's kernel" if address >= KERNEL else "the hypervisor" if address in HYPERVISOR else "the program"
        sides[side] += times
        if address in HYPERVISOR:
            inside[names[bisect.bisect_right(addresses, address) - 1]] += times
    rows = [("all", counts.total()), *sides.most_common(), ("", None), *inside.most_common()]
    return "\n".join(f"{times / operations:10.1f}  {name}" if times is not None else "" for name, times in rows
                     if times is None or times >= operations)


def profile(row, log, **machine):
    """Boots, repeats the row's operation in dom0, and returns the report."""
    with tempfile.TemporaryDirectory(prefix="xylem-profile-") as folder:
        monitor, trace = Monitor(folder), pathlib.Path(folder) / "trace"
        os.mkfifo(trace)
        with Boot(quiet_limit=600, total_limit=1800, log=log, script=f"/xylem/bench only {row}; echo PROFILE nothing",
                  extra=monitor.arguments, **machine) as boot:
            found = boot.expect(r"PROFILE (nothing|mark=0x(\w+) divisor=(\d+))")
            if found[1] == "nothing":
                raise Failure(f"--profile: the bench program has no row '{row}'")
            time.sleep(3)  # warm
            monitor.tell("stop", "singlestep on")
            pipe = os.open(trace, os.O_RDONLY | os.O_NONBLOCK)  # before the emulator opens its end
            monitor.tell(f"logfile {trace}", "log exec,nochain")
            os.set_blocking(pipe, True)
            say("  counting single instructions (about a minute)")
            monitor.tell("cont")
            with open(pipe, encoding="ascii", errors="replace") as lines:
                counts, operations = count(lines, int(found[2], 16))
    return report(counts, operations * int(found[3]))
