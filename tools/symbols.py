#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""symbols.py LINKED: fills the section .symbols of the linked hypervisor with the names of its functions, for stacks in reports.

Form (arch/x86/entry/symbols.cpp): u32 count; count times {u32 offset from image_begin, u32 offset of the name}, sorted; names,
each ended by a zero byte. The section has its final size in the linker script; the rest of it is zeroes."""
import re
import struct
import subprocess
import sys
import tempfile

LLVM = "19"


def tool(name, *arguments):
    return subprocess.run([f"llvm-{name}-{LLVM}", *arguments], check=True, capture_output=True, text=True).stdout


def short(name):
    """A demangled name without parameters, and without the namespace everything is in."""
    name = name.replace("(anonymous namespace)::", "").replace("xylem::", "").replace("operator()", "operator")
    name = re.sub(r"'lambda\d*'", "lambda", name).replace("...", "")
    result, depth = "", 0
    for letter in name:  # parameters and template arguments go
        depth += letter in "(<{["
        if depth == 0:
            result += letter
        depth -= letter in ")>}]" and depth > 0
    words = [w for w in result.split(" ") if w and w not in ("const", "static", "constexpr", "&", "&&")]
    return words[-1] if words else name[:60]


def main(path):
    symbols, begin, end = {}, None, None
    for line in tool("nm", "-C", "-n", path).splitlines():
        address, kind, name = line.split(" ", 2)
        address = int(address, 16)
        if name == "image_begin":
            begin = address
        elif name == "text_end":
            end = address
        elif kind in "tTwW" and name.replace("_", "").replace(".", "") and not name.startswith(".L"):
            # of several names for one place the longest C++ one says most; local labels of assembly come as they are
            known = symbols.get(address)
            if known is None or "::" in name:
                symbols[address] = name
    # linker-script marks lie at the ends of sections, some of them inside the text
    rows = [(a, short(n)) for a, n in sorted(symbols.items()) if begin <= a < end and n != "image_begin"]
    names, offsets = b"", {}
    for _, name in rows:
        if name not in offsets:
            offsets[name] = len(names)
            names += name.encode() + b"\0"
    head = 4 + 8 * len(rows)
    table = struct.pack("<I", len(rows)) + b"".join(struct.pack("<II", a - begin, head + offsets[n]) for a, n in rows) + names
    sizes = [int(f[2], 16) for f in (l.split() for l in tool("objdump", "-h", path).splitlines()) if len(f) > 3 and f[1] == ".symbols"]
    room = sizes[0]
    if len(table) > room:
        sys.exit(f"symbols.py: {len(table)} bytes of names, {room} reserved: raise symbol_bytes in arch/x86/boot/xylem.lds")
    with tempfile.NamedTemporaryFile() as content:
        content.write(table.ljust(room, b"\0"))
        content.flush()
        tool("objcopy", "--update-section", f".symbols={content.name}", path)
    print(f"symbols: {len(rows)} functions in {len(table)} of {room} bytes")


main(sys.argv[1])
