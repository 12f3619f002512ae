# SPDX-License-Identifier: MIT
"""Clocks and interrupts of dom0."""
import pytest
from library import answers, script

SECONDS = 20

CLOCKS = script(f"""
answer source $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
for i in 1 2 3; do sleep {SECONDS // 2}; read up rest < /proc/uptime; echo "TICK $up ${{EPOCHREALTIME}}"; done
before=$(interrupts timer)
sleep 2
answer timer $(($(interrupts timer) - before))
answer unstable $(dmesg | grep -ci 'clocksource.*unstable')
cat /proc/interrupts | sed 's/^/INTERRUPTS /'
""")


@pytest.mark.parametrize("cpus", [1, 2])
def test_time_clocksource_and_drift(boot, cpus):
    """Dom0 uses the Xen clock, its timer fires, and 20 of its seconds are the host's to 0.3 s (measured by when lines arrive)."""
    machine = boot(cpus=cpus, script=CLOCKS).succeed()
    facts = answers(machine)
    # real Xen gives "xen" or "tsc" depending on the CPU's promises
    assert facts["source"] in ("xen", "tsc")
    assert int(facts["timer"]) > 0
    assert facts["unstable"] == "0"
    ticks = [(machine.times[n], *map(float, line.split()[1:])) for n, line in enumerate(machine.lines) if line.startswith("TICK ")]
    assert len(ticks) == 3
    host, uptime, wall = (ticks[2][n] - ticks[0][n] for n in range(3))
    assert uptime >= SECONDS
    assert uptime == pytest.approx(host, rel=0.01, abs=0.3)
    assert wall == pytest.approx(host, rel=0.01, abs=0.3)
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
