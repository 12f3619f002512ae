# SPDX-License-Identifier: MIT
"""`./xylem bench`: native Linux, Debian's Xen and Xylem on the same machine under instruction counting, in one table."""
import argparse
import concurrent.futures
import re
import shlex
import shutil
import subprocess

from . import build, debian, packages, profile
from .boot import Boot, BootError
from .say import ROOT, Failure, say, step

SIDES = {"native": "native", "xen": "Xen", "xylem": "Xylem"}
COLUMNS = SIDES | {"xen-domu": "Xen domU", "xylem-domu": "Xylem domU"}
RATIOS = [("xen", "native"), ("xylem", "native"), ("xylem", "xen"), ("xylem-domu", "xen-domu")]
ROWS = [  # key printed by bench/guest, words for people
    ("getppid", "getppid"),
    ("clock_gettime-vdso", "clock_gettime, vdso"),
    ("clock_gettime-syscall", "clock_gettime, system call"),
    ("page-fault", "anonymous page fault"),
    ("mprotect-pair", "mprotect twice and touch"),
    ("fork-exit-wait", "fork + exit + wait"),
    ("vfork-exec-wait", "vfork + exec + wait"),
    ("pipe-ping-pong", "pipe ping-pong, two tasks"),
    ("pipe-write-read", "pipe write + read, one task"),
    ("read-zero-64k", "read 64 KiB of /dev/zero"),
    ("usleep-1us", "usleep(1)"),
    ("privcmd-no-call", "privcmd ioctl without a hypercall"),
    ("privcmd-xen_version", "privcmd xen_version"),
    ("privcmd-nr63", "privcmd hypercall 63 (none)"),
    ("privcmd-yield", "privcmd sched_op yield"),
    ("evtchn-one-task", "event channel loopback, one task"),
    ("evtchn-two-tasks", "event channel ping-pong, two tasks"),
    ("domain-round-trip", "event to another domain and back"),
    ("loaded-round-trip", "the same with a busy guest beside"),
    ("block-read-64k", "read 64 KiB of a disk by blkback"),
    ("block-write-64k", "write 64 KiB to a disk by blkback"),
    ("send-to-dom0", "send 1 MiB to dom0 by netback, TCP"),
    ("send-to-domu", "send 1 MiB to the domU by netback, TCP"),
    ("create", "xl create, 10^6 instructions"),
    ("start", "reset to dom0's kernel clock, 10^6 instructions"),
    ("domu-up", "the domU's kernel to its userspace, 10^6 instructions"),
    ("overhead", "memory beside the domU's own, KiB"),
    ("up", "reset to dom0's userspace, 10^6 instructions"),
    ("memory", "hypervisor's memory, MiB"),
    ("image", "hypervisor's image, bytes"),
]
SCRIPT = """
for tries in 1 2 3; do xl info > /tmp/info 2>/dev/null && break; sleep 1; done
for name in total_memory free_memory; do echo "INFO $name=$(sed -n "s/^$name *: //p" /tmp/info)"; done
echo "INFO dom0=$(xl list 0 2>/dev/null | awk 'NR == 2 { print $3 }')"
/xylem/bench
"""
# The same program in a guest of 256 MiB, then what dom0 and the guest do together. What the guest prints comes through its console's log.
GUEST = """
. /xylem/guest/lib.sh
brctl addbr xenbr0; ip addr add 10.9.0.1/24 dev xenbr0; ip link set xenbr0 up
truncate -s 32M /tmp/a.img
guest_script guest <<'S'
load xen
ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up
/bin/bench
/bin/bench block /dev/xvda
/bin/bench send send-to-dom0 10.9.0.1 5001
(nc -l -p 5002 >/dev/null; say "received") &
/bin/bench echo
S
guest_add guest /xylem/bench
guest_config guest 'disk = ["format=raw,vdev=xvda,access=rw,target=/tmp/a.img"]' 'vif = ["mac=00:16:3e:00:00:01,bridge=xenbr0"]'
timeout 900 nc -l -p 5001 </dev/null >/dev/null &
# The first time waits for a disk, which instructions do not count: the median of the other five.
for round in first 1 2 3 4 5; do
    start=$EPOCHREALTIME
    guest_create guest >/dev/null || exit 1
    end=$EPOCHREALTIME
    [ $round = first ] || echo $(((${end/./} - ${start/./}) / 1000)) >>/tmp/creates
    xl destroy guest && wait_gone guest || exit 1
done
echo "creates:" $(cat /tmp/creates)
echo "DOMU create=$(sort -n /tmp/creates | sed -n 3p)"
free=$(/xylem/bench free)
guest_create guest >/dev/null || exit 1
wait_log guest 'xylem-domu: up' 300 || exit 1
echo "DOMU overhead=$(((free - $(/xylem/bench free)) * 4 - 256 * 1024))"
echo "DOMU up=$(from_log guest 'xylem-domu: up .*seconds=' | tr -d .)"
wait_log guest '^ECHO ' 3000 || exit 1
/xylem/bench send send-to-domu 10.9.0.2 5002 | sed 's/^/DOMU /'
/xylem/bench ping "$(xl domid guest)" "$(from_log guest 'ECHO ')" | sed 's/^/DOMU /'
guest_script spin <<< 'say ready; while :; do :; done'
guest_config spin 'memory = 128'
guest_create spin >/dev/null && wait_log spin 'xylem-domu: ready' 900 || exit 1
/xylem/bench ping "$(xl domid guest)" "$(from_log guest 'ECHO ')" | sed 's/^/DOMU /; s/domain-round-trip/loaded-round-trip/'
tr -d '\\r' <"$(guest_log guest)" | sed -n 's/^BENCH/DOMU BENCH/p'
xl destroy spin; xl destroy guest
"""


def program():
    """The bench program, static, so that it runs in any dom0."""
    packages.need(packages.BUILD)
    target = ROOT / "build/bench/bench"
    sources = sorted((ROOT / "bench/guest").glob("*.cpp"))
    newest = max(path.stat().st_mtime for path in (ROOT / "bench/guest").iterdir())
    if not target.exists() or target.stat().st_mtime < newest:
        target.parent.mkdir(parents=True, exist_ok=True)
        step("building the bench program", ["clang++-19", "-std=gnu++23", "-O2", "-static", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra",
                                            "-D__XEN_TOOLS__", "-I", ROOT, "-fuse-ld=lld", "-Wl,-s", "-o", target, *sources])
    return target.read_bytes()


def dom0_machine(options, binary):
    return dict(cpus=1, memory=2048, dom0_memory=1024, icount=True, cpu=options.cpu, files={"bench": binary}, plain_log=True)


def measure(side, options, binary):
    """One boot; returns {column: {row: value}}."""
    with_guest = side != "native" and not options.no_guest
    machine = dom0_machine(options, binary) | dict(hypervisor=side, script=SCRIPT + GUEST * with_guest, guest=with_guest)
    if side == "xylem" and options.image:
        machine["kernel"] = options.image
    if side == "xen":
        machine["arguments"] = "console_timestamps=boot"
    logs = ROOT / "build/bench"
    with Boot(quiet_limit=1800, total_limit=5400, log=logs / f"{side}.log", **machine) as boot:
        boot.succeed()
        image = boot.machine.image(debian.prepare())
    results = {side: dom0_values(boot)}
    if image:
        results[side]["image"] = image.stat().st_size
    if with_guest:
        results[f"{side}-domu"] = domu_values(boot)
    return results


def dom0_values(boot):
    values = {found[1]: int(found[2]) for found in boot.all(r"^BENCH (\S+) (\d+) \d+ \d+")}
    clocks = boot.all(r"^BENCH-CLOCKS tsc=(\d+) monotonic=(\d+)")
    if not boot.all("^BENCH-END") or not clocks:
        raise boot.error("the bench program did not finish")
    ticks, monotonic = int(clocks[0][1]), int(clocks[0][2])
    values["start"] = round((ticks - monotonic) / 1e6)
    up = boot.all(r"xylem-dom0: up .*seconds=([\d.]+)")
    values["up"] = round(values["start"] + float(up[0][1]) * 1000)
    facts = {found[1]: found[2] for found in boot.all(r"^INFO (\w+)=(\d+)")}
    if len(facts) == 3:
        values["memory"] = int(facts["total_memory"]) - int(facts["free_memory"]) - int(facts["dom0"])
    return values


def domu_values(boot):
    values = {found[1]: int(found[2]) for found in boot.all(r"^DOMU BENCH (\S+) (\d+) \d+ \d+")}
    if not boot.all("^DOMU BENCH-END"):
        raise boot.error("the bench program did not finish in the guest")
    facts = {found[1]: int(found[2]) for found in boot.all(r"^DOMU (create|overhead|up)=(-?\d+)")}
    return values | {"create": facts["create"], "overhead": facts["overhead"], "domu-up": facts["up"] * 10}


def table(results):
    """Markdown, columns padded so that it also reads on a terminal."""
    sides = [side for side in COLUMNS if side in results]
    heads = ["instructions per operation"] + [COLUMNS[side] for side in sides]
    ratios = [pair for pair in RATIOS if pair[0] in results and pair[1] in results]
    heads += [f"{COLUMNS[one]}/{COLUMNS[two]}" for one, two in ratios]
    lines = []
    for key, text in ROWS:
        if not any(key in results[side] for side in sides):
            continue
        cells = [text] + [str(results[side].get(key, "-")) for side in sides]
        for one, two in ratios:
            a, b = results[one].get(key), results[two].get(key)
            cells.append(f"{a / b:.2f}" if a is not None and b else "-")
        lines.append(cells)
    widths = [max(len(row[n]) for row in [heads, *lines]) for n in range(len(heads))]

    def show(cells):
        return "| " + " | ".join(cell.ljust(width) if n == 0 else cell.rjust(width) for n, (cell, width) in enumerate(zip(cells, widths))) + " |"

    rule = "|" + "|".join("-" * (width + 2) if n == 0 else "-" * (width + 1) + ":" for n, width in enumerate(widths)) + "|"
    return "\n".join([show(heads), rule, *map(show, lines)])


def versions():
    commit = "unknown"
    if shutil.which("git"):
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True).stdout.strip() or commit
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    return commit, re.sub(r".*version (\S+).*", r"\1", qemu)


def write(text, words):
    commit, qemu = versions()
    target = ROOT / "bench/results.md"
    target.write_text(f"""# Figures

Made by `{shlex.join(['./xylem', 'bench', *words])}` at commit {commit}, QEMU {qemu} (TCG, `-icount shift=0,sleep=off`), one CPU, 2048 MiB, dom0 1024 MiB,
Debian 12's kernel as dom0 on all sides, and in the domU (256 MiB, one vCPU, xl's default tsc_mode). One executed instruction is one virtual nanosecond, so the figures do not depend on the
machine that ran them; repeated runs differ by about 1 % (sending to dom0 by 4 %). Lower is better. `bench/guest` is the program that measured.

{text}

"Reset to dom0's kernel clock" includes the firmware; it is the TSC less the kernel's monotonic clock. The row below it
counts waiting for devices and timers too, and differs by up to 30 % between runs.
""")
    say(f"\nwritten to {target.relative_to(ROOT)}")


def main(words):
    tool = argparse.ArgumentParser(prog="./xylem bench", description="Boot native Linux, Debian's Xen and Xylem, count the instructions of "
                                   "common operations in each and in a guest, print the table and write bench/results.md. About 10 minutes.")
    tool.add_argument("--sides", default="native,xen,xylem", help="which to measure (native,xen,xylem)")
    tool.add_argument("--image", metavar="PATH", help="another hypervisor image as Xylem's column")
    tool.add_argument("--cpu", default="EPYC", metavar="MODEL", help="QEMU CPU model (EPYC)")
    tool.add_argument("--no-guest", action="store_true", help="only dom0, no domU columns")
    tool.add_argument("--no-write", action="store_true", help="leave bench/results.md alone")
    tool.add_argument("--profile", metavar="ROW", help="instead: where the instructions of one row of dom0's go (its name in bench/guest, as page-fault)")
    tool.add_argument("--one-at-a-time", action="store_true", help="not two machines side by side")
    options = tool.parse_args(words)
    sides = options.sides.split(",")
    for side in sides:
        if side not in SIDES:
            raise Failure(f"--sides: '{side}' is none of {', '.join(SIDES)}")
    if options.profile and options.image:
        raise Failure("--profile names functions by the symbols of ./xylem build's image; leave --image out")
    packages.need(packages.QEMU, packages.DEBIAN, packages.BUILD)
    if "xylem" in sides and not options.image:
        build.hypervisor()
    debian.prepare()
    binary = program()
    if options.profile:
        say("\n" + profile.profile(options.profile, ROOT / "build/bench/profile.log", **dom0_machine(options, binary)))
        return 0
    say(f"Measuring {', '.join(SIDES[side] for side in sides)} (about {2 if options.no_guest else 5} minutes each)")
    results, failed = {}, False
    with concurrent.futures.ThreadPoolExecutor(1 if options.one_at_a_time else 2) as pool:
        for side, future in [(side, pool.submit(measure, side, options, binary)) for side in sides]:
            try:
                results |= future.result()
                say(f"  {SIDES[side]} done")
            except BootError as error:
                failed = True
                say(f"  {SIDES[side]} failed: {error}")
    if not results:
        return 1
    text = table(results)
    say("\n" + text)
    if not (options.no_write or failed or options.no_guest) and len(sides) == len(SIDES):
        write(text, words)
    return 1 if failed else 0
