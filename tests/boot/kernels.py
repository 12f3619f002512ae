# SPDX-License-Identifier: MIT
"""Small PV kernels, good and bad, and the bzImages around them."""
import gzip
import lzma
import struct
import subprocess

BASE = 0xffffffff80000000
LOAD = 0x1000000
ENTRY, HYPERCALL_PAGE, VIRT_BASE, PADDR_OFFSET, XEN_VERSION, FEATURES, INIT_P2M = 1, 2, 3, 4, 5, 10, 15


def note(kind, value):
    data = value.encode() + b"\0" if isinstance(value, str) else struct.pack("<Q", value)
    return struct.pack("<III4s", 4, len(data), kind, b"Xen\0") + data.ljust((len(data) + 3) & ~3, b"\0")


def usual_notes(**changes):
    """The notes of a kernel that can start; a change to None leaves one out."""
    notes = {"VIRT_BASE": (VIRT_BASE, BASE), "ENTRY": (ENTRY, BASE + LOAD), "XEN_VERSION": (XEN_VERSION, "xen-3.0"),
             "INIT_P2M": (INIT_P2M, 0x8000000000), "PADDR_OFFSET": (PADDR_OFFSET, 0)}
    for name, value in changes.items():
        notes[name] = (globals()[name], value)
    return b"".join(note(kind, value) for kind, value in notes.values() if value is not None)


def elf(code=b"\x0f\x0b", notes=None, machine=62):
    """An ELF-64 program that is loaded at LOAD and starts with `code`."""
    notes = usual_notes() if notes is None else notes
    text = code.ljust(4096, b"\x90")
    head = 64 + 2 * 56
    header = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 2, machine, 1, BASE + LOAD, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, head, BASE + LOAD, LOAD, len(text), len(text), 4096)
    notes_header = struct.pack("<IIQQQQQQ", 4, 4, head + len(text), 0, 0, len(notes), len(notes), 4)
    return header + load + notes_header + text + notes


def pack(data, form):
    """As Linux packs kernels: the unpacked length stands behind all but gzip's, which has it at its end already."""
    length = struct.pack("<I", len(data))
    if form == "gzip":
        return gzip.compress(data)
    if form == "xz":
        filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 1}]
        return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters) + length
    if form == "lzma":
        return lzma.compress(data, lzma.FORMAT_ALONE) + length
    command = {"zstd": ["zstd", "-q", "--ultra", "-c"], "lz4": ["lz4", "-q", "-l", "-c"]}[form]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout + length


def bzimage(payload):
    """A setup header of boot protocol 2.12 and one sector of setup in front of the payload."""
    setup = bytearray(1024)
    setup[0x1f1] = 1
    setup[0x1fe:0x200] = b"\x55\xaa"
    setup[0x202:0x208] = b"HdrS" + struct.pack("<H", 0x20c)
    setup[0x248:0x250] = struct.pack("<II", 0, len(payload))
    return bytes(setup) + payload
