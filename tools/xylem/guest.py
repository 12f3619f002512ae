# SPDX-License-Identifier: MIT
"""What dom0 needs to start guests, as files under /xylem/guest: an initramfs for Debian's kernel, demo.cfg and functions for scripts."""
import functools
import pathlib

from .cpio import Archive
from .debian import module_order

FILES = pathlib.Path(__file__).parent / "guest"
# Lists of modules in the guest's /modules: `front` is loaded at start, the others by the script that wants them.
MODULES = {"front": ["xen-blkfront", "xen-netfront"], "ext4": ["crc32c_generic", "ext4"], "watchdog": ["xen_wdt"],
           "xen": ["xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs"]}


@functools.cache
def initramfs(debian):
    """Not compressed: it only travels through memory."""
    archive = Archive()
    for name in ("bin", "sbin", "dev", "proc", "sys", "root", "tmp", "mnt"):
        archive.folder(name)
    archive.file("bin/busybox", (debian.rootfs / "bin/busybox").read_bytes(), executable=True)
    archive.file("init", (FILES / "init").read_bytes(), executable=True)
    archive.file("sbin/poweroff", (FILES / "poweroff").read_bytes(), executable=True)
    archive.link("sbin/reboot", "poweroff")
    written = set()
    for group, names in MODULES.items():
        order = module_order(debian, names)
        for name, path in order.items():
            if name not in written:
                archive.file(f"modules/{name}.ko", path.read_bytes())
                written.add(name)
        archive.file(f"modules/{group}", "".join(f"{name}.ko\n" for name in order).encode())
    return archive.bytes()


def files(debian):
    """{path under /xylem in dom0: bytes}"""
    config = (FILES / "demo.cfg").read_text(encoding="utf-8").replace("@VERSION@", debian.version)
    return {"guest/demo.cfg": config.encode(), "guest/initramfs": initramfs(debian), "guest/lib.sh": (FILES / "lib.sh").read_bytes()}
