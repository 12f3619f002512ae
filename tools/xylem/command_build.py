# SPDX-License-Identifier: MIT
"""`./xylem build`."""
import argparse
import shutil

from . import build
from .say import ROOT, say


def main(words):
    tool = argparse.ArgumentParser(prog="./xylem build", description="Build the hypervisor: build/x86_64/xylem (multiboot and multiboot2 "
                                   "ELF), xylem.gz for boot loaders, xylem.sym with addresses and names.")
    tool.add_argument("--host", action="store_true", help="build the unit tests and fuzzers (build/host) instead")
    tool.add_argument("--clean", action="store_true", help="from scratch")
    options = tool.parse_args(words)
    if options.clean:
        shutil.rmtree(build.tree("host" if options.host else "x86_64"), ignore_errors=True)
    folder = build.host() if options.host else build.hypervisor()
    names = ["unit_tests"] if options.host else ["xylem", "xylem.gz", "xylem.sym"]
    for path in (folder / name for name in names):
        if path.exists():
            say(f"{path.relative_to(ROOT)}  {path.stat().st_size} bytes")
    return 0
