# SPDX-License-Identifier: MIT
"""Bochs as another machine than QEMU: Intel's CPU with XSAVE, x2APIC and TSC deadline, the i440FX chipset, PIIX disks and ACPI.

    python3 -m xylem.bochs FOLDER    starts the machine described in a folder, its serial line on standard output

ends with status 0 when the guest switched the machine off through ACPI, which Bochs reports like an error."""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import threading

from . import debian, packages
from .machine import Machine
from .say import step

SOFT_OFF = "ACPI control: soft power off"   # Bochs' last words after a write of SLP_EN with S5's type to PM1a
SHARE = pathlib.Path("/usr/share/bochs")

CONFIGURATION = """display_library: rfb, options="timeout=0"
romimage: file={share}/BIOS-bochs-latest
vgaromimage: file={share}/VGABIOS-lgpl-latest
megs: {memory}
cpu: model={cpu}, count={cpus}, ips=100000000, reset_on_triple_fault=0
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata0-master: type=disk, path="{disk}", mode=volatile, journal="{work}/journal"
ata1-master: type=cdrom, path="{work}/boot.iso", status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev="{work}/serial"
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
panic: action=fatal
clock: sync=none, time0=local
log: "{work}/bochs.log"
"""

# Version 1 of multiboot with unpacked files; in Bochs, GRUB triple-faults on the way to a packed image.
MENU = """serial --unit=0 --speed=115200
terminal_output serial
set timeout=0
menuentry machine {{
multiboot /boot/hypervisor placeholder {hypervisor_line}
module /boot/vmlinuz placeholder {kernel_line}
module --nounzip /boot/initramfs
}}
"""


@dataclasses.dataclass
class Bochs(Machine):
    """A Machine whose emulator is Bochs; what Bochs does not have (loaders, buses, cards) is not looked at."""
    cpu: str = "corei7_haswell_4770"
    cpus: int = 1
    memory: int = 1024
    dom0_memory: int | None = 512

    def batch(self, work):
        packages.need(packages.BOCHS, packages.GRUB)
        cached, work = debian.prepare(), pathlib.Path(work)
        tree = work / "cd"
        (tree / "boot/grub").mkdir(parents=True)
        shutil.copyfile(self.image(cached), tree / "boot/hypervisor")
        shutil.copyfile(cached.kernel, tree / "boot/vmlinuz")
        debian.initramfs(cached, tree / "boot/initramfs", self.script, self.files)
        (tree / "boot/grub/grub.cfg").write_text(MENU.format(hypervisor_line=self.hypervisor_line(), kernel_line=self.kernel_line()))
        step("boot CD", ["grub-mkrescue", "-o", work / "boot.iso", tree], "5 s")
        shutil.rmtree(tree)
        (work / "configuration").write_text(CONFIGURATION.format(share=SHARE, memory=self.memory, cpu=self.cpu, cpus=self.cpus,
                                                                 disk=cached.disk, work=work))
        return ["env", f"PYTHONPATH={pathlib.Path(__file__).parents[1]}", sys.executable, "-m", "xylem.bochs", str(work)]


def relay(path):
    """Copies the serial line, a named pipe, to standard output."""
    with open(path, "rb", buffering=0) as serial:
        while data := serial.read(4096):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def main(work):
    os.mkfifo(work / "serial")
    (work / "commands").write_text("continue\n")    # Debian's binary is the one with the debugger, which waits at the start
    reader = threading.Thread(target=relay, args=[work / "serial"], daemon=True)
    reader.start()
    with open(work / "output", "wb") as output:
        subprocess.run(["bochs-bin", "-q", "-f", work / "configuration", "-rc", work / "commands"], stdin=subprocess.DEVNULL,
                       stdout=output, stderr=output)
    log = (work / "bochs.log").read_text(errors="replace") if (work / "bochs.log").exists() else ""
    ending = log + (work / "output").read_text(errors="replace")
    if SOFT_OFF in ending:
        reader.join(timeout=10)
        return 0
    print("Bochs ended without a power off:", *ending.splitlines()[-40:], sep="\n", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
