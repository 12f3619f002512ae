# SPDX-License-Identifier: MIT
"""Long runs: memory, processes and scheduling under load, then the hypervisor's own check of all its page records."""
import pytest
from library import answers, script

# Integer method for the cpu stressor: its long-double ones failed once on real Xen with 4 vCPUs over 2 CPUs (seen under QEMU 7.2).
LOAD = """
must 'stress-ng' stress-ng --timeout {seconds}s --metrics-brief --verify \\
    --fork 2 --vm 2 --vm-bytes 128M --mmap 1 --mmap-bytes 64M --pipe 2 --switch 1 --cpu 1 --cpu-method crc16 --matrix 1 --vecmath 1 --iomix 1 --iomix-bytes 32M --brk 1 --stack 1
answer oops $(dmesg | grep -c -e 'BUG:' -e 'Oops' -e 'Call Trace' -e 'soft lockup' -e 'rcu.*stall')
"""
CHECK = """
must 'debug key' xl debug-keys P
sleep 3
xl dmesg | grep 'page check' | tail -1
answer check $(xl dmesg | grep 'page check' | tail -1)
"""


def judge(machine, oracle):
    machine.succeed()
    facts = answers(machine)
    assert facts["oops"] == "0"
    if not oracle:  # real Xen has no such key
        assert "page check: ok" in facts["check"]


def test_stress_short(boot, oracle):
    """20 seconds on 4 vCPUs over 2 CPUs."""
    judge(boot(cpus=2, vcpus=4, script=script(LOAD.format(seconds=20) + ("" if oracle else CHECK))), oracle)


@pytest.mark.long
def test_stress_five_minutes(boot, oracle):
    judge(boot(cpus=2, vcpus=4, quiet_limit=900, total_limit=1800,
               script=script(LOAD.format(seconds=300) + ("" if oracle else CHECK))), oracle)
