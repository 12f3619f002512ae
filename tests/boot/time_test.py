# SPDX-License-Identifier: MIT
"""Clocks and interrupts of dom0."""
import pytest
from library import answers, script

SECONDS = 20

CLOCKS = script(f"""
answer source $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
for i in 1 2 3; do echo TICK $i; sleep {SECONDS // 2}; done
before=$(interrupts timer)
sleep 2
answer timer $(($(interrupts timer) - before))
answer unstable $(dmesg | grep -ci 'clocksource.*unstable')
cat /proc/interrupts | sed 's/^/INTERRUPTS /'
""")


@pytest.mark.parametrize("cpus", [1, 2])
def test_time_clocksource_and_drift(boot, cpus):
    """Dom0 uses the Xen clock, its timer fires, and its seconds are the host's to 3 % (the host measures arrival of lines)."""
    machine = boot(cpus=cpus, script=CLOCKS).succeed()
    facts = answers(machine)
    # real Xen gives "xen" or "tsc" depending on the CPU's promises
    assert facts["source"] in ("xen", "tsc")
    assert int(facts["timer"]) > 0
    assert facts["unstable"] == "0"
    ticks = [machine.times[n] for n, line in enumerate(machine.lines) if line.startswith("TICK ")]
    assert len(ticks) == 3
    assert ticks[2] - ticks[0] == pytest.approx(SECONDS, rel=0.03, abs=0.5)
    names = [line for line in machine.lines if line.startswith("INTERRUPTS ")]
    for word in ("timer", "resched", "callfunc") if cpus > 1 else ("timer",):
        assert any(word in line for line in names), f"no {word} line in /proc/interrupts"
    assert any("xen-dyn" in line for line in names)


def test_time_sleep_is_not_early(boot):
    """100 sleeps of 10 ms take at least a second and not ten."""
    machine = boot(toolstack=False, script=script("""
start=$(date +%s%N)
for i in $(seq 100); do busybox usleep 10000; done
answer milliseconds $((($(date +%s%N) - start) / 1000000))
""")).succeed()
    assert 1000 <= int(answers(machine)["milliseconds"]) < 10000
