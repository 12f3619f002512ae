# SPDX-License-Identifier: MIT
"""A fresh Debian 12 with nothing but git in it, and a command that runs in a clone of this tree there."""
import pathlib
import shlex
import subprocess

from . import debian
from .say import ROOT, as_root, step

# In a process tree and with mounts of its own: nothing is left behind when the first process ends.
INSIDE = """
mount -t proc proc {root}/proc && mount -t sysfs sysfs {root}/sys && mount --rbind /dev {root}/dev && mount -t tmpfs tmpfs {root}/run
exec chroot {root} env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 sh -c {command}
"""


class Fresh:
    """Made in the folder `work`, about 2 GB when it has run; needs root. The clone has what is committed."""

    def __init__(self, work):
        self.root = pathlib.Path(work) / "fresh"

    def make(self):
        debian.bootstrap("fresh Debian 12", "1 min", self.root, "--include=git,ca-certificates")
        step("clone", as_root() + ["git", "clone", "-q", "--no-hardlinks", ROOT, self.root / "root/clone"])
        return self

    def words(self, command):
        """The command line that runs a shell command in the clone's folder."""
        inside = INSIDE.format(root=shlex.quote(str(self.root)), command=shlex.quote(f"cd /root/clone && {command}"))
        return [*as_root(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", inside]

    def remove(self):
        subprocess.run([*as_root(), "rm", "-rf", "--one-file-system", str(self.root)], check=False)
