# SPDX-License-Identifier: MIT
"""A whole Debian 12 on a partitioned disk with Debian's own initramfs, systemd and GRUB (BIOS and UEFI), and the machine that boots it.

It runs jobs: what a second disk holds (a tar archive with a `script`) is run as root once the system is up, then the machine is
switched off. GRUB's menu, Linux and the job's output all go to the serial line."""
import dataclasses
import hashlib
import io
import os
import pathlib
import shutil
import tarfile
import tempfile

from . import debian, packages
from .boot import Boot
from .machine import CPU_EXCEPTIONS, OVMF, escaped
from .say import Failure, cache_dir, need_root, say, step

INCLUDE = ["linux-image-amd64", "systemd-sysv", "udev", "zstd", "grub-pc", "grub-efi-amd64-bin", "xen-utils-4.17"]
SECTOR = 512
MIB = 1 << 20
DISK_MIB, ESP_MIB = 3072, 32
ESP_AT, ROOT_AT = 2 * MIB, (2 + ESP_MIB) * MIB
ROOT_MIB = DISK_MIB - ROOT_AT // MIB - 1    # the end of the disk holds the second partition table
FILES = pathlib.Path(__file__).parent / "installed"
TARGETS = {"grub.cfg": "/etc/default/grub.d/serial.cfg", "job.service": "/etc/systemd/system/job.service", "job": "/usr/local/sbin/job",
           "fstab": "/etc/fstab", "patience.conf": "/etc/systemd/system.conf.d/patience.conf"}

TABLE = f"""label: gpt
start={MIB // SECTOR}, size={MIB // SECTOR}, type=21686148-6449-6E6F-744E-656564454649
start={ESP_AT // SECTOR}, size={ESP_MIB * MIB // SECTOR}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
start={ROOT_AT // SECTOR}, size={ROOT_MIB * MIB // SECTOR}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
"""

INSTALL_GRUB = """set -e
mkdir -p /boot/efi
mount /dev/sda2 /boot/efi
grub-install --target=i386-pc /dev/sda
grub-install --target=x86_64-efi --efi-directory=/boot/efi --removable --no-nvram
update-grub
umount /boot/efi
"""


def job(script, files=None):
    """The job disk's content: a tar archive of the script and further files {name: bytes}."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in {"script": script.encode(), **(files or {})}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


@dataclasses.dataclass
class Installed:
    """A PC with the disk, for Boot. The loader is QEMU only while GRUB is not there yet."""
    disk: pathlib.Path
    script: str = "true"
    files: dict = dataclasses.field(default_factory=dict)
    firmware: str = "bios"          # bios or uefi
    disk_format: str = "qcow2"
    cpus: int = 1
    memory: int = 2048
    linux: tuple | None = None      # kernel and initramfs to start without a boot loader

    def batch(self, work):
        packages.need(packages.QEMU, *([packages.GRUB] if self.firmware == "uefi" else []))
        archive = pathlib.Path(work) / "job"
        archive.write_bytes(job(self.script, self.files))
        words = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "EPYC" + CPU_EXCEPTIONS, "-m", str(self.memory),
                 "-smp", str(self.cpus), "-display", "none", "-vga", "none", "-no-reboot", "-nic", "none", "-serial", "stdio", "-monitor", "none",
                 "-drive", f"file={escaped(self.disk)},format={self.disk_format},if=none,id=disk", "-device", "ide-hd,drive=disk,bus=ide.0",
                 "-drive", f"file={escaped(archive)},format=raw,if=none,id=job,readonly=on",
                 "-device", "virtio-blk-pci,drive=job,serial=job"]
        if self.firmware == "uefi":
            words += ["-bios", OVMF]
        if self.linux:
            words += ["-kernel", str(self.linux[0]), "-initrd", str(self.linux[1]), "-append", "root=/dev/sda3 console=ttyS0 quiet"]
        return words


def recipe_name():
    parts = [debian.SUITE, "recipe 1", *INCLUDE, TABLE, INSTALL_GRUB, *((FILES / name).read_text() for name in TARGETS)]
    return f"installed-{debian.SUITE}-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:10]}"


def prepare():
    """The cached disk image (raw, never written to again), made first if need be: three minutes on an idle machine, needs root."""
    image = cache_dir() / f"{recipe_name()}.img"
    if not image.exists():
        with debian.locked(cache_dir() / "lock-installed"):
            if not image.exists():
                make(image)
    return image


def overlay(folder):
    """A disk that starts as the cached one and keeps what is written to it, in the folder."""
    packages.need(packages.DISK)
    target = pathlib.Path(folder) / "disk.qcow2"
    step("disk", ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", prepare(), target])
    return target


def make(image):
    packages.need(packages.DEBIAN, packages.DISK, packages.QEMU)
    root = need_root("making a Debian disk needs root rights once")
    if shutil.disk_usage(image.parent).free < 4 << 30:
        raise Failure(f"{image.parent} needs 4 GiB of free space (XYLEM_CACHE names another place)")
    say(f"Preparing a Debian 12 disk with GRUB and systemd: {image} (once)")
    with tempfile.TemporaryDirectory(prefix="installed-", dir=image.parent) as work:
        disk, tree = pathlib.Path(work) / "disk", pathlib.Path(work) / "rootfs"
        try:
            make_tree(tree)
            make_disk(root, tree, disk)
            install_grub(root, tree, disk, pathlib.Path(work))
        finally:
            step("clearing up", root + ["rm", "-rf", "--one-file-system", tree])
        disk.rename(image)


def make_tree(tree):
    options = [f"--include={','.join(INCLUDE)}"]
    for path in ("man", "locale", "info"):
        options.append(f"--dpkgopt=path-exclude=/usr/share/{path}/*")
    options += ["--essential-hook=mkdir -p \"$1/etc/default/grub.d\" \"$1/etc/systemd/system.conf.d\""]
    options += [f"--customize-hook=upload {FILES / name} {target}" for name, target in TARGETS.items()]
    options += ["--customize-hook=chmod 755 \"$1/usr/local/sbin/job\"", "--customize-hook=chroot \"$1\" systemctl enable job.service",
                "--customize-hook=echo debian >\"$1/etc/hostname\"", "--customize-hook=chroot \"$1\" passwd -d root"]
    debian.bootstrap("Debian's packages", "2 to 4 min", tree, *options)


def make_disk(root, tree, disk):
    """Partitions and file systems written by offset: no loop devices, which containers do not have."""
    with open(disk, "wb") as handle:
        handle.truncate(DISK_MIB * MIB)
    table = disk.with_name("table")
    table.write_text(TABLE)
    step("partitions", ["sh", "-c", 'exec /sbin/sfdisk -q "$1" <"$2"', "sh", disk, table])
    step("EFI partition", ["/sbin/mkfs.vfat", "-F", "16", "-n", "ESP", "--offset", str(ESP_AT // SECTOR), disk, str(ESP_MIB * 1024)])
    step("root file system", root + ["/sbin/mke2fs", "-q", "-t", "ext4", "-L", "debian", "-E", f"offset={ROOT_AT}", "-d", tree, disk,
                                     f"{ROOT_MIB}M"], "30 s")


def install_grub(root, tree, disk, work):
    """GRUB's own installer on the running system, which has the disk as a disk."""
    parts = [work / "vmlinuz", work / "initrd"]
    for path in parts:
        source = debian.one(tree, f"boot/{path.name}*-amd64")
        step(source.name, root + ["install", "-m", "644", "-o", str(os.getuid()), source, path])
    say("  installing GRUB in the running system (about 1 min) ...")
    with Boot(Installed(disk, INSTALL_GRUB, disk_format="raw", linux=tuple(parts)), quiet_limit=600, total_limit=1200) as boot:
        boot.succeed()
