# SPDX-License-Identifier: MIT
"""Whatever the hypervisor is given that it cannot use ends in a clear message and a machine that stands still (or goes on without
the part); never in a triple fault, and never in silence."""
import dataclasses
import pathlib
import random
import struct

import pytest
from gdb import Debugger
from kernels import BASE, LOAD, bzimage, elf, pack, usual_notes
from library import log_file

from xylem import debian
from xylem.boot import Boot
from xylem.machine import Machine, escaped

FORMS = ["xz", "gzip", "zstd", "lz4", "lzma"]
HALTED = "The machine is halted"


@dataclasses.dataclass
class Bare(Machine):
    """A machine whose boot modules are given one by one: (file, command line); none at all is possible, too."""
    modules: list = dataclasses.field(default_factory=list)
    line: str = "console=com1 loglvl=all guest_loglvl=all"

    def qemu(self, work, log=None):
        words = self.hardware() + ["-kernel", str(self.image(debian.prepare())), "-append", self.line]
        if self.modules:
            words += ["-initrd", ",".join(f"{escaped(file)} {escaped(text)}".rstrip() for file, text in self.modules)]
        return words + ["-nic", "none"] + list(self.extra)


@pytest.fixture
def bare(request):
    """bare(**fields of Bare) starts a machine; its console is kept in build/boot-logs."""
    if request.config.getoption("--xen"):
        pytest.skip("messages of this hypervisor")
    running = []

    def start(**fields):
        fields.setdefault("kernel", request.config.getoption("--image"))
        fields.setdefault("cpus", 1)
        fields.setdefault("memory", 512)
        machine = Boot(Bare(**fields), quiet_limit=60, total_limit=240, log=log_file(request.node.name, ".xylem"))
        running.append(machine)
        return machine.start()

    yield start
    for machine in running:
        machine.close()


@pytest.fixture
def kernel_file(tmp_path):
    def write(data, name="kernel"):
        path = tmp_path / name
        path.write_bytes(data)
        return path
    return write


@pytest.fixture
def small(kernel_file):
    """The module of a kernel that crashes at once, for what happens before: it is unpacked in no time."""
    return (kernel_file(bzimage(pack(elf(), "gzip")), "small"), "")


def linux(text="console=hvc0 panic=1 quiet"):
    return (debian.prepare().kernel, text)


def entry_of(machine):
    """Where the hypervisor's first instruction is: e_entry of its 32-bit ELF."""
    return struct.unpack_from("<I", pathlib.Path(machine.machine.image(None)).read_bytes(), 24)[0]


def stops(machine, pattern):
    """A report with the reason, the build and a stack with names; then the machine is halted, not reset."""
    reason = machine.expect(f"Xylem stops: .*{pattern}")
    machine.expect("build id [0-9a-f]{40}")
    machine.expect(r"  ffff[0-9a-f]+  start_boot_cpu|  ffff[0-9a-f]+  start_on_own_stack")
    machine.expect(HALTED)
    assert machine.child.poll() is None, "the machine was reset"
    return reason


# --- modules -----------------------------------------------------------------------------------------------------------------

def test_bad_no_module(bare):
    stops(bare(), "no dom0 kernel")


@pytest.mark.parametrize("content", ["empty", "text", "linux_setup_only"])
def test_bad_not_a_kernel(bare, kernel_file, content):
    data = {"empty": b"\0", "text": b"#!/bin/sh\n" * 1000, "linux_setup_only": debian.prepare().kernel.read_bytes()[:600]}[content]
    stops(bare(modules=[(kernel_file(data), "")]), "dom0 kernel")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("damage", ["cut", "changed", "length"])
def test_bad_payload(bare, kernel_file, form, damage):
    source = random.Random(1)  # text that packs well: lz4 has no checksum and would not notice a changed literal
    good = pack(elf() + b"".join(b"%d bottles on wall %d\n" % (source.randrange(99), n) for n in range(50000)), form)
    body, length = bytearray(good[:-4]), good[-4:]
    if damage == "cut":
        body = body[:len(body) // 2]
    elif damage == "changed":
        for at in range(len(body) // 2, len(body) // 2 + 4096):
            body[at] ^= 0xff
    else:
        length = struct.pack("<I", struct.unpack("<I", length)[0] + 12345)
    stops(bare(modules=[(kernel_file(bzimage(bytes(body) + length)), "")]), "dom0 kernel")


@pytest.mark.parametrize("form", FORMS)
def test_payload_forms_work(bare, kernel_file, form):
    """The same kernel undamaged starts: its first instruction is the invalid one it was given."""
    machine = bare(modules=[(kernel_file(bzimage(pack(elf(), form))), "")])
    machine.expect("d0 crashed")
    machine.expect(f"rip {BASE + LOAD:016x}")
    machine.finish()


NOTES = {
    "none": (b"", "no Xen ELF notes"),
    "no_entry": (usual_notes(ENTRY=None), "no ENTRY note"),
    "no_virt_base": (usual_notes(VIRT_BASE=None), "no VIRT_BASE note"),
    "no_p2m": (usual_notes(INIT_P2M=None), "no INIT_P2M note"),
    "wrong_version": (usual_notes(XEN_VERSION="xen-9.9"), "XEN_VERSION"),
    "entry_outside": (usual_notes(ENTRY=0xffffffff90000000), "ENTRY lies outside"),
    "base_in_hypervisor": (usual_notes(VIRT_BASE=0xffff800000000000), "VIRT_BASE lies in the hypervisor"),
    "base_not_canonical": (usual_notes(VIRT_BASE=0x0123456789abc000), "not a canonical address"),
    "p2m_in_hypervisor": (usual_notes(INIT_P2M=0xffff820000000000), "INIT_P2M"),
    "offset_too_high": (usual_notes(PADDR_OFFSET=0x40000000), "PADDR_OFFSET"),
    "wants_unknown": (usual_notes(FEATURES="!time_travel"), "requires a Xen feature"),
    "wants_impossible": (usual_notes(FEATURES="!auto_translated_physmap"), "requires a Xen feature"),
}


@pytest.mark.parametrize("case", NOTES)
def test_bad_elf_notes(bare, kernel_file, case):
    notes, message = NOTES[case]
    stops(bare(modules=[(kernel_file(bzimage(pack(elf(notes=notes), "gzip"))), "")]), message)


def test_bad_elf_machine(bare, kernel_file):
    stops(bare(modules=[(kernel_file(bzimage(pack(elf(machine=183), "gzip"))), "")]), "dom0 kernel")


# --- memory ------------------------------------------------------------------------------------------------------------------

def test_bad_initrd_larger_than_dom0(bare, tmp_path):
    initrd = tmp_path / "initrd"
    with open(initrd, "wb") as handle:
        handle.truncate(300 << 20)
    machine = bare(modules=[linux(), (initrd, "")], memory=1024, line="console=com1 loglvl=all dom0_mem=256M")
    stops(machine, "do not hold its kernel and initrd; use a larger dom0_mem")


def test_bad_dom0_memory_too_small(bare):
    stops(bare(modules=[linux()], line="console=com1 dom0_mem=32M"), "use a larger dom0_mem")


def test_dom0_memory_larger_than_memory(bare, small):
    """As on Xen dom0 gets what there is; the log says so."""
    machine = bare(modules=[small], line="console=com1 loglvl=all dom0_mem=64G")
    machine.expect(r"dom0_mem asks for 65536 MiB, but only \d+ MiB are free: dom0 gets \d+ MiB")
    machine.expect(r"dom0: \d+ MiB of memory")


def test_bad_machine_memory_too_small(bare):
    machine = bare(modules=[linux()], memory=96)
    machine.expect("Xylem stops: .*memory")
    machine.expect(HALTED)


# --- processors --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flag, message", [("-nx", "no NX"), ("-lm", "no 64-bit mode")])
def test_bad_cpu(bare, flag, message):
    machine = bare(modules=[linux()], cpu="qemu64," + flag)
    machine.expect(f"Xylem: this CPU has {message}.*Stopped")
    assert machine.child.poll() is None


def test_cpu_that_does_not_start(bare, small):
    """The debugger holds the second CPU: the machine goes on with one."""
    port = Debugger.free_port()
    machine = bare(modules=[small], cpus=2, extra=Debugger.arguments(port))
    debugger = Debugger(port)
    debugger.run_to(entry_of(machine))  # the BIOS waits for all CPUs
    debugger.go_on(only_first_cpu=True)
    machine.expect("CPU with APIC id 1 does not start; going on without it")
    machine.expect(r"1 CPU\(s\)")
    machine.expect("d0 crashed")
    debugger.close()


# --- the firmware's tables ------------------------------------------------------------------------------------------------------

class Tables:
    """The machine's ACPI tables, to be spoilt while the hypervisor is about to execute its first instruction."""

    def __init__(self, start, module):
        port = Debugger.free_port()
        self.machine = start(modules=[module], extra=Debugger.arguments(port))
        self.debugger = Debugger(port)
        self.debugger.run_to(entry_of(self.machine))
        bios = self.debugger.read(0xe0000, 0x20000)
        self.rsdp = 0xe0000 + next(at for at in range(0, len(bios), 16) if bios[at:at + 8] == b"RSD PTR ")
        self.rsdt = struct.unpack("<I", self.debugger.read(self.rsdp + 16, 4))[0]
        length = struct.unpack("<I", self.debugger.read(self.rsdt + 4, 4))[0]
        self.entries = struct.unpack(f"<{(length - 36) // 4}I", self.debugger.read(self.rsdt + 36, length - 36))

    def find(self, signature):
        return next(at for at in self.entries if self.debugger.read(at, 4) == signature)

    def fix_checksum(self, at):
        length = struct.unpack("<I", self.debugger.read(at + 4, 4))[0]
        old = self.debugger.read(at, length)
        self.debugger.write(at + 9, bytes([(old[9] - sum(old)) & 0xff]))

    def go_on(self):
        self.debugger.go_on()
        return self.machine


@pytest.fixture
def tables(bare, small):
    tables = Tables(bare, small)
    yield tables
    tables.debugger.close()


def test_acpi_no_rsdp(tables):
    tables.debugger.write(tables.rsdp, b"XSD PTR ")
    stops(tables.go_on(), "no ACPI tables")


def test_acpi_rsdp_checksum(tables):
    tables.debugger.write(tables.rsdp + 8, b"\x5a")
    stops(tables.go_on(), "no ACPI tables")


@pytest.mark.parametrize("length", [0, 8, 35, 0x7fffffff, 0xffffffff])
def test_acpi_rsdt_length(tables, length):
    tables.debugger.write(tables.rsdt + 4, struct.pack("<I", length))
    stops(tables.go_on(), "no ACPI tables")


def test_acpi_rsdt_entry_points_nowhere(tables):
    """A table in no memory is left out; here it is the one that names the I/O APIC."""
    slot = tables.rsdt + 36 + 4 * tables.entries.index(tables.find(b"APIC"))
    tables.debugger.write(slot, struct.pack("<I", 0xfffffff0))
    tables.fix_checksum(tables.rsdt)
    stops(tables.go_on(), "no I/O APIC")


def test_acpi_madt_checksum(tables):
    tables.debugger.write(tables.find(b"APIC") + 9, b"\0")
    machine = tables.go_on()
    machine.expect("ACPI: MADT checksum at .* is wrong; ignoring the table")
    stops(machine, "no I/O APIC")


@pytest.mark.parametrize("length", [20, 44, 0x10000000])
def test_acpi_madt_length(tables, length):
    tables.debugger.write(tables.find(b"APIC") + 4, struct.pack("<I", length))
    if length < 1 << 20:
        tables.fix_checksum(tables.find(b"APIC"))
    stops(tables.go_on(), "no I/O APIC")


def test_acpi_madt_entry_of_length_zero(tables):
    madt = tables.find(b"APIC")
    tables.debugger.write(madt + 45, b"\0")
    tables.fix_checksum(madt)
    machine = tables.go_on()
    machine.expect("MADT entry of type 0 has the impossible length 0")
    stops(machine, "no I/O APIC")


def test_acpi_fadt_checksum(tables):
    """Without FADT there is no PM timer, power off or reset by ACPI; dom0 starts."""
    tables.debugger.write(tables.find(b"FACP") + 9, b"\0")
    machine = tables.go_on()
    machine.expect("ACPI: FADT checksum at .* is wrong; ignoring the table")
    machine.expect("dom0: ")


# --- options -----------------------------------------------------------------------------------------------------------------

def test_bad_options(bare, small):
    """Each is named in the log and ignored."""
    words = ["dom0_mem=lots", "maxcpus=minus", "frobnicate=1", "watchdog=perhaps", "reboot=soon", "=", "com1=fast", "x" * 300]
    machine = bare(modules=[small], line="console=com1 loglvl=all " + " ".join(words))
    for name in ["dom0_mem", "maxcpus", "frobnicate", "watchdog", "reboot"]:
        machine.expect(f"option '{name}.*ignored")
    machine.expect("dom0: ")


# --- dom0 --------------------------------------------------------------------------------------------------------------------

CRASHES = {
    "invalid_opcode": (b"\x0f\x0b", "rip %016x" % (BASE + LOAD)),
    "no_stack": (b"\x48\x31\xe4\x50", "rip %016x" % (BASE + LOAD + 3)),                       # xor %rsp,%rsp; push %rax
    "stack_in_hypervisor": (b"\x48\xbc" + struct.pack("<Q", 0xffff820000001000) + b"\x50", "rip %016x" % (BASE + LOAD + 10)),
    "jump_nowhere": (b"\x48\x31\xc0\xff\xe0", "rip 0000000000000000"),
    "jump_to_hypervisor": (b"\x48\xb8" + struct.pack("<Q", 0xffff818000200000) + b"\xff\xe0", "rip ffff818000200000"),
    "divide_by_zero": (b"\x31\xc9\xf7\xf1", "rip %016x" % (BASE + LOAD + 2)),
}


@pytest.mark.parametrize("case", CRASHES)
def test_dom0_kernel_faults(bare, kernel_file, case):
    """A kernel that faults before it has handlers: its registers are shown, then the machine restarts (QEMU ends)."""
    code, place = CRASHES[case]
    machine = bare(modules=[(kernel_file(bzimage(pack(elf(code), "gzip"))), "")])
    machine.expect("d0 crashed")
    machine.expect(place)
    machine.expect("dom0 crashed: rebooting")
    assert machine.finish().child.returncode == 0


def test_dom0_panics(bare):
    machine = bare(modules=[linux("console=hvc0 panic=1 root=/dev/nothing")])
    machine.expect("Kernel panic - not syncing")
    machine.expect("dom0 (crashed|asks for a reboot)")
    assert machine.finish().child.returncode == 0


def test_dom0_panics_noreboot(bare):
    machine = bare(modules=[linux("console=hvc0 panic=1 quiet root=/dev/nothing")], line="console=com1 noreboot")
    machine.expect("noreboot: the machine stays halted")
    assert machine.child.poll() is None


def test_dom0_crash_from_userspace(boot, oracle):
    machine = boot(toolstack=False, script="echo c > /proc/sysrq-trigger")
    machine.expect("sysrq: Trigger a crash|Kernel panic")
    machine.finish()
    assert machine.child.returncode == 0


# --- the console's keys and the end of the machine -------------------------------------------------------------------------------

def to_hypervisor(machine):
    machine.expect("dom0: ")
    machine.expect("type 'CTRL-a' three times")
    machine.expect(".")
    machine.switch_input()
    machine.expect("input (to|for) Xe|Serial input to Xe")


def test_key_reboot(bare):
    machine = bare(modules=[linux()])
    to_hypervisor(machine)
    machine.send("R")
    machine.expect("key 'R': rebooting")
    assert machine.finish().child.returncode == 0


def test_key_crash_report(bare):
    """Reason, build, and a stack with names down to the interrupt's way in."""
    machine = bare(modules=[linux()], cpus=2)
    to_hypervisor(machine)
    machine.send("C")
    machine.expect("Xylem stops: key 'C' pressed")
    machine.expect("build id [0-9a-f]{40}")
    machine.expect(r"  ffff8180\w+  console::KeyTable::press \+ 0x")
    machine.expect(r"  ffff8180\w+  irq::Line::on_interrupt \+ 0x")
    machine.expect("Rebooting")
    assert machine.finish().child.returncode == 0


@pytest.mark.parametrize("method", ["acpi", "kbd", "pci", "triple", "Power", "efi"])
def test_reboot_method(bare, kernel_file, method):
    """`efi` on a BIOS falls back to ACPI."""
    machine = bare(modules=[(kernel_file(bzimage(pack(elf(), "gzip"))), "")], line=f"console=com1 reboot={method}")
    machine.expect("dom0 crashed: rebooting")
    assert machine.finish().child.returncode == 0


def test_reboot_none(bare, kernel_file):
    machine = bare(modules=[(kernel_file(bzimage(pack(elf(), "gzip"))), "")], line="console=com1 reboot=no")
    machine.expect("reboot=no: the machine stays halted")
    assert machine.child.poll() is None


def test_watchdog(bare):
    """The debugger holds the second CPU while all is well: the first one notices."""
    port = Debugger.free_port()
    machine = bare(modules=[linux()], cpus=2, line="console=com1 loglvl=all watchdog watchdog_timeout=3",
                   extra=Debugger.arguments(port, wait=False))
    machine.expect("watchdog: 2 CPUs watch each other, 3 s")
    debugger = Debugger(port)
    debugger.go_on(only_first_cpu=True)
    machine.expect("Xylem stops: watchdog: CPU 1 took no timer interrupt for 3 s")
    debugger.close()


def test_watchdog_needs_two_cpus(bare, small):
    bare(modules=[small], line="console=com1 watchdog").expect("watchdog: needs a second CPU")
