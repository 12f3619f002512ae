# SPDX-License-Identifier: MIT
"""Dom0 on a newer QEMU than Debian 12's, whose iretq goes well with SMAP: it stays on, which QEMU 7.2 does not allow."""
import pytest
from boot_test import LOOK, check
from xylem import emulator


@pytest.mark.long
@pytest.mark.parametrize("model", ["EPYC", "Skylake-Server", "max"])
def test_newer_qemu_smap(boot, oracle, model):
    machine = boot(emulator=emulator.newer(), cpu=f"{model},-monitor,check=off", cpus=2, script=LOOK)
    check(machine, 2)
    if not oracle:
        assert machine.all("CPU: .* in use:.* SMAP")
