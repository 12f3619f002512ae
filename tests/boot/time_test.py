# SPDX-License-Identifier: MIT
"""Clocks and interrupts of dom0."""
import re

import pytest
from library import answers, script


def clocks(seconds):
    return script(f"""
answer source $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
for i in 1 2 3; do sleep {seconds // 2}; read up rest < /proc/uptime; echo "TICK $up ${{EPOCHREALTIME}}"; done
before=$(interrupts timer)
sleep 2
answer timer $(($(interrupts timer) - before))
answer unstable $(dmesg | grep -ci 'clocksource.*unstable')
cat /proc/interrupts | sed 's/^/INTERRUPTS /'
""")


def passed(machine):
    """Seconds between the first and the last TICK: the host's (when the lines came), of dom0's uptime, and of its wall clock."""
    ticks = [(machine.times[n], *map(float, line.split()[1:])) for n, line in enumerate(machine.lines) if line.startswith("TICK ")]
    assert len(ticks) == 3
    return tuple(ticks[2][n] - ticks[0][n] for n in range(3))


def interrupt_rows(machine):
    """The rows of /proc/interrupts by chip and name."""
    rows = (re.match(r"INTERRUPTS +(\w+):[ \d]*(.*)", line) for line in machine.lines)
    return {re.sub(" +", " ", row[2]) if row[1].isdigit() else row[1] for row in rows if row}


@pytest.mark.parametrize("cpus", [1, 2])
def test_time_clocksource_and_drift(boot, cpus):
    """Dom0 uses the Xen clock, its timer fires, and 20 of its seconds are the host's to 0.3 s (measured by when lines arrive)."""
    machine = boot(cpus=cpus, script=clocks(20)).succeed()
    facts = answers(machine)
    # real Xen gives "xen" or "tsc" depending on the CPU's promises
    assert facts["source"] in ("xen", "tsc")
    assert int(facts["timer"]) > 0
    assert facts["unstable"] == "0"
    host, uptime, wall = passed(machine)
    assert uptime >= 20
    assert uptime == pytest.approx(host, rel=0.01, abs=0.3)
    assert wall == pytest.approx(host, rel=0.01, abs=0.3)
    rows = interrupt_rows(machine)
    for word in ("timer", "resched", "callfunc") if cpus > 1 else ("timer",):
        assert any(word in row for row in rows), f"no {word} line in /proc/interrupts"
    assert any("xen-dyn" in row for row in rows)


@pytest.mark.long
def test_time_two_minutes_as_on_xen(boot):
    """The clock source and the rows of /proc/interrupts are real Xen's, and two minutes of dom0's are as exactly the host's."""
    ours, xens = boot(cpus=2, script=clocks(120)), boot(cpus=2, script=clocks(120), hypervisor="xen")
    for machine in (ours, xens):
        host, uptime, wall = passed(machine.succeed())
        print(f"{machine.machine.hypervisor}: in {host:.3f} s of the host's dom0's uptime went on by {uptime:.2f} s, its wall clock by {wall:.3f} s")
        assert uptime >= 120
        assert uptime == pytest.approx(host, abs=0.3) and wall == pytest.approx(host, abs=0.3)
    assert answers(ours)["source"] == answers(xens)["source"]
    known = interrupt_rows(xens)
    assert interrupt_rows(ours) == known and "xen-percpu -virq timer1" in known


def test_time_sleep_is_not_early(boot):
    """100 sleeps of 10 ms take at least a second and not ten."""
    machine = boot(toolstack=False, script=script("""
start=$(date +%s%N)
for i in $(seq 100); do busybox usleep 10000; done
answer milliseconds $((($(date +%s%N) - start) / 1000000))
""")).succeed()
    assert 1000 <= int(answers(machine)["milliseconds"]) < 10000
