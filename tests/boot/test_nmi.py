# SPDX-License-Identifier: MIT
"""The machine's NMI button: dom0 is told, once, however many CPUs there are; or nobody; or the machine stops with a report."""
import pytest
from library import script

from xylem.monitor import Monitor

WAITS = r"""
echo 'waits for an NMI'
for i in $(seq 60); do dmesg | grep -q 'NMI received' && break; sleep 1; done
dmesg | sed -n '/NMI received/s/^/dom0 says /p'
"""


@pytest.fixture
def monitor(tmp_path):
    return Monitor(tmp_path)


def test_nmi_reaches_dom0(boot, monitor, oracle):
    machine = boot(cpus=2, script=script(WAITS), extra=monitor.arguments)
    machine.expect("waits for an NMI")
    monitor.execute("inject-nmi")
    machine.expect("dom0 says .*NMI received for unknown reason 00 on CPU 0")
    machine.succeed()
    if not oracle:
        assert len(machine.all(r"NMI on CPU 0: unknown source; dom0 is told")) == 1
        assert len(machine.all(r"NMI on CPU")) == 1


def test_nmi_is_fatal(boot, monitor, oracle):
    if oracle:
        pytest.skip("a report of this hypervisor")
    machine = boot(cpus=2, arguments="nmi=fatal", script=script(WAITS), extra=monitor.arguments)
    machine.expect("waits for an NMI")
    monitor.execute("inject-nmi")
    machine.expect(r"Xylem stops: NMI on CPU 0: unknown source \(option nmi=fatal\)")
    machine.expect("Rebooting")
    assert machine.finish().child.returncode == 0
