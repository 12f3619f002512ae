# SPDX-License-Identifier: MIT
"""The description of one machine to boot, and the QEMU command line it stands for."""
import dataclasses
import gzip
import pathlib
import shutil

from . import debian, guest, packages
from .say import ROOT, Failure, step

# QEMU 7.2's TCG: PV Linux faults with SMAP on, MWAIT with interrupt break raises #GP, intercepted RDTSCP reports RDTSC.
CPU_EXCEPTIONS = ",-smap,-monitor,-rdtscp,check=off"  # check=off: no warning per feature TCG lacks
XYLEM = ROOT / "build/x86_64/xylem"
OVMF = "/usr/share/ovmf/OVMF.fd"
DISK_DEVICES = {"ahci": "ide-hd", "virtio": "virtio-blk-pci", "nvme": "nvme"}


@dataclasses.dataclass
class Machine:
    """What to boot and on what. Sizes in MiB, times in seconds."""
    hypervisor: str = "xylem"           # xylem, xen (Debian's) or native (none)
    kernel: str | None = None           # another hypervisor image instead
    loader: str = "qemu"                # qemu, grub-bios or grub-uefi
    machine: str = "q35"
    cpu: str = "EPYC"                   # a plain model name gets CPU_EXCEPTIONS
    cpus: int = 2
    vcpus: int | None = None            # of dom0, when other than cpus
    memory: int = 2048
    dom0_memory: int | None = None      # default: half of the memory from 2 GiB on, below that all the hypervisor can spare
    append: str = ""                    # further words for dom0's kernel
    arguments: str = ""                 # further words for the hypervisor
    verbose: bool = False               # show dom0's kernel messages
    plain_log: bool = False             # the hypervisor's usual messages only, not all
    root: str = "ahci"                  # bus of Debian's disk
    net: str = "none"                   # model of a network card on QEMU's user network
    toolstack: bool = True              # start xenstored and xenconsoled
    guest: bool = False                 # give dom0 what it needs to start guests (/xylem/guest)
    demo: bool = False                  # with `guest`: start the demo guest before the shell
    icount: bool = False
    resets: bool = False                # a reset starts the machine again instead of ending QEMU
    gdb: bool = False
    script: str | None = None
    files: dict = dataclasses.field(default_factory=dict)   # path under /xylem in dom0 -> bytes
    extra: list = dataclasses.field(default_factory=list)   # further QEMU words
    emulator: list = dataclasses.field(default_factory=lambda: ["qemu-system-x86_64"])   # the words that start QEMU
    terminal: tuple | None = None       # rows, columns of the user's terminal

    def cpu_words(self):
        return self.cpu if "," in self.cpu else self.cpu + CPU_EXCEPTIONS

    def kernel_line(self):
        # norandmaps: QEMU keeps translations by address, so random ones make it translate libc at every exec (docs/machines.md)
        words = ["console=" + ("ttyS0" if self.hypervisor == "native" else "hvc0"), "panic=1", "norandmaps"]
        if not self.verbose:
            words.append("quiet")
        if self.script is not None:
            words.append("xylem.script=1")
        if self.net != "none":
            words.append("xylem.net=1")
        if not self.toolstack:
            words.append("xylem.bare=1")
        if self.guest and self.demo:
            words.append("xylem.demo=1")
        if self.terminal:
            words.append("xylem.tty=%dx%d" % self.terminal)
        if self.hypervisor == "native" and self.vcpus:
            words.append(f"maxcpus={self.vcpus}")
        return " ".join(words + ([self.append] if self.append else []))

    def hypervisor_line(self):
        words = ["console=com1"] + ([] if self.plain_log else ["loglvl=all", "guest_loglvl=all"])
        memory = self.dom0_memory or (self.memory // 2 if self.memory >= 2048 else None)
        if memory:
            words.append(f"dom0_mem={memory}M,max:{memory}M")
        if self.vcpus:
            words.append(f"dom0_max_vcpus={self.vcpus}")
        return " ".join(words + ([self.arguments] if self.arguments else []))

    def image(self, cached):
        """The hypervisor's image; None without one."""
        if self.kernel:
            path = pathlib.Path(self.kernel)
        else:
            path = cached.xen if self.hypervisor == "xen" else {"xylem": XYLEM, "native": None}[self.hypervisor]
        if path and not path.exists():
            raise Failure(f"{path} does not exist" + ("; ./xylem build makes it" if path == XYLEM else ""))
        return path

    def qemu(self, work, log=None):
        """QEMU's command line without the console; files it needs are made in the folder `work`."""
        packages.need(packages.QEMU, *([packages.GRUB] if self.loader != "qemu" else []))
        cached = debian.prepare()
        image = self.image(cached)
        initrd = pathlib.Path(work) / "initramfs"
        debian.initramfs(cached, initrd, self.script, self.files | (guest.files(cached) if self.guest else {}))
        words = self.hardware()
        if self.icount:
            words += ["-icount", "shift=0,sleep=off"]
        if self.gdb:
            words += ["-gdb", "tcp:127.0.0.1:1234", "-S"]
        if self.loader == "qemu":
            words += self.direct(cached, image, initrd)
        else:
            words += self.grub(cached, image, initrd, pathlib.Path(work))
        words += ["-drive", f"file={escaped(cached.disk)},format=raw,if=none,id=root,snapshot=on",
                  "-device", DISK_DEVICES[self.root] + ",drive=root" + (",serial=root" if self.root == "nvme" else "")]
        words += ["-nic", "none"]
        if self.net != "none":
            card = {"virtio": "virtio-net-pci"}.get(self.net, self.net)
            words += ["-netdev", "user,id=net", "-device", f"{card},netdev=net"]  # -nic would take a virtio card's MSI-X away
        return words + list(self.extra)

    def hardware(self):
        """The words of QEMU's command line for processors, memory and what happens at a reset."""
        return [*self.emulator, "-M", self.machine, "-accel", "tcg", "-cpu", self.cpu_words(), "-m", str(self.memory),
                "-smp", str(self.cpus), "-display", "none"] + ["-no-reboot"] * (not self.resets)

    def batch(self, work):
        """The command line for a program that reads the console."""
        return self.qemu(work) + ["-serial", "stdio", "-monitor", "none"]

    def direct(self, cached, image, initrd):
        """QEMU as boot loader: multiboot with two modules, or Linux itself."""
        if image is None:
            return ["-kernel", str(cached.kernel), "-append", self.kernel_line(), "-initrd", str(initrd)]
        modules = f"{escaped(cached.kernel)} {escaped(self.kernel_line())},{escaped(initrd)}"
        return ["-kernel", str(image), "-append", self.hypervisor_line(), "-initrd", modules]

    def grub(self, cached, image, initrd, work):
        """A CD with GRUB for BIOS and UEFI; multiboot2 for both."""
        tree = work / "cd"
        shutil.rmtree(tree, ignore_errors=True)
        (tree / "boot/grub").mkdir(parents=True)
        shutil.copyfile(cached.kernel, tree / "boot/vmlinuz")
        shutil.copyfile(initrd, tree / "boot/initramfs")
        lines = ["serial --unit=0 --speed=115200", "terminal_input serial", "terminal_output serial", "set timeout=0",
                 "menuentry machine {", "echo Starting"]
        if image is None:
            lines += [f"linux /boot/vmlinuz {self.kernel_line()}", "initrd /boot/initramfs"]
        else:
            (tree / "boot/hypervisor.gz").write_bytes(gzip.compress(image.read_bytes(), 1))
            lines += [f"multiboot2 /boot/hypervisor.gz {self.hypervisor_line()}", f"module2 /boot/vmlinuz {self.kernel_line()}",
                      "module2 --nounzip /boot/initramfs"]  # GRUB takes an archive's last bytes for its unpacked size
        (tree / "boot/grub/grub.cfg").write_text("\n".join(lines + ["}", ""]))
        step("boot CD", ["grub-mkrescue", "-o", work / "boot.iso", tree], "5 s")
        shutil.rmtree(tree)
        firmware = ["-bios", OVMF] if self.loader == "grub-uefi" else []
        return firmware + ["-cdrom", str(work / "boot.iso"), "-boot", "d"]


def escaped(value):
    """A comma ends a value in QEMU's lists unless doubled."""
    return str(value).replace(",", ",,")
