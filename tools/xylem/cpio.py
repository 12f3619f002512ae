# SPDX-License-Identifier: MIT
"""A writer for the initramfs format ("newc" cpio), so that no root rights and no cpio program are needed."""
import stat


class Archive:
    """Collects files; bytes() gives the archive, padded so that another one may follow."""

    def __init__(self):
        self.parts = []
        self.inode = 0
        self.folders = set()

    def _entry(self, name, mode, data=b""):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        self.parts += [header, bytes(-len(header) % 4), data, bytes(-len(data) % 4)]

    def folder(self, name):
        """A folder and those above it."""
        name = name.strip("/")
        if name and name not in self.folders:
            self.folder("/".join(name.split("/")[:-1]))
            self.folders.add(name)
            self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, executable=False):
        name = name.strip("/")
        self.folder("/".join(name.split("/")[:-1]))
        self._entry(name, stat.S_IFREG | (0o755 if executable else 0o644), data)

    def link(self, name, target):
        name = name.strip("/")
        self.folder("/".join(name.split("/")[:-1]))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def bytes(self):
        saved = len(self.parts), self.inode
        self._entry("TRAILER!!!", 0)
        whole = b"".join(self.parts)
        del self.parts[saved[0]:]
        self.inode = saved[1]
        return whole + bytes(-len(whole) % 512)
