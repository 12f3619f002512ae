# SPDX-License-Identifier: MIT
"""Dom0 on Bochs: an Intel CPU, other timers and chipset than QEMU's, and no code in common with it."""
import pytest
from library import answers, script
from xylem.bochs import Bochs


@pytest.mark.long
def test_bochs_power_off(boot):
    """Bochs runs about 9e9 instructions: four minutes of an idle CPU."""
    machine = boot(Bochs, quiet_limit=1200, total_limit=2400, toolstack=False, script=script("""
answer type $(cat /sys/hypervisor/type)
answer root $(awk '$2 == "/" { print $1 }' /proc/mounts)
answer cpu $(awk -F': ' '/model name/ { print $2 }' /proc/cpuinfo)
answer oops $(dmesg | grep -c -e 'BUG:' -e 'Oops' -e 'Call Trace')
""")).succeed()
    facts = answers(machine)
    assert facts["type"] == "xen" and facts["root"].startswith("/dev/sd")
    assert "Haswell" in facts["cpu"] or "i7-4770" in facts["cpu"]
    assert facts["oops"] == "0"
