# SPDX-License-Identifier: MIT
"""A newer QEMU than Debian 12's, from bookworm-backports, in a root of its own: the computer's packages stay as they are."""
import shutil

from . import packages
from .debian import SUITE, locked
from .say import Failure, as_root, cache_dir, step

BACKPORTS = f"{SUITE}-backports"


def newer():
    """The words that start it; made first if need be (about a minute, needs root)."""
    root = cache_dir() / f"qemu-{BACKPORTS}"
    with locked(cache_dir() / "lock-qemu"):
        if not root.exists():
            make(root)
    libraries = ":".join(str(root / folder) for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"))
    data = [word for folder in ("qemu", "seabios") for word in ("-L", str(root / "usr/share" / folder))]
    return [str(root / "lib64/ld-linux-x86-64.so.2"), "--library-path", libraries, str(root / "usr/bin/qemu-system-x86_64"), *data]


def make(root):
    """mmdebstrap into a side folder, as for dom0."""
    packages.need(packages.DEBIAN)
    rights = as_root()
    if rights is None:
        raise Failure(f"a QEMU of {BACKPORTS} needs root rights once: run this command as root or install sudo")
    part = root.with_name(root.name + ".part")
    if part.exists():
        step("removing an unfinished one", rights + ["rm", "-rf", "--one-file-system", part])
    install = f'chroot "$1" apt-get update && chroot "$1" apt-get install -y --no-install-recommends -t {BACKPORTS} qemu-system-x86'
    add = f'sed "s/{SUITE}-updates/{BACKPORTS}/" "$1/etc/apt/sources.list" >"$1/etc/apt/sources.list.d/backports.list"'
    step(f"QEMU of {BACKPORTS}", rights + ["mmdebstrap", "--variant=minbase", f"--customize-hook={add} && {install}", SUITE, part], "2 min")
    shutil.move(part, root)
