# SPDX-License-Identifier: MIT
"""The machine's NMI button: dom0 is told, once, however many CPUs there are; or nobody; or the machine stops with a report."""
import json
import socket

import pytest
from library import script

WAITS = r"""
echo 'waits for an NMI'
for i in $(seq 60); do dmesg | grep -q 'NMI received' && break; sleep 1; done
dmesg | sed -n '/NMI received/s/^/dom0 says /p'
"""


class Button:
    """Presses it through the emulator's control socket."""
    def __init__(self, folder):
        self.path = str(folder / "control")
        self.words = ["-qmp", f"unix:{self.path},server=on,wait=off"]

    def press(self):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(self.path)
            with control.makefile("rw") as stream:
                stream.readline()  # its greeting
                for command in ("qmp_capabilities", "inject-nmi"):
                    stream.write(json.dumps({"execute": command}) + "\n")
                    stream.flush()
                    while "return" not in (answer := json.loads(stream.readline())):
                        assert "error" not in answer, answer


@pytest.fixture
def button(tmp_path):
    return Button(tmp_path)


def test_nmi_reaches_dom0(boot, button, oracle):
    machine = boot(cpus=2, script=script(WAITS), extra=button.words)
    machine.expect("waits for an NMI")
    button.press()
    machine.expect("dom0 says .*NMI received for unknown reason 00 on CPU 0")
    machine.succeed()
    if not oracle:
        assert len(machine.all(r"NMI on CPU 0: unknown source; dom0 is told")) == 1
        assert len(machine.all(r"NMI on CPU")) == 1


def test_nmi_is_fatal(boot, button, oracle):
    if oracle:
        pytest.skip("a report of this hypervisor")
    machine = boot(cpus=2, arguments="nmi=fatal", script=script(WAITS), extra=button.words)
    machine.expect("waits for an NMI")
    button.press()
    machine.expect(r"Xylem stops: NMI on CPU 0: unknown source \(option nmi=fatal\)")
    machine.expect("Rebooting")
    assert machine.finish().child.returncode == 0
