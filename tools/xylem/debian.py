# SPDX-License-Identifier: MIT
"""The Debian 12 dom0 every run uses: root file system, disk image, initramfs, kernel and Debian's own Xen, made once and cached."""
import contextlib
import dataclasses
import fcntl
import gzip
import hashlib
import os
import pathlib
import shutil

from . import packages
from .cpio import Archive
from .say import Failure, cache_dir, need_root, say, step

SUITE = "bookworm"
INCLUDE = ["linux-image-amd64", "xen-hypervisor-4.17-amd64", "xen-utils-4.17", "qemu-system-xen", "busybox-static", "kmod",
           "iproute2", "iputils-ping", "bridge-utils", "ethtool", "netcat-openbsd", "wget", "pciutils", "usbutils", "nvme-cli",
           "stress-ng", "strace", "procps", "less", "vim-tiny", "file"]
# What the initramfs must load before Debian's disk can be mounted, on any of the machines and disk types offered.
DISK_MODULES = ["ahci", "ata_piix", "sd_mod", "virtio_pci", "virtio_blk", "nvme", "ext4"]
DISK_SIZE = "3G"
DOM0_FILES = pathlib.Path(__file__).parent / "dom0"


@dataclasses.dataclass(frozen=True)
class Debian:
    """Paths of the ready-made parts."""
    folder: pathlib.Path

    @property
    def rootfs(self): return self.folder / "rootfs"
    @property
    def disk(self): return self.folder / "disk.img"
    @property
    def kernel(self): return self.folder / "vmlinuz"
    @property
    def xen(self): return self.folder / "xen"
    @property
    def modules(self): return self.folder / "modules.cpio.gz"
    @property
    def version(self): return one(self.rootfs, "boot/vmlinuz-*").name.removeprefix("vmlinuz-")


@contextlib.contextmanager
def locked(path):
    """One process at a time may prepare the cache."""
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def recipe_name():
    text = "\n".join([SUITE, DISK_SIZE, "recipe 2", *INCLUDE, *DISK_MODULES])
    return f"debian-{SUITE}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def prepare():
    """The cached Debian, made first if need be (about three minutes, needs root)."""
    folder = cache_dir() / recipe_name()
    if not (folder / "complete").exists():
        with locked(cache_dir() / "lock"):
            if not (folder / "complete").exists():
                make(folder)
    return Debian(folder)


def make(folder):
    packages.need(packages.DEBIAN)
    root = need_root("making Debian's root file system needs root rights once")
    free = shutil.disk_usage(folder.parent).free
    if free < 5 << 30:
        raise Failure(f"{folder.parent} has {free >> 20} MiB free, 5 GiB are needed (XYLEM_CACHE names another place)")
    say(f"Preparing a Debian 12 dom0 in {folder} (once)")
    folder.mkdir(parents=True, exist_ok=True)
    debian = Debian(folder)
    if not debian.rootfs.exists():
        make_rootfs(debian.rootfs)
    kernel, xen = one(debian.rootfs, "boot/vmlinuz-*"), one(debian.rootfs, "boot/xen-*-amd64.gz")
    debian.xen.write_bytes(gzip.decompress(xen.read_bytes()))
    shutil.copyfile(kernel, debian.kernel)
    make_modules(debian)
    part = folder / "disk.part"
    part.unlink(missing_ok=True)
    step("disk image", root + ["mke2fs", "-q", "-t", "ext4", "-L", "xylem-root", "-O", "^has_journal", "-d", debian.rootfs, part, DISK_SIZE],
         "20 s")
    if root:
        step("ownership", root + ["chown", str(os.getuid()), part])
    part.rename(debian.disk)
    (folder / "complete").write_text(debian.version + "\n")


def one(folder, pattern):
    found = sorted(folder.glob(pattern))
    if not found:
        raise Failure(f"{folder} has no {pattern}; delete {folder.parent} to make it again")
    return found[-1]


def bootstrap(title, about, target, *options):
    """A small Debian in the folder `target`, by mmdebstrap; needs root. It is made in a side folder, so that an interrupted run
    leaves nothing that looks finished."""
    packages.need(packages.DEBIAN)
    root = need_root(f"making {target} needs root rights")
    part = target.with_name(target.name + ".part")
    mirror = os.environ.get("XYLEM_MIRROR", "")  # without it: Debian's own, with security updates

    def clear():
        if part.exists():
            step("removing an unfinished one", root + ["rm", "-rf", "--one-file-system", part])

    clear()
    try:
        step(title, root + ["mmdebstrap", "--variant=minbase", *options, SUITE, part, *mirror.split()], about)
        step("moving into place", root + ["mv", part, target])
    finally:
        clear()


def make_rootfs(rootfs):
    options = [f"--include={','.join(INCLUDE)}"]
    for path in ("man", "doc", "locale", "info"):
        options.append(f"--dpkgopt=path-exclude=/usr/share/{path}/*")
    # the initramfs is our own: do not spend half a minute on Debian's
    hook = 'mkdir -p "$1/etc/initramfs-tools"; printf "MODULES=list\\nCOMPRESS=gzip\\n" > "$1/etc/initramfs-tools/initramfs.conf"'
    options += [f"--essential-hook={hook}", "--dpkgopt=force-confold"]
    bootstrap("Debian's packages", "1 to 3 min", rootfs, *options)


def module_order(debian, wanted):
    """{name: path} of kernel modules with what they depend on, in load order."""
    base = debian.rootfs / "lib/modules" / debian.version
    paths, needs, order = {}, {}, {}
    for line in (base / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        paths[module_name(path)] = base / path
        needs[module_name(path)] = [module_name(word) for word in rest.split()]

    def visit(name):
        if name in paths and name not in order:
            for other in reversed(needs[name]):
                visit(other)
            order.setdefault(name, paths[name])

    for name in wanted:
        visit(name.replace("-", "_"))
    return order


def make_modules(debian):
    """The part of the initramfs that never changes: busybox and the disk drivers with what they depend on, in load order."""
    # ext4's checksum is asked for by alias (crypto-crc32c), which modules.dep does not know
    order = module_order(debian, ["crc32c_generic", "crc32c_intel", *DISK_MODULES])
    archive = Archive()
    for name in ("bin", "dev", "proc", "sys", "root", "tmp"):
        archive.folder(name)
    archive.file("bin/busybox", (debian.rootfs / "bin/busybox").read_bytes(), executable=True)
    for name, path in order.items():
        archive.file(f"modules/{name}.ko", path.read_bytes())
    archive.file("modules/order", "".join(f"{name}.ko\n" for name in order).encode())
    packed = gzip.compress(archive.bytes(), 1, mtime=0)
    debian.modules.write_bytes(packed + bytes(-len(packed) % 4))


def module_name(path):
    return path.rpartition("/")[2].split(".ko")[0].replace("-", "_")


def initramfs(debian, target, script=None, files=None):
    """Writes dom0's initramfs: the cached part followed by init, the script to run and further files {path in dom0: bytes}."""
    archive = Archive()
    archive.file("init", (DOM0_FILES / "initramfs-init").read_bytes(), executable=True)
    archive.file("xylem/init", (DOM0_FILES / "init").read_bytes(), executable=True)
    archive.file("xylem/dhcp", (DOM0_FILES / "dhcp").read_bytes(), executable=True)
    archive.file("xylem/bin/poweroff", (DOM0_FILES / "poweroff").read_bytes(), executable=True)
    archive.link("xylem/bin/halt", "poweroff")
    archive.link("xylem/bin/reboot", "poweroff")
    if script is not None:
        archive.file("xylem/script", script.encode())
    for name, data in (files or {}).items():
        archive.file(f"xylem/{name}", data, executable=True)
    pathlib.Path(target).write_bytes(debian.modules.read_bytes() + archive.bytes())
