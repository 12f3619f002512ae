# SPDX-License-Identifier: MIT
"""A newer QEMU than Debian 12's, from bookworm-backports, in a root of its own: the computer's packages stay as they are."""
from . import debian
from .say import cache_dir

BACKPORTS = f"{debian.SUITE}-backports"


def newer():
    """The words that start it; made first if need be (about a minute, needs root)."""
    root = cache_dir() / f"qemu-{BACKPORTS}"
    with debian.locked(cache_dir() / "lock-qemu"):
        if not root.exists():
            make(root)
    libraries = ":".join(str(root / folder) for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"))
    data = [word for folder in ("qemu", "seabios") for word in ("-L", str(root / "usr/share" / folder))]
    return [str(root / "lib64/ld-linux-x86-64.so.2"), "--library-path", libraries, str(root / "usr/bin/qemu-system-x86_64"), *data]


def make(root):
    add = f'sed -n "1s/ {debian.SUITE} / {BACKPORTS} /p" "$1/etc/apt/sources.list" >"$1/etc/apt/sources.list.d/backports.list"'
    install = f'chroot "$1" apt-get update && chroot "$1" apt-get install -y --no-install-recommends -t {BACKPORTS} qemu-system-x86'
    debian.bootstrap(f"QEMU of {BACKPORTS}", "2 min", root, f"--customize-hook={add} && {install}")
