# SPDX-License-Identifier: MIT
"""Helpers of the boot tests: scripts for dom0 and reading their answers."""
import os
import re

from xylem import packages
from xylem.say import ROOT, step


def log_file(test, rest):
    """Where the console of a test's boot is kept; `rest` tells its boots and sides apart."""
    folder = ROOT / "build/boot-logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / (re.sub(r"\W+", "_", test).strip("_") + f"{rest}.log")


# Prepended to scripts: `answer NAME VALUE` prints one fact; `must TEXT COMMAND...` fails the script when the command does.
PRELUDE = r"""
answer() { local name=$1; shift; echo "ANSWER $name=$*"; }
must() { local text=$1; shift; "$@" || { echo "MUST failed: $text ($*)"; exit 1; }; }
interrupts() { awk -v want="$1" 'NR > 1 && $0 ~ want { n = 0; for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i; sum += n } END { print sum + 0 }' /proc/interrupts; }
"""


def script(text):
    return PRELUDE + text


def answers(boot):
    """The facts a script printed, by name."""
    return {found[1]: found[2] for found in boot.all(r"ANSWER (\w+)=(.*)$")}


def kernel_messages(lines):
    """dmesg lines made comparable: no times, addresses, counts or process ids."""
    result = []
    for line in lines:
        line = re.sub(r"\x1b\[[0-9;]*m", "", line)
        line = re.sub(r"^\[ *[\d.]+\] ?", "", line)
        line = re.sub(r"0x[0-9a-fA-F]+|\b[0-9a-f]{8,16}\b", "#", line)
        result.append(re.sub(r"\d+", "N", line).strip())
    return result


# Prepended to scripts that start guests. `check NAME COMMAND...` runs a command and says how it went; a script goes on after
# a failure, so that one boot shows all there is to see.
GUESTS = r"""
. /xylem/guest/lib.sh
exec 3>&1
# progress TEXT: to the console at once, also from within a check
progress() { echo "  $*" >&3; }
check() {
    local name=$1 status; shift
    ("$@") >/tmp/check.out 2>&1; status=$?; checked=$status
    if [ $status = 0 ]; then echo "CHECK $name ok"; else echo "CHECK $name FAILED with status $status: $*"; fi
    sed "s/^/  $name: /" /tmp/check.out | tail -40
}
# need: a check without which the rest makes no sense
need() { check "$@"; [ $checked = 0 ] || { echo "NEEDED $1"; exit 1; }; }
equal() { [ "$1" = "$2" ] || { echo "got '$1', wanted '$2'"; return 1; }; }
between() { [ "$2" -ge "$1" ] && [ "$2" -le "$3" ] || { echo "got '$2', wanted $1 to $3"; return 1; }; }
fails() { if "$@"; then echo "worked, but must not: $*"; return 1; fi; }
within() { local left=$(($1 * 5)); shift; until "$@" >/dev/null 2>&1; do left=$((left - 1)); [ $left -gt 0 ] || { "$@"; return; }; sleep 0.2; done; }
only_dom0() { [ "$(xl list | wc -l)" = 2 ] || { xl list; return 1; }; }
free_pages() { /xylem/probe free-pages; }
no_loops() { ! losetup -a | grep /var/tmp; }
# The hypervisor's own pools may have grown by a few pages: SLACK says how many (64).
pages_back() { [ "$(free_pages)" -ge $(($1 - $2)) ]; }
same_free_pages() { within 20 pages_back "$1" "${2:-64}" || { echo "free pages: $1 before, $(free_pages) now"; return 1; }; }
no_oops() { ! dmesg | grep -A 12 -e 'BUG:' -e 'Oops' -e 'Call Trace' -e 'soft lockup' -e 'rcu.*stall'; }
domain_state() { xl list "$1" | awk 'NR == 2 { print $5 }'; }
"""
# The same for every boot with guests: nothing is left of them, and neither dom0's kernel nor the hypervisor complained.
GUESTS_END = r"""
for id in $(xl list | awk 'NR > 2 { print $2 }'); do xl destroy "$id"; done
check nothing_left within 30 only_dom0
check dom0_sound no_oops
page_check() { xl debug-keys P; sleep 3; xl dmesg | grep 'page check' | tail -1 | grep 'page check: ok'; }
grep -q Xylem /sys/hypervisor/properties/changeset && check page_check page_check
true
"""


def guest_script(text):
    """A script for dom0 that starts guests."""
    return script(GUESTS + text + GUESTS_END)


def checks(boot):
    """{name: whether it held} of a guest script's checks."""
    return {found[1]: found[2] == "ok" for found in boot.all(r"CHECK (\w+) (ok|FAILED)")}


def judge_checks(boot, names):
    """Every named check was made and held. The error shows what failed, each with its output."""
    boot.finish()
    seen = checks(boot)
    wanted = [*names.split(), "nothing_left", "dom0_sound"]
    failed = [name for name, held in seen.items() if not held]
    failed += [f"{name} (not reached)" for name in wanted if name not in seen]
    if failed:
        shown = [line for line in boot.lines if any(f"CHECK {name} " in line or line.startswith(f"  {name}: ") for name in failed)]
        raise boot.error("\n".join(["failed: " + ", ".join(failed), *shown[:200]]))
    boot.succeed()


def probe():
    """The program of tests/boot/probe, static, so that it runs in dom0 and in any guest."""
    packages.need(packages.BUILD)
    target = ROOT / "build/probe/probe"
    sources = sorted((ROOT / "tests/boot/probe").glob("*.cpp"))
    if not target.exists() or target.stat().st_mtime < max(path.stat().st_mtime for path in (ROOT / "tests/boot/probe").iterdir()):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"probe.{os.getpid()}")  # several pytest processes may build at once
        step("building the probe", ["clang++-19", "-std=gnu++23", "-O2", "-static", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra",
                                    "-D__XEN_TOOLS__", "-I", ROOT, "-fuse-ld=lld", "-Wl,-s", "-o", part, *sources])
        part.rename(target)
    return target.read_bytes()
