# SPDX-License-Identifier: MIT
"""The flight recorder: read from dom0, printed with a panic, and what is left of it after a reset."""
import re
import struct

import pytest
from kernels import BASE, LOAD, bzimage, elf, pack
from library import script
from test_bad_input import Bare

SHOW = r"""
show() { xl debug-keys $1; sleep 1; xl dmesg | sed -n "/debug key '$1'/,\$p" | sed "s/^/$1 /"; }
"""
# Twice as many vCPUs as CPUs, so that the CPUs switch; several looks, so that each kind of event is among the newest.
BUSY = r"""
for i in 1 2 3 4; do while :; do (:); i=$((i + 1)); [ $((i % 50)) = 0 ] && sleep 0.01; done & done
sleep 2
for i in 1 2 3 4; do xl debug-keys T; sleep 0.3; done
kill $(jobs -p)
show T
show L
"""
# Kernels of a few instructions start sooner than Debian. One calls xen_version and reads CR0 for ever; the other asks for the end.
BUSY_KERNEL = (b"\xb8\x11\0\0\0"    # mov $__HYPERVISOR_xen_version, %eax
               b"\x31\xff"           # xor %edi, %edi
               b"\x0f\x05"           # syscall
               b"\x0f\x20\xc0"       # mov %cr0, %rax
               b"\xeb\xf2")          # jmp back


def end_kernel(reason):
    """sched_op(SCHEDOP_shutdown, {reason})"""
    code = b"\xb8\x1d\0\0\0\xbf\x02\0\0\0\x48\xc7\xc6" + struct.pack("<I", (BASE + LOAD + 256) & 0xffffffff) + b"\x0f\x05\xeb\xfe"
    return code.ljust(256, b"\x90") + struct.pack("<I", reason)


@pytest.fixture
def tiny(boot, tmp_path):
    """tiny(code): a machine that starts again after a reset, with `code` as dom0's kernel."""
    def start(code, **fields):
        (tmp_path / "kernel").write_bytes(bzimage(pack(elf(code), "gzip")))
        return boot(kind=Bare, modules=[(tmp_path / "kernel", "")], memory=512, resets=True, **fields)
    return start


def to_hypervisor(machine):
    """The next letters typed are debug keys."""
    machine.expect("type 'CTRL-a' three times")
    machine.switch_input()
    machine.expect("input (to|for) Xe|Serial input to Xe")


# Which run it is stands in the log; the script is the same for both.
CRASH_ONCE = r"""
if xl dmesg | grep 'the last run ended'; then show L; else xl debug-keys C; sleep 60; fi
"""


@pytest.fixture(autouse=True)
def own_hypervisor(oracle):
    if oracle:
        pytest.skip("real Xen has no such recorder")


def test_recorder_from_dom0(boot):
    """Every kind of event on both CPUs, and nothing to report of a run before this one."""
    machine = boot(cpus=2, vcpus=4, arguments="conring_size=256k", script=script(SHOW + BUSY)).succeed()
    shown = [line for line in machine.lines if line.startswith("T ")]
    for cpu in (0, 1):
        assert any(f"CPU {cpu}, its last 48 events" in line for line in shown)
    text = "\n".join(machine.lines)  # `xl dmesg` has the last looks only
    for event in (r"hypercall \d+ [a-z_]+ \(0x", r"in multicall: \d+ [a-z_]+ \(0x", r"trap 14 page fault at [0-9a-f]+ \(0x",
                  r"\d\.\d us interrupt 0xf[8b] (timer|event check) at [0-9a-f]", r"\d\.\d us run d0v[0-3]"):
        assert re.search(event, text), f"no event like /{event}/"
    assert "unreadable" not in text
    assert machine.all("^L .*nothing is kept of the last run")
    assert not machine.all("the last run ended")


def test_recorder_keys_and_crash(tiny):
    """What a kernel of five instructions does, by key, in a panic report, and after the machine has started again by itself."""
    machine = tiny(BUSY_KERNEL, cpus=2)
    to_hypervisor(machine)
    events = 0  # the first key may come before the kernel has done much
    while events < 48:
        machine.send("T")
        events = int(machine.expect(r"CPU 0, its last (\d+) events")[1])
    machine.expect(r"hypercall 17 xen_version \(0x0\)")
    machine.expect(r"trap 13 general protection fault at ffffffff81000009 \(0x0\)")
    machine.send("L")
    machine.expect("nothing is kept of the last run")
    machine.send("i")
    machine.expect(r"GSI 4 edge high cpu 0 count [1-9]\d* hypervisor")
    machine.send("C")
    machine.expect("Xylem stops: key 'C' pressed")
    machine.expect("CPU 0, its last 16 events")
    machine.expect(r"hypercall 17 xen_version \(0x0\)")
    machine.expect(r"us interrupt 0x[0-9a-f]{2} device at ffff")  # the key itself
    machine.expect(r"us Xylem stops$")
    machine.expect("Rebooting")
    machine.expect(r"the last run ended without shutting down \(key 'C' pressed: crash on purpose\)")
    to_hypervisor(machine)
    machine.send("L")
    machine.expect("debug key 'L'")
    machine.expect("CPU 0, its last 48 events")
    machine.expect(r"hypercall 17 xen_version \(0x0\)")
    machine.expect(r" 0\.0 us Xylem stops$")
    assert not machine.all("unreadable")


@pytest.mark.parametrize("reason, words", [(1, "dom0 asks for a reboot"), (3, "dom0 crashed: rebooting")])
def test_recorder_tells_reboot_from_crash(tiny, reason, words):
    """Nothing is amiss after a reboot that dom0 asked for; a crash of dom0 is worth a look."""
    machine = tiny(end_kernel(reason))
    for _ in range(3):
        machine.expect("a hypervisor for Xen guests")
        machine.expect(words)
    assert len(machine.all(r"the last run ended without shutting down \(reset\)")) == (0 if reason == 1 else 2)


@pytest.mark.long
@pytest.mark.parametrize("loader", ["qemu", "grub-bios", "grub-uefi"])
def test_recorder_outlives_crash(boot, loader):
    """The hypervisor panics with the events of every CPU, starts again by itself and tells what its CPUs did last."""
    machine = boot(cpus=2, loader=loader, resets=True, arguments="conring_size=64k", script=script(SHOW + CRASH_ONCE))
    machine.expect("Xylem stops: key 'C' pressed")
    machine.expect("CPU 0, its last 16 events")
    machine.expect("CPU 1, its last 16 events")
    machine.expect("Rebooting")
    assert machine.all(r"us Xylem stops$"), "the panic is the last event of its CPU"
    assert machine.all(r"hypercall \d+ sysctl \(0x"), "the key came by a hypercall"
    machine.expect(r"the last run ended without shutting down \(key 'C' pressed: crash on purpose\)")
    machine.succeed()
    kept = [line for line in machine.lines if line.startswith("L ")]
    for cpu in (0, 1):
        assert any(f"CPU {cpu}, its last 48 events" in line for line in kept)
    assert any(line.endswith("us Xylem stops") for line in kept)
    assert any(re.search(r"hypercall \d+ sysctl \(0x", line) for line in kept)
    assert not any("unreadable" in line for line in kept)
